//! Random trees, random lists of operations: bounds, conservation, and that nobody is forgotten.

use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;
use sluicegate::clock::Instant;
use sluicegate::limit::{Budget, NodeId, Rate, Tree, Weight};

use super::simulation::{Demand, Sent, Simulation, assert_bounded};

#[derive(Clone, Debug)]
enum Operation {
    AddNode { parent: usize, budget: Budget },
    Join { parent: usize, demand: Demand, weight: u16 },
    Leave(usize),
    Change { node: usize, budget: Budget },
    Debit { stream: usize, bytes: u64 },
    Run(u64),
}

fn rates() -> impl Strategy<Value = Option<Rate>> {
    prop_oneof![
        1 => Just(None),
        3 => (1u64..100_000).prop_map(Rate::or_unlimited),
        2 => (100_000u64..50_000_000).prop_map(Rate::or_unlimited),
    ]
}

fn budgets() -> impl Strategy<Value = Budget> {
    (rates(), prop_oneof![Just(0u64), 1u64..200_000], 1u16..20).prop_map(|(rate, burst, weight)| {
        Budget::of(rate).with_burst(burst).with_weight(Weight::new(weight).unwrap())
    })
}

fn demands() -> impl Strategy<Value = Demand> {
    prop_oneof![
        (1u64..100_000, 20u64..2_000)
            .prop_map(|(bytes, millis)| Demand::Paced(bytes, Duration::from_millis(millis))),
        (1u64..300_000).prop_map(Demand::Once),
    ]
}

fn operations(changes: bool) -> impl Strategy<Value = Vec<Operation>> {
    let change = if changes { 2 } else { 0 };
    let one = prop_oneof![
        3 => (any::<usize>(), budgets()).prop_map(|(parent, budget)| Operation::AddNode { parent, budget }),
        6 => (any::<usize>(), demands(), 1u16..10)
            .prop_map(|(parent, demand, weight)| Operation::Join { parent, demand, weight }),
        2 => any::<usize>().prop_map(Operation::Leave),
        change => (any::<usize>(), budgets()).prop_map(|(node, budget)| Operation::Change { node, budget }),
        change => (any::<usize>(), 0u64..10_000).prop_map(|(stream, bytes)| Operation::Debit { stream, bytes }),
        6 => (1u64..3_000).prop_map(Operation::Run),
    ];
    prop::collection::vec(one, 1..60)
}

/// Runs the operations; the nodes that bound, and who stood under which.
struct Run {
    simulation: Simulation,
    inner: Vec<NodeId>,
    parents: HashMap<NodeId, NodeId>,
    streams: Vec<NodeId>,
}

impl Run {
    fn of(root: Budget, operations: Vec<Operation>) -> Self {
        let mut run = Self {
            simulation: Simulation::new(Tree::new(root, Instant::ZERO)),
            inner: vec![Tree::ROOT],
            parents: HashMap::new(),
            streams: Vec::new(),
        };
        operations.into_iter().for_each(|operation| run.apply(operation));
        run
    }

    fn apply(&mut self, operation: Operation) {
        let simulation = &mut self.simulation;
        match operation {
            Operation::AddNode { parent, budget } => {
                let parent = self.inner[parent % self.inner.len()];
                let id = simulation.tree.add(parent, budget, simulation.now);
                self.inner.push(id);
                self.parents.insert(id, parent);
            }
            Operation::Join { parent, demand, weight } => {
                let parent = self.inner[parent % self.inner.len()];
                let id = simulation.join_weighted(parent, demand, Weight::new(weight).unwrap());
                self.streams.push(id);
                self.parents.insert(id, parent);
            }
            Operation::Leave(at) if !self.streams.is_empty() => {
                let id = self.streams.swap_remove(at % self.streams.len());
                // Its number may be given to another, which would be taken for it.
                let left = simulation.leave(id);
                for sent in &mut simulation.log {
                    if sent.stream == left.id {
                        sent.bytes = 0;
                    }
                }
            }
            Operation::Change { node, budget } => {
                let id = self.inner[node % self.inner.len()];
                simulation.tree.set_budget(id, budget, simulation.now);
                simulation.settle();
            }
            Operation::Debit { stream, bytes } if !self.streams.is_empty() => {
                let id = self.streams[stream % self.streams.len()];
                simulation.tree.debit(id, bytes, simulation.now);
            }
            Operation::Leave(_) | Operation::Debit { .. } => {}
            Operation::Run(millis) => simulation.run_for(Duration::from_millis(millis)),
        }
    }

    fn is_below(&self, mut id: NodeId, above: NodeId) -> bool {
        loop {
            if id == above {
                return true;
            }
            match self.parents.get(&id) {
                Some(&parent) => id = parent,
                None => return false,
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_node_lets_more_pass_than_its_burst_its_quantum_and_its_rate(
        root in budgets(),
        operations in operations(false),
    ) {
        let run = Run::of(root, operations);
        for &node in &run.inner {
            let budget = run.simulation.tree.budget(node);
            let Some(rate) = budget.rate else { continue };
            let below: Vec<Sent> =
                run.simulation.log.iter().filter(|sent| run.is_below(sent.stream, node)).copied().collect();
            assert_bounded(below.iter(), rate.bytes_per_second(), budget.burst);
        }
    }

    #[test]
    fn no_flow_is_forgotten_in_any_sequence_of_operations(root in budgets(), operations in operations(true)) {
        let mut run = Run::of(root, operations);
        // With all limits off, every stream that has something sends it at once.
        for &node in &run.inner.clone() {
            let now = run.simulation.now;
            run.simulation.tree.set_budget(node, Budget::default(), now);
            run.simulation.settle();
        }
        prop_assert_eq!(run.simulation.tree.next_due(), None, "nobody waits where nothing is limited");
        for &id in &run.streams {
            prop_assert_eq!(run.simulation.tree.binding(id), None);
        }
        for &id in &run.streams.clone() {
            run.simulation.leave(id);
        }
        for &node in run.inner.clone().iter().skip(1).rev() {
            let now = run.simulation.now;
            run.simulation.tree.remove(node, now);
        }
        prop_assert_eq!(run.simulation.tree.len(), 1, "the root alone");
    }

    #[test]
    fn with_limits_in_force_everybody_is_served_in_the_end(root in budgets(), operations in operations(true)) {
        let mut run = Run::of(root, operations);
        // What they ask for at most, at the least rate there is, takes less than this.
        let most: u64 = run.streams.len() as u64 * 300_000 * 20;
        run.simulation.run_for(Duration::from_secs(1));
        let waiting: Vec<NodeId> =
            run.streams.iter().copied().filter(|id| run.simulation.tree.binding(*id).is_some()).collect();
        let before: HashMap<NodeId, u64> =
            waiting.iter().map(|id| (*id, run.simulation.streams[id].sent)).collect();
        // Steps from turn to turn instead of through time, which may be days at a byte a second.
        let mut turns = 0u64;
        while let Some(due) = run.simulation.tree.next_due() {
            prop_assert!(turns < most, "it comes to an end");
            run.simulation.run_until(due.max(run.simulation.now));
            turns += 1;
            if waiting.iter().all(|id| run.simulation.streams[id].sent > before[id]) {
                break;
            }
        }
        for id in waiting {
            prop_assert!(run.simulation.streams[&id].sent > before[&id], "{id:?} was never served");
        }
    }
}
