//! Log lines about readers that were given up: some about single connections, and every 10 s one for each client. Both
//! are bounded, or clients could fill the disk.

use std::collections::HashMap;
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::FutureExt;

use super::{Shared, Stage};
use crate::budget::ClientKey;
use crate::clock::{Clock, Sleep};
use crate::rt;
use crate::sync::Mutex;

/// How long drops are gathered before they are logged.
const SWEEP: Duration = Duration::from_secs(10);

/// Clients with a line of their own between two sweeps; further ones share a line.
const MAX_CLIENTS: usize = 100;

/// Lines about single connections between two sweeps.
const MAX_LINES: usize = 20;

/// The losses of one client since the last sweep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Drops {
    connections: u64,
    bytes: u64,
}

impl Drops {
    fn add(&mut self, bytes: u64) {
        self.connections += 1;
        self.bytes += bytes;
    }
}

/// The losses of all clients since the last sweep.
#[derive(Default)]
pub(super) struct DropLog(Mutex<Gathered>);

#[derive(Default)]
struct Gathered {
    /// Lines about single connections.
    lines: usize,
    by_client: HashMap<Option<IpAddr>, Drops>,
    others: Drops,
}

impl DropLog {
    /// Notes that `client` lost `bytes`; `None` is a Unix socket. True if it is the first loss since the last sweep: the
    /// next one must be scheduled.
    pub(super) fn note(&self, client: Option<IpAddr>, bytes: u64) -> bool {
        let mut gathered = self.0.lock();
        let first = gathered.by_client.is_empty();
        let client = client.map(ClientKey::network);
        if gathered.by_client.len() < MAX_CLIENTS || gathered.by_client.contains_key(&client) {
            gathered.by_client.entry(client).or_default().add(bytes);
        } else {
            gathered.others.add(bytes);
        }
        first
    }

    /// Whether one more connection may have a line before the next sweep.
    pub(super) fn may_log_connection(&self) -> bool {
        let mut gathered = self.0.lock();
        gathered.lines += 1;
        gathered.lines <= MAX_LINES
    }

    /// Waits for the time of the next sweep or for `over`, then sweeps.
    pub(super) async fn sweep_later(&self, clock: Arc<dyn Clock>, over: impl Future<Output = ()>) {
        Sleep::lasting(clock, SWEEP).or(over).await;
        self.sweep();
    }

    /// Logs a line for each client that lost bytes since the last sweep.
    pub(super) fn sweep(&self) {
        for (client, drops) in self.take() {
            log::warn!(client, connections = drops.connections, bytes_dropped = drops.bytes; "readers given up");
        }
    }

    /// Takes the losses of each client since the last sweep, the largest first.
    fn take(&self) -> Vec<(String, Drops)> {
        let Gathered { by_client, others, .. } = std::mem::take(&mut *self.0.lock());
        let name = |client: Option<IpAddr>| client.map_or_else(|| "unix".to_owned(), |ip| ip.to_string());
        let mut all: Vec<_> = by_client.into_iter().map(|(client, drops)| (name(client), drops)).collect();
        all.sort_by(|(a, had), (b, other)| other.bytes.cmp(&had.bytes).then_with(|| a.cmp(b)));
        if others.connections > 0 {
            all.push(("others".to_owned(), others));
        }
        all
    }

    /// The clients that lost bytes since the last sweep.
    #[cfg(test)]
    pub(super) fn clients(&self) -> Vec<Option<IpAddr>> {
        self.0.lock().by_client.keys().copied().collect()
    }
}

impl Shared {
    /// Notes that a reader was given up; it is logged with the next sweep.
    pub(super) fn dropped(self: &Arc<Self>, client: Option<IpAddr>, bytes: u64) {
        // With an observer there is no runtime to sweep on.
        if self.drops.note(client, bytes) && self.observer.is_none() {
            let shared = Arc::clone(self);
            rt::spawn(async move {
                let clock = Arc::clone(&shared.clock);
                shared.drops.sweep_later(clock, shared.reached(Stage::Stopped)).await;
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use futures_lite::future::{block_on, poll_once};

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    fn drops(connections: u64, bytes: u64) -> Drops {
        Drops { connections, bytes }
    }

    #[test]
    fn drops_are_summed_by_client() {
        let log = DropLog::default();
        assert!(log.note(ip("192.0.2.1"), 5));
        for (client, bytes) in
            [(ip("192.0.2.1"), 7), (ip("2001:db8::1"), 20), (ip("2001:db8::2"), 1), (None, 3), (None, 0)]
        {
            assert!(!log.note(client, bytes));
        }
        let told = [
            ("2001:db8::".to_owned(), drops(2, 21)),
            ("192.0.2.1".to_owned(), drops(2, 12)),
            ("unix".to_owned(), drops(2, 3)),
        ];
        assert_eq!(log.take(), told);
        assert_eq!(log.take(), []);
        assert!(log.note(None, 1), "a new sweep is due");
    }

    #[test]
    fn however_many_lose_bytes_there_is_a_hundred_lines_and_one() {
        let log = DropLog::default();
        for n in 0..1000_u32 {
            log.note(Some(IpAddr::from(n.to_be_bytes())), 2);
            log.note(ip("0.0.0.0"), 1);
        }
        let told = log.take();
        assert_eq!(told.len(), MAX_CLIENTS + 1);
        assert_eq!(told[0], ("0.0.0.0".to_owned(), drops(1001, 1002)));
        assert_eq!(told[MAX_CLIENTS], ("others".to_owned(), drops(900, 1800)));
    }

    #[test]
    fn of_single_connections_twenty_lines_are_told_between_two_sweeps() {
        let log = DropLog::default();
        for _ in 0..2 {
            assert_eq!((0..1000).filter(|_| log.may_log_connection()).count(), MAX_LINES);
            log.sweep();
        }
    }

    #[test]
    fn a_sweep_comes_after_ten_seconds_or_at_the_end() {
        let clock = Arc::new(ManualClock::new());
        let log = DropLog::default();
        assert!(log.note(None, 1));
        let mut sweep = Box::pin(log.sweep_later(clock.clone(), std::future::pending()));
        assert_eq!(block_on(poll_once(&mut sweep)), None);
        clock.advance(SWEEP - Duration::from_nanos(1));
        assert_eq!(block_on(poll_once(&mut sweep)), None);
        assert!(!log.note(None, 1), "it is still to come");
        clock.advance(Duration::from_nanos(1));
        assert_eq!(block_on(poll_once(&mut sweep)), Some(()));
        assert!(log.note(None, 1), "it came");
        block_on(log.sweep_later(clock.clone(), async {}));
        assert!(log.take().is_empty() && clock.sleepers() == 0);
    }
}
