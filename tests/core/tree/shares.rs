//! Shares of a common rate: equal, by weight, and what one leaves the others use.

use std::time::Duration;

use sluicegate::clock::Instant;
use sluicegate::limit::{Budget, NodeId, Rate, Tree, Weight};

use super::simulation::{Demand, Simulation, assert_bounded};
use testkit::report::jain;

const MIB: u64 = 1 << 20;
const SECOND: Duration = Duration::from_secs(1);

fn under(rate: u64) -> Simulation {
    Simulation::new(Tree::new(Budget::of(Rate::or_unlimited(rate)), Instant::ZERO))
}

fn greedy(simulation: &mut Simulation, parent: NodeId, streams: usize) -> Vec<NodeId> {
    (0..streams).map(|_| simulation.join(parent, Demand::Greedy(65_536))).collect()
}

#[test]
fn equal_demand_gets_equal_shares_from_two_to_ten_thousand_streams() {
    println!("{:>8} {:>12} {:>10} {:>10} {:>12}", "streams", "bytes/s", "Jain", "of rate", "told/grant");
    for (streams, rate, seconds) in [
        (2, MIB, 30),
        (8, MIB, 30),
        (100, MIB, 30),
        (1_000, 64 * MIB, 10),
        (10_000, 128 * MIB, 10),
        (10_000, MIB, 400),
    ] {
        let mut simulation = under(rate);
        let ids = greedy(&mut simulation, Tree::ROOT, streams);
        simulation.run_for(2 * SECOND);
        let (from, told, grants) = (simulation.now, simulation.told, simulation.log.len());
        simulation.run_for(seconds * SECOND);
        let shares = simulation.sent_since(from, &ids);
        let of_rate = shares.iter().sum::<u64>() as f64 / (rate * u64::from(seconds)) as f64;
        let told = (simulation.told - told) as f64 / (simulation.log.len() - grants) as f64;
        println!("{streams:>8} {rate:>12} {:>10.6} {of_rate:>10.5} {told:>12.3}", jain(&shares));
        assert!(jain(&shares) >= 0.999, "{streams} streams: {}", jain(&shares));
        assert!((0.99..=1.01).contains(&of_rate), "{streams} streams got {of_rate} of the rate");
        assert!(told <= 1.0, "each turn wakes the one whose turn it is");
        assert_bounded(simulation.log.iter(), rate, 0);
    }
}

#[test]
fn weights_share_within_one_per_cent() {
    let mut simulation = under(MIB);
    let weights = [1u16, 2, 3, 10, 100];
    let ids: Vec<NodeId> = weights
        .iter()
        .map(|&weight| {
            simulation.join_weighted(Tree::ROOT, Demand::Greedy(65_536), Weight::new(weight).unwrap())
        })
        .collect();
    simulation.run_for(10 * SECOND);
    let from = simulation.now;
    simulation.run_for(100 * SECOND);
    let shares = simulation.sent_since(from, &ids);
    let sum: u64 = shares.iter().sum();
    for (share, weight) in shares.iter().zip(weights) {
        let due = sum as f64 * f64::from(weight) / 116.0;
        assert!((*share as f64 / due - 1.0).abs() < 0.01, "weight {weight} got {share}, due {due}");
    }
}

#[test]
fn weights_share_within_one_per_cent_also_in_pieces_below_a_share() {
    let mut simulation = under(MIB);
    let weights = [7u16, 1, 2, 2];
    let ids = weights.map(|weight| {
        simulation.join_weighted(Tree::ROOT, Demand::Greedy(4_096), Weight::new(weight).unwrap())
    });
    simulation.run_for(SECOND);
    let from = simulation.now;
    simulation.run_for(12 * SECOND);
    for (share, weight) in simulation.sent_since(from, &ids).iter().zip(weights) {
        let due = u64::from(weight) * MIB;
        assert!(share.abs_diff(due) <= due / 100 + 4_096, "weight {weight} got {share}, due {due}");
    }
}

