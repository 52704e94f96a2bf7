//! A thousand clients over virtual hours: they come and go, lose words, are cut off, and their server is
//! restarted under them.
//!
//! `cargo test --test quota fleet -- --nocapture` shows the table.

use std::collections::HashMap;
use std::time::Duration;

use sluicegate::clock::Instant;
use sluicegate::quota::MICRO;

use crate::simulation::{CLIENTS, Figures, Fleet, LIMIT, Trouble};

/// Of the limit, in per cent, over the whole run.
struct Row {
    leased: f64,
    spent: f64,
    over: f64,
    peak_leased: f64,
    peak_spent: f64,
}

fn simulate(name: &str, trouble: Trouble, hours: u64) -> Row {
    let mut fleet = Fleet::new(trouble);
    // Until all of the fleet is there, it is none.
    fleet.run(Instant::ZERO + Duration::from_secs(300));
    fleet.figures = Figures::default();
    let begun = fleet.now;
    let end = begun + Duration::from_secs(3600 * hours);
    fleet.run(end);
    let limit = (LIMIT * MICRO) as f64;
    let whole = limit * (end - begun).as_nanos() as f64;
    let Figures { beats, peak_leased, peak_spent, leased, spent, over } = fleet.figures;
    let percent = |part: f64, of: f64| part / of * 100.0;
    let row = Row {
        leased: percent(leased, whole),
        spent: percent(spent, whole),
        over: percent(over, whole),
        peak_leased: percent(peak_leased as f64, limit),
        peak_spent: percent(peak_spent as f64, limit),
    };
    println!(
        "| {name:<34} | {hours:>2} h | {beats:>8} | {:>7.2} | {:>7.2} | {:>7.3} | {:>7.2} | {:>7.2} |",
        row.leased, row.spent, row.over, row.peak_leased, row.peak_spent
    );
    if trouble.restarts.is_none()
        && trouble.lost == 0
        && trouble.partitions.is_none()
        && trouble.churn.is_none()
    {
        let equal = HashMap::from([(LIMIT * MICRO / CLIENTS as u64, CLIENTS)]);
        assert_eq!(fleet.leases(), equal, "all have the same");
    }
    row
}

#[test]
fn a_fleet_of_a_thousand_never_leases_more_than_the_limit() {
    println!(
        "| {:<34} | time | beats    | leased  | spent   | over    | peak of | peak of |",
        "per cent of the limit"
    );
    println!("| {:<34} |      |          | mean    | mean    | mean    | leased  | spent   |", "");
    let calm = Trouble::default();
    let row = simulate("calm", calm, 1);
    assert!(row.leased > 99.9 && row.peak_spent <= 100.0);

    let row = simulate("one leaves and one comes each 10 s", Trouble { churn: Some(10), ..calm }, 1);
    assert!(row.leased > 98.0 && row.peak_spent <= 100.0);

    let row = simulate("1 in 10 words is lost", Trouble { lost: 10, ..calm }, 1);
    assert!(row.leased > 90.0, "{}", row.leased);

    let row = simulate("a tenth is cut off each 5 min", Trouble { partitions: Some(300), ..calm }, 1);
    // Those cut off live on a thousandth each when their leases have run out, and others have these.
    assert!(row.peak_spent <= 111.0 && row.over < 2.0, "{} {}", row.peak_spent, row.over);

    let row = simulate("the server is killed each 15 min", Trouble { restarts: Some(900), ..calm }, 2);
    assert!(row.spent > 99.0 && row.peak_spent <= 100.1, "{} {}", row.spent, row.peak_spent);

    let all = Trouble { churn: Some(10), lost: 5, partitions: Some(300), restarts: Some(900) };
    let row = simulate("all of it", all, 2);
    assert!(row.peak_leased <= 100.0 && row.over < 5.0, "{}", row.over);
}
