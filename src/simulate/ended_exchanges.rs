//! What ended, as the server saw it.

use std::time::Duration;

use crate::budget::HeldBy;
use crate::clock::Instant;
use crate::http::server::{Observed, Observer};
use crate::sync::Mutex;

/// Exchanges that ended and were not looked at yet.
#[derive(Default)]
pub(super) struct EndedExchanges(Mutex<Vec<Observed>>);

impl EndedExchanges {
    pub(super) fn take(&self) -> Vec<Observed> {
        std::mem::take(&mut *self.0.lock())
    }
}

impl Observer for EndedExchanges {
    fn ended(&self, exchange: Observed) {
        self.0.lock().push(exchange);
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
pub(super) struct OpenTransfer {
    pub(super) worker: usize,
    /// Its number, which no other has.
    pub(super) transfer: u64,
    pub(super) running: usize,
    pub(super) client: usize,
    pub(super) began: Instant,
}
