//! Many nodes with the same budget: set once, and all have it.

use std::time::Duration;

use sluicegate::budget::Each;
use sluicegate::limit::{Budget, Rate};

use super::tasks::Task;
use testkit::task::{CleanClock, node};

#[test]
fn a_limit_set_for_each_reaches_waiting_and_new_clients() {
    let clock = CleanClock::default();
    let (server, other) = (clock.node(0), clock.node(0));
    let each = Each::new("connection", Budget::of(Rate::or_unlimited(1_000)));
    let mut tasks =
        [&server, &server, &other].map(|above| Task::new(each.child_of(above).flow(Default::default())));
    for task in &mut tasks {
        assert_eq!(task.send(10_000), 200, "an interval's worth");
    }
    assert_eq!((each.len(), tasks[0].flow.node().name()), (3, "connection"));
    each.set(Budget::of(Rate::or_unlimited(100_000)));
    clock.0.advance(Duration::from_millis(200));
    for task in &mut tasks {
        assert_eq!(task.woken(), 1);
        assert_eq!(task.send(10_000), 20_000);
    }
    assert_eq!(each.child_of(&server).budget(), each.budget(), "and one who comes now");
}

#[test]
fn one_that_was_changed_by_itself_is_so_until_all_are() {
    let (_clock, server) = node(0);
    let each = Each::new("connection", Budget::of(Rate::or_unlimited(1_000)));
    let (one, two) = (each.child_of(&server), each.child_of(&server));
    let own = Budget::of(Rate::or_unlimited(5_000));
    one.set(own);
    assert_eq!((one.budget(), two.budget()), (own, each.budget()));
    each.set(Budget::default());
    assert_eq!((one.budget(), two.budget()), (Budget::default(), Budget::default()));
    assert!(!server.is_limited());
}
