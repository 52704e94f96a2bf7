//! A node for each client below one node, created when first seen and dropped when idle.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, OnceLock};

use super::{BudgetChange, ClientKey, IdleBound, Node};
use crate::clock::Instant;
use crate::limit::{Budget, Passed};
use crate::sync::Mutex;

/// The clients below a node, each with the same budget unless overridden; clones share them.
///
/// A client's node is kept until it is as a new one would be (burst full, no debt), so reconnecting does not evade a
/// limit. Memory is bounded: beyond [`MAX_IDLE`](Self::MAX_IDLE) the oldest idle ones are dropped, of these or of all that
/// [share a bound](Self::share).
///
/// ```
/// use sluicegate_core::budget::{ClientKey, Clients, Node};
/// use sluicegate_core::limit::{Budget, Rate};
/// use sluicegate_core::throttle::Throttle;
///
/// let server = Node::at(Rate::mib_per_second(10));
/// let clients = Clients::new(server, "client", Rate::mib_per_second(1));
/// let key = ClientKey::address("192.0.2.1".parse()?);
/// // All that this client gets, in as many streams as it likes, is 1 MiB/s.
/// let writer = Throttle::new(std::io::sink(), &clients.node(&key));
/// clients.set(Budget::of(Rate::kib_per_second(500)));
/// assert_eq!(writer.write_node().budget().rate, Some(Rate::kib_per_second(500)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Clients(Arc<Inner>);

pub(super) struct Inner {
    parent: Node,
    name: Arc<str>,
    keyed: Mutex<Keyed>,
    /// Set once, with `keyed` locked.
    bound: OnceLock<IdleBound>,
}

struct Keyed {
    budget: Budget,
    nodes: HashMap<ClientKey, Node>,
    /// All keys, examined in turn for nodes that can be dropped.
    round: VecDeque<ClientKey>,
    /// In what clients differ from `budget`.
    overrides: HashMap<ClientKey, BudgetChange>,
}

/// [`Clients::MAX_OVERRIDES`] is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyOverrides;

impl Clients {
    /// The most idle clients that are remembered.
    pub const MAX_IDLE: usize = 65_536;

    /// The most overrides.
    pub const MAX_OVERRIDES: usize = 10_000;

    /// Nodes examined for each new one, so that more can be dropped than are created.
    const EXAMINED: usize = 4;

    /// Creates the clients below `parent`; their nodes are called `name` and have `budget`.
    pub fn new(parent: Node, name: &str, budget: impl Into<Budget>) -> Self {
        let budget = budget.into();
        parent.0.tree.limits_changed(None, budget.rate);
        let keyed =
            Keyed { budget, nodes: HashMap::new(), round: VecDeque::new(), overrides: HashMap::new() };
        Self(Arc::new(Inner { parent, name: name.into(), keyed: Mutex::new(keyed), bound: OnceLock::new() }))
    }

    /// Has these clients share `bound` with others from now on. Of several calls the first counts.
    pub fn share(&self, bound: &IdleBound) {
        let keyed = self.0.keyed.lock();
        if self.0.bound.set(bound.clone()).is_ok() {
            bound.add(keyed.nodes.len());
            bound.add_member(Arc::downgrade(&self.0));
        }
    }

    /// Returns the node above all of them.
    pub fn parent(&self) -> &Node {
        &self.0.parent
    }

    /// Counts `bytes` of a client that were sent without a turn: while no node of the tree has a rate, none is needed.
    pub fn pass_unlimited(&self, bytes: u64) {
        self.0.parent.pass_unasked(bytes);
    }

    /// Returns the node of a client; creates it if need be.
    pub fn node(&self, key: &ClientKey) -> Node {
        if let Some(node) = self.0.keyed.lock().nodes.get(key) {
            return node.clone();
        }
        // Where there are too many, not always the ones here go: others may be older.
        if let Some(bound) = self.0.bound.get() {
            bound.drop_some_idle();
        }
        self.0.drop_idle();
        let mut keyed = self.0.keyed.lock();
        if let Some(node) = keyed.nodes.get(key) {
            return node.clone();
        }
        let budget = keyed.budget_of(key);
        let node = self.0.parent.child_named(Arc::clone(&self.0.name), budget);
        keyed.nodes.insert(key.clone(), node.clone());
        keyed.round.push_back(key.clone());
        if let Some(bound) = self.0.bound.get() {
            bound.add(1);
        }
        node
    }

