//! What keeps a stream's next bytes back, from a node of its budgets to the reader of its socket.

use std::sync::Arc;

use crate::clock::Instant;

/// What holds a stream at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The cause.
    pub by: HeldBy,
    /// When it ends, if that is known and no limit changes. For a shared budget an estimate: right if nobody comes or
    /// goes.
    pub until: Option<Instant>,
}

/// A cause that holds a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeldBy {
    /// The rate of the stream, or another filter that sleeps.
    Pace,
    /// The source: an upstream, or a disk.
    Source,
    /// The rate of the connection.
    ConnectionRate,
    /// The reader, which does not take what there is for it.
    Reader,
    /// A shared budget, by the name of the node that cannot pay or for whose turn the stream waits.
    Budget(Arc<str>),
}

impl Held {
    /// Held by `by` until an unknown time.
    pub fn by(by: HeldBy) -> Self {
        Self { by, until: None }
    }

    /// Held by `by` until `due`.
    pub fn until(by: HeldBy, due: Instant) -> Self {
        Self { by, until: Some(due) }
    }
}

impl HeldBy {
    /// The name that logs and APIs show; of a budget, the name of its node.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Pace => "pace",
            Self::Source => "source",
            Self::ConnectionRate => "connection_rate",
            Self::Reader => "reader",
            Self::Budget(node) => node,
        }
    }

    /// Whether others wait for the same, so that [`Held::until`] is an estimate.
    pub fn is_shared(&self) -> bool {
        matches!(self, Self::Budget(_))
    }
}

impl AsRef<str> for HeldBy {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}
