//! A stream's handle to the tree: asks for turns.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::Node;
use crate::clock::Instant;
use crate::limit::{NodeId, Weight};

/// One stream's place below a [`Node`]: asks for turns to send.
///
/// Cancel safe: an abandoned wait keeps its place in the queue, and a turn that comes meanwhile is returned by the
/// next call. Dropping the flow gives back what was granted and not sent.
///
/// ```
/// use std::sync::Arc;
/// use std::task::{Context, Poll, Waker};
/// use sluicegate_core::budget::Node;
/// use sluicegate_core::clock::ManualClock;
/// use sluicegate_core::limit::{Budget, Rate};
///
/// let clock = Arc::new(ManualClock::new());
/// let root = Node::root("server", Budget::of(Rate::or_unlimited(10_000)), clock.clone());
/// let mut flow = root.flow(Default::default());
/// let mut cx = Context::from_waker(Waker::noop());
///
/// assert_eq!(flow.poll_turn(&mut cx, 5_000), Poll::Ready(2_000), "an interval's worth");
/// flow.sent(2_000);
/// assert_eq!(flow.poll_turn(&mut cx, 1_000), Poll::Pending);
/// clock.advance_to_next();
/// assert_eq!(flow.poll_turn(&mut cx, 1_000), Poll::Ready(1_000));
/// ```
pub struct Flow {
    node: Node,
    stream: NodeId,
    /// Bytes granted and not sent.
    turn: u64,
    /// The node that it waits for, and since when.
    waiting: Option<(Arc<str>, Instant)>,
    waited: Vec<(Arc<str>, Duration)>,
    waits: u64,
}

impl Flow {
    pub(super) fn new(node: Node, weight: Weight) -> Self {
        let stream = node.0.tree.with(|tree, _| tree.add_stream(node.0.id, weight));
        Self { node, stream, turn: 0, waiting: None, waited: Vec::new(), waits: 0 }
    }

    /// Ready with how many bytes may be sent now, at least one and at most `wanted`; else the task is woken when the
    /// turn comes. Ready with zero if `wanted` is zero.
    ///
    /// Call [`sent`](Self::sent) with what was sent of it before asking again.
    pub fn poll_turn(&mut self, cx: &mut Context<'_>, wanted: u64) -> Poll<u64> {
        if self.turn == 0 && wanted > 0 {
            match self.node.0.tree.ask(self.stream, wanted, cx.waker()) {
                Ok(turn) => self.turn = turn,
                Err(binding) => {
                    if self.waiting.is_none() {
                        self.waiting = Some((self.name_of(binding), self.node.clock().now()));
                        self.waits += 1;
                    }
                    return Poll::Pending;
                }
            }
            if let Some((by, since)) = self.waiting.take() {
                let lasted = self.node.clock().now() - since;
                match self.waited.iter_mut().find(|(name, _)| *name == by) {
                    Some((_, sum)) => *sum += lasted,
                    None => self.waited.push((by, lasted)),
                }
            }
        }
        Poll::Ready(self.turn.min(wanted))
    }

    /// [`poll_turn`](Self::poll_turn) as a future. Cancel safe.
    pub async fn turn(&mut self, wanted: u64) -> u64 {
        std::future::poll_fn(|cx| self.poll_turn(cx, wanted)).await
    }

    /// Takes what was sent off the turn.
    pub fn sent(&mut self, bytes: u64) {
        debug_assert!(bytes <= self.turn, "no more is sent than was granted");
        self.turn = self.turn.saturating_sub(bytes);
    }

    /// Gives the rest of the turn back to the others.
    pub fn give_back(&mut self) {
        let unsent = std::mem::take(&mut self.turn);
        if unsent > 0 {
            self.node.0.tree.with(|tree, now| tree.give_back(self.stream, unsent, now));
        }
    }

    /// The node it stands below.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// How long it waited for turns, by the names of the nodes that could not pay; the present wait is not
    /// included.
    pub fn waited(&self) -> &[(Arc<str>, Duration)] {
        &self.waited
    }

    /// How often it had to wait.
    pub fn waits(&self) -> u64 {
        self.waits
    }

    /// What makes it wait at the moment: the name of the node, and when the turn comes, about, if nobody
    /// comes or goes. `None` also when the turn came and was not fetched yet.
    pub fn held(&self) -> Option<(Arc<str>, Option<Instant>)> {
        self.waiting.as_ref()?;
        let (binding, until) =
            self.node.0.tree.read(|tree| (tree.binding(self.stream), tree.expected(self.stream)));
        Some((self.name_of(binding?), until))
    }

    /// The name of a node above.
    fn name_of(&self, id: NodeId) -> Arc<str> {
        let mut node = &self.node;
        while node.0.id != id
            && let Some(parent) = node.parent()
        {
            node = parent;
        }
        Arc::clone(&node.0.name)
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.node.0.tree.remove_stream(self.stream, self.turn);
    }
}

impl fmt::Debug for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flow").field("node", &self.node).field("turn", &self.turn).finish_non_exhaustive()
    }
}
