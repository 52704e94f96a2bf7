//! The scheduler of the tree: start-time fair queueing at each node.

use super::node::Ask;
use super::{MIN_QUANTUM, NodeId, Tree};
use crate::clock::Instant;

/// The largest grant while siblings ask for nothing, in intervals of the share it would have if they did. Once they
/// ask, it waits until they have had as much.
const MAX_INTERVALS: u64 = 5;

/// The largest grant is at least this many bytes: a few packets.
const MIN_AHEAD: u64 = 4 * 1024;

/// The part of `bytes` for a child of `weight` among children of `weights` in total.
fn share(bytes: u64, weight: u64, weights: u64) -> u64 {
    let share = u128::from(bytes) * u128::from(weight) / u128::from(weights.max(1));
    u64::try_from(share).unwrap_or(bytes)
}

impl Tree {
    /// Makes every grant that can be paid at `now`; [`granted`](Self::granted) lists the streams.
    pub fn dispatch(&mut self, now: Instant) {
        while let Some(&(due, id)) = self.parked.first()
            && due <= now
        {
            self.unpark(id);
            self.enqueue(id);
        }
        while self.node(Self::ROOT).parked.is_none() && !self.node(Self::ROOT).queue.is_empty() {
            let (stream, bytes) = self.next_stream();
            match self.blocked_by(stream, bytes, now) {
                None => self.grant(stream, bytes, now),
                Some((node, due)) => self.park(node, due),
            }
        }
    }

    /// Returns when to dispatch next; `None` while no stream waits.
    pub fn next_due(&self) -> Option<Instant> {
        // While the root cannot pay, no other node matters.
        let root = self.node(Self::ROOT).parked;
        root.or_else(|| self.parked.first().map(|(due, _)| *due))
    }

    /// Drains the streams that were granted a turn since the last call.
    pub fn granted(&mut self) -> impl Iterator<Item = NodeId> + '_ {
        self.granted.drain(..)
    }

    /// Returns the stream to serve next and the size of its grant.
    fn next_stream(&self) -> (NodeId, u64) {
        // Shares among the queued children, and among all: a grant above the latter is waited for later.
        let (mut quantum, mut ahead) = (u64::MAX, u64::MAX);
        let mut at = Self::ROOT;
        loop {
            let node = self.node(at);
            let Some(&(_, _, child)) = node.queue.first() else {
                let Ask::Waiting(wanted) = node.ask else { unreachable!("a queued stream waits") };
                return (at, wanted.min(quantum).min(ahead.max(MIN_AHEAD)));
            };
            if let (Some(meter), false) = (&node.meter, node.budget.report_only) {
                quantum = quantum.min(meter.quantum());
                ahead = ahead.min(meter.quantum().saturating_mul(MAX_INTERVALS));
            }
            if quantum != u64::MAX {
                let weight = self.node(child).weight();
                quantum = share(quantum, weight, node.queued_weight).max(quantum.min(MIN_QUANTUM));
                ahead = share(ahead, weight, node.children_weight);
            }
            at = child;
        }
    }

    /// Returns the lowest node above `stream` that cannot pay `bytes` now, and when it can.
    fn blocked_by(&mut self, stream: NodeId, bytes: u64, now: Instant) -> Option<(NodeId, Instant)> {
        let mut at = self.node(stream).parent;
        while let Some(id) = at {
            let node = self.node_mut(id);
            if let Some(gate) = node.gate()
                && let Err(due) = gate.can_pay(bytes, now)
            {
                return Some((id, due));
            }
            at = node.parent;
        }
        None
    }

    /// Charges a grant for `stream` to every node above it, and queues the nodes that still want more where the
    /// grant ended.
    fn grant(&mut self, stream: NodeId, bytes: u64, now: Instant) {
        let leaf = self.node_mut(stream);
        leaf.ask = Ask::Granted(bytes);
        leaf.passed.bytes = leaf.passed.bytes.saturating_add(bytes);
        self.granted.push(stream);
        let mut child = stream;
        while let Some(parent) = self.node(child).parent {
            let (began, _) = self.node(child).place.expect("every node above the next stream is queued");
            self.node_mut(parent).served(bytes, began);
            self.remove_from_queue(child);
            self.node_mut(child).finish = began;
            self.node_mut(child).finish_later(bytes);
            if self.node(child).wants() {
                // It never left the queue: what it is owed stays, however far the virtual time has moved.
                let from = self.node(child).finish;
                self.insert_in_queue(child, from);
            }
            let over = self.node_mut(parent).pay(bytes, now);
            self.note_over(parent, over);
            child = parent;
        }
    }

    /// Queues a node that wants something at its parent, and the parent at its own, up to the first that is queued
    /// already or cannot pay.
    pub(super) fn enqueue(&mut self, id: NodeId) {
        let mut at = id;
        loop {
            let node = self.node(at);
            if !node.wants() || node.place.is_some() || node.parked.is_some() {
                return;
            }
            let Some(parent) = node.parent else { return };
            let from = node.finish.max(self.node(parent).time);
            self.insert_in_queue(at, from);
            // The parent was parked for a turn that this one may come before, or make smaller.
            self.unpark(parent);
            at = parent;
        }
    }

    /// Takes a node out of its parent's queue, and the parent out of its own if that was the last.
    pub(super) fn dequeue(&mut self, id: NodeId) {
        let mut at = id;
        while self.node(at).place.is_some() {
            self.remove_from_queue(at);
            let parent = self.node(at).parent.expect("a queued node has a parent");
            if self.node(parent).wants() {
                return;
            }
            self.unpark(parent);
            at = parent;
        }
    }

    fn insert_in_queue(&mut self, id: NodeId, from: u128) {
        self.arrivals += 1;
        let arrival = self.arrivals;
        let node = self.node_mut(id);
        node.place = Some((from, arrival));
        let weight = node.weight();
        let parent = node.parent.expect("the root is in no queue");
        let parent = self.node_mut(parent);
        parent.queue.insert((from, arrival, id));
        parent.queued_weight += weight;
    }

    fn remove_from_queue(&mut self, id: NodeId) {
        let node = self.node_mut(id);
        let (Some((from, arrival)), Some(parent)) = (node.place.take(), node.parent) else { return };
        let weight = node.weight();
        let parent = self.node_mut(parent);
        parent.queue.remove(&(from, arrival, id));
        parent.queued_weight -= weight;
    }

    /// Keeps a node out of its parent's queue until `due`, when it can pay.
    fn park(&mut self, id: NodeId, due: Instant) {
        self.dequeue(id);
        self.node_mut(id).parked = Some(due);
        self.parked.insert((due, id));
    }

    pub(super) fn unpark(&mut self, id: NodeId) {
        if let Some(due) = self.node_mut(id).parked.take() {
            self.parked.remove(&(due, id));
        }
    }
}