#[test]
fn a_client_limited_below_its_share_gets_all_of_it_beside_a_greedy_one() {
    // A turn of the other takes as long as the tokens of this one take to be whole.
    let mut simulation = under(MIB);
    let slow = simulation.tree.add(Tree::ROOT, Budget::of(Rate::or_unlimited(300_000)), Instant::ZERO);
    for piece in [65_536, MIB] {
        let ids = [slow, Tree::ROOT].map(|parent| simulation.join(parent, Demand::Greedy(piece)));
        simulation.run_for(SECOND);
        let from = simulation.now;
        simulation.run_for(20 * SECOND);
        let shares = simulation.sent_since(from, &ids);
        for (share, due) in shares.iter().zip([6_000_000, 20 * MIB - 6_000_000]) {
            assert!(share.abs_diff(due) <= due / 100 + 65_536, "{share} in pieces of {piece}, due {due}");
        }
        for id in ids {
            simulation.leave(id);
        }
    }
}

#[test]
fn one_client_with_twenty_streams_gets_what_one_with_one_gets() {
    let mut simulation = under(MIB);
    let (many, one) = (
        simulation.tree.add(Tree::ROOT, Budget::default(), Instant::ZERO),
        simulation.tree.add(Tree::ROOT, Budget::default(), Instant::ZERO),
    );
    let twenty = greedy(&mut simulation, many, 20);
    let single = greedy(&mut simulation, one, 1);
    simulation.run_for(2 * SECOND);
    let from = simulation.now;
    simulation.run_for(20 * SECOND);
    let twenty = simulation.sent_since(from, &twenty);
    let single = simulation.sent_since(from, &single)[0];
    assert!(jain(&twenty) >= 0.999);
    assert!(jain(&[twenty.iter().sum(), single]) >= 0.9999, "{} and {single}", twenty.iter().sum::<u64>());
}

#[test]
fn others_use_the_share_of_an_idle_client_within_a_second() {
    let mut simulation = under(MIB);
    let clients: Vec<NodeId> =
        (0..4).map(|_| simulation.tree.add(Tree::ROOT, Budget::default(), Instant::ZERO)).collect();
    let ids: Vec<NodeId> = clients.iter().map(|&client| greedy(&mut simulation, client, 1)[0]).collect();
    simulation.run_for(5 * SECOND);
    simulation.leave(ids[0]);
    simulation.leave(ids[1]);
    let from = simulation.now;
    simulation.run_for(SECOND);
    let shares = simulation.sent_since(from, &ids[2..]);
    for share in &shares {
        assert!(share.abs_diff(MIB / 2) <= MIB / 20, "{shares:?} of {} each", MIB / 2);
    }
    let back = greedy(&mut simulation, clients[0], 1)[0];
    let from = simulation.now;
    simulation.run_for(SECOND);
    let share = simulation.sent_since(from, &[back])[0];
    assert!(share >= MIB / 3 - MIB / 10, "and who comes back has its share within a second: {share}");
}

#[test]
fn streams_that_want_less_get_all_they_want_and_the_rest_goes_to_the_greedy() {
    // 100 KiB/s wanted by each of three; 1 MiB/s; two greedy ones share what is left.
    let mut simulation = under(MIB);
    let modest: Vec<NodeId> = (0..3)
        .map(|_| simulation.join(Tree::ROOT, Demand::Paced(20_480, Duration::from_millis(200))))
        .collect();
    let hungry = greedy(&mut simulation, Tree::ROOT, 2);
    simulation.run_for(2 * SECOND);
    let from = simulation.now;
    simulation.run_for(30 * SECOND);
    for share in simulation.sent_since(from, &modest) {
        assert!(share.abs_diff(30 * 102_400) <= 2 * 20_480, "{share}");
    }
    let shares = simulation.sent_since(from, &hungry);
    assert!(jain(&shares) >= 0.9999);
    let left = 30 * (MIB - 3 * 102_400);
    assert!(shares.iter().sum::<u64>().abs_diff(left) <= left / 100, "{shares:?} of {left}");
}

