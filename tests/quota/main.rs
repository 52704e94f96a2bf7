//! The fleet quota: its book and clients on a clock that only moves when told to, and on real sockets.

mod book;
mod calls;
mod client;
mod directions;
mod egress;
mod fixture;
mod fleet;
mod generated;
mod histories;
mod leaders;
mod program;
mod runtime;
mod simulation;
mod store;
