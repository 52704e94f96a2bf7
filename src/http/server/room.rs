//! How many connections there are, and room on a full server: the one that has been idle for longest is ended for
//! the next.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use super::connection::Connection;
use super::{Refusal, Shared};
use crate::clock::Instant;

/// Idle connections that are found at a time: to look at all of them for each that comes would cost more than
/// to serve it.
const FOUND: usize = 64;

/// How long all connections are not looked at again, for each of them: several times what looking at one takes. So a
/// server that is full of connections at work refuses those that come for little.
pub(super) const LOOK_PAUSE: Duration = Duration::from_micros(1);

/// One in so many places is kept for clients that have less than their fair share of all.
const RESERVED: usize = 8;

/// What was found idle when it was looked last.
#[derive(Default)]
pub(super) struct Room(Mutex<Found>);

#[derive(Default)]
struct Found {
    /// The one that has been idle for longest first.
    idle: VecDeque<Weak<Connection>>,
    looked: Option<Instant>,
}

impl Shared {
    /// Counts a connection in and gives it its number.
    pub(super) fn connection_began(&self, refused: Option<Refusal>) -> u64 {
        self.counter(refused).fetch_add(1, Ordering::SeqCst);
        match refused {
            Some(_) => self.telemetry.connection_refused(),
            None => self.telemetry.connection_accepted(),
        }
        self.next_connection.fetch_add(1, Ordering::Relaxed)
    }

    /// Counts it out.
    pub(super) fn connection_ended(&self, refused: Option<Refusal>) {
        self.counter(refused).fetch_sub(1, Ordering::SeqCst);
    }

    fn counter(&self, refused: Option<Refusal>) -> &AtomicUsize {
        if refused.is_some() { &self.refused } else { &self.connections }
    }

    /// Whether one more connection of `client` is refused under a bound of `most`, and why. On a full server the one
    /// that has been idle for longest is ended for it.
    ///
    /// The last eighth of the places is for clients with less than their fair share, so that no address alone takes
    /// them all. `None` as the client is bounded by `most` alone: a trusted proxy, or a Unix socket.
    pub(super) fn has_no_room(&self, client: Option<IpAddr>, most: usize) -> Option<Refusal> {
        let connections = self.connections.load(Ordering::SeqCst);
        let unreserved = most - most / RESERVED;
        if connections < unreserved {
            return None;
        }
        let is_full = connections >= most;
        if !is_full && !client.is_some_and(|client| self.clients.has_share(client, most)) {
            return None;
        }
        let refusal = if is_full { Refusal::ServerFull } else { Refusal::ClientFull };
        (!self.make_room()).then_some(refusal)
    }

    /// Has the HTTP connection end that has been idle for longest: no request under way, nor bytes of an answer
    /// waiting. False if none was found.
    pub(super) fn make_room(&self) -> bool {
        let mut found = self.room.0.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            while let Some(connection) = found.idle.pop_front() {
                if connection.upgrade().is_some_and(|connection| connection.end_if_idle()) {
                    return true;
                }
            }
            let now = self.clock.now();
            let connections = self.connections.load(Ordering::Relaxed).try_into().unwrap_or(u32::MAX);
            if found.looked.is_some_and(|looked| now - looked < LOOK_PAUSE * connections) {
                return false;
            }
            found.looked = Some(now);
            found.idle = self.longest_idle();
            if found.idle.is_empty() {
                return false;
            }
        }
    }

    fn longest_idle(&self) -> VecDeque<Weak<Connection>> {
        let mut idle: Vec<(Instant, Arc<Connection>)> = self
            .registry
            .all()
            .into_iter()
            .filter_map(|connection| Some((connection.idle_since()?, connection)))
            .collect();
        let since = |idle: &(Instant, Arc<Connection>)| idle.0;
        if idle.len() > FOUND {
            idle.select_nth_unstable_by_key(FOUND, since);
            idle.truncate(FOUND);
        }
        idle.sort_by_key(since);
        idle.iter().map(|(_, connection)| Arc::downgrade(connection)).collect()
    }
}
