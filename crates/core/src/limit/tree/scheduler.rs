//! The scheduler of the tree: start-time fair queueing at each node.

use super::node::Ask;
use super::{MIN_QUANTUM, NodeId, Tree};
use crate::clock::Instant;

/// The largest grant while siblings ask for nothing, in intervals of the share it would have if they did. Once they
/// ask, it waits until they have had as much.
const MAX_INTERVALS: u64 = 5;

/// The largest grant is at least this many bytes: a few packets.
const MIN_AHEAD: u64 = 4 * 1024;

/// The most nodes above a stream that is granted a turn without being queued.
const MAX_ALONE: usize = 8;

/// The part of `bytes` for a child of `weight` among children of `weights` in total.
fn share(bytes: u64, weight: u64, weights: u64) -> u64 {
    if weight == weights {
        return bytes;
    }
    if let Some(product) = bytes.checked_mul(weight) {
        return product / weights.max(1);
    }
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

    /// Grants at once what [`dispatch`](Self::dispatch) would, without queueing anything, if the stream is the only one below
    /// the root that waits and every node above can pay. `None` changes nothing.
    pub(super) fn grant_alone(&mut self, stream: NodeId, wanted: u64, now: Instant) -> Option<u64> {
        if self.parked.first().is_some_and(|(due, _)| *due <= now) {
            return None;
        }
        // The nodes above the stream, from below.
        let mut above = [Self::ROOT; MAX_ALONE];
        let (mut depth, mut at) = (0, stream);
        while let Some(parent) = self.node(at).parent {
            let node = self.node(parent);
            if depth == MAX_ALONE || node.parked.is_some() || !node.queue.is_empty() {
                return None;
            }
            (above[depth], at) = (parent, parent);
            depth += 1;
        }
        let above = &above[..depth];
        let (mut quantum, mut ahead) = (u64::MAX, u64::MAX);
        for (number, id) in above.iter().enumerate().rev() {
            let node = self.node(*id);
            if let (Some(meter), false) = (&node.meter, node.budget.report_only) {
                quantum = quantum.min(meter.quantum());
                ahead = ahead.min(meter.quantum().saturating_mul(MAX_INTERVALS));
            }
            if quantum != u64::MAX {
                let child = if number == 0 { stream } else { above[number - 1] };
                ahead = share(ahead, self.node(child).weight(), node.children_weight);
            }
        }
        let bytes = wanted.min(quantum).min(ahead.max(MIN_AHEAD));
        if self.blocked_by(stream, bytes, now).is_some() {
            return None;
        }
        let leaf = self.node_mut(stream);
        leaf.passed.bytes = leaf.passed.bytes.saturating_add(bytes);
        let mut child = stream;
        for &parent in above {
            let began = self.node(child).finish.max(self.node(parent).time);
            let node = self.node_mut(child);
            node.finish = began;
            node.finish_later(bytes);
            let node = self.node_mut(parent);
            node.served(bytes, began);
            let over = node.pay(bytes, now);
            self.note_over(parent, over);
            child = parent;
        }
        Some(bytes)
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

    pub(super) fn insert_in_queue(&mut self, id: NodeId, from: u128) {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::limit::{Budget, Rate, Weight};

    /// A tree of two levels; all rates may be absent.
    fn tree(rates: &[u64; 3], weights: &[u16; 3]) -> (Tree, Vec<NodeId>) {
        let budget = |at: usize| {
            Budget::of(Rate::or_unlimited(rates[at])).with_weight(Weight::new(weights[at]).unwrap())
        };
        let mut tree = Tree::new(budget(0), Instant::ZERO);
        let nodes = [1, 2].map(|at| tree.add(Tree::ROOT, budget(at), Instant::ZERO));
        let streams = [(nodes[0], 1), (nodes[0], 5), (nodes[1], 1), (Tree::ROOT, 3)];
        let streams = streams.map(|(node, weight)| tree.add_stream(node, Weight::new(weight).unwrap()));
        (tree, streams.to_vec())
    }

    /// Bytes a second; 0 is unlimited.
    fn rate() -> impl Strategy<Value = u64> {
        prop_oneof![Just(0u64), 1u64..1_000_000]
    }

    proptest! {
        #[test]
        fn a_grant_without_a_queue_is_the_one_that_a_queue_would_give(
            rates in [rate(), rate(), rate()],
            weights in [1u16..9, 1u16..9, 1u16..9],
            asks in prop::collection::vec((0usize..4, 1u64..60_000, 0u64..300_000_000), 1..80),
        ) {
            let (mut tree, streams) = tree(&rates, &weights);
            let mut now = Instant::ZERO;
            for (stream, bytes, nanos) in asks {
                let stream = streams[stream];
                now = now + std::time::Duration::from_nanos(nanos);
                if tree.node(stream).ask == Ask::Quiet {
                    let mut queued = tree.clone();
                    if let Some(alone) = tree.grant_alone(stream, bytes, now) {
                        queued.node_mut(stream).ask = Ask::Waiting(bytes);
                        queued.enqueue(stream);
                        queued.dispatch(now);
                        prop_assert_eq!(queued.node(stream).ask, Ask::Granted(alone));
                        queued.node_mut(stream).ask = Ask::Quiet;
                        let nodes = |tree: &Tree| format!("{:?}", tree.nodes.iter().collect::<Vec<_>>());
                        prop_assert_eq!(nodes(&tree), nodes(&queued));
                        prop_assert_eq!(&tree.parked, &queued.parked);
                        continue;
                    }
                }
                tree.ask(stream, bytes, now);
            }
        }
    }
}
