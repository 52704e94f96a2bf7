//! The table, and the verdict.

use testkit::report::{Table, median, show};

use crate::CROWDS;
use crate::reading::Reading;
use crate::server::Kind;

/// The most that a delay at p99 may be of nchan's.
const MAX_DELAY: f64 = 2.0;

pub fn print(readings: &[Reading]) {
    let mut table = Table::new(
        "one stream | subscribers | events/s | deliveries/s | CPU s a million | p50 ms | p99 ms | \
         PSS, KiB a subscriber",
    );
    for subscribers in CROWDS {
        for kind in [Kind::Sluicegate, Kind::Nchan] {
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

/// A figure of the readings of a server with so many subscribers.
fn of(readings: &[Reading], kind: Kind, subscribers: usize, figure: impl Fn(&Reading) -> f64) -> Vec<f64> {
    let is_of = |reading: &&Reading| reading.kind == kind && reading.subscribers == subscribers;
    readings.iter().filter(is_of).map(figure).collect()
}
