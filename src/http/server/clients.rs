//! Clients by address: how many connections each has.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// All clients of a server that have connections.
#[derive(Default)]
pub(super) struct Clients {
    connections: Mutex<HashMap<IpAddr, usize>>,
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
}

/// The address a client is known by: of IPv6, the /64 that one customer has.
pub(super) fn network(client: IpAddr) -> IpAddr {
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
}
