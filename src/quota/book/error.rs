//! Why the book refuses a call. Nothing is changed by a call that is refused.

use std::fmt;
use std::time::Duration;

use super::client::MAX_WEIGHT;
use crate::quota::id::{Id, MAX_ID_LEN};
use crate::quota::limit::Unit;

/// Why a call is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BookError {
    /// Never registered, unregistered, or its lease has run out.
    UnknownClient(Id),
    /// The id is held by another instance, for so long at most unless it beats again.
    OtherInstance {
        /// The id.
        client: Id,
        /// Until its lease ends.
        expires_in: Duration,
    },
    /// A heartbeat came after a later one of the same instance.
    StaleHeartbeat(Id),
    /// A share was asked for without interest in the resource.
    NoInterest {
        /// Who asked.
        client: Id,
        /// For what.
        resource: Id,
    },
    /// The resource has no limit.
    NoLimit(Id),
    /// The limit counts something else.
    OtherUnit {
        /// The resource.
        resource: Id,
        /// What it counts.
        unit: Unit,
    },
    /// So many clients live, and no more may.
    TooManyClients(usize),
    /// So many limits there are, and no more may be.
    TooManyResources(usize),
    /// More resources than this in one heartbeat.
    TooManyInterests(usize),
    /// A resource is named twice in one heartbeat.
    NamedTwice(Id),
    /// A weight of zero or above the most.
    BadWeight(u32),
    /// The instance's name is too long; its bytes.
    LongInstance(usize),
}

impl fmt::Display for BookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownClient(client) => {
                write!(f, "client {client} is not registered, or its lease has run out; register it")
            }
            Self::OtherInstance { client, expires_in } => write!(
                f,
                "client {client} is registered by another instance, which lives for {:.1} s more unless it beats; \
                 give each client an id of its own",
                expires_in.as_secs_f64()
            ),
            Self::StaleHeartbeat(client) => {
                write!(
                    f,
                    "a later heartbeat of client {client} was here already; this one counts for nothing"
                )
            }
            Self::NoInterest { client, resource } => {
                write!(
                    f,
                    "client {client} has not declared interest in {resource}; send a heartbeat that does"
                )
            }
            Self::NoLimit(resource) => write!(f, "resource {resource} has no limit; set one"),
            Self::OtherUnit { resource, unit: Unit::Bytes } => {
                write!(f, "resource {resource} counts bytes; delete its limit before it is to count requests")
            }
            Self::OtherUnit { resource, unit: Unit::Requests } => {
                write!(f, "resource {resource} counts requests; delete its limit before it is to count bytes")
            }
            Self::TooManyClients(most) => write!(f, "{most} clients are registered, and no more may be"),
            Self::TooManyResources(most) => write!(f, "{most} resources have a limit, and no more may have"),
            Self::TooManyInterests(most) => write!(f, "a client may use {most} resources, not more"),
            Self::NamedTwice(resource) => write!(f, "resource {resource} is named twice"),
            Self::BadWeight(weight) => write!(f, "a weight of {weight} is not between 1 and {MAX_WEIGHT}"),
            Self::LongInstance(len) => {
                write!(f, "an instance's name of {len} bytes is too long; at most {MAX_ID_LEN}")
            }
        }
    }
}

impl std::error::Error for BookError {}
