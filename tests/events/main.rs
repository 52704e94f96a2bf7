//! Event streams through the real server, as clients on sockets see them.
//!
//! Time is real: what must not come early is asserted without tolerance, and what must come is waited for.

mod access;
mod client;
#[path = "../h2/mod.rs"]
mod h2;
mod http2;
mod limits;
mod polling;
mod publishing;
mod streaming;

#[path = "../sse/mod.rs"]
mod sse;

#[path = "../served/mod.rs"]
mod served;
