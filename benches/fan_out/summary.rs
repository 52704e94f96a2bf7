//! The table, and the verdict.

use testkit::report::{Table, median, show};

use crate::CROWDS;
use crate::reading::Reading;
use crate::server::Kind;

/// The most that a delay at p99 may be of nchan's.
const MAX_DELAY: f64 = 2.0;

/// The most milliseconds that a store may add to a delay at p50.
const MAX_ADDED: f64 = 2.0;

/// The least that deliveries on a store may be of those without.
const MIN_DELIVERIES: f64 = 0.8;

pub fn print(readings: &[Reading], crowds: &[usize], kinds: &[Kind]) {
    let mut table = Table::new(
        "one stream | subscribers | events/s | deliveries/s | CPU s a million | of the store | p50 ms | p99 ms | \
         PSS, KiB a subscriber",
    );
    for &subscribers in crowds {
        for &kind in kinds {
            if of(readings, kind, subscribers, |_| 0.0).is_empty() {
                table.row([format!("{kind}: not installed"), subscribers.to_string()]);
                continue;
            }
            let all = |figure: fn(&Reading) -> f64, decimals| {
                show(&of(readings, kind, subscribers, figure), decimals)
            };
            table.row([
                kind.to_string(),
                subscribers.to_string(),
                all(|reading| reading.per_second, 0),
                all(|reading| reading.per_second * reading.subscribers as f64, 0),
                all(|reading| reading.cpu, 2),
                all(|reading| reading.store_cpu, 2),
                all(|reading| reading.p50 / 1e3, 2),
                all(|reading| reading.p99 / 1e3, 2),
                all(|reading| reading.memory, 1),
            ]);
        }
    }
    table.print();
}

/// Prints how it stands beside nchan, and says whether that is good.
pub fn check(readings: &[Reading]) -> bool {
    let mut good = true;
    for subscribers in CROWDS {
        for (what, figure, most) in [
            ("CPU for a delivery", (|reading| reading.cpu) as fn(&Reading) -> f64, 1.0),
            ("delay at p99", |reading| reading.p99, MAX_DELAY),
        ] {
            let [ours, theirs] =
                [Kind::Sluicegate, Kind::Nchan].map(|kind| median(&of(readings, kind, subscribers, figure)));
            let (Some(ours), Some(theirs)) = (ours, theirs) else {
                println!("FAILED: nothing to compare with; Debian's package is libnginx-mod-nchan");
                return false;
            };
            let ratio = ours / theirs;
            let (verdict, is) = if ratio <= most { ("good", "at most") } else { ("FAILED", "above") };
            println!("{verdict}: to {subscribers}, {what} is {ratio:.2} × nchan's, {is} {most}");
            good &= ratio <= most;
        }
    }
    good
}

/// Prints how servers on Redis stand beside one that is not, and says whether that is good.
pub fn check_redis(readings: &[Reading]) -> bool {
    let mut good = true;
    let mut say = |is_good: bool, what: String| {
        println!("{}: {what}", if is_good { "good" } else { "FAILED" });
        good &= is_good;
    };
    let most = CROWDS[1];
    for kind in [Kind::Redis, Kind::RedisElsewhere] {
        let of = |kind, subscribers, figure: fn(&Reading) -> f64| {
            median(&of(readings, kind, subscribers, figure)).unwrap_or(f64::NAN)
        };
        let p50 = |kind| of(kind, 1, |reading| reading.p50 / 1e3);
        let added = p50(kind) - p50(Kind::Sluicegate);
        say(
            added <= MAX_ADDED,
            format!("{kind}, a delivery at p50 is {added:.2} ms later, at most {MAX_ADDED}"),
        );
        let per_second = |kind| of(kind, most, |reading| reading.per_second);
        let ratio = per_second(kind) / per_second(Kind::Sluicegate);
        let what = format!(
            "{kind}, to {most}, deliveries are {ratio:.2} × those without, at least {MIN_DELIVERIES}"
        );
        say(ratio >= MIN_DELIVERIES, what);
    }
    good
}

/// A figure of the readings of a server with so many subscribers.
fn of(readings: &[Reading], kind: Kind, subscribers: usize, figure: impl Fn(&Reading) -> f64) -> Vec<f64> {
    let is_of = |reading: &&Reading| reading.kind == kind && reading.subscribers == subscribers;
    readings.iter().filter(is_of).map(figure).collect()
}
