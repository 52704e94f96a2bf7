//! Classes between the root and clients: whatever their limits and weights, and whatever changes, every node keeps its bound,
//! and those who want more share max–min by weight.

use std::time::Duration;

use proptest::prelude::*;
use sluicegate::clock::Instant;
use sluicegate::limit::{Budget, NodeId, Rate, Tree, Weight};

use super::simulation::{Demand, Sent, Simulation, assert_bounded};

const SECOND: Duration = Duration::from_secs(1);
const PIECE: u64 = 65_536;

/// A node with a limit, and what is below it.
#[derive(Clone, Debug)]
struct Planned {
    budget: Budget,
    below: Vec<Planned>,
}

fn budgets() -> impl Strategy<Value = Budget> {
    let rate = prop_oneof![Just(None), (200_000u64..4_000_000).prop_map(Rate::or_unlimited)];
    (rate, 1u16..8).prop_map(|(rate, weight)| Budget::of(rate).with_weight(Weight::new(weight).unwrap()))
}

/// Classes of clients with responses; a class without a name is a client of the root.
fn plans() -> impl Strategy<Value = Planned> {
    let client = || budgets().prop_map(|budget| Planned { budget, below: Vec::new() });
    let class = (budgets(), prop::collection::vec(client(), 1..4))
        .prop_map(|(budget, below)| Planned { budget, below });
    let child = prop_oneof![3 => class, 1 => client()];
    (500_000u64..5_000_000, prop::collection::vec(child, 1..6))
        .prop_map(|(rate, below)| Planned { budget: Budget::of(Rate::or_unlimited(rate)), below })
}

/// A node in the tree, its plan, and its one greedy response, if it is a client.
struct Grown {
    id: NodeId,
    budget: Budget,
    below: Vec<Grown>,
    response: Option<NodeId>,
}

impl Grown {
    fn of(simulation: &mut Simulation, id: NodeId, plan: &Planned, piece: u64) -> Self {
        let mut below = Vec::new();
        for plan in &plan.below {
            let id = simulation.tree.add(id, plan.budget, simulation.now);
            below.push(Self::of(simulation, id, plan, piece));
        }
        let is_client = plan.below.is_empty();
        let response = is_client.then(|| simulation.join(id, Demand::Greedy(piece)));
        Self { id, budget: plan.budget, below, response }
    }

    fn nodes(&self) -> Vec<&Self> {
        std::iter::once(self).chain(self.below.iter().flat_map(Self::nodes)).collect()
    }

    fn responses(&self) -> Vec<NodeId> {
        self.nodes().iter().filter_map(|node| node.response).collect()
    }

    /// What it can take at most, by its own limit and those below it.
    fn most(&self) -> f64 {
        let below = match self.below.is_empty() {
            true => f64::INFINITY,
            false => self.below.iter().map(Self::most).sum(),
        };
        self.budget.rate.map_or(below, |rate| below.min(rate.bytes_per_second() as f64))
    }

    /// Fills each client of `given` bytes per second, max–min by weight.
    fn shares(&self, given: f64, out: &mut Vec<(NodeId, f64)>) {
        if let Some(response) = self.response {
            out.push((response, given));
        }
        let (mut left, mut open) = (given, self.below.iter().collect::<Vec<_>>());
        let weight = |node: &Self| f64::from(node.budget.weight.get());
        while !open.is_empty() {
            let sum: f64 = open.iter().map(|node| weight(node)).sum();
            let share = |node: &Self| left * weight(node) / sum;
            // Who wants less than its share gets that, and the others share the rest.
            let Some(at) = open.iter().position(|node| node.most() < share(node)) else {
                open.iter().for_each(|node| node.shares(share(node), out));
                return;
            };
            let full = open.swap_remove(at);
            full.shares(full.most(), out);
            left -= full.most();
        }
    }

    fn expected(&self) -> Vec<(NodeId, f64)> {
        let mut shares = Vec::new();
        self.shares(self.most(), &mut shares);
        shares
    }

