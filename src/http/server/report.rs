//! Reports of live connections and their transfers at one instant.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};

use crate::budget::{ClientKey, Held, HeldBy};
use crate::clock::Instant;
use crate::http::peer::PeerAddr;
use crate::limit::Rate;

/// One live connection.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectionReport {
    /// The instant that this is true of, on the server's clock.
    pub at: Instant,
    /// Its number, as in the log; later connections have higher ones.
    pub id: u64,
    /// The peer.
    pub peer: PeerAddr,
    /// The peer, or the client that its PROXY header announces.
    pub client: PeerAddr,
    /// Our own address; `None` on a Unix socket.
    pub local: Option<SocketAddr>,
    /// `None` before the client's first bytes.
    pub protocol: Option<Protocol>,
    /// Time since it was accepted.
    pub age: Duration,
    /// Requests so far.
    pub requests: u64,
    /// Bytes read from its socket.
    pub bytes_read: u64,
    /// Bytes written to its socket, heads and framing included.
    pub bytes_written: u64,
    /// Of these, in about the last second.
    pub bytes_per_second: u64,
    /// Bytes held because the socket refuses them.
    pub buffered: u64,
    /// What keeps bytes from the socket, if something does.
    pub held: Option<Held>,
    /// Transfers under way, in the order in which they began.
    pub transfers: Vec<TransferReport>,
}

/// The protocol of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
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
#[non_exhaustive]
pub struct TransferReport {
    /// The instant that this is true of, on the server's clock.
    pub at: Instant,
    /// Its number on the connection, from 1.
    pub number: u64,
    /// The request's method.
    pub method: Method,
    /// The request's target; a long one is cut.
    pub target: String,
    /// The client that is charged.
    pub client: ClientKey,
    /// The class of its client.
    pub class: Option<Arc<str>>,
    /// The path of the route; `None` if there is none, or not yet.
    pub route: Option<String>,
    /// `None` before the response's head.
    pub status: Option<StatusCode>,
    /// The connection changed protocols; the transfer is what the upstream sends.
    pub is_tunnel: bool,
    /// Time since the request's head.
    pub age: Duration,
    /// Bytes of content passed on, without framing.
    pub bytes: u64,
    /// The length that the head states.
    pub length: Option<u64>,
    /// The rate set for the response.
    pub pace: Option<Rate>,
    /// What set it; `None` if nothing did: there is no route, or no answer yet.
    pub pace_by: Option<PaceBy>,
    /// Whether that is the route's, and no other rate filter is in the chain.
    pub pace_is_routes: bool,
    /// Bytes passed on in about the last second.
    pub bytes_per_second: u64,
    /// The average since the request's head.
    pub mean_bytes_per_second: u64,
    /// What holds it; `None` if nothing does at this moment.
    pub held: Option<Held>,
    /// How long it was held so far, by cause; a cause may occur more than once. A wait for the pace, the source or a shared limit is
    /// included when it is over.
    pub waited: Vec<(HeldBy, Duration)>,
    /// The names of the filters that its content passes beside the route's rate, in order. Those of filters that were added without
    /// a name are `filter`.
    pub filters: Vec<Arc<str>>,
    /// The request's content, or what the client sends through the tunnel; `None` without.
    pub upload: Option<UploadReport>,
}

/// What set the rate of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PaceBy {
    /// The route's own limit.
    Route,
    /// A rule of the route.
    Rule,
    /// A field of the backend's response.
    Backend,
}

/// The content of a request under way, or what a client sends through a tunnel.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct UploadReport {
    /// Bytes passed on to the source, without framing.
    pub bytes: u64,
    /// The length that the head states.
    pub length: Option<u64>,
    /// Whether nothing more is read of it.
    pub has_ended: bool,
    /// The rate set for it.
    pub pace: Option<Rate>,
    /// Whether that is the route's own, and no rule's.
    pub pace_is_routes: bool,
    /// Bytes passed on in about the last second.
    pub bytes_per_second: u64,
    /// The average since the request's head, until its end.
    pub mean_bytes_per_second: u64,
    /// How long it was held so far, by cause, as that of the response.
    pub waited: Vec<(HeldBy, Duration)>,
    /// What holds it: its pace, a shared limit of uploads, or its source, the client. `None` if nothing does at this moment.
    pub held: Option<Held>,
}
