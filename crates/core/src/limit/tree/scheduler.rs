//! The scheduler of the tree: start-time fair queueing at each node.

use std::hint::black_box;

use super::node::{Ask, per_weight};
use super::{MIN_QUANTUM, NodeId, Tree};
use crate::clock::Instant;

/// The largest grant while siblings ask for nothing, in intervals of the share it would have if they did. Once they
/// ask, it waits until they have had as much.
const MAX_INTERVALS: u64 = 5;

/// The largest grant is at least this many bytes: a few packets.
const MIN_AHEAD: u64 = 4 * 1024;

/// Nodes that are fetched at once.
const PREFETCHED: usize = 16;

/// The part of `bytes` for a child of `weight` among children of `weights` in total.
fn share(bytes: u64, weight: u64, weights: u64) -> u64 {
    // A division of 64 bits takes a fraction of the time of one of 128.
    match bytes.checked_mul(weight) {
        _ if weight == weights => bytes,
        Some(product) => product / weights.max(1),
        None => {
            let share = u128::from(bytes) * u128::from(weight) / u128::from(weights.max(1));
            u64::try_from(share).unwrap_or(bytes)
        }
    }
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
        let mut grants = 0;
        while !self.node(Self::ROOT).is_parked() && self.node(Self::ROOT).wants() {
            if grants % PREFETCHED == 1 {
                self.prefetch();
            }
            grants += 1;
            let (stream, bytes, most) = self.next_stream();
            // More than what leaves their share to those that are parked only if nobody waits for it.
            if most > bytes && self.blocked_by(stream, most, now).is_none() {
                self.grant(stream, most, now);
                continue;
            }
            match self.blocked_by(stream, bytes, now) {
                None => self.grant(stream, bytes, now),
                Some((node, due)) => self.park(node, due),
            }
        }
    }

    /// Has the processor fetch the nodes that are to be served next, side by side. Each has left the cache, and the grant to one
    /// must be made before the next is looked at.
    fn prefetch(&self) {
        // The lowest node that all of them are below.
        let mut at = self.node(Self::ROOT).parts();
        while let Some((_, _, only)) = at.queue.only()
            && let Some(shared) = self.node(*only).shared()
        {
            at = shared;
        }
        for (_, _, child) in at.queue.iter().take(PREFETCHED) {
            let child = self.node(*child);
            let below = child.shared().and_then(|shared| shared.queue.first());
            black_box((child.ask, below.map(|(_, _, id)| self.node(*id).ask)));
        }
    }

    /// Returns when to dispatch next; `None` while no stream waits.
    pub fn next_due(&self) -> Option<Instant> {
        // While the root cannot pay, no other node matters.
        let root = self.node(Self::ROOT).parked();
        root.or_else(|| self.parked.first().map(|(due, _)| *due))
    }

    /// Drains the streams that were granted a turn since the last call.
    pub fn granted(&mut self) -> impl Iterator<Item = NodeId> + '_ {
        self.granted.drain(..)
    }

    /// Returns the stream to serve next, the size of its grant, and the size if the tokens are there already.
    fn next_stream(&self) -> (NodeId, u64, u64) {
        // Shares among the children that wait, among those in the queue, and among all: a grant above the last is waited for
        // later.
        let (mut quantum, mut most, mut ahead) = (u64::MAX, u64::MAX, u64::MAX);
        let (mut is_shared, mut is_short) = (false, false);
        let mut at = Self::ROOT;
        loop {
            let node = self.node(at);
            let Some(shared) = node.shared() else {
                let Ask::Waiting(wanted) = node.ask else { unreachable!("a queued stream waits") };
                let wanted = wanted.min(ahead.max(MIN_AHEAD));
                return (at, wanted.min(quantum), wanted.min(most));
            };
            let &(_, _, child) = shared.queue.first().expect("a queued node has a child that waits");
            if let (Some(meter), false) = (&shared.meter, shared.budget.report_only) {
                let whole = meter.quantum();
                // Half of an interval's worth, so that its tokens are not whole before its turn above comes: what it earned then
                // would be lost. So are the turns that one below may have to wait for.
                let is_half = is_shared || shared.short_below > 0;
                let turn = if is_half { whole.div_ceil(2) } else { whole };
                quantum = quantum.min(turn);
                most = most.min(if shared.is_short { turn } else { whole });
                ahead = ahead.min(whole.saturating_mul(MAX_INTERVALS));
                is_short |= shared.is_short;
            }
            if most != u64::MAX {
                let weight = self.node(child).weight();
                is_shared |= shared.children_weight > weight;
                quantum = share(quantum, weight, shared.waiting_weight).max(quantum.min(MIN_QUANTUM));
                // Where tokens are short, those that are away for a moment have their shares too.
                let beside = if is_short { shared.waiting_weight } else { shared.queued_weight };
                most = share(most, weight, beside).max(most.min(MIN_QUANTUM));
                ahead = share(ahead, weight, shared.children_weight);
            }
            at = child;
        }
    }

    /// Returns the lowest node above `stream` that cannot pay `bytes` now, and when it can.
    fn blocked_by(&mut self, stream: NodeId, bytes: u64, now: Instant) -> Option<(NodeId, Instant)> {
        let mut at = self.node(stream).parent;
        while let Some(id) = at {
            let node = self.node_mut(id);
            at = node.parent;
            let is_short = node.parts().is_short;
            if let Some(gate) = node.gate() {
                if let Err(due) = gate.can_pay(bytes, now) {
                    return Some((id, due));
                }
                if is_short && gate.is_full() {
                    self.set_short(id, false);
                }
            }
        }
        None
    }

    /// Charges a grant for `stream` to every node above it, and queues the nodes that still want more where the
    /// grant ended.
    fn grant(&mut self, stream: NodeId, bytes: u64, now: Instant) {
        let leaf = self.node_mut(stream);
        leaf.ask = Ask::Granted(bytes);
        leaf.bytes = leaf.bytes.saturating_add(bytes);
        self.granted.push(stream);
        let mut child = stream;
        while let Some(parent) = self.node(child).parent {
            let (began, _) = self.node(child).place.expect("every node above the next stream is queued");
            self.node_mut(parent).served(bytes, began);
            self.take_from_queue(child);
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

    /// Queues a node that wants something at its parent, and the parent at its own, up to the first that cannot pay.
    pub(super) fn enqueue(&mut self, id: NodeId) {
        let mut at = id;
        while let Some(parent) = self.node(at).parent {
            let node = self.node(at);
            if !node.wants() || node.is_parked() {
                return;
            }
            if node.place.is_none() {
                let from = self.start_of(at, parent);
                self.insert_in_queue(at, from);
            }
            // It was parked for a turn that this one may come before, or make smaller.
            self.unpark(parent);
            at = parent;
        }
    }

    /// Returns where a child is queued that asks again, in its parent's virtual time.
    ///
    /// Of unequal weights the heavier are served behind the lighter, and the virtual time may pass what they are owed. So one that
    /// asks before any that began later was served is where it would be, had it never left the queue. One that comes later is owed
    /// at most what an interval gives each while all that wait have their shares.
    fn start_of(&self, id: NodeId, parent: NodeId) -> u128 {
        let finish = self.node(id).finish;
        let shared = self.node(parent).parts();
        if finish >= shared.began {
            return finish;
        }
        let owed = per_weight(self.interval_of(parent), shared.waiting_weight.max(1));
        finish.max(shared.time.saturating_sub(owed))
    }

    /// Returns what passes through a node in an interval while all that wait get their shares, in bytes.
    fn interval_of(&self, id: NodeId) -> u64 {
        let node = self.node(id);
        let own = match &node.parts().meter {
            Some(meter) if !node.parts().budget.report_only => meter.quantum(),
            _ => u64::MAX,
        };
        let Some(parent) = node.parent else { return own };
        let above = self.interval_of(parent);
        if above == u64::MAX {
            return own;
        }
        own.min(share(above, node.weight(), self.node(parent).parts().waiting_weight))
    }

    /// Takes a node out of its parent's queue, and the parent out of its own if that was the last.
    pub(super) fn dequeue(&mut self, id: NodeId) {
        let mut at = id;
        while self.node(at).place.is_some() {
            self.take_from_queue(at);
            self.unweigh(at);
            let parent = self.node(at).parent.expect("a queued node has a parent");
            if self.node(parent).wants() {
                return;
            }
            self.unpark(parent);
            at = parent;
        }
    }

    fn insert_in_queue(&mut self, id: NodeId, from: u128) {
        let arrival = self.arrivals;
        self.arrivals = arrival.saturating_add(1);
        let node = self.node_mut(id);
        node.place = Some((from, arrival));
        let added = if std::mem::replace(&mut node.is_weighed, true) { 0 } else { node.weight() };
        let parent = node.parent.expect("the root is in no queue");
        let parent = self.node_mut(parent).parts_mut();
        parent.queue.insert((from, arrival, id));
        parent.queued_weight += added;
    }

    /// Takes a node out of its parent's queue, and leaves its weight in the sum.
    fn take_from_queue(&mut self, id: NodeId) {
        let node = self.node_mut(id);
        let (Some((from, arrival)), Some(parent)) = (node.place.take(), node.parent) else { return };
        self.node_mut(parent).parts_mut().queue.remove(&(from, arrival, id));
    }

    /// Takes a node that is not served from the sum of its parent's weights, and so the nodes above it.
    pub(super) fn unweigh(&mut self, id: NodeId) {
        let mut at = id;
        while let (true, false, Some(parent)) =
            (self.node(at).is_weighed, self.node(at).is_served(), self.node(at).parent)
        {
            let weight = self.node(at).weight();
            self.node_mut(at).is_weighed = false;
            self.node_mut(parent).parts_mut().queued_weight -= weight;
            at = parent;
        }
    }

    /// Keeps a node out of its parent's queue until `due`, when it can pay.
    fn park(&mut self, id: NodeId, due: Instant) {
        self.set_short(id, true);
        self.node_mut(id).parts_mut().parked = Some(due);
        self.parked.insert((due, id));
        self.dequeue(id);
    }

    /// Sets whether a node was short of tokens since its bucket was full.
    pub(super) fn set_short(&mut self, id: NodeId, is_short: bool) {
        let Some(shared) = self.node(id).shared() else { return };
        if shared.is_short == is_short {
            return;
        }
        let mut has_more_below = shared.short_below > 0;
        self.node_mut(id).parts_mut().is_short = is_short;
        let mut at = id;
        // Up to the first of which it was known already, or still holds.
        while let (false, Some(parent)) = (has_more_below, self.node(at).parent) {
            let above = self.node_mut(parent).parts_mut();
            let others = if is_short { above.short_below } else { above.short_below - 1 };
            above.short_below = others + usize::from(is_short);
            has_more_below = above.is_short || others > 0;
            at = parent;
        }
    }

    pub(super) fn unpark(&mut self, id: NodeId) {
        if let Some(due) = self.node(id).parked() {
            self.node_mut(id).parts_mut().parked = None;
            self.parked.remove(&(due, id));
        }
    }
}
