//! What is told of live connections and their transfers, at one moment.

use std::net::SocketAddr;
use std::time::Duration;

use http::{Method, StatusCode};

use crate::budget::ClientKey;
use crate::http::budgets::{CLIENT, ROUTE, ROUTE_CLIENT, SERVER};
use crate::http::peer::PeerAddr;
use crate::limit::Rate;

/// One live connection.
#[derive(Clone, Debug)]
pub struct ConnectionReport {
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
    pub holding: Option<Holding>,
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
    pub holding: Option<Holding>,
}

/// What keeps bytes from going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holding {
    /// What it is: the binding budget, or another cause.
    pub by: HeldBy,
    /// For how long yet, if that can be known: zero if it is over already. For a shared budget it is an
    /// estimate, which is right if nobody comes or goes.
    pub until: Option<Duration>,
}

/// What may hold a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldBy {
    /// The rate of the response, or another filter that sleeps.
    Pace,
    /// The source: a backend, or a disk.
    Source,
    /// The rate of the connection.
    ConnectionRate,
    /// The client, which does not take what there is for it.
    Reader,
    /// What all responses of the server share.
    Server,
    /// What all responses to the client share.
    Client,
    /// What all responses of the route share.
    Route,
    /// What all responses of the route to the client share.
    RouteClient,
}

impl HeldBy {
    /// By the name of a node in the trees of budgets.
    pub(super) fn of_node(name: &str) -> Self {
        match name {
            CLIENT => Self::Client,
            ROUTE => Self::Route,
            ROUTE_CLIENT => Self::RouteClient,
            name => {
                debug_assert_eq!(name, SERVER, "a node that is not known here");
                Self::Server
            }
        }
    }

    /// As the access log and the admin listener have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pace => "pace",
            Self::Source => "source",
            Self::ConnectionRate => "connection_rate",
            Self::Reader => "reader",
            Self::Server => SERVER,
            Self::Client => CLIENT,
            Self::Route => ROUTE,
            Self::RouteClient => ROUTE_CLIENT,
        }
    }

    /// Whether the time until it goes on is an estimate: others wait for the same.
    pub const fn is_shared(self) -> bool {
        matches!(self, Self::Server | Self::Client | Self::Route | Self::RouteClient)
    }
}
