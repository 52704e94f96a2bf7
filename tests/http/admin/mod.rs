//! The admin listener on real sockets: its pages, who may read them, and whether the metrics are right.

mod access;
mod events;
mod http2;
mod live;
mod metrics;
mod page;
mod pages;
