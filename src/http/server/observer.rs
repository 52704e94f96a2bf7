//! A hook for the program that runs a server: called with each exchange when it ends.

use std::time::Duration;

use crate::budget::HeldBy;
use crate::http::peer::PeerAddr;
use crate::telemetry::Outcome;

/// Is called with each exchange of a server when it ends: with what the access log shows, and each of its waits.
pub trait Observer: Send + Sync {
    /// Called once for each exchange, by the task of its connection. It must not block.
    fn ended(&self, exchange: &Observed<'_>);
}

/// An exchange that ended.
#[derive(Debug)]
pub struct Observed<'a> {
    /// The other end of the connection.
    pub peer: PeerAddr,
    /// The name of the route that answered; `None` if none did.
    pub route: Option<String>,
    /// The class of the client.
    pub class: Option<&'a str>,
    /// The rule of the route's pace that held when the answer began.
    pub rule: Option<&'a str>,
    /// The status of the answer; `None` if there was none.
    pub status: Option<u16>,
    /// Bytes of content that were sent.
    pub bytes: u64,
    /// Bytes of the request's content that were read.
    pub bytes_up: u64,
    /// From the request's head to the last byte, or to when it broke off.
    pub lasted: Duration,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it waited, by cause. A cause may occur more than once. A wait that lasted when it broke off is not included.
    pub waits: Vec<(HeldBy, Duration)>,
}
