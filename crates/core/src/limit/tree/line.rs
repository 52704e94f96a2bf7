//! Standing in line and being served: the scheduler of the tree.

use super::node::Ask;
use super::{MIN_QUANTUM, NodeId, Tree};
use crate::clock::Instant;

/// How much a turn may be for while the others are quiet: its share, if they were not, of so many intervals.
/// Once they want something too, it waits until they have had as much.
const MAX_INTERVALS: u64 = 5;

/// But at least so many bytes: a few packets.
const MIN_AHEAD: u64 = 4 * 1024;

/// What is due of `bytes` to one of `weight` among all of `weights`.
fn share(bytes: u64, weight: u64, weights: u64) -> u64 {
    let share = u128::from(bytes) * u128::from(weight) / u128::from(weights.max(1));
    u64::try_from(share).unwrap_or(bytes)
}

impl Tree {
    /// Gives all the turns that can be paid at `now`. Those who got one are told by
    /// [`granted`](Self::granted).
    pub fn dispatch(&mut self, now: Instant) {
        while let Some(&(due, id)) = self.parked.first()
            && due <= now
        {
            self.unpark(id);
            self.stand_in_line(id);
        }
        while self.node(Self::ROOT).parked.is_none() && !self.node(Self::ROOT).line.is_empty() {
            let (stream, bytes) = self.first_in_line();
            match self.who_cannot_pay(stream, bytes, now) {
                None => self.grant(stream, bytes, now),
                Some((node, due)) => self.park(node, due),
            }
        }
    }

    /// When to dispatch next; `None` while nobody waits.
    pub fn next_due(&self) -> Option<Instant> {
        // While the root cannot pay, it helps nobody that another node can.
        let root = self.node(Self::ROOT).parked;
        root.or_else(|| self.parked.first().map(|(due, _)| *due))
    }

    /// The streams whose turn came since this was read last.
    pub fn granted(&mut self) -> impl Iterator<Item = NodeId> + '_ {
        self.granted.drain(..)
    }

    /// The stream to be served next, and its share of an interval of what it asked for.
    fn first_in_line(&self) -> (NodeId, u64) {
        // Of those in line, and of all there are: what one takes while the others are quiet it waits for later.
        let (mut quantum, mut ahead) = (u64::MAX, u64::MAX);
        let mut at = Self::ROOT;
        loop {
            let node = self.node(at);
            let Some(&(_, _, child)) = node.line.first() else {
                let Ask::Waiting(wanted) = node.ask else { unreachable!("who stands in line waits") };
                return (at, wanted.min(quantum).min(ahead.max(MIN_AHEAD)));
            };
            if let (Some(meter), false) = (&node.meter, node.budget.report_only) {
                quantum = quantum.min(meter.quantum());
                ahead = ahead.min(meter.quantum().saturating_mul(MAX_INTERVALS));
            }
            if quantum != u64::MAX {
                let weight = self.node(child).weight();
                quantum = share(quantum, weight, node.line_weight).max(quantum.min(MIN_QUANTUM));
                ahead = share(ahead, weight, node.children_weight);
            }
            at = child;
        }
    }

    /// The lowest node above `stream` that cannot pay `bytes` now, and when it can.
    fn who_cannot_pay(&mut self, stream: NodeId, bytes: u64, now: Instant) -> Option<(NodeId, Instant)> {
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

    /// Books a turn for `stream` on the whole way up, and lets those who still want more stand in line
    /// where the turn ended.
    fn grant(&mut self, stream: NodeId, bytes: u64, now: Instant) {
        let leaf = self.node_mut(stream);
        leaf.ask = Ask::Granted(bytes);
        leaf.passed.bytes = leaf.passed.bytes.saturating_add(bytes);
        self.granted.push(stream);
        let mut child = stream;
        while let Some(parent) = self.node(child).parent {
            let (began, _) = self.node(child).place.expect("the way up from the first in line");
            self.node_mut(parent).served(bytes, began);
            self.step_out(child);
            self.node_mut(child).finish = began;
            self.node_mut(child).finish_later(bytes);
            if self.node(child).wants() {
                // It never left: what it is owed stays, however far the line's time has moved.
                let from = self.node(child).finish;
                self.step_in(child, from);
            }
            let over = self.node_mut(parent).pay(bytes, now);
            self.note_over(parent, over);
            child = parent;
        }
    }

    /// Lets a node that wants something stand in its parent's line, and its parent in its own, up to the
    /// first that does already or cannot pay.
    pub(super) fn stand_in_line(&mut self, id: NodeId) {
        let mut at = id;
        loop {
            let node = self.node(at);
            if !node.wants() || node.place.is_some() || node.parked.is_some() {
                return;
            }
            let Some(parent) = node.parent else { return };
            let from = node.finish.max(self.node(parent).time);
            self.step_in(at, from);
            // The parent was parked for a turn that this one may come before, or make smaller.
            self.unpark(parent);
            at = parent;
        }
    }

    /// Takes a node out of its parent's line, and the parent out of its own if it was the last.
    pub(super) fn leave_line(&mut self, id: NodeId) {
        let mut at = id;
        while self.node(at).place.is_some() {
            self.step_out(at);
            let parent = self.node(at).parent.expect("who has a place has a parent");
            if self.node(parent).wants() {
                return;
            }
            self.unpark(parent);
            at = parent;
        }
    }

    fn step_in(&mut self, id: NodeId, from: u128) {
        self.arrivals += 1;
        let arrival = self.arrivals;
        let node = self.node_mut(id);
        node.place = Some((from, arrival));
        let weight = node.weight();
        let parent = node.parent.expect("the root stands in no line");
        let parent = self.node_mut(parent);
        parent.line.insert((from, arrival, id));
        parent.line_weight += weight;
    }

    fn step_out(&mut self, id: NodeId) {
        let node = self.node_mut(id);
        let (Some((from, arrival)), Some(parent)) = (node.place.take(), node.parent) else { return };
        let weight = node.weight();
        let parent = self.node_mut(parent);
        parent.line.remove(&(from, arrival, id));
        parent.line_weight -= weight;
    }

    /// Keeps a node out of its parent's line until it can pay.
    fn park(&mut self, id: NodeId, due: Instant) {
        self.leave_line(id);
        self.node_mut(id).parked = Some(due);
        self.parked.insert((due, id));
    }

    pub(super) fn unpark(&mut self, id: NodeId) {
        if let Some(due) = self.node_mut(id).parked.take() {
            self.parked.remove(&(due, id));
        }
    }
}
