//! The clients below one node: a node for each key, made when it is first seen and forgotten when idle.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{ClientKey, Node};
use crate::limit::{Budget, Passed};

/// Clients below a node, each with the same budget unless it was given its own.
///
/// A client's node is kept until nothing of its past counts any more (its burst is whole, no debt is
/// left), so leaving and coming back is no way round a limit. Memory is bounded: of those kept for their
/// past alone, the oldest are forgotten beyond [`MAX_IDLE`](Self::MAX_IDLE).
#[derive(Clone)]
pub struct Clients(Arc<Book>);

struct Book {
    above: Node,
    name: Arc<str>,
    keyed: Mutex<Keyed>,
}

struct Keyed {
    budget: Budget,
    nodes: HashMap<ClientKey, Node>,
    /// All keys in turn, looked at one by one for those that can be forgotten.
    round: VecDeque<ClientKey>,
    own: HashMap<ClientKey, Budget>,
}

/// There are as many clients with a budget of their own as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyOverrides;

impl Clients {
    /// The most clients that are remembered for their past alone.
    pub const MAX_IDLE: usize = 65_536;

    /// The most clients that may have a budget of their own.
    pub const MAX_OVERRIDES: usize = 10_000;

    /// Nodes looked at for each new one, so that more are forgotten than come.
    const LOOKS: usize = 4;

    /// Clients below `above`, each under `budget`.
    pub fn new(above: Node, name: &str, budget: Budget) -> Self {
        above.0.tree.limits_changed(None, budget.rate);
        let keyed = Keyed { budget, nodes: HashMap::new(), round: VecDeque::new(), own: HashMap::new() };
        Self(Arc::new(Book { above, name: name.into(), keyed: Mutex::new(keyed) }))
    }

    /// The node above all of them.
    pub fn above(&self) -> &Node {
        &self.0.above
    }

    /// The node of one client.
    pub fn node(&self, key: &ClientKey) -> Node {
        let mut keyed = self.lock();
        if let Some(node) = keyed.nodes.get(key) {
            return node.clone();
        }
        keyed.forget(self.0.above.clock().now());
        let budget = keyed.own.get(key).copied().unwrap_or(keyed.budget);
        let node = self.0.above.child_named(Arc::clone(&self.0.name), budget);
        keyed.nodes.insert(key.clone(), node.clone());
        keyed.round.push_back(key.clone());
        node
    }

    /// What each client has that was not given its own.
    pub fn budget(&self) -> Budget {
        self.lock().budget
    }

    /// Changes it for all of them, from now on.
    pub fn set(&self, budget: Budget) {
        let mut keyed = self.lock();
        self.0.above.0.tree.limits_changed(keyed.budget.rate, budget.rate);
        keyed.budget = budget;
        for (key, node) in &keyed.nodes {
            if !keyed.own.contains_key(key) {
                node.set(budget);
            }
        }
    }

    /// Changes it for all of them, those that were given their own included: none has its own then.
    pub fn reset(&self, budget: Budget) {
        let mut keyed = self.lock();
        let tree = &self.0.above.0.tree;
        for own in std::mem::take(&mut keyed.own).into_values() {
            tree.limits_changed(own.rate, None);
        }
        tree.limits_changed(keyed.budget.rate, budget.rate);
        keyed.budget = budget;
        keyed.nodes.values().for_each(|node| node.set(budget));
    }

    /// Gives one client a budget of its own, or with `None` what the others have.
    ///
    /// # Errors
    /// [`MAX_OVERRIDES`](Self::MAX_OVERRIDES) have one already.
    pub fn set_override(&self, key: &ClientKey, budget: Option<Budget>) -> Result<(), TooManyOverrides> {
        let mut keyed = self.lock();
        let old = match budget {
            Some(budget) => {
                if keyed.own.len() >= Self::MAX_OVERRIDES && !keyed.own.contains_key(key) {
                    return Err(TooManyOverrides);
                }
                keyed.own.insert(key.clone(), budget)
            }
            None => keyed.own.remove(key),
        };
        let rate = |own: Option<Budget>| own.and_then(|own| own.rate);
        self.0.above.0.tree.limits_changed(rate(old), rate(budget));
        if let Some(node) = keyed.nodes.get(key) {
            node.set(budget.unwrap_or(keyed.budget));
        }
        Ok(())
    }

    /// The clients that have a budget of their own.
    pub fn overrides(&self) -> Vec<(ClientKey, Budget)> {
        self.lock().own.iter().map(|(key, budget)| (key.clone(), *budget)).collect()
    }

    /// Clients that are known at the moment, those remembered for their past included; at most `most`.
    pub fn known(&self, most: usize) -> Vec<(ClientKey, Node)> {
        self.lock().nodes.iter().take(most).map(|(key, node)| (key.clone(), node.clone())).collect()
    }

    /// The budget that one client has of its own, and what passed its node; `None` for what there is not.
    pub fn lookup(&self, key: &ClientKey) -> (Option<Budget>, Option<Passed>) {
        let keyed = self.lock();
        (keyed.own.get(key).copied(), keyed.nodes.get(key).map(Node::passed))
    }

    /// The client that is shown as `shown`, if it is known or has a budget of its own. Looks at all of them:
    /// for keys that are shown by a fingerprint and cannot be read back.
    pub fn find(&self, shown: &str) -> Option<ClientKey> {
        let keyed = self.lock();
        keyed.own.keys().chain(keyed.nodes.keys()).find(|key| key.to_string() == shown).cloned()
    }

    /// How many are known.
    pub fn len(&self) -> usize {
        self.lock().nodes.len()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Keyed> {
        self.0.keyed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What clients are to have counts as limits of the tree, also while none is known: the first to come
/// would not ask otherwise.
impl Drop for Book {
    fn drop(&mut self) {
        let keyed = self.keyed.get_mut().unwrap_or_else(PoisonError::into_inner);
        let rates = keyed.own.values().chain([&keyed.budget]).map(|budget| budget.rate);
        rates.for_each(|rate| self.above.0.tree.limits_changed(rate, None));
    }
}

impl Keyed {
    /// Looks at some nodes, and forgets those of which nothing counts any more.
    fn forget(&mut self, now: crate::clock::Instant) {
        let crowded = self.nodes.len() >= Clients::MAX_IDLE;
        for _ in 0..Clients::LOOKS.min(self.round.len()) {
            let Some(key) = self.round.pop_front() else { return };
            let idle = self
                .nodes
                .get(&key)
                .is_some_and(|node| node.is_unused() && (crowded || node.forgettable_at() <= now));
            if idle {
                self.nodes.remove(&key);
            } else {
                self.round.push_back(key);
            }
        }
    }
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients").field("above", self.above()).field("known", &self.len()).finish()
    }
}
