//! The fleet quota: its book and clients on a clock that only moves when told to, and on real sockets.

mod book;
mod calls;
mod certificates;
mod client;
mod egress;
mod fixture;
mod fleet;
#[path = "../h2/mod.rs"]
mod h2;
mod histories;
mod program;
mod simulation;
