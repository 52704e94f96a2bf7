//! Why the book refuses a call. A refused call changes nothing.

use std::fmt;
use std::time::Duration;

use super::client::MAX_WEIGHT;
use crate::quota::id::{Id, MAX_ID_LEN};
use crate::quota::limit::Unit;

/// Why a call is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BookError {
    /// The client was never registered, has unregistered, or its lease expired.
    UnknownClient(Id),
    /// Another instance holds the id.
    OtherInstance {
        /// The id.
        client: Id,
        /// Time until its lease ends, unless it sends a heartbeat.
        expires_in: Duration,
    },
    /// A later heartbeat of the same instance has arrived before.
    StaleHeartbeat(Id),
    /// The client has declared no interest in the resource.
    NoInterest {
        /// The client.
        client: Id,
        /// The resource.
        resource: Id,
    },
    /// The resource has no limit.
    NoLimit(Id),
    /// The limit counts the other unit.
    OtherUnit {
        /// The resource.
        resource: Id,
        /// What it counts.
        unit: Unit,
    },
    /// The limit of clients is reached; its value.
    TooManyClients(usize),
    /// The limit of resources is reached; its value.
    TooManyResources(usize),
    /// A heartbeat has more resources than this.
    TooManyInterests(usize),
    /// A heartbeat names a resource twice.
    NamedTwice(Id),
    /// A weight is not from 1 to the maximum.
    BadWeight(u32),
    /// The instance's name is too long; its length.
    LongInstance(usize),
}

impl fmt::Display for BookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownClient(client) => {
                write!(f, "client {client} is not registered, or its lease expired; register it")
            }
            Self::OtherInstance { client, expires_in } => write!(
                f,
                "client {client} is registered by another instance, whose lease ends in {:.1} s; \
                 give each client an id of its own",
                expires_in.as_secs_f64()
            ),
            Self::StaleHeartbeat(client) => {
                write!(f, "a later heartbeat of client {client} has arrived before; this one is ignored")
            }
            Self::NoInterest { client, resource } => {
                write!(
                    f,
                    "client {client} has not declared interest in {resource}; send a heartbeat that does"
                )
            }
            Self::NoLimit(resource) => write!(f, "resource {resource} has no limit; set one"),
            Self::OtherUnit { resource, unit: Unit::Bytes } => {
                write!(f, "resource {resource} counts bytes; delete its limit first to count requests")
            }
            Self::OtherUnit { resource, unit: Unit::Requests } => {
                write!(f, "resource {resource} counts requests; delete its limit first to count bytes")
            }
            Self::TooManyClients(most) => write!(f, "the limit of {most} clients is reached"),
            Self::TooManyResources(most) => write!(f, "the limit of {most} resources is reached"),
            Self::TooManyInterests(most) => write!(f, "a client may use at most {most} resources"),
            Self::NamedTwice(resource) => write!(f, "resource {resource} is named twice"),
            Self::BadWeight(weight) => write!(f, "a weight must be from 1 to {MAX_WEIGHT}, not {weight}"),
            Self::LongInstance(len) => {
                write!(f, "an instance's name of {len} bytes is too long; write at most {MAX_ID_LEN}")
            }
        }
    }
}

impl std::error::Error for BookError {}
