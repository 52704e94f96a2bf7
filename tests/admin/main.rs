//! The admin listener on real sockets: its pages, who may read them, and whether the metrics are right.

#[path = "../served/mod.rs"]
mod served;

mod access;
mod events;
mod exposition;
mod fixture;
mod metrics;
mod pages;