#[test]
fn a_client_limited_below_its_share_leaves_the_rest_to_others() {
    let mut simulation = under(MIB);
    let slow = simulation.tree.add(Tree::ROOT, Budget::of(Rate::or_unlimited(100_000)), Instant::ZERO);
    let fast = simulation.tree.add(Tree::ROOT, Budget::default(), Instant::ZERO);
    let in_slow = greedy(&mut simulation, slow, 10);
    let in_fast = greedy(&mut simulation, fast, 3);
    simulation.run_for(2 * SECOND);
    let from = simulation.now;
    simulation.run_for(30 * SECOND);
    let (in_slow, in_fast) = (simulation.sent_since(from, &in_slow), simulation.sent_since(from, &in_fast));
    assert!(in_slow.iter().sum::<u64>().abs_diff(3_000_000) <= 30_000, "{in_slow:?}");
    assert!(in_fast.iter().sum::<u64>().abs_diff(30 * (MIB - 100_000)) <= 300_000, "{in_fast:?}");
    assert!(jain(&in_slow) >= 0.999 && jain(&in_fast) >= 0.999);
}

#[test]
fn changes_hold_from_the_next_interval_also_for_waiting_flows() {
    let mut simulation = under(MIB);
    let ids = greedy(&mut simulation, Tree::ROOT, 50);
    for (rate, per_second) in
        [(Some(MIB / 8), MIB / 8), (Some(4 * MIB), 4 * MIB), (Some(1_000), 1_000), (Some(MIB), MIB)]
    {
        simulation.tree.set_budget(Tree::ROOT, Budget::of(rate.and_then(Rate::or_unlimited)), simulation.now);
        simulation.settle();
        simulation.run_for(Duration::from_millis(200));
        let from = simulation.now;
        simulation.run_for(5 * SECOND);
        let sum: u64 = simulation.sent_since(from, &ids).iter().sum();
        let slack = per_second / 5 + 1024;
        assert!(sum.abs_diff(5 * per_second) <= slack, "{sum} in 5 s at {per_second}");
    }
}

#[test]
fn a_change_reaches_all_of_five_thousand_waiting_flows_within_one_interval() {
    // At 1 MiB/s a turn of all takes five seconds, and one interval at 200 MiB/s.
    let mut simulation = under(200 * MIB);
    let ids = greedy(&mut simulation, Tree::ROOT, 5_000);
    simulation.run_for(7 * SECOND);
    simulation.tree.set_budget(Tree::ROOT, Budget::of(Rate::or_unlimited(MIB)), simulation.now);
    simulation.run_for(7 * SECOND);
    let changed = simulation.now;
    simulation.tree.set_budget(Tree::ROOT, Budget::of(Rate::or_unlimited(200 * MIB)), changed);
    simulation.settle();
    simulation.run_for(Duration::from_millis(200));
    let shares = simulation.sent_since(changed, &ids);
    assert_eq!(shares.iter().filter(|share| **share == 0).count(), 0, "all had a turn");
    // And lowered again: what was under way at the old rate is over with the interval.
    simulation.tree.set_budget(Tree::ROOT, Budget::of(Rate::or_unlimited(MIB)), simulation.now);
    simulation.run_for(Duration::from_millis(200));
    let lowered = simulation.now;
    simulation.run_for(SECOND);
    let sum: u64 = simulation.sent_since(lowered, &ids).iter().sum();
    assert!(sum.abs_diff(MIB) <= MIB / 5, "{sum}");
}

#[test]
fn removing_a_limit_frees_waiting_flows_at_once_and_adding_one_holds_them() {
    let mut simulation = under(1_000);
    let id = simulation.join(Tree::ROOT, Demand::Once(1_000_000));
    simulation.run_for(SECOND);
    simulation.tree.set_budget(Tree::ROOT, Budget::default(), simulation.now);
    simulation.settle();
    assert_eq!(simulation.streams[&id].done, Some(simulation.now), "to unlimited");
    simulation.tree.set_budget(Tree::ROOT, Budget::of(Rate::or_unlimited(1_000)), simulation.now);
    let id = simulation.join(Tree::ROOT, Demand::Once(1_000_000));
    simulation.run_for(5 * SECOND);
    assert_eq!(simulation.streams[&id].sent, 200 + 5_000, "an interval's worth, and the rate");
    assert_bounded(simulation.log.iter().filter(|sent| sent.stream == id), 1_000, 0);
}
