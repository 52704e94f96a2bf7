//! What is told of live connections and their transfers, at one moment.

use std::net::SocketAddr;
use std::time::Duration;

use http::{Method, StatusCode};

use crate::budget::{ClientKey, Held};
use crate::clock::Instant;
use crate::http::peer::PeerAddr;
use crate::limit::Rate;

/// One live connection.
#[derive(Clone, Debug)]
pub struct ConnectionReport {
    /// The instant that this is true of, on the server's clock.
    pub at: Instant,
    /// Its number; those of later connections are higher. The log has the same.
    pub id: u64,
    /// Who is at the other end.
    pub peer: PeerAddr,
    /// Our own address; `None` on a Unix socket.
    pub local: Option<SocketAddr>,
    /// What is spoken; `None` while the client has not said a word.
    pub protocol: Option<Protocol>,
    /// Since it was taken.
    pub age: Duration,
    /// Requests so far.
    pub requests: u64,
    /// Bytes that came from its socket.
    pub bytes_read: u64,
    /// Bytes that its socket took, heads and framing included.
    pub bytes_written: u64,
    /// Of these, in about the last second.
    pub bytes_per_second: u64,
    /// Bytes held because the socket refuses them.
    pub buffered: u64,
    /// What keeps bytes from the socket, if something does.
    pub held: Option<Held>,
    /// Those under way, in the order in which they began.
    pub transfers: Vec<TransferReport>,
}

/// What is spoken on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.0 or HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
    /// Raw TCP.
    Tcp,
}

/// One request and its answer under way.
#[derive(Clone, Debug)]
pub struct TransferReport {
    /// The instant that this is true of, on the server's clock.
    pub at: Instant,
    /// Its number on the connection, from 1.
    pub number: u64,
    /// The request's method.
    pub method: Method,
    /// What was asked for; a long one is cut.
    pub target: String,
    /// Who is charged for it.
    pub client: ClientKey,
    /// The path of the route that answers; `None` if none does, or not yet.
    pub route: Option<String>,
    /// `None` while there is no answer.
    pub status: Option<StatusCode>,
    /// The connection changed protocols; what the upstream sends is the transfer.
    pub is_tunnel: bool,
    /// Since the request's head.
    pub age: Duration,
    /// Bytes of content handed on, framing excepted.
    pub bytes: u64,
    /// What the head promises.
    pub length: Option<u64>,
    /// The rate that is set for the response.
    pub pace: Option<Rate>,
    /// That is the route's limit for responses, and the only pace on the way.
    pub pace_is_routes: bool,
    /// Bytes handed on in about the last second.
    pub bytes_per_second: u64,
    /// And on the average since the request's head.
    pub mean_bytes_per_second: u64,
    /// What holds it; `None` if nothing does at this moment.
    pub held: Option<Held>,
}