    /// Returns the budget of clients without an override.
    pub fn budget(&self) -> Budget {
        self.0.keyed.lock().budget
    }

    /// Sets the budget of all clients from now on. Those with an override have what it does not say of this.
    pub fn set(&self, budget: impl Into<Budget>) {
        let budget = budget.into();
        let mut keyed = self.0.keyed.lock();
        self.0.parent.0.tree.limits_changed(keyed.budget.rate, budget.rate);
        keyed.budget = budget;
        keyed.nodes.iter().for_each(|(key, node)| node.set(keyed.budget_of(key)));
    }

    /// Sets the budget of all clients and removes every override.
    pub fn reset(&self, budget: impl Into<Budget>) {
        self.reset_with(budget, []);
    }

    /// Sets the budget of all clients, and puts `own` in the place of all overrides, of which the first
    /// [`MAX_OVERRIDES`](Self::MAX_OVERRIDES) count. No client is without its own in between.
    pub fn reset_with(
        &self,
        budget: impl Into<Budget>,
        own: impl IntoIterator<Item = (ClientKey, BudgetChange)>,
    ) {
        let budget = budget.into();
        let mut keyed = self.0.keyed.lock();
        let tree = &self.0.parent.0.tree;
        let overrides: HashMap<_, _> = own.into_iter().take(Self::MAX_OVERRIDES).collect();
        overrides.values().for_each(|own| tree.limits_changed(None, own.own_rate()));
        for old in std::mem::replace(&mut keyed.overrides, overrides).into_values() {
            tree.limits_changed(old.own_rate(), None);
        }
        tree.limits_changed(keyed.budget.rate, budget.rate);
        keyed.budget = budget;
        keyed.nodes.iter().for_each(|(key, node)| node.set(keyed.budget_of(key)));
    }

    /// Overrides the budget of one client, all of it; `None` removes the override.
    ///
    /// # Errors
    /// There are [`MAX_OVERRIDES`](Self::MAX_OVERRIDES) already.
    pub fn set_override(&self, key: &ClientKey, budget: Option<Budget>) -> Result<(), TooManyOverrides> {
        self.override_with(key, |_| budget.map(Into::into))
    }

    /// Overrides a part of the budget of one client, beside what is overridden already. The rest stays what all have, also when
    /// that is [set](Self::set).
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use sluicegate_core::budget::{BudgetChange, ClientKey, Clients, Node};
    /// # use sluicegate_core::clock::ManualClock;
    /// # use sluicegate_core::limit::{Budget, Rate, Weight};
    /// let server = Node::root("server", Budget::default(), Arc::new(ManualClock::new()));
    /// let clients = Clients::new(server, "client", Budget::of(Rate::or_unlimited(1_000)));
    /// let heavy = BudgetChange { weight: Weight::new(3), ..BudgetChange::default() };
    /// clients.change_override(&ClientKey::Local, heavy).unwrap();
    /// clients.set(Budget::of(Rate::or_unlimited(2_000)));
    /// let budget = clients.node(&ClientKey::Local).budget();
    /// assert_eq!((budget.rate, budget.weight.get()), (Rate::or_unlimited(2_000), 3));
    /// ```
    ///
    /// # Errors
    /// There are [`MAX_OVERRIDES`](Self::MAX_OVERRIDES) already.
    pub fn change_override(&self, key: &ClientKey, change: BudgetChange) -> Result<(), TooManyOverrides> {
        if change == BudgetChange::default() {
            return Ok(());
        }
        self.override_with(key, |old| Some(old.unwrap_or_default().and(change)))
    }

    /// Puts `change` in the place of all that is overridden of one client; `None` removes the override.
    ///
    /// # Errors
    /// There are [`MAX_OVERRIDES`](Self::MAX_OVERRIDES) already.
    pub fn replace_override(
        &self,
        key: &ClientKey,
        change: Option<BudgetChange>,
    ) -> Result<(), TooManyOverrides> {
        self.override_with(key, |_| change)
    }

    /// Returns what is overridden of one client; `None` if nothing is.
    pub fn override_of(&self, key: &ClientKey) -> Option<BudgetChange> {
        self.0.keyed.lock().overrides.get(key).copied()
    }

