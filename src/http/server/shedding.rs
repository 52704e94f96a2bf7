//! Load shedding: while too many bytes are held for all clients together, requests are refused, those of the clients that
//! hold most first.
//!
//! The account of held bytes is one for each connection. What each *client* holds is added up only while the server
//! sheds: a request on a server that does not costs one load and one comparison.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::admission::SEARCH_PAUSE;
use super::connection::Connection;
use super::{Handle, Shared};
use crate::budget::ClientKey;
use crate::clock::Instant;
use crate::sink::SinkCounts;
use crate::sync::Mutex;

/// Whether a server refuses requests, with hysteresis.
#[derive(Default)]
pub(super) struct Shedding {
    shedding: AtomicBool,
    shares: Mutex<Shares>,
}

/// The bytes that each client held at the last count.
#[derive(Default)]
struct Shares {
    /// When that was; `None` if shedding began since.
    looked: Option<Instant>,
    /// By address, of IPv6 by the /64; `None` is all clients of Unix sockets.
    held: HashMap<Option<IpAddr>, u64>,
}

impl Shedding {
    /// Updates the state from what is held, and returns it: on above `most` bytes for all clients together, off
    /// below 80 % of that.
    fn is_shedding(&self, egress: &SinkCounts, most: u64) -> bool {
        self.judge(egress.held().total(), most)
    }

    fn judge(&self, held: u64, most: u64) -> bool {
        let was = self.shedding.load(Ordering::Relaxed);
        // Wide, so that four fifths are exact for any bound.
        let four_fifths = || u128::from(held) * 5 >= u128::from(most) * 4;
        let is = if was { held > 0 && four_fifths() } else { held > most };
        if is != was && self.shedding.swap(is, Ordering::Relaxed) != is {
            if is {
                self.shares.lock().looked = None;
                log::warn!(held, most; "shedding: too much is held for clients; new requests get 503");
            } else {
                log::info!(held, most; "no longer shedding");
            }
        }
        is
    }
}

impl Shares {
    /// Whether `client` holds its fair share of `most` bytes or more: four fifths of them, where shedding ends, divided
    /// by the clients that hold any.
    fn is_used_up(&self, client: Option<IpAddr>, most: u64) -> bool {
        let held = self.held.get(&client).copied().unwrap_or(0);
        is_above_share(held, self.held.len(), most)
    }
}

fn is_above_share(held: u64, clients: usize, most: u64) -> bool {
    u128::from(held) * 5 * clients.max(1) as u128 >= u128::from(most) * 4
}

impl Handle {
    /// What the server's connections wrote, hold and dropped, summed.
    pub fn egress(&self) -> &SinkCounts {
        &self.0.egress
    }

    /// Whether new requests are refused because too much is held for clients. Those of clients that hold less than their
    /// fair share are served.
    pub fn is_shedding(&self) -> bool {
        self.0.is_shedding()
    }
}

impl Shared {
    fn is_shedding(&self) -> bool {
        self.shedding.is_shedding(&self.egress, self.setup().settings.max_held())
    }

    /// Whether a request of `client` is refused because more than `most` bytes are held for clients.
    ///
    /// While the server sheds, a client that holds less than its fair share is served, until twice `most` are held.
    /// Of those that hold more, connections that are idle or still send a head end.
    pub(super) fn sheds(&self, client: Option<IpAddr>, most: u64) -> bool {
        if !self.shedding.is_shedding(&self.egress, most) {
            return false;
        }
        if self.egress.held().total() / 2 > most {
            return true;
        }
        let mut shares = self.shedding.shares.lock();
        let now = self.clock.now();
        let connections = self.connections.load(Ordering::Relaxed).try_into().unwrap_or(u32::MAX);
        if shares.looked.is_none_or(|looked| now - looked >= SEARCH_PAUSE * connections) {
            shares.looked = Some(now);
            self.add_up(&mut shares.held, most);
        }
        shares.is_used_up(client.map(ClientKey::network), most)
    }

    /// Sums what each client holds, and ends idle connections of those that hold more than their share, until they do
    /// not. A connection whose client still sends a head is idle.
    fn add_up(&self, held: &mut HashMap<Option<IpAddr>, u64>, most: u64) {
        *held = HashMap::new();
        let mut holding: Vec<(Option<IpAddr>, u64, Arc<Connection>)> = Vec::new();
        for connection in self.registry.all() {
            let bytes = connection.sink.counts().held().total();
            if bytes > 0 {
                let client = connection.client_addr().ip().map(ClientKey::network);
                *held.entry(client).or_default() += bytes;
                holding.push((client, bytes, connection));
            }
        }
        let (clients, mut ended) = (held.len(), 0_usize);
        for (client, bytes, connection) in holding {
            if let Some(held) = held.get_mut(&client)
                && is_above_share(*held, clients, most)
                && connection.idle_since().is_some()
            {
                // One that was asked before is about to end, so its bytes count as gone too.
                *held -= bytes.min(*held);
                ended += usize::from(connection.end_if_idle());
            }
        }
        if ended > 0 {
            log::info!(connections = ended; "shedding: ended idle connections of clients that hold most");
        }
    }
}

impl Connection {
    /// Whether a request whose head is still on its way is refused.
    pub(super) fn is_shed(&self) -> bool {
        self.server.sheds(self.client_addr().ip(), self.server.setup().settings.max_held())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_above_the_bound_and_ends_below_four_fifths_of_it() {
        for (most, steps) in [
            (
                1000,
                &[(1000, false), (1001, true), (1000, true), (800, true), (799, false), (1000, false)][..],
            ),
            (1001, &[(1002, true), (801, true), (800, false)]),
            (1, &[(1, false), (2, true), (1, true), (0, false)]),
            (0, &[(0, false), (1, true), (0, false)]),
            (u64::MAX, &[(u64::MAX, false)]),
        ] {
            let shedding = Shedding::default();
            for (held, expected) in steps {
                assert_eq!(shedding.judge(*held, most), *expected, "{held} of {most}");
            }
        }
    }

    #[test]
    fn a_share_is_what_ends_shedding_divided_by_those_that_hold_any() {
        for (held, clients, most, expected) in [
            (799, 1, 1000, false),
            (800, 1, 1000, true),
            (399, 2, 1000, false),
            (400, 2, 1000, true),
            (266, 3, 1000, false),
            (267, 3, 1000, true),
            (0, 0, 1000, false),
            (0, 7, 1, false),
            (0, 1, 0, true),
            (u64::MAX, 10_000, u64::MAX, true),
        ] {
            assert_eq!(is_above_share(held, clients, most), expected, "{held} of {most}, {clients} clients");
        }
    }
}
