//! Shared budgets, driven: handles to the nodes of a [`Tree`], and places in its line.
//!
//! The tree itself is pure and knows who comes next; here are its lock, its one timer and the wake-ups.
//! While streams wait, one alarm is set on the clock for the instant at which the next turn can be paid.
//! When it rings, all turns that are due are given, and the streams whose turn came are woken, nobody
//! else. The lock is held for the arithmetic only.

mod alarm;
mod clients;
mod each;
mod gate;
mod key;
mod seat;

use std::fmt;
use std::sync::Arc;

use crate::clock::{Clock, Instant};
use crate::limit::{Budget, NodeId, Passed, Tree, Weight};

pub use clients::Clients;
pub use each::Each;
pub use gate::{Gate, Hold};
pub use key::ClientKey;
pub use seat::Seat;

use alarm::Driven;

/// A handle to one node of a tree of budgets. Clones are the same node: what one sets, all see.
///
/// A change reaches every stream below at once, those that wait too. The node lives as long as a handle,
/// a child or a [`Seat`] of it does.
///
/// ```
/// use std::sync::Arc;
/// use sluicegate::budget::Node;
/// use sluicegate::clock::ManualClock;
/// use sluicegate::limit::{Budget, Rate};
///
/// let server = Node::root("server", Budget::of(Rate::new(1 << 20)), Arc::new(ManualClock::new()));
/// let client = server.child("client", Budget::default());
/// client.set(Budget::of(Rate::new(100 * 1024)));
/// assert_eq!(client.budget().rate, Rate::new(102_400));
/// ```
#[derive(Clone)]
pub struct Node(Arc<Inner>);

struct Inner {
    tree: Arc<Driven>,
    id: NodeId,
    parent: Option<Node>,
    name: Arc<str>,
}

impl Node {
    /// The root of a new tree, on `clock`.
    pub fn root(name: &str, budget: Budget, clock: Arc<dyn Clock>) -> Self {
        let tree = Driven::new(Tree::new(budget, clock.now()), clock);
        tree.limits_changed(None, budget.rate);
        Self(Arc::new(Inner { tree, id: Tree::ROOT, parent: None, name: name.into() }))
    }

    /// A new node below this one, with a full burst.
    #[must_use]
    pub fn child(&self, name: &str, budget: Budget) -> Self {
        self.child_named(name.into(), budget)
    }

    fn child_named(&self, name: Arc<str>, budget: Budget) -> Self {
        let tree = Arc::clone(&self.0.tree);
        let id = tree.with(|tree, now| tree.add(self.0.id, budget, now));
        tree.limits_changed(None, budget.rate);
        Self(Arc::new(Inner { tree, id, parent: Some(self.clone()), name }))
    }

    /// A place for one stream below this node.
    #[must_use]
    pub fn seat(&self, weight: Weight) -> Seat {
        Seat::below(self.clone(), weight)
    }

    /// What the node was named.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The node above.
    pub fn parent(&self) -> Option<&Self> {
        self.0.parent.as_ref()
    }

    /// The limits in force.
    pub fn budget(&self) -> Budget {
        self.0.tree.read(|tree| tree.budget(self.0.id))
    }

    /// Changes the limits for all below, from now on.
    pub fn set(&self, budget: Budget) {
        let tree = &self.0.tree;
        let old = tree.with(|tree, now| {
            let old = tree.budget(self.0.id);
            if old != budget {
                tree.set_budget(self.0.id, budget, now);
            }
            old
        });
        tree.limits_changed(old.rate, budget.rate);
    }

    /// What has passed while there was some limit in the tree.
    pub fn passed(&self) -> Passed {
        self.0.tree.read(|tree| tree.passed(self.0.id))
    }

    /// The same of the nodes directly below, all together, those that are gone too; the bytes are this
    /// node's own.
    pub fn passed_below(&self) -> Passed {
        self.0.tree.read(|tree| tree.passed_below(self.0.id))
    }

    /// Books bytes that were sent without asking, here and above. The next turn waits for them; for no
    /// longer than a second, however many they were.
    pub fn debit(&self, bytes: u64) {
        if bytes > 0 && self.is_limited() {
            self.0.tree.with(|tree, now| tree.debit(self.0.id, bytes, now));
        }
    }

    /// Whether some node of the tree has a rate. While none has, streams need not ask.
    pub fn is_limited(&self) -> bool {
        self.0.tree.is_limited()
    }

    /// Nodes and streams directly below.
    pub fn children(&self) -> usize {
        self.0.tree.read(|tree| tree.children(self.0.id))
    }

    /// The clock that turns are reckoned on.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        self.0.tree.clock()
    }

    /// When nothing of the node's past counts any more.
    fn forgettable_at(&self) -> Instant {
        self.0.tree.read(|tree| tree.forgettable_at(self.0.id))
    }

    /// Whether nothing but this one handle holds the node.
    fn is_unused(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if self.parent.is_some() {
            let rate = self.tree.with(|tree, now| {
                let rate = tree.budget(self.id).rate;
                tree.remove(self.id, now);
                rate
            });
            self.tree.limits_changed(rate, None);
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("name", &self.name()).field("budget", &self.budget()).finish()
    }
}
