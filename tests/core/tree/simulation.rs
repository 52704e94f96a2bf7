//! Streams under a tree on simulated time: they arrive, send what they may, and leave, and everything that
//! left is written down.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

use sluicegate::clock::Instant;
use sluicegate::limit::{NodeId, Tree, Weight};

/// What a stream has to send.
#[derive(Clone, Copy, Debug)]
pub enum Demand {
    /// Always more, in pieces of so many bytes.
    Greedy(u64),
    /// A piece of so many bytes in each time of so long; what was not sent by then is not asked for twice.
    Paced(u64, Duration),
    /// So many bytes, once.
    Once(u64),
}

pub struct Stream {
    pub id: NodeId,
    demand: Demand,
    /// Bytes in hand.
    has: u64,
    pub sent: u64,
    /// When the last byte of the demand left.
    pub done: Option<Instant>,
}

/// A grant: when, to whom, how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    pub at: Instant,
    pub stream: NodeId,
    pub bytes: u64,
}

pub struct Simulation {
    pub tree: Tree,
    pub now: Instant,
    pub streams: HashMap<NodeId, Stream>,
    pub log: Vec<Sent>,
    /// When paced streams get their next piece.
    arrivals: BinaryHeap<Reverse<(Instant, NodeId)>>,
    /// Wake-ups: dispatches, and streams told that their turn came.
    pub told: u64,
}

impl Simulation {
    pub fn new(tree: Tree) -> Self {
        Self {
            tree,
            now: Instant::ZERO,
            streams: HashMap::new(),
            log: Vec::new(),
            arrivals: BinaryHeap::new(),
            told: 0,
        }
    }

    pub fn join(&mut self, parent: NodeId, demand: Demand) -> NodeId {
        self.join_weighted(parent, demand, Weight::default())
    }

    pub fn join_weighted(&mut self, parent: NodeId, demand: Demand, weight: Weight) -> NodeId {
        let id = self.tree.add_stream(parent, weight);
        let has = match demand {
            Demand::Greedy(piece) => piece,
            Demand::Once(bytes) => bytes,
            Demand::Paced(..) => 0,
        };
        self.streams.insert(id, Stream { id, demand, has, sent: 0, done: None });
        if matches!(demand, Demand::Paced(..)) {
            self.arrivals.push(Reverse((self.now, id)));
        }
        self.run(id);
        self.settle();
        id
    }

    pub fn leave(&mut self, id: NodeId) -> Stream {
        self.tree.withdraw(id, self.now);
        self.tree.remove(id, self.now);
        self.settle();
        self.streams.remove(&id).expect("a living stream")
    }

    /// Runs all that was granted, and all that follows from it at this instant.
    pub fn settle(&mut self) {
        loop {
            let granted: Vec<NodeId> = self.tree.granted().collect();
            if granted.is_empty() {
                return;
            }
            self.told += granted.len() as u64;
            granted.into_iter().for_each(|id| self.run(id));
        }
    }

    /// A stream sends all it may at this instant.
    fn run(&mut self, id: NodeId) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        while stream.has > 0 {
            let Some(turn) = self.tree.ask(id, stream.has, self.now) else { return };
            let bytes = turn.min(stream.has);
            self.tree.give_back(id, turn - bytes, self.now);
            stream.has -= bytes;
            stream.sent += bytes;
            self.log.push(Sent { at: self.now, stream: id, bytes });
            match stream.demand {
                Demand::Greedy(piece) => stream.has = piece,
                Demand::Once(_) if stream.has == 0 => stream.done = Some(self.now),
                _ => {}
            }
        }
    }

    /// Steps from one event to the next until `end`.
    pub fn run_until(&mut self, end: Instant) {
        loop {
            let arrival = self.arrivals.peek().map(|Reverse((at, _))| *at);
            let Some(next) = [self.tree.next_due(), arrival].into_iter().flatten().min() else { break };
            if next > end {
                break;
            }
            assert!(next >= self.now, "time does not step back");
            self.now = next;
            while let Some(Reverse((at, id))) = self.arrivals.peek().copied()
                && at <= self.now
            {
                self.arrivals.pop();
                let Some(stream) = self.streams.get_mut(&id) else { continue };
                if let Demand::Paced(bytes, every) = stream.demand {
                    // One chunk deep, as a response's own allowance.
                    stream.has = bytes;
                    self.arrivals.push(Reverse((at + every, id)));
                }
                self.run(id);
            }
            let before = self.tree.next_due();
            self.tree.dispatch(self.now);
            self.settle();
            assert!(
                before.is_none_or(|due| due > self.now)
                    || self.tree.next_due() > Some(self.now)
                    || self.tree.next_due().is_none(),
                "a turn that is due is given"
            );
        }
        self.now = end;
    }

    pub fn run_for(&mut self, duration: Duration) {
        self.run_until(self.now + duration);
    }

    /// What these streams sent since `from`.
    pub fn sent_since(&self, from: Instant, ids: &[NodeId]) -> Vec<u64> {
        let mut sums: HashMap<NodeId, u64> = HashMap::new();
        for sent in self.log.iter().filter(|sent| sent.at > from) {
            *sums.entry(sent.stream).or_default() += sent.bytes;
        }
        ids.iter().map(|id| sums.get(id).copied().unwrap_or(0)).collect()
    }
}

/// Asserts that in no window more left than `burst`, one interval's worth, and what the rate gives.
///
/// Checked for all windows that begin and end at a grant, in one pass: the excess over the rate since the
/// lowest point so far.
pub fn assert_bounded<'a>(log: impl Iterator<Item = &'a Sent>, rate: u64, burst: u64) {
    let quantum = i128::from(burst.max(rate / 5).max(1));
    let (mut sum, mut lowest) = (0i128, 0i128);
    for sent in log {
        let earned = i128::from(rate) * i128::from(sent.at.as_nanos());
        // In nano-bytes: sent before this grant, less what was earned by now.
        lowest = lowest.min(sum - earned);
        sum += i128::from(sent.bytes) * 1_000_000_000;
        let excess = sum - earned - lowest;
        // A wake-up is rounded up to a nanosecond, whose refill is kept.
        assert!(
            excess <= (quantum + 1) * 1_000_000_000 + i128::from(rate),
            "{} nano-bytes over at {:?}",
            excess - quantum * 1_000_000_000,
            sent.at
        );
    }
}
