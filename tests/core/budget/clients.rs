//! Clients by their keys: told apart, remembered, forgotten.

use std::task::{Context, Poll, Waker};
use std::time::Duration;

use sluicegate::budget::{BudgetChange, ClientKey, Clients, Gate, IdleBound};
use sluicegate::limit::{Budget, Rate, Weight};

use super::tasks::Task;
use testkit::task::CleanClock;

fn clients(clock: &CleanClock, budget: Budget) -> Clients {
    Clients::new(clock.node(0), "client", budget)
}

fn key(n: u32) -> ClientKey {
    ClientKey::V4(n.into())
}

#[test]
fn a_client_that_comes_back_finds_its_balance() {
    let clock = CleanClock::default();
    let clients = clients(&clock, Budget::of(Rate::or_unlimited(1_000)).with_burst(5_000));
    let mut task = Task::new(clients.node(&key(1)).flow(Default::default()));
    assert_eq!(task.send(10_000), 5_000);
    drop(task);
    let mut again = Task::new(clients.node(&key(1)).flow(Default::default()));
    assert!(again.poll(1).is_pending(), "the burst is not given twice");
    let mut other = Task::new(clients.node(&key(2)).flow(Default::default()));
    assert_eq!(other.send(10_000), 5_000);
}

#[test]
fn idle_clients_are_forgotten_when_their_burst_is_whole_again() {
    let clock = CleanClock::default();
    let clients = clients(&clock, Budget::of(Rate::or_unlimited(1_000)).with_burst(5_000));
    for n in 0..1_000 {
        Task::new(clients.node(&key(n)).flow(Default::default())).send(10_000);
    }
    assert_eq!(clients.len(), 1_000, "all have something on the slate");
    clock.0.advance(Duration::from_secs(5));
    for n in 1_000..2_000 {
        drop(clients.node(&key(n)));
    }
    assert!(clients.len() <= 4, "{} are kept", clients.len());
}

#[test]
fn memory_is_bounded_however_many_come() {
    let clock = CleanClock::default();
    let clients = clients(&clock, Budget::of(Rate::or_unlimited(1)).with_burst(1 << 40));
    for n in 0..(Clients::MAX_IDLE as u32 + 10_000) {
        let mut cx = Context::from_waker(Waker::noop());
        let mut flow = clients.node(&key(n)).flow(Default::default());
        assert_eq!(flow.poll_turn(&mut cx, 1), Poll::Ready(1));
        flow.sent(1);
    }
    assert!(clients.len() <= Clients::MAX_IDLE);
}

#[test]
fn memory_is_bounded_however_many_places_they_come_to() {
    let clock = CleanClock::default();
    let bound = IdleBound::default();
    let budget = Budget::of(Rate::or_unlimited(1)).with_burst(1 << 40);
    let places: Vec<Clients> = (0..50).map(|_| clients(&clock, budget)).collect();
    places.iter().for_each(|place| place.share(&bound));
    let mut under_way = Vec::new();
    for n in 0..(Clients::MAX_IDLE as u32 + 20_000) {
        let mut cx = Context::from_waker(Waker::noop());
        // A crowd comes to one after the other, and to each but once.
        let mut flow = places[n as usize / 2_000].node(&key(n)).flow(Default::default());
        assert_eq!(flow.poll_turn(&mut cx, 1), Poll::Ready(1));
        flow.sent(1);
        if n % 100 == 0 {
            under_way.push((n, flow));
        }
        assert!(bound.known() <= Clients::MAX_IDLE + under_way.len());
    }
    let sum = |places: &[Clients]| places.iter().map(Clients::len).sum::<usize>();
    assert_eq!(sum(&places), bound.known());
    assert!(bound.known() > Clients::MAX_IDLE - 100, "no more are forgotten than must be: {}", bound.known());
    for (n, _) in &under_way {
        assert!(places[*n as usize / 2_000].lookup(&key(*n)).1.is_some(), "what is under way stays");
    }
    drop(under_way);
    drop(places);
    assert_eq!(bound.known(), 0);
}

#[test]
fn what_is_whole_again_is_forgotten_also_where_nobody_comes_any_more() {
    let clock = CleanClock::default();
    let bound = IdleBound::default();
    let places = [(); 3].map(|()| {
        let place = clients(&clock, Budget::of(Rate::or_unlimited(1_000)).with_burst(5_000));
        // One that had clients before counts them.
        drop(place.node(&key(0)));
        place.share(&bound);
        place.share(&IdleBound::default());
        place
    });
    assert_eq!(bound.known(), 3);
    let [one, other, last] = &places;
    for (place, n) in [one, other].into_iter().flat_map(|place| (0..1_000).map(move |n| (place, n))) {
        Task::new(place.node(&key(n)).flow(Default::default())).send(10_000);
    }
    assert_eq!((one.len(), other.len()), (1_000, 1_000), "all have something on the slate");
    clock.0.advance(Duration::from_secs(5));
    for n in 0..2_000 {
        drop(last.node(&key(n)));
    }
    assert_eq!((one.len(), other.len()), (0, 0));
    assert_eq!(bound.known(), last.len());
}

