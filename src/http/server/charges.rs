//! What the exchanges of one connection charge: their clients' shared budgets, and the places and filters that they
//! take up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::clients::ProxiedClients;
use crate::budget::{ClientKey, Clients};
use crate::sync::Mutex;

/// Clients and places that a connection remembers.
const MAX_SEEN: usize = 256;

pub(super) struct Charges {
    /// Bytes of content passed on, which were charged on their way.
    content: AtomicU64,
    /// Bytes besides content that were charged.
    charged: AtomicU64,
    /// Filters of answers under way whose state is large.
    coders: AtomicUsize,
    /// On a trusted proxy's connection, the clients with requests under way.
    pub(super) proxied: Option<Arc<ProxiedClients>>,
    /// Clients and places that had a response here, the latest at the end.
    seen: Mutex<Vec<u64>>,
}

impl Charges {
    /// Nothing yet. `is_proxys`: the peer is a trusted proxy, whose clients are charged.
    pub(super) fn new(is_proxys: bool) -> Self {
        Self {
            content: AtomicU64::new(0),
            charged: AtomicU64::new(0),
            coders: AtomicUsize::new(0),
            proxied: is_proxys.then(Arc::default),
            seen: Mutex::default(),
        }
    }

    /// Has the processor fetch what [`pass_content`](Self::pass_content) uses.
    pub(super) fn prefetch(&self) {
        std::hint::black_box(self.content.load(Ordering::Relaxed));
    }

    /// Notes content that was passed on.
    pub(super) fn pass_content(&self, bytes: u64) {
        self.content.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Charges `client` for what was written besides content since the last call: heads and framing; `written` is all so
    /// far. Exact when nothing is under way; content that waits to be written delays it.
    pub(super) fn charge(&self, client: &ClientKey, written: u64, clients: &Clients) {
        let besides = written.saturating_sub(self.content.load(Ordering::Relaxed));
        let before = self.charged.fetch_max(besides, Ordering::Relaxed);
        // Without a limit they are noted all the same: one that is set later is not for them.
        if clients.parent().is_limited() {
            clients.node(client).debit(besides.saturating_sub(before));
        }
    }

    /// Counts a filter whose state is large, if there are fewer than `max`.
    pub(super) fn try_add_coder(&self, max: usize) -> bool {
        let add = |coders| (coders < max).then_some(coders + 1);
        self.coders.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_ok()
    }

    pub(super) fn add_coder(&self) {
        self.coders.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn remove_coders(&self, coders: usize) {
        self.coders.fetch_sub(coders, Ordering::Relaxed);
    }

    /// Whether a client and place have had no response here; from now on they have. Beyond [`MAX_SEEN`] the oldest is
    /// forgotten.
    pub(super) fn is_new_to(&self, key: u64) -> bool {
        let mut seen = self.seen.lock();
        let is_new = !seen.contains(&key);
        if is_new {
            if seen.len() >= MAX_SEEN {
                seen.remove(0);
            }
            seen.push(key);
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::Node;
    use crate::clock::ManualClock;
    use crate::limit::{Budget, Rate};

    #[test]
    fn a_limit_that_is_set_later_is_not_charged_for_what_was_written_before() {
        let server = Node::root("server", Budget::default(), Arc::new(ManualClock::new()));
        let clients = Clients::new(server.clone(), "client", Budget::default());
        let (charges, client) = (Charges::new(false), ClientKey::address("192.0.2.1".parse().unwrap()));
        charges.pass_content(100);
        charges.charge(&client, 1100, &clients);
        server.set(Budget::of(Rate::or_unlimited(1000)));
        charges.charge(&client, 1100, &clients);
        assert_eq!(server.passed().bytes, 0);
        charges.charge(&client, 1350, &clients);
        assert_eq!(server.passed().bytes, 250);
    }
}