    fn at(&mut self, at: usize) -> &mut Self {
        let len = self.nodes().len();
        self.nth(&mut (at % len)).expect("there are as many")
    }

    fn nth(&mut self, at: &mut usize) -> Option<&mut Self> {
        if *at == 0 {
            return Some(self);
        }
        *at -= 1;
        self.below.iter_mut().find_map(|below| below.nth(at))
    }
}

/// Asserts that each client gets its share, after a time in which turns settle.
fn assert_fair(simulation: &mut Simulation, root: &Grown, seconds: u32) {
    simulation.run_for(2 * SECOND);
    let from = simulation.now;
    simulation.run_for(seconds * SECOND);
    let expected = root.expected();
    let ids: Vec<NodeId> = expected.iter().map(|(id, _)| *id).collect();
    for (sent, (_, rate)) in simulation.sent_since(from, &ids).into_iter().zip(expected) {
        let due = rate * f64::from(seconds);
        // One per cent, a piece, and what the root may let out at once.
        let slack = due * 0.01 + PIECE as f64 + root.most() * 0.2;
        assert!((sent as f64 - due).abs() <= slack, "{sent}, due {due} in {seconds} s");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn shares_hold_over_a_quarter_of_an_hour_whatever_responses_ask_for_at_once(
        plan in plans(),
        piece in prop_oneof![Just(PIECE), Just(16 * PIECE)],
    ) {
        let mut simulation = Simulation::new(Tree::new(plan.budget, Instant::ZERO));
        let root = Grown::of(&mut simulation, Tree::ROOT, &plan, piece);
        assert_fair(&mut simulation, &root, 1_000);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn classes_and_their_clients_share_max_min_by_weight_whatever_changes(
        plan in plans(),
        changes in prop::collection::vec((any::<usize>(), budgets()), 0..3),
    ) {
        let mut simulation = Simulation::new(Tree::new(plan.budget, Instant::ZERO));
        let mut root = Grown::of(&mut simulation, Tree::ROOT, &plan, PIECE);
        assert_fair(&mut simulation, &root, 100);
        for (at, budget) in changes {
            let node = root.at(at);
            // The root is limited, or all would leave at once.
            let rate = budget.rate.or(node.budget.rate).or_else(|| Rate::or_unlimited(1_000_000));
            node.budget = Budget { rate, ..budget };
            let (id, budget) = (node.id, node.budget);
            simulation.tree.set_budget(id, budget, simulation.now);
            simulation.settle();
            assert_fair(&mut simulation, &root, 100);
        }
    }

    #[test]
    fn no_class_and_no_client_lets_out_more_than_its_bound_before_and_after_a_change(
        plan in plans(),
        changes in prop::collection::vec((any::<usize>(), budgets(), 1u64..3_000), 0..6),
    ) {
        let mut simulation = Simulation::new(Tree::new(plan.budget, Instant::ZERO));
        let mut root = Grown::of(&mut simulation, Tree::ROOT, &plan, PIECE);
        simulation.run_for(SECOND);
        let mut from = 0;
        for (at, budget, millis) in changes.into_iter().map(Some).chain([None]).map(|change| {
            change.map_or((None, Budget::default(), 1_000), |(at, budget, millis)| (Some(at), budget, millis))
        }) {
            for node in root.nodes() {
                let Some(rate) = node.budget.rate else { continue };
                let below = node.responses();
                let sent: Vec<Sent> = simulation.log[from..]
                    .iter()
                    .filter(|sent| below.contains(&sent.stream))
                    .copied()
                    .collect();
                assert_bounded(sent.iter(), rate.bytes_per_second(), node.budget.burst);
            }
            let Some(at) = at else { break };
            from = simulation.log.len();
            let node = root.at(at);
            let rate = budget.rate.or(node.budget.rate).or_else(|| Rate::or_unlimited(1_000_000));
            node.budget = Budget { rate, ..budget };
            let (id, budget) = (node.id, node.budget);
            simulation.tree.set_budget(id, budget, simulation.now);
            simulation.settle();
            simulation.run_for(Duration::from_millis(millis));
        }
    }
}
