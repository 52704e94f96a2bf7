//! Counts the connections of each client address, and resolves the client of a request.
//!
//! A client that connects itself has its connection from start to end. A client of a trusted proxy has the proxy's
//! connection while a request of it is under way there; several HTTP/2 streams at once count once, as for a client that
//! connects itself. A proxy's connection by itself counts for nobody.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use super::Shared;
use super::connection::Ends;
use super::setup::Setup;
use crate::budget::ClientKey;
use crate::clock::Instant;
use crate::http::budgets::Charged;
use crate::http::classes::Asked;
use crate::http::peer::{ClientAddr, PeerAddr};
use crate::http::request_path::RequestPath;
use crate::sync::Mutex;
use crate::tls::ClientCertificate;

/// Locks that share the clients.
const SHARDS: usize = 16;

/// The shortest pause between two warnings about contradicting fields.
const COMPLAINT_PAUSE: Duration = Duration::from_secs(10);

/// Why a connection is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The server's connections are used up: 503.
    ServerFull,
    /// The client's are: 429.
    ClientFull,
}

/// The connections of all clients of a server.
#[derive(Default)]
pub(super) struct Clients {
    hasher: RandomState,
    connections: [Mutex<HashMap<IpAddr, usize>>; SHARDS],
    complaints: Complaints,
}

/// The client of a request.
#[derive(Clone)]
pub(super) struct Requester {
    /// The client in the log.
    pub(super) addr: ClientAddr,
    /// The client that is charged, and its class.
    pub(super) charged: Charged,
    /// Whether another would be charged where the path is read as some sources read it.
    pub(super) is_ambiguous: bool,
    /// Its place among the client's connections, if it came from a trusted proxy and they are limited.
    place: Option<Arc<Place>>,
}

impl Requester {
    /// Resolves the client of a request on the connection between `ends`, whose client showed `certificate`.
    pub(super) fn of(
        server: &Shared,
        setup: &Setup,
        (request, path): (Asked<'_>, &RequestPath<'_>),
        ends: &Ends,
        certificate: Option<&ClientCertificate>,
    ) -> Self {
        let (addr, contradicts) = match ends.is_unnamed {
            true => (ClientAddr::Peer(ends.client), false),
            false => ClientAddr::resolve(ends.client, request.fields, &setup.settings.trusted),
        };
        if contradicts {
            server.clients.complaints.complain(ends.client, server.clock.now());
        }
        let charged = match contradicts {
            true => server.budgets.charged_to_proxy(request, &addr, certificate),
            false => server.budgets.charged(request, &addr, certificate),
        };
        let is_ambiguous =
            !contradicts && server.budgets.differs(&charged, (request, path.others()), &addr, certificate);
        Self { addr, charged, is_ambiguous, place: None }
    }

    /// Takes a place for a trusted proxy's request among its client's `most` connections, until this and its clones are
    /// dropped.
    ///
    /// # Errors
    /// The client has that many others.
    pub(super) fn admit(
        &mut self,
        server: &Arc<Shared>,
        proxied: &Option<Arc<ProxiedClients>>,
        most: Option<usize>,
    ) -> Result<(), Refusal> {
        let (Some(proxied), Some(most), Some(ip)) = (proxied, most, self.addr.ip()) else {
            return Ok(());
        };
        let client = ClientKey::network(ip);
        let mut clients = proxied.0.lock();
        match clients.iter_mut().find(|(known, _)| *known == client) {
            Some((_, requests)) => *requests += 1,
            None if server.clients.admit(client, Some(most)) => clients.push((client, 1)),
            None => return Err(Refusal::ClientFull),
        }
        let place = Place { server: Arc::clone(server), proxied: Arc::clone(proxied), client };
        self.place = Some(Arc::new(place));
        Ok(())
    }
}

/// The clients with requests under way on a trusted proxy's connection, and how many each; at most one per stream.
#[derive(Default)]
pub(super) struct ProxiedClients(Mutex<Vec<(IpAddr, usize)>>);

