//! The exchanges of one connection: which are under way, how many there were, and whose they are.

use std::hint::black_box;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use http::{HeaderMap, StatusCode};

use super::account::Account;
use super::transfer::Transfer;
use crate::clock::Instant;
use crate::http::interim::Interim;
use crate::http::peer::{ClientAddr, PeerAddr};
use crate::sync::Mutex;
use crate::tcp::Record;
use crate::telemetry::Telemetry;

/// The value of `unsent_since` without an unsent answer: there are never so many flushes.
const NOTHING_UNSENT: u64 = u64::MAX;

pub(super) struct Exchanges {
    /// Under way, with their numbers.
    transfers: Mutex<Vec<(u64, Arc<Transfer>)>>,
    /// The stream of raw TCP that is there instead.
    stream: OnceLock<Arc<Record>>,
    in_flight: AtomicUsize,
    requests: AtomicU64,
    /// When the last response ended, its last bytes included, or the connection began, in nanoseconds.
    idle_since: AtomicU64,
    /// The number of the last request's route, for log lines.
    last_route: AtomicUsize,
    /// The account of the last HTTP/1 answer while some of its bytes have not gone to the socket.
    unsent: Mutex<Option<Box<Account>>>,
    /// The sink's flushes when the last of it was passed on.
    unsent_since: AtomicU64,
    /// Where the source of an HTTP/1 answer that is being prepared puts interim responses.
    interim: Mutex<Option<Interim>>,
    /// Written only where a proxy names clients.
    carried: Mutex<Carried>,
}

/// The clients that a connection was seen to carry, for log lines about the connection as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Carried {
    /// None that a proxy named.
    #[default]
    Nobody,
    One(IpAddr),
    /// Several side by side, over HTTP/2.
    Several,
}

impl Carried {
    /// The state after another request. Over HTTP/1 it is the only one under way.
    fn then(self, client: ClientAddr, is_multiplexed: bool) -> Self {
        let now = match client {
            ClientAddr::Named(ip) => Self::One(ip),
            ClientAddr::Peer(_) => Self::Nobody,
        };
        if !is_multiplexed || self == now || self == Self::Nobody { now } else { Self::Several }
    }
}

