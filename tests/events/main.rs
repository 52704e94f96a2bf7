//! Event streams through the real server, as clients on sockets see them.
//!
//! Time is real: what must not come early is asserted without tolerance, and what must come is waited for.

mod access;
mod client;
mod events_load;
mod http2;
mod kept;
mod limits;
mod polling;
mod publishing;
mod streaming;
