//! A hook for the program that runs a server: called with each exchange when it ends.

use std::time::Duration;

use crate::budget::HeldBy;
use crate::http::peer::PeerAddr;
use crate::telemetry::Outcome;

/// Is called with each exchange of a server when it ends: with what the access log shows, and each of its waits.
pub trait Observer: Send + Sync {
    /// Called once for each exchange, by the task of its connection. It must not block.
    fn ended(&self, exchange: Observed);
}

/// An exchange that ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Observed {
    /// The other end of the connection.
    pub peer: PeerAddr,
    /// The status of the answer; `None` if there was none.
    pub status: Option<u16>,
    /// Bytes of content that were sent.
    pub bytes: u64,
    /// Bytes of the request's content that were read.
    pub bytes_up: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it waited, by cause. A cause may occur more than once. A wait that lasted when it broke off is not included.
    pub waits: Vec<(HeldBy, Duration)>,
}