impl Exchanges {
    /// None yet, of a connection that began at `now`.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            transfers: Mutex::default(),
            stream: OnceLock::new(),
            in_flight: AtomicUsize::new(0),
            requests: AtomicU64::new(0),
            idle_since: AtomicU64::new(now.as_nanos()),
            last_route: AtomicUsize::new(usize::MAX),
            unsent: Mutex::default(),
            unsent_since: AtomicU64::new(NOTHING_UNSENT),
            interim: Mutex::default(),
            carried: Mutex::default(),
        }
    }

    /// Counts a request in and lists its transfer. `names_client`: the peer is a proxy that may name others.
    pub(super) fn begin(&self, transfer: &Arc<Transfer>, names_client: bool) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        let client = transfer.requester.addr;
        if names_client || matches!(client, ClientAddr::Named(_)) {
            let mut carried = self.carried.lock();
            *carried = carried.then(client, transfer.is_multiplexed());
        }
        let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        self.list(number, transfer);
    }

    /// Counts an exchange out that ended at `now`.
    pub(super) fn end(&self, now: Instant) {
        self.note_busy(now);
        // Release: a reader that finds no exchange in flight must see when the last ended.
        self.in_flight.fetch_sub(1, Ordering::Release);
    }

    /// Has the processor fetch what each piece of a response uses.
    pub(super) fn prefetch(&self) {
        black_box((self.are_in_flight(), self.unsent_since.load(Ordering::Relaxed)));
    }

    /// Whether requests are under way.
    pub(super) fn are_in_flight(&self) -> bool {
        self.in_flight.load(Ordering::Acquire) > 0
    }

    /// Requests so far.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// When the last exchange ended, or the connection began.
    pub(super) fn idle_since(&self) -> Instant {
        Instant::from_nanos(self.idle_since.load(Ordering::Relaxed))
    }

    /// Moves [`idle_since`](Self::idle_since) to `now`.
    pub(super) fn note_busy(&self, now: Instant) {
        // Streams of HTTP/2 end on several threads, not always in their order.
        self.idle_since.fetch_max(now.as_nanos(), Ordering::Relaxed);
    }

    /// Lists `transfer` under its number until [`unlist`](Self::unlist).
    pub(super) fn list(&self, number: u64, transfer: &Arc<Transfer>) {
        self.transfers.lock().push((number, Arc::clone(transfer)));
    }

    pub(super) fn unlist(&self, transfer: &Arc<Transfer>) {
        let mut transfers = self.transfers.lock();
        let at = transfers.iter().position(|(_, listed)| Arc::ptr_eq(listed, transfer));
        let unlisted = at.map(|at| transfers.remove(at));
        drop(transfers);
        drop(unlisted);
    }

    /// The number of a listed transfer.
    pub(super) fn number_of(&self, transfer: &Arc<Transfer>) -> u64 {
        let transfers = self.transfers.lock();
        let listed = transfers.iter().find(|(_, listed)| Arc::ptr_eq(listed, transfer));
        listed.map_or(0, |(number, _)| *number)
    }

    /// The listed transfers with their numbers.
    pub(super) fn transfers(&self) -> Vec<(u64, Arc<Transfer>)> {
        self.transfers.lock().clone()
    }

    /// Adds the listed transfers with their numbers to `copies`.
    pub(super) fn copy_transfers(&self, copies: &mut Vec<(u64, Arc<Transfer>)>) {
        copies.extend_from_slice(&self.transfers.lock());
    }

    /// Sets the stream of a raw TCP connection, on the port with the number `route`.
    pub(super) fn set_stream(&self, stream: &Arc<Record>, route: usize) {
        let _ = self.stream.set(Arc::clone(stream));
        self.set_last_route(route);
    }

    pub(super) fn set_last_route(&self, route: usize) {
        self.last_route.store(route, Ordering::Relaxed);
    }

    /// The number of the last request's route, or port; `usize::MAX` if there is none.
    pub(super) fn last_route(&self) -> usize {
        self.last_route.load(Ordering::Relaxed)
    }

    /// Adds the content so far of what is under way to the counts of its routes.
    pub(super) fn count_content(&self, telemetry: &Telemetry) {
        if let Some(stream) = self.stream.get() {
            telemetry.content_passed(Some(self.last_route()), stream.take_uncounted());
        }
        for (_, transfer) in &*self.transfers.lock() {
            if let Some((route, bytes)) = transfer.take_uncounted() {
                telemetry.content_passed(route, bytes);
            }
            transfer.count_upload(telemetry);
        }
    }

    /// Keeps the account of an HTTP/1 answer that was passed on until the sink was flushed more than `flushes` times.
    pub(super) fn keep_unsent(&self, account: Account, flushes: u64) {
        *self.unsent.lock() = Some(Box::new(account));
        self.unsent_since.store(flushes, Ordering::Relaxed);
    }

    /// Whether all of the last answer went to the socket, after `flushes` of the sink.
    pub(super) fn are_sent(&self, flushes: u64) -> bool {
        flushes > self.unsent_since.load(Ordering::Relaxed)
    }

    /// Takes the account that was kept, if there is one.
    pub(super) fn take_unsent(&self) -> Option<Box<Account>> {
        // Spares the lock: a connection asks at each poll.
        let has_one = self.unsent_since.swap(NOTHING_UNSENT, Ordering::Relaxed) != NOTHING_UNSENT;
        if has_one { self.unsent.lock().take() } else { None }
    }

    /// Returns what the source of an HTTP/1 answer sends interim responses with.
    pub(super) fn offer_interim(&self) -> Interim {
        let interim = Interim::default();
        *self.interim.lock() = Some(interim.clone());
        interim
    }

    /// The next interim response to send. Pending where there is none.
    pub(super) fn poll_interim(&self, cx: &mut Context<'_>) -> Poll<(StatusCode, HeaderMap)> {
        self.interim.lock().as_ref().map_or(Poll::Pending, |interim| interim.poll_next(cx))
    }

    /// Accepts no more interim responses: the answer has begun.
    pub(super) fn end_interim(&self) {
        let interim = self.interim.lock().take();
        if let Some(interim) = interim {
            interim.end();
        }
    }

    /// The client for log lines about the connection: the one that its proxy named last, or the peer.
    pub(super) fn client(&self, peer: PeerAddr) -> ClientAddr {
        let carried = *self.carried.lock();
        match carried {
            Carried::One(ip) => ClientAddr::Named(ip),
            Carried::Nobody | Carried::Several => ClientAddr::Peer(peer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_told_of_by_its_last_client_or_if_they_are_several_by_its_peer() {
        let [one, other]: [IpAddr; 2] = ["192.0.2.1", "192.0.2.2"].map(|ip| ip.parse().unwrap());
        let peer = ClientAddr::Peer(PeerAddr::Unix);
        for (multiplexed, clients, expected) in [
            (false, &[ClientAddr::Named(one), ClientAddr::Named(other)][..], Carried::One(other)),
            (false, &[ClientAddr::Named(one), peer], Carried::Nobody),
            (true, &[ClientAddr::Named(one), ClientAddr::Named(one)], Carried::One(one)),
            (true, &[peer, ClientAddr::Named(one)], Carried::One(one)),
            (true, &[ClientAddr::Named(one), ClientAddr::Named(other)], Carried::Several),
            (true, &[ClientAddr::Named(one), ClientAddr::Named(other), peer], Carried::Several),
        ] {
            let carried =
                clients.iter().fold(Carried::default(), |carried, client| carried.then(*client, multiplexed));
            assert_eq!(carried, expected, "{clients:?}");
        }
    }
}
