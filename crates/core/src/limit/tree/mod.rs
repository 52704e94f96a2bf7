//! The tree of budgets, which decides the order and size of turns: hierarchical start-time fair queueing over token buckets.
//!
//! A stream is a leaf; it requests bytes and gets a *grant* when every node above can pay. At a shared node each child has one
//! place in the queue, which a client with twenty streams passes round among its own. So rates are met, what one child leaves
//! the others use, and shares are equal (or by weight) whatever the number of streams below a child.
//!
//! Each node has a virtual time, in bytes per unit of weight. A child that begins to wait is queued at that time, or at the end
//! of its last grant if that is later; the first in the queue is served next. Each grant advances the virtual time by its bytes
//! divided by the weights of all children, as in WF²Q+, so that no flood of newcomers can stop it, and a newcomer waits for
//! little more than the current grant. (Goyal, Vin, Cheng 1996; Bennett, Zhang 1996.)
//!
//! A child that asks again before any that began later was served goes on where its last grant ended, so heavy ones get their
//! weight also in small pieces. One that was away, because its own tokens were short or because it sent what was granted, goes on
//! at most a round's worth behind the virtual time: what each gets in an interval.
//!
//! A node whose own limit holds makes grants of half an interval's worth, and so do all that it may have to wait for: the bucket
//! would be full before its turn comes, and what it earned then would be lost. A stream counts beside others until it has collected
//! what it was granted, so that turns of those which are served meanwhile are no larger than its own.
//!
//! A grant is at most the stream's share of one interval, so that a round of all waiting streams takes about one interval;
//! while most are idle it is at most what would be its share of a second, so that no stream is far ahead when they start. A
//! grant costs O(depth × log n). No grant is made before its tokens are there: the driver calls [`Tree::dispatch`] at
//! [`Tree::next_due`], and wakes exactly the streams granted.
//!
//! Pure: is passed `now`; has no clock, task or lock.

mod budget;
mod leaves;
mod node;
mod queue;
mod scheduler;

use std::num::NonZeroU64;

use slab::Slab;

pub use budget::{Budget, Weight};
pub use node::{NodeId, Passed};

use crate::clock::Instant;
use node::Node;
use queue::Queue;

/// The smallest share of a grant, in bytes: with very many streams under a small rate a round takes longer, and packets keep
/// a sensible size.
pub const MIN_QUANTUM: u64 = 1024;

/// A tree of budgets.
///
/// ```
/// use sluicegate_core::clock::Instant;
/// use sluicegate_core::limit::{Budget, Rate, Tree};
///
/// // Two streams under one root of 10 000 B/s: 2 000 bytes an interval, shared.
/// let now = Instant::ZERO;
/// let mut tree = Tree::new(Budget::of(Rate::or_unlimited(10_000)), now);
/// let (a, b) = (tree.add_stream(Tree::ROOT, Default::default()), tree.add_stream(Tree::ROOT, Default::default()));
///
/// assert_eq!(tree.ask(a, 5_000, now), Some(2_000), "all the root holds");
/// assert_eq!(tree.ask(b, 5_000, now), None, "waits");
/// assert_eq!(tree.next_due(), Some(Instant::from_millis(200)));
/// tree.dispatch(Instant::from_millis(200));
/// assert_eq!(tree.granted().collect::<Vec<_>>(), [b]);
/// assert_eq!(tree.ask(b, 5_000, Instant::from_millis(200)), Some(2_000));
/// ```
#[derive(Debug)]
pub struct Tree {
    nodes: Slab<Node>,
    /// Nodes that cannot pay what is requested below, by when they can.
    parked: Queue<(Instant, NodeId)>,
    /// Streams that were granted a turn since [`granted`](Self::granted) was read.
    granted: Vec<NodeId>,
    /// Orders children that were queued at the same virtual time: first come, first served.
    arrivals: NonZeroU64,
}

impl Tree {
    /// The root.
    pub const ROOT: NodeId = NodeId(0);

    /// Creates a tree of one node.
    pub fn new(root: Budget, now: Instant) -> Self {
        let mut nodes = Slab::new();
        let at = nodes.insert(Node::inner(None, root, now));
        debug_assert_eq!(at, Self::ROOT.0);
        Self { nodes, parked: Queue::default(), granted: Vec::new(), arrivals: NonZeroU64::MIN }
    }

