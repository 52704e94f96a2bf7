//! Quota servers on one store that die, are stopped past their lease, and come back believing that they lead; and a store
//! that is away, loses what was written, is emptied, or has its clock set. All on a time line that is stepped through.
//!
//! `cargo test --test quota leaders -- --nocapture` shows what a change of leaders costs.

mod fleet;
mod parties;

use std::time::Duration;

use sluicegate::clock::Instant;
use sluicegate::quota::MICRO;

use fleet::{Figures, Fleet, LIMIT, TIMEOUT, Trouble};
use parties::{Asks, Store};
use sluicegate::quota::lead::Lead;

/// Of the limit, in per cent.
struct Row {
    leased: f64,
    spent: f64,
    figures: Figures,
}

fn simulate(name: &str, trouble: Trouble, hours: u64) -> Row {
    let (mut leased, mut spent, mut all) = (0.0, 0.0, Figures::default());
    let seeds = 4;
    for seed in 1..=seeds {
        let mut fleet = Fleet::new(trouble, 0x5eed * seed);
        let begun = Instant::ZERO + Duration::from_secs(120);
        assert_eq!(fleet.run(begun), None, "{name}, seed {seed}");
        fleet.figures = Figures::default();
        let end = begun + Duration::from_secs(3600 * hours);
        assert_eq!(fleet.run(end), None, "{name}, seed {seed}: more than the limit is leased");
        let whole = (LIMIT * MICRO) as f64 * (end - begun).as_nanos() as f64 / 100.0 * seeds as f64;
        leased += fleet.figures.leased / whole;
        spent += fleet.figures.spent / whole;
        all.peak = all.peak.max(fleet.figures.peak);
        all.terms += fleet.figures.terms;
        all.gap = all.gap.max(fleet.figures.gap);
    }
    let peak = all.peak as f64 / (LIMIT * MICRO) as f64 * 100.0;
    println!(
        "| {name:<42} | {:>5} | {:>7.2} | {:>7.2} | {peak:>7.2} | {:>6.1} s |",
        all.terms,
        leased,
        spent,
        all.gap.as_secs_f64()
    );
    Row { leased, spent, figures: all }
}

#[test]
fn leaders_that_die_stall_and_come_back_never_lease_more_than_the_limit() {
    println!(
        "| per cent of the limit                      | terms | leased  | spent   | peak    | no leader |"
    );
    let calm = Trouble::default();
    let row = simulate("none", calm, 1);
    assert!(row.leased > 99.9 && row.figures.terms == 0, "{}", row.leased);
    let row = simulate("a server is killed each 2 min", Trouble { kills: Some(120), ..calm }, 1);
    assert!(row.leased > 99.9, "{}", row.leased);
    // The lease runs out, another asks, and waits for a lease and an eighth: less than the interval of heartbeats.
    // Sometimes the next one is killed too.
    assert!(row.figures.gap < TIMEOUT / 2, "{:?}", row.figures.gap);
    let row = simulate("the leader is stopped each 2 min", Trouble { stalls: Some(120), ..calm }, 1);
    assert!(row.spent > 99.0, "{}", row.spent);
    // What learning costs, and what it costs that leases are kept.
    let changes = Trouble { kills: Some(120), churn: Some(5), ..calm };
    let kept = simulate("a server is killed each 2 min, churn", changes, 1);
    let learned = simulate("the same, each leader learns", Trouble { learning: true, ..changes }, 1);
    assert!(kept.leased > learned.leased, "{} {}", kept.leased, learned.leased);
    simulate("the store is upset each 2 min", Trouble { store: Some(120), ..calm }, 1);
    let mixed = Trouble { kills: Some(60), stalls: Some(120), churn: Some(5), mixed: true, ..calm };
    simulate("servers with timeouts of 10, 20 and 30 s", mixed, 1);
    let all =
        Trouble { kills: Some(120), stalls: Some(120), store: Some(60), churn: Some(5), lost: 5, ..calm };
    simulate("all of it, 1 in 20 words lost, churn", all, 2);
}

#[test]
fn the_simulation_finds_leaders_that_do_not_look_at_the_end_of_their_lease() {
    // Where leases are kept, the store refuses what such a leader would grant.
    let stalls = Trouble { stalls: Some(60), churn: Some(5), careless: true, ..Trouble::default() };
    assert!(goes_over(Trouble { learning: true, ..stalls }));
    assert!(!goes_over(Trouble { careless: false, learning: true, ..stalls }));
}

#[test]
fn the_simulation_finds_leaders_that_do_not_learn_for_as_long_as_the_longest_lease_of_others() {
    let mixed = Trouble { kills: Some(60), churn: Some(5), mixed: true, ..Trouble::default() };
    assert!(goes_over(Trouble { forgetful: true, ..mixed }));
    assert!(!goes_over(mixed));
}

#[test]
fn the_simulation_finds_leaders_that_believe_a_store_that_may_have_lost_the_last_second() {
    let store = Trouble { store: Some(10), stalls: Some(20), churn: Some(5), ..Trouble::default() };
    assert!(goes_over(Trouble { trusting: true, ..store }));
    assert!(!goes_over(store));
}

#[test]
fn the_simulation_finds_leaders_that_tell_of_what_is_not_kept_yet() {
    let kills = Trouble { kills: Some(15), churn: Some(1), lost: 30, ..Trouble::default() };
    assert!(goes_over(Trouble { hasty: true, ..kills }));
    assert!(!goes_over(kills));
}

/// Whether more than the limit is leased, in one of some histories.
fn goes_over(trouble: Trouble) -> bool {
    let end = Instant::ZERO + Duration::from_secs(3600);
    (1..=8).any(|seed| Fleet::new(trouble, 0x5eed * seed).run(end).is_some())
}

/// Whether two servers lead at the same time, on a store that is emptied twice within a lease while `question` numbers what
/// they ask.
fn both_lead(question: impl Fn(u64) -> u64) -> bool {
    let at = |millis: u64| Instant::ZERO + Duration::from_millis(millis);
    let (mut store, mut asked) = (Store::default(), 0);
    let mut leads = [Lead::new(TIMEOUT, at(0)), Lead::new(TIMEOUT, at(0))];
    let mut ask = |store: &mut Store, leads: &mut [Lead; 2], server: usize, now: u64| {
        asked += 1;
        let asks = Asks { server, life: 1, timeout: TIMEOUT, settled: None, sent: at(now) };
        let reply = store.ask(at(now), asks, question(asked));
        if let Some(new) = leads[server].answered(at(now), at(now), reply) {
            leads[server].ready(new.term);
        }
    };
    for now in (0..=8000).step_by(1000) {
        ask(&mut store, &mut leads, 0, now);
    }
    assert!(leads[0].leads(at(8000)).is_ok());
    store = Store::default();
    // The other one is first, and renews; then it is cut off.
    ask(&mut store, &mut leads, 1, 8100);
    ask(&mut store, &mut leads, 1, 9100);
    store = Store::default();
    (9200..13_000).step_by(100).any(|now| {
        if (now - 9200) % 1000 == 0 {
            ask(&mut store, &mut leads, 0, now);
        }
        leads.iter().all(|lead| lead.leads(at(now)).is_ok())
    })
}

#[test]
fn a_store_that_is_emptied_twice_within_a_lease_makes_no_second_leader() {
    assert!(!both_lead(|question| question));
    // The number of the term alone, which is 1 each time, would.
    assert!(both_lead(|_| 0));
}
