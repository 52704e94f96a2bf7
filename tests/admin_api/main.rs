//! The admin API on real sockets: limits that are changed under running transfers, and why these are slow.

#[path = "../h2/mod.rs"]
mod h2;
#[path = "../served/mod.rs"]
mod served;

mod asking;
mod changes;
mod connections;
mod described;
#[path = "../admin/exposition.rs"]
#[allow(dead_code)] // each test file uses its part
mod exposition;
#[path = "../admin/fixture.rs"]
#[allow(dead_code)]
mod fixture;
mod held;
mod limits;
mod refusals;
