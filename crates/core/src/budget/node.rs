//! One node of a tree of budgets.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::shared_tree::SharedTree;
use crate::clock::{Clock, Instant};
use crate::limit::{Budget, NodeId, Passed, Rate, Tree};
use crate::sync::Mutex;

/// A handle to one node of a tree of budgets; clones share the node.
///
/// A change applies to every flow below at once, also to those that wait. The node lives as long as a handle, a child or
/// a [`Flow`](super::Flow) of it.
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
pub struct Node(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) tree: Arc<SharedTree>,
    pub(super) id: NodeId,
    parent: Option<Node>,
    pub(super) name: Arc<str>,
    /// Locked while a change is applied to the tree, so that changes reach it in order.
    setting: Mutex<Setting>,
    /// Bytes sent without a turn, while no node of the tree had a rate.
    unasked: AtomicU64,
}

/// What a node was set to. The smaller rate is in force.
#[derive(Clone, Copy, Default)]
struct Setting {
    own: Budget,
    ceiling: Option<Rate>,
}

impl Setting {
    fn in_force(self) -> Budget {
        let Some(ceiling) = self.ceiling else { return self.own };
        // A ceiling holds also over a rate that only reports, which itself delays nothing.
        let rate = binding(self.own).map_or(ceiling, |own| own.min(ceiling));
        Budget { rate: Some(rate), report_only: false, ..self.own }
    }
}

/// The rate that delays, if there is one.
fn binding(budget: Budget) -> Option<Rate> {
    budget.rate.filter(|_| !budget.report_only)
}

impl Node {
    /// Creates the root of a new tree on `clock`.
    pub fn root(name: &str, budget: impl Into<Budget>, clock: Arc<dyn Clock>) -> Self {
        let budget = budget.into();
        let tree = SharedTree::new(Tree::new(budget, clock.now()), clock);
        Self::with_id(tree, Tree::ROOT, None, name.into(), budget)
    }

    fn with_id(
        tree: Arc<SharedTree>,
        id: NodeId,
        parent: Option<Self>,
        name: Arc<str>,
        budget: Budget,
    ) -> Self {
        tree.limits_changed(None, budget.rate);
        let setting = Mutex::new(Setting { own: budget, ceiling: None });
        Self(Arc::new(Inner { tree, id, parent, name, setting, unasked: AtomicU64::new(0) }))
    }

    /// Creates a node below this one, with a full burst.
    #[must_use]
    pub fn child(&self, name: &str, budget: impl Into<Budget>) -> Self {
        self.child_named(name.into(), budget.into())
    }

    pub(super) fn child_named(&self, name: Arc<str>, budget: Budget) -> Self {
        let tree = Arc::clone(&self.0.tree);
        let id = tree.with(|tree, now| tree.add(self.0.id, budget, now));
        Self::with_id(tree, id, Some(self.clone()), name, budget)
    }

    /// Returns the name, which waits and reports show.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns the node above; `None` for the root.
    pub fn parent(&self) -> Option<&Self> {
        self.0.parent.as_ref()
    }

    /// Returns the limits it was set to.
    pub fn budget(&self) -> Budget {
        self.0.setting.lock().own
    }

    /// Returns the limits in force: those it was set to, under the ceiling if there is one.
    pub fn in_force(&self) -> Budget {
        self.0.tree.read(|tree| tree.budget(self.0.id))
    }

    /// Sets the limits, from now on. A ceiling stays.
    ///
    /// All of them: a plain [`Rate`] is a budget without a burst, of weight 1.
    ///
    /// ```
    /// use sluicegate_core::budget::Node;
    /// use sluicegate_core::limit::{Budget, Rate};
    ///
    /// let (one, two) = (Rate::mib_per_second(1), Rate::mib_per_second(2));
    /// let downloads = Node::at(Budget::of(one).with_burst(4 << 20));
    /// downloads.set(Budget { rate: Some(two), ..downloads.budget() });
    /// assert_eq!(downloads.budget().burst, 4 << 20, "kept");
    /// downloads.set(two);
    /// assert_eq!(downloads.budget().burst, 0);
    /// downloads.set(None);
    /// assert!(!downloads.is_limited());
    /// ```
    pub fn set(&self, budget: impl Into<Budget>) {
        let budget = budget.into();
        self.change(|setting| setting.own = budget);
    }

    /// Caps the rate, whatever the limits are set to before or after; `None` removes the cap.
    pub fn set_ceiling(&self, ceiling: Option<Rate>) {
        self.change(|setting| setting.ceiling = ceiling);
    }

    fn change(&self, change: impl FnOnce(&mut Setting)) {
        let mut setting = self.0.setting.lock();
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

    /// Returns what has passed, also while the tree had no limit.
    pub fn passed(&self) -> Passed {
        self.with_unasked(self.0.tree.read(|tree| tree.passed(self.0.id)))
    }

    /// Returns the sums over the nodes directly below, also of those that are gone; the bytes are this node's.
    pub fn passed_below(&self) -> Passed {
        self.with_unasked(self.0.tree.read(|tree| tree.passed_below(self.0.id)))
    }

    fn with_unasked(&self, passed: Passed) -> Passed {
        Passed { bytes: passed.bytes + self.0.unasked.load(Ordering::Relaxed), ..passed }
    }

    /// Counts bytes sent without a turn, here and above. Takes no lock.
    pub(super) fn pass_unasked(&self, bytes: u64) {
        let mut node = Some(self);
        while let Some(at) = node {
            at.0.unasked.fetch_add(bytes, Ordering::Relaxed);
            node = at.parent();
        }
    }

    /// Charges bytes that were sent without a turn, here and above. The next turn waits until they are paid, but at most
    /// one second.
    pub fn debit(&self, bytes: u64) {
        if bytes > 0 && self.is_limited() {
            self.0.tree.with(|tree, now| tree.debit(self.0.id, bytes, now));
        }
    }

    /// Returns whether any node of the tree has a rate. While none has, no turns are needed.
    pub fn is_limited(&self) -> bool {
        self.0.tree.is_limited()
    }

    /// Returns the number of nodes and flows directly below.
    pub fn children(&self) -> usize {
        self.0.tree.read(|tree| tree.children(self.0.id))
    }

    /// Returns the clock of the tree.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        self.0.tree.clock()
    }

    /// When the node is as a new one would be: burst full, no debt.
    pub(super) fn forgettable_at(&self) -> Instant {
        self.0.tree.read(|tree| tree.forgettable_at(self.0.id))
    }

    /// Whether this is the only handle.
    pub(super) fn is_unused(&self) -> bool {
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
            assert_eq!(node.budget().rate, rate(own), "the setting is kept");
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