    fn override_with(
        &self,
        key: &ClientKey,
        new: impl FnOnce(Option<BudgetChange>) -> Option<BudgetChange>,
    ) -> Result<(), TooManyOverrides> {
        let mut keyed = self.0.keyed.lock();
        let old = keyed.overrides.get(key).copied();
        let new = new(old);
        match new {
            Some(_) if old.is_none() && keyed.overrides.len() >= Self::MAX_OVERRIDES => {
                return Err(TooManyOverrides);
            }
            Some(new) => keyed.overrides.insert(key.clone(), new),
            None => keyed.overrides.remove(key),
        };
        let rate = |own: Option<BudgetChange>| own.and_then(|own| own.own_rate());
        self.0.parent.0.tree.limits_changed(rate(old), rate(new));
        if let Some(node) = keyed.nodes.get(key) {
            node.set(keyed.budget_of(key));
        }
        Ok(())
    }

    /// Returns the clients with an override and their budgets, in no order.
    pub fn overrides(&self) -> Vec<(ClientKey, Budget)> {
        let keyed = self.0.keyed.lock();
        keyed.overrides.iter().map(|(key, own)| (key.clone(), own.over(keyed.budget))).collect()
    }

    /// Returns at most `most` clients that have a node, idle ones included, in no order.
    pub fn known(&self, most: usize) -> Vec<(ClientKey, Node)> {
        self.0.keyed.lock().nodes.iter().take(most).map(|(key, node)| (key.clone(), node.clone())).collect()
    }

    /// Returns the budget of a client if it has an override, and what passed its node if there is one.
    pub fn lookup(&self, key: &ClientKey) -> (Option<Budget>, Option<Passed>) {
        let keyed = self.0.keyed.lock();
        let own = keyed.overrides.get(key).map(|own| own.over(keyed.budget));
        (own, keyed.nodes.get(key).map(Node::passed))
    }

    /// Returns the client whose key is displayed as `shown`, if it has a node or an override. A scan of all of them: header
    /// keys are displayed as fingerprints, which cannot be parsed.
    pub fn find(&self, shown: &str) -> Option<ClientKey> {
        let keyed = self.0.keyed.lock();
        keyed.overrides.keys().chain(keyed.nodes.keys()).find(|key| key.to_string() == shown).cloned()
    }

    /// Returns the number of clients that have a node, idle ones included.
    pub fn len(&self) -> usize {
        self.0.keyed.lock().nodes.len()
    }

    /// Returns whether no client has a node.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The budgets of clients count as limits of the tree also while no client has a node: otherwise the first would request
/// no turn.
impl Drop for Inner {
    fn drop(&mut self) {
        let keyed = self.keyed.get_mut();
        if let Some(bound) = self.bound.get() {
            bound.remove(keyed.nodes.len());
        }
        let rates = keyed.overrides.values().map(|own| own.own_rate()).chain([keyed.budget.rate]);
        rates.for_each(|rate| self.parent.0.tree.limits_changed(rate, None));
    }
}

impl Inner {
    /// Examines some nodes, and drops those that are idle.
    pub(super) fn drop_idle(&self) {
        let now = self.parent.clock().now();
        let mut keyed = self.keyed.lock();
        let is_crowded =
            self.bound.get().map_or(keyed.nodes.len() >= Clients::MAX_IDLE, IdleBound::is_reached);
        let dropped = keyed.drop_idle(now, is_crowded);
        if let Some(bound) = self.bound.get() {
            bound.remove(dropped);
        }
    }
}

impl Keyed {
    /// The budget of a client, with a node or without.
    fn budget_of(&self, key: &ClientKey) -> Budget {
        self.overrides.get(key).map_or(self.budget, |own| own.over(self.budget))
    }

    /// Examines some nodes, and drops those that are idle. Where it is crowded, none is waited for. Returns how many it dropped.
    fn drop_idle(&mut self, now: Instant, is_crowded: bool) -> usize {
        let before = self.nodes.len();
        for _ in 0..Clients::EXAMINED.min(self.round.len()) {
            let Some(key) = self.round.pop_front() else { break };
            let idle = self
                .nodes
                .get(&key)
                .is_some_and(|node| node.is_unused() && (is_crowded || node.forgettable_at() <= now));
            if idle {
                self.nodes.remove(&key);
            } else {
                self.round.push_back(key);
            }
        }
        before - self.nodes.len()
    }
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients").field("parent", self.parent()).field("known", &self.len()).finish()
    }
}
