//! The admin API on real sockets: limits that are changed under running transfers, and why these are slow.

pub(crate) mod asking;
mod audit;
mod changes;
mod classes;
mod connections;
mod described;
mod held;
mod limits;
mod refusals;
mod schedules;
mod upstreams;