#[test]
fn all_have_the_same_budget_and_some_their_own() {
    let clock = CleanClock::default();
    let clients = clients(&clock, Budget::default());
    let (one, two) = (clients.node(&key(1)), clients.node(&key(2)));
    let (all, own) = (Budget::of(Rate::or_unlimited(1_000)), Budget::of(Rate::or_unlimited(2_000)));
    clients.set_override(&key(2), Some(own)).unwrap();
    clients.set(all);
    assert_eq!((one.budget(), two.budget(), clients.node(&key(3)).budget()), (all, own, all));
    clients.set_override(&key(2), None).unwrap();
    assert_eq!(two.budget(), all);
    let weight = Weight::new(3).unwrap();
    let heavy = BudgetChange { weight: Some(weight), ..BudgetChange::default() };
    clients.set_override(&key(2), Some(own)).unwrap();
    clients.replace_override(&key(2), Some(heavy)).unwrap();
    assert_eq!((two.budget(), clients.override_of(&key(2))), (all.with_weight(weight), Some(heavy)));
    clients.replace_override(&key(2), None).unwrap();
    assert_eq!((two.budget(), clients.override_of(&key(2))), (all, None));
    clients.set_override(&key(4), Some(own)).unwrap();
    assert_eq!(clients.node(&key(4)).budget(), own, "also one that comes later");
    assert_eq!(clients.overrides(), [(key(4), own)]);
    for n in 5..(4 + Clients::MAX_OVERRIDES as u32) {
        clients.set_override(&key(n), Some(own)).unwrap();
    }
    assert!(clients.set_override(&key(1 << 20), Some(own)).is_err());
    assert!(clients.set_override(&key(4), Some(all)).is_ok(), "one that has one already");
}

#[test]
fn a_gate_asks_both_trees_and_takes_no_place_where_nothing_is_limited() {
    let clock = CleanClock::default();
    let server = clients(&clock, Budget::default());
    let route = Clients::new(clock.node(100_000), "route client", Budget::default());
    let mut gate = Gate::of_client(Some(&route), &server, &key(1), Default::default());
    let mut cx = Context::from_waker(Waker::noop());
    assert_eq!(gate.poll_turn(&mut cx, 50_000), Poll::Ready(20_000));
    assert_eq!((route.len(), server.len()), (1, 0));
    gate.sent(20_000);
    server.set(Budget::of(Rate::or_unlimited(10_000)));
    server.parent().set(Budget::of(Rate::or_unlimited(1_000_000)));
    clock.0.advance(Duration::from_millis(200));
    assert_eq!(gate.poll_turn(&mut cx, 50_000), Poll::Ready(2_000), "the less of both");
    gate.sent(2_000);
    assert_eq!(gate.poll_turn(&mut cx, 50_000), Poll::Pending);
    assert_eq!(gate.held().unwrap().by.as_ref(), "client");
    server.set(Budget::default());
    server.parent().set(Budget::default());
    assert_eq!(gate.poll_turn(&mut cx, 50_000), Poll::Ready(18_000), "the rest of the route's turn");
    drop(gate);
    assert_eq!(route.parent().passed().bytes, 22_000, "what was not sent was given back");
}

/// Where nothing but the clients has a limit, the first of them must not slip by it.
#[test]
fn a_limit_of_clients_alone_holds_for_the_first() {
    let clock = CleanClock::default();
    let mut cx = Context::from_waker(Waker::noop());
    let mut granted = |gate: &mut Gate| match gate.poll_turn(&mut cx, 100_000) {
        Poll::Ready(turn) => turn,
        Poll::Pending => 0,
    };
    let limit = Budget::of(Rate::or_unlimited(10_000));
    let of = |clients: &Clients, n| Gate::of_client(None, clients, &key(n), Default::default());

    let limited = clients(&clock, limit);
    assert!(limited.parent().is_limited());
    assert_eq!(granted(&mut of(&limited, 1)), 2_000);
    limited.set(Budget::default());
    assert_eq!(granted(&mut of(&limited, 2)), 100_000);
    assert!(limited.set_override(&key(3), Some(limit)).is_ok());
    assert_eq!([granted(&mut of(&limited, 4)), granted(&mut of(&limited, 3))], [100_000, 2_000]);
    assert!(limited.set_override(&key(3), None).is_ok());
    assert_eq!(granted(&mut of(&limited, 3)), 100_000);
    assert!(!limited.parent().is_limited());

    let root = limited.parent().clone();
    let gone = Clients::new(root.clone(), "others", limit);
    assert!(gone.set_override(&key(1), Some(limit)).is_ok() && root.is_limited());
    drop(gone);
    assert!(!root.is_limited());
}
