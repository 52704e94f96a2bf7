//! Shared budgets, driven: handles to the nodes of a [`Tree`], and places in its line.
//!
//! The tree itself is pure and knows who comes next; here are its lock, its one timer and the wake-ups.
//! While streams wait, one alarm is set on the clock for the instant at which the next turn can be paid.
//! When it rings, all turns that are due are given, and the streams whose turn came are woken, nobody
//! else. The lock is held for the arithmetic only.

mod clients;
mod each;
mod flow;
mod gate;
mod held;
mod key;
mod shared_tree;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::{Clock, Instant};
use crate::limit::{Budget, NodeId, Passed, Rate, Tree, Weight};

pub use clients::Clients;
pub use each::Each;
pub use flow::Flow;
pub use gate::Gate;
pub use held::{Held, HeldBy};
pub use key::ClientKey;

use shared_tree::SharedTree;

/// A handle to one node of a tree of budgets. Clones are the same node: what one sets, all see.
///
/// A change reaches every stream below at once, those that wait too. The node lives as long as a handle,
/// a child or a [`Flow`] of it does.
///
/// ```
/// use std::sync::Arc;
/// use sluicegate_core::budget::Node;
/// use sluicegate_core::clock::ManualClock;
/// use sluicegate_core::limit::{Budget, Rate};
///
/// let server = Node::root("server", Budget::of(Rate::new(1 << 20)?), Arc::new(ManualClock::new()));
/// let client = server.child("client", Budget::default());
/// client.set(Budget::of(Rate::new(100 * 1024)?));
/// assert_eq!(client.budget().rate, Some(Rate::new(102_400)?));
/// # Ok::<(), sluicegate_core::limit::ZeroRate>(())
/// ```
#[derive(Clone)]
pub struct Node(Arc<Inner>);

struct Inner {
    tree: Arc<SharedTree>,
    id: NodeId,
    parent: Option<Node>,
    name: Arc<str>,
    /// Held while it is applied to the tree, so that two changes come there in the same order.
    setting: Mutex<Setting>,
    /// Bytes that passed without asking, while no node of the tree had a rate.
    unasked: AtomicU64,
}

/// What a node was told to be. In force is the smaller of both rates.
#[derive(Clone, Copy)]
struct Setting {
    own: Budget,
    ceiling: Option<Rate>,
}

impl Setting {
    fn of(own: Budget) -> Mutex<Self> {
        Mutex::new(Self { own, ceiling: None })
    }

    fn in_force(self) -> Budget {
        let Some(ceiling) = self.ceiling else { return self.own };
        // A ceiling is kept also where the own rate only reports; that one then delays nothing.
        let rate = binding(self.own).map_or(ceiling, |own| own.min(ceiling));
        Budget { rate: Some(rate), report_only: false, ..self.own }
    }
}

/// The rate that a budget keeps, if it has one and does not only report.
fn binding(budget: Budget) -> Option<Rate> {
    budget.rate.filter(|_| !budget.report_only)
}

impl Node {
    /// The root of a new tree, on `clock`.
    pub fn root(name: &str, budget: Budget, clock: Arc<dyn Clock>) -> Self {
        let tree = SharedTree::new(Tree::new(budget, clock.now()), clock);
        tree.limits_changed(None, budget.rate);
        let setting = Setting::of(budget);
        Self(Arc::new(Inner {
            tree,
            id: Tree::ROOT,
            parent: None,
            name: name.into(),
            setting,
            unasked: AtomicU64::new(0),
        }))
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
        let setting = Setting::of(budget);
        Self(Arc::new(Inner {
            tree,
            id,
            parent: Some(self.clone()),
            name,
            setting,
            unasked: AtomicU64::new(0),
        }))
    }

    /// A place for one stream below this node.
    #[must_use]
    pub fn flow(&self, weight: Weight) -> Flow {
        Flow::new(self.clone(), weight)
    }

    /// What the node was named.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The node above.
    pub fn parent(&self) -> Option<&Self> {
        self.0.parent.as_ref()
    }

    /// The limits it was given.
    pub fn budget(&self) -> Budget {
        self.setting().own
    }

    /// The limits in force: those it was given, under the ceiling if there is one.
    pub fn in_force(&self) -> Budget {
        self.0.tree.read(|tree| tree.budget(self.0.id))
    }

    /// Changes the limits for all below, from now on. A ceiling stays.
    pub fn set(&self, budget: Budget) {
        self.change(|setting| setting.own = budget);
    }

    /// Puts a ceiling on the rate, whatever the limits are or are changed to; `None` takes it away.
    pub fn set_ceiling(&self, ceiling: Option<Rate>) {
        self.change(|setting| setting.ceiling = ceiling);
    }

    fn setting(&self) -> MutexGuard<'_, Setting> {
        self.0.setting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Setting)) {
        let mut setting = self.setting();
        change(&mut setting);
        let budget = setting.in_force();
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

    /// What has passed, also while there was no limit in the tree.
    pub fn passed(&self) -> Passed {
        self.with_unasked(self.0.tree.read(|tree| tree.passed(self.0.id)))
    }

    /// The same of the nodes directly below, all together, those that are gone too; the bytes are this
    /// node's own.
    pub fn passed_below(&self) -> Passed {
        self.with_unasked(self.0.tree.read(|tree| tree.passed_below(self.0.id)))
    }

    fn with_unasked(&self, passed: Passed) -> Passed {
        Passed { bytes: passed.bytes + self.0.unasked.load(Ordering::Relaxed), ..passed }
    }

    /// Counts bytes that pass, here and above, while no node has a rate: nobody is asked then, and no lock taken.
    fn pass_unasked(&self, bytes: u64) {
        let mut node = Some(self);
        while let Some(at) = node {
            at.0.unasked.fetch_add(bytes, Ordering::Relaxed);
            node = at.parent();
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    fn rate(bytes_per_second: u64) -> Option<Rate> {
        Rate::or_unlimited(bytes_per_second)
    }

    // The admin API set a rate above the share of a fleet's limit, and that was in force.
    #[test]
    fn a_ceiling_holds_whatever_the_limits_are_changed_to() {
        let node = Node::root("server", Budget::of(rate(400)).with_burst(7), Arc::new(ManualClock::new()));
        node.set_ceiling(rate(500));
        for (own, ceiling, expected) in
            [(400, 500, 400), (600, 500, 500), (0, 500, 500), (600, 1, 1), (600, 0, 600), (0, 0, 0)]
        {
            node.set_ceiling(rate(ceiling));
            node.set(Budget::of(rate(own)).with_burst(7));
            assert_eq!(node.in_force(), Budget::of(rate(expected)).with_burst(7), "{own} under {ceiling}");
            assert_eq!(node.budget().rate, rate(own), "what was asked for is remembered");
            assert_eq!(node.is_limited(), expected != 0);
        }
    }

    #[test]
    fn under_a_ceiling_a_rate_that_only_reports_delays_nothing() {
        let reporting = Budget::of(rate(600)).reporting_only();
        let node = Node::root("server", reporting, Arc::new(ManualClock::new()));
        for ceiling in [500, 900] {
            node.set_ceiling(rate(ceiling));
            assert_eq!(node.in_force(), Budget::of(rate(ceiling)));
        }
        node.set_ceiling(None);
        assert_eq!(node.in_force(), reporting);
    }
}
