//! What became of the transfers of one group.

use std::time::Duration;

use super::ended_exchanges::Waited;
use super::outcome::Transfers;
use crate::http::server::Observed;

/// A transfer that did not complete counts for the rates only if it took this long.
const MIN_RATED: Duration = Duration::from_secs(1);

/// How a transfer ended for its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It had all of the answer.
    Done,
    /// It had waited for too long.
    GivenUp,
    /// It was answered 429 or 503, or the connection was closed at once.
    Refused,
    /// It was answered with another error, or redirected.
    Failed,
    /// The server broke it off.
    Cut,
    /// It goes on when the simulation ends.
    UnderWay,
}

/// Sums over the transfers of a group.
#[derive(Clone, Debug, Default)]
pub(super) struct Totals {
    pub(super) transfers: Transfers,
    /// Bytes of content.
    pub(super) bytes: u64,
    pub(super) bytes_up: u64,
    /// Bytes per second of each transfer.
    pub(super) rates: Vec<u64>,
    /// How long each took that was done.
    pub(super) times: Vec<Duration>,
    /// How long all took.
    pub(super) lasted: Duration,
    pub(super) waited: Waited,
    /// Bytes of content of each client.
    pub(super) clients: Vec<u64>,
}

impl Totals {
    pub(super) fn of(clients: usize) -> Self {
        Self { clients: vec![0; clients], ..Self::default() }
    }

    pub(super) fn count(&mut self, end: End) {
        let sum = match end {
            End::Done => &mut self.transfers.done,
            End::GivenUp => &mut self.transfers.given_up,
            End::Refused => &mut self.transfers.refused,
            End::Failed => &mut self.transfers.failed,
            End::Cut => &mut self.transfers.cut,
            End::UnderWay => &mut self.transfers.under_way,
        };
        *sum += 1;
    }

    /// Adds a transfer of a client that took `lasted`, as the server saw it.
    pub(super) fn add(&mut self, exchange: &Observed, client: usize, lasted: Duration, end: End) {
        if matches!(end, End::Refused | End::Failed) {
            return;
        }
        self.bytes += exchange.bytes;
        self.bytes_up += exchange.bytes_up;
        if let Some(sum) = self.clients.get_mut(client) {
            *sum += exchange.bytes + exchange.bytes_up;
        }
        self.lasted += lasted;
        self.waited.add(&exchange.waits);
        let bytes = exchange.bytes.max(exchange.bytes_up);
        if bytes > 0 && (end == End::Done || lasted >= MIN_RATED) {
            let nanos = lasted.as_nanos().max(1);
            let rate = u128::from(bytes) * 1_000_000_000 / nanos;
            self.rates.push(u64::try_from(rate).unwrap_or(u64::MAX));
        }
        if end == End::Done {
            self.times.push(lasted);
        }
    }
}