    /// Adds a node with a full burst.
    pub fn add(&mut self, parent: NodeId, budget: Budget, now: Instant) -> NodeId {
        self.insert(parent, Node::inner(Some(parent), budget, now))
    }

    /// Adds a stream.
    pub fn add_stream(&mut self, parent: NodeId, weight: Weight) -> NodeId {
        self.insert(parent, Node::stream(parent, weight))
    }

    fn insert(&mut self, parent: NodeId, mut node: Node) -> NodeId {
        let above = self.node_mut(parent).parts_mut();
        node.finish = above.time;
        above.children += 1;
        above.children_weight += node.weight();
        NodeId(self.nodes.insert(node))
    }

    /// Removes a node or a stream. What was granted to a stream and not [given back](Self::give_back) counts as sent.
    ///
    /// # Panics
    /// If the node still has children, or is the root.
    pub fn remove(&mut self, id: NodeId, now: Instant) {
        assert_eq!(self.children(id), 0, "a node with children cannot be removed");
        let parent = self.node(id).parent.expect("the root cannot be removed");
        self.dequeue(id);
        self.unpark(id);
        self.quiet(id);
        self.granted.retain(|granted| *granted != id);
        let weight = self.nodes.remove(id.0).weight();
        let above = self.node_mut(parent).parts_mut();
        above.children -= 1;
        above.children_weight -= weight;
        self.dispatch(now);
    }

    /// Returns the budget of a node.
    pub fn budget(&self, id: NodeId) -> Budget {
        self.node(id).budget()
    }

    /// Sets the budget of a node from `now` on, also for streams that wait.
    pub fn set_budget(&mut self, id: NodeId, budget: Budget, now: Instant) {
        self.dequeue(id);
        self.unpark(id);
        if let Some(parent) = self.node(id).parent {
            let (old, new) = (self.node(id).weight(), u64::from(budget.weight.get()));
            let (is_counted, is_weighed) = (self.node(id).is_counted, self.node(id).is_weighed);
            let above = self.node_mut(parent).parts_mut();
            above.children_weight = above.children_weight - old + new;
            if is_counted {
                above.waiting_weight = above.waiting_weight - old + new;
            }
            if is_weighed {
                above.queued_weight = above.queued_weight - old + new;
            }
        }
        self.set_short(id, false);
        self.node_mut(id).change(budget, now);
        self.enqueue(id);
        self.dispatch(now);
    }

    /// Charges bytes that passed without a turn (heads, framing) to a stream or a node and to all above. No node owes more than
    /// one second of its rate for it.
    pub fn debit(&mut self, id: NodeId, bytes: u64, now: Instant) {
        let mut at = id;
        loop {
            let node = self.node_mut(at);
            let over = node.debit(bytes, now);
            let Some(parent) = node.parent else { return };
            node.finish_later(bytes);
            self.note_over(at, over);
            at = parent;
        }
    }

    /// Returns what passed through a node so far, and how often streams waited for it.
    pub fn passed(&self, id: NodeId) -> Passed {
        let node = self.node(id);
        let (waits, over) = node.shared().map_or((0, 0), |shared| (shared.waits, shared.over));
        Passed { bytes: node.bytes, waits, over }
    }

    /// Returns the sums of the nodes directly below one, removed ones included. The bytes are those of the node
    /// itself, so that streams directly below it are counted.
    pub fn passed_below(&self, id: NodeId) -> Passed {
        let node = self.node(id);
        let below = node.shared().map_or_else(Default::default, |shared| shared.below);
        Passed { bytes: node.bytes, waits: below.waits, over: below.over }
    }

    /// Adds what `id` only reported to the sums of the node above it.
    fn note_over(&mut self, id: NodeId, over: u64) {
        if let (1.., Some(above)) = (over, self.node(id).parent) {
            let below = &mut self.node_mut(above).parts_mut().below;
            below.over = below.over.saturating_add(over);
        }
    }

    /// Returns the number of nodes and streams directly below a node.
    pub fn children(&self, id: NodeId) -> usize {
        self.node(id).shared().map_or(0, |shared| shared.children)
    }

    /// Returns when a node without children may be removed without loss: its burst is full again. An instant that
    /// has passed if it is already.
    pub fn forgettable_at(&self, id: NodeId) -> Instant {
        let meter = self.node(id).shared().and_then(|shared| shared.meter.as_ref());
        meter.map_or(Instant::ZERO, budget::Meter::full_at)
    }

    /// Returns the number of nodes and streams, the root included.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Returns false: there is a root.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id.0]
    }
}
