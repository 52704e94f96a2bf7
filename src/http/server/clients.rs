//! Clients by address: how many connections each has, and whose bytes were dropped.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Clients whose drops are told apart between two sweeps; those of further ones are told together.
const MOST_TOLD: usize = 100;

/// Lines about single connections between two sweeps. Many readers given up at once must not fill the
/// disk; the sweep tells of all.
const MOST_LINES: usize = 20;

/// What one client lost since the last sweep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Drops {
    pub(super) connections: u64,
    pub(super) bytes: u64,
}

impl Drops {
    fn add(&mut self, bytes: u64) {
        self.connections += 1;
        self.bytes += bytes;
    }
}

/// All clients of a server that have connections, or lost bytes since the last sweep.
#[derive(Default)]
pub(super) struct Clients {
    connections: Mutex<HashMap<IpAddr, usize>>,
    dropped: Mutex<Dropped>,
}

#[derive(Default)]
struct Dropped {
    /// Lines told of single connections since the last sweep.
    told: usize,
    by_client: HashMap<Option<IpAddr>, Drops>,
    others: Drops,
}

impl Clients {
    /// Counts a connection in, unless its client has `most` of them already.
    pub(super) fn admit(&self, client: IpAddr, most: Option<usize>) -> bool {
        let mut connections = lock(&self.connections);
        let count = connections.entry(network(client)).or_default();
        if most.is_some_and(|most| *count >= most) {
            return false;
        }
        *count += 1;
        true
    }

    /// Counts a connection out that was admitted.
    pub(super) fn leave(&self, client: IpAddr) {
        let mut connections = lock(&self.connections);
        if let Some(count) = connections.get_mut(&network(client)) {
            *count -= 1;
            if *count == 0 {
                connections.remove(&network(client));
                // Many clients at once must not hold memory for ever.
                if connections.capacity() > 4 * connections.len().max(64) {
                    connections.shrink_to_fit();
                }
            }
        }
    }

    /// Whether no connection is counted.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        lock(&self.connections).is_empty()
    }

    /// Notes that `client` lost `bytes`. True if it is the first loss since the last sweep, so that one
    /// is due.
    pub(super) fn dropped(&self, client: Option<IpAddr>, bytes: u64) -> bool {
        let mut dropped = lock(&self.dropped);
        let first = dropped.by_client.is_empty();
        let client = client.map(network);
        if dropped.by_client.len() < MOST_TOLD || dropped.by_client.contains_key(&client) {
            dropped.by_client.entry(client).or_default().add(bytes);
        } else {
            dropped.others.add(bytes);
        }
        first
    }

    /// Whether the log may tell of one more connection before the next sweep.
    pub(super) fn may_tell(&self) -> bool {
        let mut dropped = lock(&self.dropped);
        dropped.told += 1;
        dropped.told <= MOST_LINES
    }

    /// One line in the log for each client that lost bytes since the last sweep.
    pub(super) fn sweep(&self) {
        let Dropped { by_client, others, .. } = std::mem::take(&mut *lock(&self.dropped));
        for (client, drops) in by_client {
            let client = client.map_or_else(|| "unix".to_owned(), |client| client.to_string());
            log::warn!(client, connections = drops.connections, bytes_dropped = drops.bytes; "readers given up");
        }
        if others.connections > 0 {
            log::warn!(
                client = "others", connections = others.connections, bytes_dropped = others.bytes;
                "readers given up"
            );
        }
    }
}

/// The address a client is known by: of IPv6, the /64 that one customer has.
fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(v6) => {
            let mask = u128::MAX << 64;
            IpAddr::V6(Ipv6Addr::from(u128::from(v6) & mask))
        }
        v4 => v4,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
        assert!(clients.admit(one, None) && lock(&clients.connections).len() == 1);
        clients.leave(one);
        clients.leave(one);
        assert!(clients.is_empty());
    }

    #[test]
    fn a_64_is_one_client_and_ipv4_in_ipv6_clothes_is_ipv4() {
        assert_eq!(network(ip("2001:db8::1")), network(ip("2001:db8::ffff:1")));
        assert_ne!(network(ip("2001:db8::1")), network(ip("2001:db8:0:1::1")));
        assert_eq!(network(ip("::ffff:192.0.2.1")), ip("192.0.2.1"));
    }

    #[test]
    fn drops_are_summed_by_client_and_the_table_is_bounded() {
        let clients = Clients::default();
        assert!(clients.dropped(Some(ip("192.0.2.1")), 5));
        assert!(!clients.dropped(Some(ip("192.0.2.1")), 7));
        for n in 0..200 {
            clients.dropped(Some(IpAddr::from([10, 0, 0, n])), 1);
        }
        {
            let dropped = lock(&clients.dropped);
            assert_eq!(dropped.by_client.len(), MOST_TOLD);
            assert_eq!(dropped.by_client[&Some(ip("192.0.2.1"))], Drops { connections: 2, bytes: 12 });
            assert_eq!(dropped.others, Drops { connections: 101, bytes: 101 });
        }
        clients.sweep();
        assert!(clients.dropped(None, 1), "a new sweep is due");
    }
}
