//! Sixty simulated seconds with both levels: each stream's own limit and the one they share.

use std::time::Duration;

use sluicegate::budget::Each;
use sluicegate::clock::{Clock, Instant};
use sluicegate::limit::{Budget, Rate};
use sluicegate::throttle::Throttle;

use super::scene::{CleanClock, Script, Task, node};
use testkit::report::jain;

const KIB: u64 = 1024;

/// Reads with all `readers` as much as they may until `until` in milliseconds; the cumulative bytes of all at each instant.
pub fn run(clock: &CleanClock, readers: &mut [Throttle<Script>], until: u64) -> Vec<(Instant, u64)> {
    let (task, until, mut timeline) = (Task::default(), Instant::from_millis(until), Vec::new());
    loop {
        for reader in &mut *readers {
            while task.read(&mut *reader, 8_192).is_ready() {}
        }
        timeline.push((clock.0.now(), bytes(readers).iter().sum()));
        match clock.0.next_deadline() {
            Some(next) if next <= until => drop(clock.0.advance_to_next()),
            _ => {
                clock.0.set(until);
                return timeline;
            }
        }
    }
}

fn bytes(readers: &[Throttle<Script>]) -> Vec<u64> {
    readers.iter().map(|reader| reader.reads().report().bytes).collect()
}

fn since(readers: &[Throttle<Script>], before: &[u64]) -> Vec<u64> {
    bytes(readers).iter().zip(before).map(|(now, before)| now - before).collect()
}

/// In any window no more than `depth` and what `rate` gives.
fn bounded(before: u64, timeline: &[(Instant, u64)], rate: u64, depth: u64) {
    let (mut before, mut earliest) = (before, i128::MAX);
    for &(at, sum) in timeline {
        let earned = i128::from(rate) * i128::from(at.as_nanos()) / 1_000_000_000;
        earliest = earliest.min(i128::from(before) - earned);
        let most = i128::from(sum) - earned - earliest;
        assert!(most <= i128::from(depth) + 1, "{most} bytes ahead at {at:?}");
        before = sum;
    }
}

#[test]
fn eight_share_the_total_and_two_run_at_their_own_and_both_levels_change_half_way() {
    let (clock, server) = node(1024 * KIB);
    let each = Each::new("download", Budget::of(Rate::or_unlimited(200 * KIB)));
    let mut readers: Vec<_> =
        (0..8).map(|_| Throttle::new(Script::default(), &each.child_of(&server))).collect();

    let timeline = run(&clock, &mut readers, 30_000);
    bounded(0, &timeline, 1024 * KIB, 1024 * KIB / 5);
    let all = bytes(&readers);
    assert!(jain(&all) >= 0.999, "{all:?}");
    let total: u64 = all.iter().sum();
    let due = 30 * 1024 * KIB;
    assert!((due..=due + 1024 * KIB / 5).contains(&total), "{total}");

    server.set(Budget::of(Rate::or_unlimited(512 * KIB)));
    each.set(Budget::of(Rate::or_unlimited(300 * KIB)));
    let before = bytes(&readers);
    let timeline = run(&clock, &mut readers, 60_000);
    bounded(before.iter().sum(), &timeline, 512 * KIB, 1024 * KIB / 5);
    let second = since(&readers, &before);
    assert!(jain(&second) >= 0.999, "{second:?}");
    let total: u64 = second.iter().sum();
    assert!(total.abs_diff(30 * 512 * KIB) * 100 < total, "{total}");

    // Six leave, and what they had is used: each of two gets what is its own.
    server.set(Budget::of(Rate::or_unlimited(1024 * KIB)));
    readers.truncate(2);
    let before = bytes(&readers);
    run(&clock, &mut readers, 90_000);
    for bytes in since(&readers, &before) {
        let due = 30 * 300 * KIB;
        assert!(bytes.abs_diff(due) * 100 < due, "{bytes} instead of {due}");
    }
    let rate = readers[0].reads().report().rate;
    assert!(rate.abs_diff(300 * KIB) <= 2 * 8_192, "{rate}");
    assert_eq!(clock.0.now() - Instant::ZERO, Duration::from_secs(90));
}

#[test]
fn a_burst_of_its_own_does_not_break_the_total() {
    let (clock, server) = node(100 * KIB);
    let each = Each::new("download", Budget::of(Rate::or_unlimited(50 * KIB)).with_burst(1024 * KIB));
    let mut readers: Vec<_> =
        (0..4).map(|_| Throttle::new(Script::default(), &each.child_of(&server))).collect();
    let timeline = run(&clock, &mut readers, 60_000);
    bounded(0, &timeline, 100 * KIB, 20 * KIB);
    assert!(jain(&bytes(&readers)) >= 0.999, "{:?}", bytes(&readers));
}
