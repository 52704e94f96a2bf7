//! The PROXY protocol, versions 1 and 2: a header before a connection's first byte, which names the client of a proxy.
//!
//! `partial` reads a header that comes in pieces, without a byte of what follows; `receive` reads it from a socket, in
//! turn with others; `send` writes one. Imports only `clock`, `rt` and `words` of the crate.

mod failure;
mod partial;
mod receive;
mod send;

use std::net::SocketAddr;

pub use failure::{HeaderCounts, HeaderFailure, HeaderReason};
pub use receive::HeaderReceiver;
pub use send::{ProxyVersion, header};

/// The connection that a proxy's header announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Announced {
    /// The client's address.
    pub source: SocketAddr,
    /// The address that the client connected to.
    pub destination: SocketAddr,
}