/// One request's share of its client's place on a connection.
struct Place {
    server: Arc<Shared>,
    proxied: Arc<ProxiedClients>,
    client: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut clients = self.proxied.0.lock();
        if let Some(at) = clients.iter().position(|(known, _)| *known == self.client) {
            clients[at].1 -= 1;
            if clients[at].1 == 0 {
                clients.swap_remove(at);
                self.server.clients.leave(self.client);
            }
        }
    }
}

/// Lines about proxies whose fields contradict each other.
#[derive(Default)]
struct Complaints {
    /// When the last was told, in nanoseconds; 0 is never.
    told: AtomicU64,
    /// Requests since.
    requests: AtomicU64,
}

impl Complaints {
    fn complain(&self, peer: PeerAddr, now: Instant) {
        let requests = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let told = self.told.load(Ordering::Relaxed);
        if told != 0 && now - Instant::from_nanos(told) < COMPLAINT_PAUSE {
            return;
        }
        let now = now.as_nanos().max(1);
        if self.told.compare_exchange(told, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.requests.fetch_sub(requests, Ordering::Relaxed);
            log::warn!(
                peer:%, requests;
                "Forwarded and X-Forwarded-* of a trusted proxy contradict each other, and neither is believed: \
                 have the proxy remove the one it does not write itself"
            );
        }
    }
}

impl Clients {
    /// Counts a connection in, unless its client has `most` of them already.
    pub(super) fn admit(&self, client: IpAddr, most: Option<usize>) -> bool {
        let client = ClientKey::network(client);
        let mut connections = self.shard(client);
        let count = connections.entry(client).or_default();
        if most.is_some_and(|most| *count >= most) {
            if *count == 0 {
                connections.remove(&client);
            }
            return false;
        }
        *count += 1;
        true
    }

    /// Counts a connection out that was admitted.
    pub(super) fn leave(&self, client: IpAddr) {
        let client = ClientKey::network(client);
        let mut connections = self.shard(client);
        if let Some(count) = connections.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                connections.remove(&client);
                // Many clients at once must not hold memory for ever.
                if connections.capacity() > 4 * connections.len().max(64) {
                    connections.shrink_to_fit();
                }
            }
        }
    }

    /// Whether a client is on its fair share of `most` connections or more: what each would have with one client more.
    pub(super) fn has_share(&self, client: IpAddr, most: usize) -> bool {
        let client = ClientKey::network(client);
        let clients: usize = self.connections.iter().map(|shard| shard.lock().len()).sum();
        let count = self.shard(client).get(&client).copied().unwrap_or(0);
        count * (clients + 1) >= most
    }

    fn shard(&self, client: IpAddr) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.connections[self.hasher.hash_one(client) as usize % SHARDS].lock()
    }

    /// Whether no connection is counted.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.connections.iter().all(|shard| shard.lock().is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_client_has_as_many_connections_as_it_may_and_not_one_more() {
        let clients = Clients::default();
        let (one, other) = (ip("192.0.2.1"), ip("192.0.2.2"));
        for most in [Some(0), Some(1), Some(2)] {
            let admitted = (0..3).filter(|_| clients.admit(one, most)).count();
            assert_eq!(admitted, most.unwrap());
            assert!(clients.admit(other, Some(1)), "another client is another");
            clients.leave(other);
            (0..admitted).for_each(|_| clients.leave(one));
        }
        assert!(clients.is_empty());
        assert!(clients.admit(one, None) && !clients.is_empty());
        clients.leave(one);
        clients.leave(one);
        assert!(clients.is_empty());
    }

    #[test]
    fn a_share_is_what_each_would_have_with_one_client_more() {
        let clients = Clients::default();
        let [one, other, third] = [ip("192.0.2.1"), ip("192.0.2.2"), ip("192.0.2.3")];
        let share = |client: IpAddr| {
            let count = (0..12).take_while(|_| !clients.has_share(client, 12) && clients.admit(client, None));
            count.count()
        };
        assert_eq!([share(one), share(other), share(third)], [6, 4, 3]);
        (0..6).for_each(|_| clients.leave(one));
        (0..4).for_each(|_| clients.leave(other));
        (0..3).for_each(|_| clients.leave(third));
        assert!(clients.is_empty() && !clients.has_share(one, 1));
    }
}
