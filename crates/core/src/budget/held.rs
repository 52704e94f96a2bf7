//! Why a stream is not sending.

use std::sync::Arc;

use crate::clock::Instant;

/// What a stream waits for, and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The cause.
    pub by: HeldBy,
    /// When the wait ends, if known and no limit changes. For a shared budget it is an estimate: exact if no flow joins or
    /// leaves.
    pub until: Option<Instant>,
}

/// What a stream waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeldBy {
    /// The rate of the stream, or another filter that sleeps.
    Pace,
    /// The source: an upstream, or a disk.
    Source,
    /// The rate of the connection.
    ConnectionRate,
    /// The reader, which does not take what is ready.
    Reader,
    /// A shared budget, by name of the node that cannot pay yet.
    Budget(Arc<str>),
}

impl Held {
    /// A wait of unknown length.
    pub fn by(by: HeldBy) -> Self {
        Self { by, until: None }
    }

    /// A wait until `due`.
    pub fn until(by: HeldBy, due: Instant) -> Self {
        Self { by, until: Some(due) }
    }
}

impl HeldBy {
    /// Returns the name for logs and APIs; of a budget, the name of its node.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Pace => "pace",
            Self::Source => "source",
            Self::ConnectionRate => "connection_rate",
            Self::Reader => "reader",
            Self::Budget(node) => node,
        }
    }

    /// Returns whether it is a pace or a shared limit, and not one of the two ends.
    pub fn is_limit(&self) -> bool {
        matches!(self, Self::Pace | Self::Budget(_))
    }

    /// Returns whether other streams wait for the same, so that [`Held::until`] is an estimate.
    pub fn is_shared(&self) -> bool {
        matches!(self, Self::Budget(_))
    }
}

impl AsRef<str> for HeldBy {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}
