//! One stream below a node.

use std::fmt;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use super::{Held, HeldBy, Node};
use crate::clock::Instant;
use crate::limit::{NodeId, Weight};

/// One stream below a [`Node`], a flow in the sense of fair queueing: requests turns to send.
///
/// *Cancel safety*: an abandoned wait keeps its place in the queue; a turn granted meanwhile is returned by the next
/// call. Dropping the flow returns what was granted and not sent.
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
    place: Arc<Place>,
    /// Bytes granted and not sent.
    turn: u64,
    /// The node that cannot pay, and since when.
    waiting: Option<(Arc<str>, Instant)>,
    waited: Vec<(Arc<str>, Duration)>,
    waits: u64,
}

struct Place {
    node: Node,
    /// Names nothing once the flow was dropped.
    id: NodeId,
    is_left: AtomicBool,
}

/// Reports what makes a [`Flow`] wait, while its owner uses it. Equal to others of the same flow.
#[derive(Clone)]
pub struct FlowWatch(Arc<Place>);

impl Flow {
    pub(super) fn new(node: Node, weight: Weight) -> Self {
        let id = node.0.tree.with(|tree, _| tree.add_stream(node.0.id, weight));
        let place = Arc::new(Place { node, id, is_left: AtomicBool::new(false) });
        Self { place, turn: 0, waiting: None, waited: Vec::new(), waits: 0 }
    }

    /// Requests a turn of at most `wanted` bytes. Ready with at least one, or with zero if `wanted` is zero; otherwise the
    /// task is woken when the turn is granted.
    ///
    /// Pass what was sent to [`sent`](Self::sent) before the next call.
    pub fn poll_turn(&mut self, cx: &mut Context<'_>, wanted: u64) -> Poll<u64> {
        if self.turn == 0 && wanted > 0 {
            let (turn, now) = self.node().0.tree.ask(self.place.id, wanted, cx.waker());
            match turn {
                Ok(turn) => self.turn = turn,
                Err(binding) => {
                    if self.waiting.is_none() {
                        self.waiting = Some((self.place.name_of(binding), now));
                        self.waits += 1;
                    }
                    return Poll::Pending;
                }
            }
            if let Some((by, since)) = self.waiting.take() {
                let lasted = now - since;
                match self.waited.iter_mut().find(|(name, _)| *name == by) {
                    Some((_, sum)) => *sum += lasted,
                    None => self.waited.push((by, lasted)),
                }
            }
        }
        Poll::Ready(self.turn.min(wanted))
    }

    /// Has the processor fetch what the next turn uses, all at once.
    pub(super) fn prefetch(&self) {
        black_box((self.turn, self.waits, self.place.id, self.waited.first().map(|(_, lasted)| *lasted)));
    }

    /// Requests a turn as [`poll_turn`](Self::poll_turn) does. Cancel safe.
    pub async fn turn(&mut self, wanted: u64) -> u64 {
        std::future::poll_fn(|cx| self.poll_turn(cx, wanted)).await
    }

    /// Deducts `bytes` from the turn.
    ///
    /// # Panics
    /// In debug builds, if that is more than was granted.
    pub fn sent(&mut self, bytes: u64) {
        debug_assert!(bytes <= self.turn, "no more is sent than was granted");
        self.turn = self.turn.saturating_sub(bytes);
    }

    /// Returns the rest of the turn to the tree.
    pub fn give_back(&mut self) {
        let unsent = std::mem::take(&mut self.turn);
        if unsent > 0 {
            self.node().0.tree.with(|tree, now| tree.give_back(self.place.id, unsent, now));
        }
    }

    /// Returns the node it is below.
    pub fn node(&self) -> &Node {
        &self.place.node
    }

    /// Returns the time waited for turns, by name of the node that could not pay. A wait that lasts is not included.
    pub fn waited(&self) -> &[(Arc<str>, Duration)] {
        &self.waited
    }

    /// Returns the number of waits.
    pub fn waits(&self) -> u64 {
        self.waits
    }

    /// Returns the name of the node that it waits for, and when the turn is expected if no flow joins or leaves. `None` if
    /// it does not wait, or its turn was granted and not fetched yet.
    pub fn held(&self) -> Option<(Arc<str>, Option<Instant>)> {
        self.waiting.as_ref()?;
        self.place.held()
    }

    /// Returns what reports [`held`](Self::held) from elsewhere.
    pub fn watch(&self) -> FlowWatch {
        FlowWatch(Arc::clone(&self.place))
    }
}

impl FlowWatch {
    /// Returns what the flow waits for, as [`Flow::held`] does; `None` also once it was dropped.
    pub fn held(&self) -> Option<Held> {
        let (node, until) = self.0.held()?;
        Some(Held { by: HeldBy::Budget(node), until })
    }
}

impl PartialEq for FlowWatch {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Place {
    fn held(&self) -> Option<(Arc<str>, Option<Instant>)> {
        let (binding, until) = self.node.0.tree.read(|tree| {
            // Set before the stream is removed, which takes the same lock.
            let is_there = !self.is_left.load(Ordering::Relaxed);
            is_there.then(|| (tree.binding(self.id), tree.expected(self.id)))
        })?;
        Some((self.name_of(binding?), until))
    }

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

impl Node {
    /// Adds a flow below this node.
    #[must_use]
    pub fn flow(&self, weight: Weight) -> Flow {
        Flow::new(self.clone(), weight)
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.place.is_left.store(true, Ordering::Relaxed);
        self.node().0.tree.remove_stream(self.place.id, self.turn);
    }
}

impl fmt::Debug for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flow").field("node", self.node()).field("turn", &self.turn).finish_non_exhaustive()
    }
}

impl fmt::Debug for FlowWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlowWatch").field("held", &self.held()).finish_non_exhaustive()
    }
}
