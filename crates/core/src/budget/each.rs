//! One budget for each of many nodes.

use std::fmt;
use std::sync::{Arc, Weak};

use super::node::{Inner, Node};
use crate::limit::Budget;
use crate::sync::Mutex;

/// The budget that each of many nodes has, as of connections or responses; clones share it.
///
/// ```
/// use std::sync::Arc;
/// use sluicegate_core::budget::{Each, Node};
/// use sluicegate_core::clock::ManualClock;
/// use sluicegate_core::limit::{Budget, Rate};
///
/// let server = Node::root("server", Budget::default(), Arc::new(ManualClock::new()));
/// let each = Each::new("connection", Budget::of(Rate::or_unlimited(1_000)));
/// let (one, two) = (each.child_of(&server), each.child_of(&server));
/// each.set(Budget::of(Rate::or_unlimited(2_000)));
/// assert_eq!((one.budget().rate, two.budget().rate), (Rate::or_unlimited(2_000), Rate::or_unlimited(2_000)));
/// ```
#[derive(Clone)]
pub struct Each(Arc<Shared>);

struct Shared {
    name: Arc<str>,
    state: Mutex<State>,
}

struct State {
    budget: Budget,
    nodes: Vec<Weak<Inner>>,
    /// Length of `nodes` at which dead ones are removed.
    prune_at: usize,
}

impl Each {
    const MIN_PRUNE: usize = 64;

    /// Creates the budget of nodes that are called `name`.
    pub fn new(name: &str, budget: impl Into<Budget>) -> Self {
        let state = State { budget: budget.into(), nodes: Vec::new(), prune_at: Self::MIN_PRUNE };
        Self(Arc::new(Shared { name: name.into(), state: Mutex::new(state) }))
    }

    /// Creates a node below `parent`, with a full burst.
    #[must_use]
    pub fn child_of(&self, parent: &Node) -> Node {
        let mut state = self.0.state.lock();
        if state.nodes.len() >= state.prune_at {
            state.nodes.retain(|node| node.strong_count() > 0);
            state.prune_at = (state.nodes.len() * 2).max(Self::MIN_PRUNE);
        }
        let node = parent.child_named(Arc::clone(&self.0.name), state.budget);
        state.nodes.push(Arc::downgrade(&node.0));
        node
    }

    /// Returns the budget.
    pub fn budget(&self) -> Budget {
        self.0.state.lock().budget
    }

    /// Sets the budget of all nodes, present and future; also of one that was set by itself.
    pub fn set(&self, budget: impl Into<Budget>) {
        let budget = budget.into();
        let mut state = self.0.state.lock();
        state.budget = budget;
        state.nodes.iter().filter_map(Weak::upgrade).for_each(|node| Node(node).set(budget));
    }

    /// Returns the number of nodes that are alive.
    pub fn len(&self) -> usize {
        self.0.state.lock().nodes.iter().filter(|node| node.strong_count() > 0).count()
    }

    /// Returns whether no node is alive.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for Each {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Each").field("name", &self.0.name).field("budget", &self.budget()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn dead_nodes_take_no_memory() {
        let server = Node::root("server", Budget::default(), Arc::new(ManualClock::new()));
        let each = Each::new("connection", Budget::default());
        let kept: Vec<Node> = (0..100).map(|_| each.child_of(&server)).collect();
        for _ in 0..10_000 {
            drop(each.child_of(&server));
        }
        assert_eq!((each.len(), server.children()), (100, 100));
        assert!(each.0.state.lock().nodes.len() <= 201, "{} are kept", each.0.state.lock().nodes.len());
        drop(kept);
        assert!(each.is_empty());
    }
}
