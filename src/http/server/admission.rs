//! Admits connections up to the server's limit. On a full server the one that has been idle for longest is ended for the
//! next.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::connection::Connection;
use super::{Refusal, Shared};
use crate::clock::Instant;
use crate::sync::Mutex;

/// Idle connections that one search collects: to search for every connection that comes would cost more than to serve
/// it.
const MAX_FOUND: usize = 64;

/// The pause after a search of all connections, for each of them: several times what a look at one takes. So a server
/// full of busy connections refuses others at little cost.
pub(super) const SEARCH_PAUSE: Duration = Duration::from_micros(1);

/// One place in this many is reserved for clients with less than their fair share of all.
const RESERVED: usize = 8;

/// Idle connections, as the last search found them.
#[derive(Default)]
pub(super) struct IdleConnections(Mutex<Found>);

#[derive(Default)]
struct Found {
    /// The longest idle first.
    idle: VecDeque<Weak<Connection>>,
    searched: Option<Instant>,
}

impl Shared {
    /// Counts a connection in and returns its number.
    pub(super) fn connection_began(&self, refused: Option<Refusal>) -> u64 {
        self.counter(refused).fetch_add(1, Ordering::SeqCst);
        match refused {
            Some(_) => self.telemetry.connection_refused(),
            None => self.telemetry.connection_accepted(),
        }
        self.next_connection.fetch_add(1, Ordering::Relaxed)
    }

    /// Counts a connection out.
    pub(super) fn connection_ended(&self, refused: Option<Refusal>) {
        self.counter(refused).fetch_sub(1, Ordering::SeqCst);
    }

    pub(super) fn counter(&self, refused: Option<Refusal>) -> &AtomicUsize {
        if refused.is_some() { &self.refused } else { &self.connections }
    }

    /// Decides whether one more connection of `client` is refused under a limit of `max`, and why. On a full server the
    /// connection that has been idle for longest is ended for it.
    ///
    /// The last eighth of the places is reserved for clients with less than their fair share, so that no address alone
    /// takes them all. For `None`, a trusted proxy or a Unix socket, only `max` counts.
    pub(super) fn refusal(&self, client: Option<IpAddr>, max: usize) -> Option<Refusal> {
        let connections = self.connections.load(Ordering::SeqCst);
        let unreserved = max - max / RESERVED;
        if connections < unreserved {
            return None;
        }
        let is_full = connections >= max;
        if !is_full && !client.is_some_and(|client| self.clients.has_share(client, max)) {
            return None;
        }
        let refusal = if is_full { Refusal::ServerFull } else { Refusal::ClientFull };
        (!self.end_longest_idle()).then_some(refusal)
    }

    /// Ends the HTTP connection that has been idle for longest: without a request under way or bytes that wait. False if
    /// none was found.
    pub(super) fn end_longest_idle(&self) -> bool {
        let mut found = self.idle.0.lock();
        loop {
            while let Some(connection) = found.idle.pop_front() {
                if connection.upgrade().is_some_and(|connection| connection.end_if_idle()) {
                    return true;
                }
            }
            let now = self.clock.now();
            let connections = self.connections.load(Ordering::Relaxed).try_into().unwrap_or(u32::MAX);
            if found.searched.is_some_and(|searched| now - searched < SEARCH_PAUSE * connections) {
                return false;
            }
            found.searched = Some(now);
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
        if idle.len() > MAX_FOUND {
            idle.select_nth_unstable_by_key(MAX_FOUND, since);
            idle.truncate(MAX_FOUND);
        }
        idle.sort_by_key(since);
        idle.iter().map(|(_, connection)| Arc::downgrade(connection)).collect()
    }
}
