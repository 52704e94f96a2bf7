//! What ended, as the server saw it.

use std::net::SocketAddr;
use std::time::Duration;

use crate::budget::HeldBy;
use crate::clock::Instant;
use crate::http::server::{Observed, Observer};
use crate::sync::Mutex;
use crate::telemetry::Outcome;

/// An exchange that ended.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) peer: SocketAddr,
    pub(super) status: Option<u16>,
    pub(super) bytes: u64,
    pub(super) bytes_up: u64,
    pub(super) outcome: Outcome,
    pub(super) waits: Vec<(HeldBy, Duration)>,
}

/// Exchanges that ended and were not looked at yet.
#[derive(Default)]
pub(super) struct Ledger(Mutex<Vec<Record>>);

impl Ledger {
    pub(super) fn take(&self) -> Vec<Record> {
        std::mem::take(&mut *self.0.lock())
    }
}

impl Observer for Ledger {
    fn ended(&self, exchange: &Observed<'_>) {
        let Some(peer) = exchange.peer.addr() else { return };
        self.0.lock().push(Record {
            peer,
            status: exchange.status,
            bytes: exchange.bytes,
            bytes_up: exchange.bytes_up,
            outcome: exchange.outcome,
            waits: exchange.waits.clone(),
        });
    }
}

/// How long transfers waited, by cause.
#[derive(Clone, Debug, Default)]
pub(super) struct Waited(Vec<(String, Duration)>);

impl Waited {
    pub(super) fn add(&mut self, waits: &[(HeldBy, Duration)]) {
        for (by, lasted) in waits.iter().filter(|(_, lasted)| !lasted.is_zero()) {
            match self.0.iter_mut().find(|(known, _)| known == by.as_str()) {
                Some((_, sum)) => *sum += *lasted,
                None => self.0.push((by.as_str().to_owned(), *lasted)),
            }
        }
    }

    /// The causes, the longest waits first.
    pub(super) fn longest_first(mut self) -> Vec<(String, Duration)> {
        self.0.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        self.0
    }
}

/// A transfer that the server has been asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flight {
    pub(super) worker: usize,
    /// Its number, which no other has.
    pub(super) transfer: u64,
    pub(super) crowd: usize,
    pub(super) client: usize,
    pub(super) began: Instant,
}
