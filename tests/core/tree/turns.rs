//! Turns: who is served when, what is given back, what nodes remember.

use std::time::Duration;

use sluicegate::clock::Instant;
use sluicegate::limit::{Budget, NodeId, Passed, Rate, Tree, Weight};

use super::simulation::{Demand, Simulation};

const MIB: u64 = 1 << 20;

fn ms(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

fn stream(tree: &mut Tree) -> NodeId {
    tree.add_stream(Tree::ROOT, Weight::default())
}

#[test]
fn a_turn_is_there_at_its_nanosecond_and_not_one_before() {
    let mut tree = Tree::new(Budget::of(Rate::or_unlimited(3_000)), Instant::ZERO);
    let a = stream(&mut tree);
    assert_eq!(tree.ask(a, 10_000, Instant::ZERO), Some(600));
    assert_eq!(tree.ask(a, 100, Instant::ZERO), None);
    let due = Instant::from_nanos(33_333_334);
    assert_eq!(tree.next_due(), Some(due));
    tree.dispatch(Instant::from_nanos(33_333_333));
    assert_eq!(tree.granted().count(), 0);
    tree.dispatch(due);
    assert_eq!(tree.granted().collect::<Vec<_>>(), [a]);
    assert_eq!(tree.ask(a, 100, due), Some(100));
    assert_eq!(tree.next_due(), None, "nobody waits");
}

#[test]
fn a_turn_that_is_waited_for_shrinks_when_another_below_the_same_node_asks() {
    let mut tree = Tree::new(Budget::of(Rate::or_unlimited(100_000)), Instant::ZERO);
    let class = tree.add(Tree::ROOT, Budget::default(), Instant::ZERO);
    let [a, b] = [(); 2].map(|()| tree.add_stream(class, Weight::default()));
    assert_eq!(tree.ask(a, 20_000, Instant::ZERO), Some(20_000));
    assert_eq!(tree.ask(b, 20_000, Instant::ZERO), None);
    assert_eq!(tree.next_due(), Some(ms(200)), "alone it may have a whole interval's worth");
    assert_eq!(tree.ask(a, 20_000, Instant::ZERO), None);
    assert_eq!(tree.next_due(), Some(ms(100)), "and half beside another");
}

#[test]
fn the_edges_of_asking() {
    let mut tree = Tree::new(Budget::default(), Instant::ZERO);
    let a = stream(&mut tree);
    assert_eq!(tree.ask(a, 0, Instant::ZERO), Some(0));
    assert_eq!(tree.ask(a, 1, Instant::ZERO), Some(1));
    assert_eq!(tree.ask(a, u64::MAX, Instant::ZERO), Some(u64::MAX), "unlimited");
    tree.set_budget(Tree::ROOT, Budget::of(Rate::or_unlimited(1)), Instant::ZERO);
    assert_eq!(tree.ask(a, u64::MAX, Instant::ZERO), Some(1), "at least a byte");
    assert_eq!(tree.ask(a, u64::MAX, Instant::ZERO), None);
    assert_eq!(tree.next_due(), Some(ms(1_000)));
    tree.set_budget(Tree::ROOT, Budget::of(Rate::or_unlimited(u64::MAX)), Instant::MAX);
    assert_eq!(tree.ask(a, 1, Instant::MAX), Some(1), "and no sum overflows");
    tree.debit(a, u64::MAX, Instant::MAX);
    tree.give_back(a, u64::MAX, Instant::MAX);
}

#[test]
fn a_burst_leaves_at_once_and_then_the_rate_holds() {
    let mut simulation = Simulation::new(Tree::new(
        Budget::of(Rate::or_unlimited(102_400)).with_burst(102_400),
        Instant::ZERO,
    ));
    let id = simulation.join(Tree::ROOT, Demand::Once(204_800));
    assert_eq!(simulation.streams[&id].sent, 102_400);
    simulation.run_for(Duration::from_secs(60));
    assert_eq!(simulation.streams[&id].done, Some(ms(1_000)));
    assert_eq!(simulation.tree.forgettable_at(Tree::ROOT), ms(2_000));
}

#[test]
fn a_small_answer_is_not_stuck_behind_a_thousand_downloads() {
    // Its own client: 1/1001 of the rate is due to it, but one turn comes within an interval.
    let mut simulation = Simulation::new(Tree::new(Budget::of(Rate::or_unlimited(100 * MIB)), Instant::ZERO));
    for _ in 0..1_000 {
        simulation.join(Tree::ROOT, Demand::Greedy(65_536));
    }
    for start in [5_000, 6_017, 7_111, 8_199] {
        simulation.run_until(ms(start));
        let id = simulation.join(Tree::ROOT, Demand::Once(10_000));
        simulation.run_for(Duration::from_millis(200));
        simulation.run_for(Duration::from_millis(600));
        let done = simulation.leave(id).done;
        assert!(done.is_some_and(|at| at <= ms(start + 200)), "asked at {start} ms, done {done:?}");
    }
}

/// What a stream took while the others were quiet it has had ahead of them, so it may be no more than it can
/// wait for once they are not.
#[test]
fn a_flow_that_took_a_turn_alone_is_served_again_within_its_fair_time() {
    const RATE: u64 = 1 << 20;
    for streams in [2, 20, 200, 1_000, 10_000] {
        let mut tree = Tree::new(Budget::of(Rate::or_unlimited(RATE)), ms(0));
        let all: Vec<NodeId> = (0..streams).map(|_| stream(&mut tree)).collect();
        let first = tree.ask(all[0], 65_536, ms(0)).unwrap();
        assert_eq!(first, (RATE / streams).clamp(4_096, 65_536), "of {streams}");
        for id in &all {
            while tree.ask(*id, 65_536, ms(0)).is_some() {}
        }
        let mut now = ms(0);
        loop {
            let turns: Vec<NodeId> = tree.granted().collect();
            for id in &turns {
                assert!(tree.ask(*id, 0, now).is_some(), "its turn came");
                while tree.ask(*id, 65_536, now).is_some() {}
            }
            if turns.contains(&all[0]) {
                break;
            }
            now = tree.next_due().unwrap();
            tree.dispatch(now);
        }
        // The others have as much each, and one turn of all of them comes behind it.
        let fair = Duration::from_secs_f64((2 * first * streams) as f64 / RATE as f64 + 0.2);
        assert!(now <= Instant::ZERO + fair, "of {streams}: {now:?}, {fair:?}");
    }
}

#[test]
fn no_flood_of_newcomers_starves_a_waiting_flow() {
    let mut simulation = Simulation::new(Tree::new(Budget::of(Rate::or_unlimited(MIB)), Instant::ZERO));
    let patient = simulation.join(Tree::ROOT, Demand::Greedy(65_536));
    // A thousand newcomers a second, each for a whole turn.
    let mut newcomers = Vec::new();
    for millis in 1..10_000 {
        simulation.run_until(ms(millis));
        newcomers.push(simulation.join(Tree::ROOT, Demand::Once(16_384)));
    }
    let waiting = newcomers.iter().filter(|id| simulation.streams[*id].done.is_none()).count();
    assert!(waiting > 5_000, "it is a flood: {waiting}");
    let sent = simulation.streams[&patient].sent;
    let share = 10 * MIB / newcomers.len() as u64;
    assert!(sent >= share, "{sent} bytes, and {share} are its share if all were there from the start");
}

#[test]
fn returned_tokens_go_to_waiting_flows() {
    let mut tree = Tree::new(Budget::of(Rate::or_unlimited(10_000)), Instant::ZERO);
    let (a, b) = (stream(&mut tree), stream(&mut tree));
    assert_eq!(tree.ask(a, 2_000, Instant::ZERO), Some(2_000));
    assert_eq!(tree.ask(b, 2_000, Instant::ZERO), None);
    tree.give_back(a, 500, Instant::ZERO);
    assert_eq!(tree.next_due(), Some(ms(150)));
    tree.give_back(a, 1_500, Instant::ZERO);
    assert_eq!(tree.granted().collect::<Vec<_>>(), [b]);
    assert_eq!(tree.passed(Tree::ROOT).bytes, 2_000, "a sent nothing");
    assert_eq!(tree.passed(a).bytes, 0);
}

#[test]
fn a_flow_that_leaves_with_a_turn_leaves_it_to_the_others() {
    let mut tree = Tree::new(Budget::of(Rate::or_unlimited(100_000)), Instant::ZERO);
    let (a, b, c) = (stream(&mut tree), stream(&mut tree), stream(&mut tree));
    assert_eq!(tree.ask(a, 20_000, Instant::ZERO), Some(20_000));
    assert_eq!(tree.ask(b, 20_000, Instant::ZERO), None);
    assert_eq!(tree.ask(c, 20_000, Instant::ZERO), None);
    tree.dispatch(ms(100));
    assert_eq!(tree.granted().collect::<Vec<_>>(), [b], "half of an interval's worth");
    tree.withdraw(b, ms(100));
    tree.remove(b, ms(100));
    assert_eq!(tree.granted().count(), 0);
    assert_eq!(tree.next_due(), Some(ms(200)), "c alone may have a whole interval's worth");
    tree.withdraw(c, ms(100));
    tree.remove(c, ms(100));
    assert_eq!(tree.next_due(), None);
    assert_eq!(tree.children(Tree::ROOT), 1);
}

#[test]
fn a_node_that_only_reports_delays_nothing_and_counts_the_excess() {
    let mut tree = Tree::new(Budget::of(Rate::or_unlimited(1_000)).reporting_only(), Instant::ZERO);
    let a = stream(&mut tree);
    assert_eq!(tree.ask(a, 150, Instant::ZERO), Some(150));
    assert_eq!(tree.ask(a, 1_000, Instant::ZERO), Some(1_000));
    assert_eq!(tree.ask(a, 50, Instant::ZERO), Some(50));
    assert_eq!(tree.passed(Tree::ROOT), Passed { bytes: 1_200, waits: 0, over: 1_000 });
    tree.set_budget(Tree::ROOT, Budget::of(Rate::or_unlimited(1_000)), Instant::ZERO);
    assert_eq!(tree.ask(a, 50, Instant::ZERO), None, "and in earnest it delays");
    assert_eq!(tree.next_due(), Some(ms(50)));
}

#[test]
fn debited_bytes_are_waited_for_by_the_next_and_for_no_more_than_a_second() {
    let mut tree = Tree::new(Budget::of(Rate::or_unlimited(1_000)), Instant::ZERO);
    let (a, b) = (stream(&mut tree), stream(&mut tree));
    tree.debit(a, 300, Instant::ZERO);
    assert_eq!(tree.ask(b, 100, Instant::ZERO), None);
    assert_eq!(tree.next_due(), Some(ms(200)));
    tree.debit(a, 1_000_000, Instant::ZERO);
    tree.withdraw(b, Instant::ZERO);
    assert_eq!(tree.ask(b, 100, Instant::ZERO), None);
    assert_eq!(tree.next_due(), Some(ms(1_100)));
    assert_eq!(tree.passed(Tree::ROOT).bytes, 1_000_300);
}

#[test]
fn the_binding_limit_and_the_time_of_the_turn_are_reported() {
    let mut tree = Tree::new(Budget::of(Rate::or_unlimited(100_000)), Instant::ZERO);
    let client = tree.add(Tree::ROOT, Budget::of(Rate::or_unlimited(1_000)), Instant::ZERO);
    let (slow, fast) = (tree.add_stream(client, Weight::default()), stream(&mut tree));
    assert_eq!((tree.binding(slow), tree.expected(slow)), (None, None));
    assert_eq!(tree.ask(slow, 200, Instant::ZERO), Some(200));
    assert_eq!(tree.ask(slow, 200, Instant::ZERO), None);
    assert_eq!((tree.binding(slow), tree.expected(slow)), (Some(client), Some(ms(100))));
    assert_eq!(tree.ask(fast, 19_800, Instant::ZERO), Some(19_800));
    assert_eq!(tree.ask(fast, 10_000, Instant::ZERO), None);
    assert_eq!(
        (tree.binding(fast), tree.expected(fast)),
        (Some(Tree::ROOT), Some(ms(50))),
        "short turns beside it"
    );
}

#[test]
fn a_clock_that_steps_back_earns_nothing_and_loses_nobody() {
    let mut tree = Tree::new(Budget::of(Rate::or_unlimited(1_000)), ms(10_000));
    let a = stream(&mut tree);
    assert_eq!(tree.ask(a, 200, ms(10_000)), Some(200));
    assert_eq!(tree.ask(a, 100, Instant::ZERO), None);
    assert_eq!(tree.next_due(), Some(ms(10_100)));
    tree.dispatch(ms(5));
    assert_eq!(tree.granted().count(), 0);
    tree.dispatch(ms(10_100));
    assert_eq!(tree.granted().collect::<Vec<_>>(), [a]);
}
