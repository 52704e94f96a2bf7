//! Two redis-servers, one the copy of the other, at one address that leads to the primary.

use std::net::SocketAddr;
use testkit::wait::until;

use super::event_server::HOST;
use crate::chaos::publisher::Publisher;
use crate::redis::Redis;
use crate::relay::Relay;

const IDS: &str = "{sluicegate:events:/events/}:s:ids";

pub struct StorePair {
    nodes: [Redis; 2],
    addrs: [SocketAddr; 2],
    primary: usize,
    relay: Relay,
}

/// A redis-server that other machines could copy, and its address.
pub fn node(more: &[&str]) -> (SocketAddr, Redis) {
    let (port, redis) = Redis::on_port(|port| {
        let own = ["--port", &port.to_string(), "--bind", HOST, "--repl-diskless-sync-delay", "0"];
        own.iter().chain(more).map(|arg| (*arg).to_owned()).collect()
    });
    (SocketAddr::new(HOST.parse().unwrap(), port), redis)
}

/// Has `copy` be the copy of the server at `primary`.
pub fn copies(copy: &Redis, primary: SocketAddr) {
    assert_eq!(copy.says(&["REPLICAOF", HOST, &primary.port().to_string()]), "OK");
}

/// Waits until it has all that its primary had.
pub fn is_copied(copy: &Redis) {
    until("the copy", || {
        let replication = copy.says(&["INFO", "replication"]);
        replication.contains("master_link_status:up") && replication.contains("master_sync_in_progress:0")
    });
}

impl StorePair {
    pub fn start() -> Self {
        let (first, primary) = node(&[]);
        let (second, copy) = node(&[]);
        copies(&copy, first);
        is_copied(&copy);
        let relay = Relay::to(first);
        Self { nodes: [primary, copy], addrs: [first, second], primary: 0, relay }
    }

    pub fn url(&self) -> String {
        format!("redis://{}/0", self.relay.addr)
    }

    fn primary(&self) -> &Redis {
        &self.nodes[self.primary]
    }

    fn copy(&self) -> &Redis {
        &self.nodes[1 - self.primary]
    }

    /// How many events there are up to the one that ends it.
    pub fn entries(&self) -> usize {
        self.primary().says(&["HGET", IDS, "end"]).parse().unwrap()
    }

    /// Kills the primary, and starts it with what it kept.
    pub fn primary_is_killed(&mut self) {
        let primary = &mut self.nodes[self.primary];
        primary.kill();
        primary.begin();
    }

    /// How many batches of a publisher are on the copy.
    pub fn kept_of(&self, publisher: &Publisher) -> u64 {
        is_copied(self.copy());
        let is_kept = |batches: &u64| {
            let id = format!("{}-{}", publisher.name, batches * 3 - 1);
            self.copy().says(&["HEXISTS", IDS, &id]) == "1"
        };
        let said = publisher.batches();
        (1..=said).rev().find(is_kept).unwrap_or(0)
    }

    /// Primary and copy change their parts, and nothing is lost: while they do, nothing is written.
    pub fn changes_parts(&mut self) {
        is_copied(self.copy());
        let primary = self.primary();
        assert_eq!(primary.says(&["CLIENT", "PAUSE", "60000", "WRITE"]), "OK");
        let offset = |of: &Redis| {
            let replication = of.says(&["INFO", "replication"]);
            let line = replication.lines().find_map(|line| line.trim().strip_prefix("master_repl_offset:"));
            line.unwrap().to_owned()
        };
        until("the copy to have all", || offset(primary) == offset(self.copy()));
        self.leads_to_copy();
        // Not before: what waits there must not be written any more.
        assert_eq!(self.copy().says(&["CLIENT", "UNPAUSE"]), "OK");
    }

    /// The primary is killed, the copy takes its place, and what was the primary copies that.
    pub fn primary_dies(&mut self) {
        is_copied(self.copy());
        self.nodes[self.primary].kill();
        self.copy_takes_over();
        self.nodes[1 - self.primary].begin();
        copies(self.copy(), self.addrs[self.primary]);
    }

    /// The copy is made a primary too, while servers write to the one whose events will be forgotten.
    pub fn has_two_primaries(&self) {
        is_copied(self.copy());
        assert_eq!(self.copy().says(&["REPLICAOF", "NO", "ONE"]), "OK");
    }

    /// The copy takes over, and what was the primary becomes its copy.
    pub fn leads_to_copy(&mut self) {
        self.copy_takes_over();
        copies(self.copy(), self.addrs[self.primary]);
    }

    fn copy_takes_over(&mut self) {
        assert_eq!(self.copy().says(&["REPLICAOF", "NO", "ONE"]), "OK");
        self.primary = 1 - self.primary;
        self.relay.lead_to(self.addrs[self.primary]);
    }
}
