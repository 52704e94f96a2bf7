//! Places in line: who is woken, when, and what happens when limits change or a waiter leaves.

use std::task::Poll;
use std::time::Duration;

use sluicegate::budget::{Held, HeldBy};
use sluicegate::clock::{Clock, Instant};
use sluicegate::limit::{Budget, Rate};

use super::tasks::Task;
use testkit::task::node;

const MIB: u64 = 1 << 20;

#[test]
fn a_thousand_waiters_have_one_timer_and_one_wake_up_for_each_turn() {
    let (clock, root) = node(50 * MIB);
    let mut tasks: Vec<Task> = (0..1_000).map(|_| Task::new(root.flow(Default::default()))).collect();
    for task in &mut tasks {
        task.send(65_536);
    }
    assert_eq!(clock.0.sleepers(), 1, "one alarm for all");
    let mut seen = vec![0; tasks.len()];
    let (mut turns, mut wakes) = (0, 0);
    while clock.0.now() < Instant::from_millis(2_000) {
        clock.0.advance_to_next();
        for (task, seen) in tasks.iter_mut().zip(&mut seen) {
            // Only who is woken looks.
            let woken = task.woken() - std::mem::replace(seen, task.woken());
            wakes += woken;
            if woken > 0 {
                assert!(task.send(65_536) > 0, "who is woken has a turn");
                turns += 1;
            }
        }
        assert_eq!(clock.0.sleepers(), 1);
    }
    assert!(turns >= 9_000, "{turns} turns");
    assert_eq!(wakes, turns, "and each turn wakes once");
}

#[test]
fn a_change_reaches_waiting_flows_at_once() {
    let (clock, root) = node(1);
    let mut task = Task::new(root.flow(Default::default()));
    assert_eq!(task.send(100_000), 1);
    root.set(Budget::of(Rate::or_unlimited(1_000_000)));
    clock.0.advance(Duration::from_millis(200));
    assert_eq!(task.woken(), 1);
    assert!(task.send(100_000) >= 100_000, "raised");
    root.set(Budget::default());
    assert_eq!(task.woken(), 2);
    assert_eq!(task.poll(1 << 40), Poll::Ready(100_000), "the turn that was waited for");
    task.flow.sent(100_000);
    assert_eq!(task.poll(1 << 40), Poll::Ready(1 << 40), "and then there is no limit");
}

#[test]
fn a_flow_dropped_in_mid_wait_leaves_no_timer_and_takes_nothing() {
    let (clock, root) = node(100_000);
    let mut first = Task::new(root.flow(Default::default()));
    let mut second = Task::new(root.flow(Default::default()));
    assert_eq!(first.poll(20_000), Poll::Ready(20_000));
    assert!(second.poll(20_000).is_pending());
    drop(first);
    assert_eq!(second.woken(), 1, "what the first was granted and did not send");
    assert_eq!(second.poll(20_000), Poll::Ready(20_000));
    second.flow.sent(20_000);
    assert!(second.poll(1).is_pending());
    assert_eq!(clock.0.sleepers(), 1);
    drop(second);
    assert_eq!(clock.0.sleepers(), 0);
    assert_eq!((root.passed().bytes, root.children()), (20_000, 0));
}

#[test]
fn a_seat_reports_its_binding_limit_and_how_long_it_was_held() {
    let (clock, root) = node(1_000_000);
    let client = root.child("client", Budget::of(Rate::or_unlimited(1_000)));
    let mut task = Task::new(client.flow(Default::default()));
    assert_eq!(task.send(200), 200);
    let (by, until) = task.flow.held().unwrap();
    assert_eq!((&*by, until), ("client", Some(Instant::from_millis(200))));
    clock.0.advance_to_next();
    assert_eq!(task.poll(200), Poll::Ready(200));
    assert_eq!(task.flow.held(), None);
    assert_eq!(task.flow.waited(), [("client".into(), Duration::from_millis(200))]);
}

#[test]
fn a_watch_reports_its_flows_binding_limit_until_the_flow_is_dropped() {
    let (clock, root) = node(1_000);
    let mut first = Task::new(root.flow(Default::default()));
    let watch = first.flow.watch();
    let held = |millis| {
        Some(Held { by: HeldBy::Budget("server".into()), until: Some(Instant::from_millis(millis)) })
    };
    assert_eq!(watch.held(), None, "it waits for nothing yet");
    assert_eq!(first.send(200), 200);
    assert_eq!(watch.held(), held(200));
    root.set(Budget::of(Rate::or_unlimited(2_000)));
    assert_eq!(watch.held(), held(100), "of that moment, whether its owner was polled since or not");
    clock.0.advance_to_next();
    assert_eq!(watch.held(), None, "its turn came");
    assert_eq!(first.send(200), 200);
    assert!(watch.held().is_some());
    drop(first);
    // The next takes its place in the tree.
    let mut second = Task::new(root.flow(Default::default()));
    assert!(second.poll(1).is_pending());
    assert_eq!((watch.held(), second.flow.watch() == watch), (None, false));
}

#[test]
fn a_late_alarm_costs_no_rate() {
    let (clock, root) = node(MIB);
    let mut tasks: Vec<Task> = (0..8).map(|_| Task::new(root.flow(Default::default()))).collect();
    let mut sent = 0;
    // The system's wheel rings in steps of 10 ms.
    for _ in 0..1_000 {
        sent += tasks.iter_mut().map(|task| task.send(65_536)).sum::<u64>();
        clock.0.advance(Duration::from_millis(10));
    }
    let due = 10 * MIB;
    assert!(sent.abs_diff(due) <= MIB / 5 + 1, "{sent} of {due}");
}
