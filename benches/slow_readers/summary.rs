//! All readings as tables, and the verdict.

use testkit::report::{Table, median, show};

use crate::CROWDS;
use crate::reading::{Fast, Reading};

/// Prints both tables to standard output.
pub fn print(readings: &[Reading]) {
    latency(readings).print();
    println!();
    memory(readings).print();
}

/// Says of each crowd whether the median of the readings is at most `most` × without it, at p50. False if
/// one is not.
pub fn check(readings: &[Reading], most: f64) -> bool {
    println!();
    let mut good = true;
    for readers in CROWDS {
        let ratios = of(readings, readers, |reading| reading.ratio.p50);
        let Some(ratio) = median(&ratios) else { return false };
        let (verdict, is) = if ratio <= most { ("good", "at most") } else { ("FAILED", "above") };
        println!("{verdict}: with {readers} slow readers p50 is {ratio:.3} × that without, {is} {most}");
        good &= ratio <= most;
    }
    good
}

fn latency(readings: &[Reading]) -> Table {
    let mut table = Table::new(
        "8 fast clients, 64 KiB a request | p50 µs | ÷ without | p99 µs | ÷ without | requests/s | \
         slow readers' own CPU",
    );
    let without = |figure: fn(&Fast) -> f64| -> Vec<f64> {
        readings.iter().map(|reading| figure(&reading.without)).collect()
    };
    table.row([
        "without slow readers".to_owned(),
        show(&without(|fast| fast.p50), 0),
        "1".to_owned(),
        show(&without(|fast| fast.p99), 0),
        "1".to_owned(),
        show(&without(|fast| fast.per_second), 0),
    ]);
    for readers in CROWDS {
        let all = |figure: fn(&Reading) -> f64| of(readings, readers, figure);
        table.row([
            format!("beside {readers} slow readers"),
            show(&all(|reading| reading.with.p50), 0),
            show(&all(|reading| reading.ratio.p50), 3),
            show(&all(|reading| reading.with.p99), 0),
            show(&all(|reading| reading.ratio.p99), 3),
            show(&all(|reading| reading.with.per_second), 0),
            format!("{} %", show(&all(|reading| reading.cpu * 100.0), 1)),
        ]);
    }
    table
}

fn memory(readings: &[Reading]) -> Table {
    let mut table = Table::new(
        "the server's memory, MiB | RSS before | during | after | PSS before | during | after | \
         in its buffers | PSS, KiB a reader",
    );
    for readers in CROWDS {
        let all = |figure: fn(&Reading) -> f64| show(&of(readings, readers, figure), 1);
        table.row([
            format!("{readers} slow readers"),
            all(|reading| reading.before.rss / 1024.0),
            all(|reading| reading.during.rss / 1024.0),
            all(|reading| reading.after.rss / 1024.0),
            all(|reading| reading.before.pss / 1024.0),
            all(|reading| reading.during.pss / 1024.0),
            all(|reading| reading.after.pss / 1024.0),
            all(|reading| reading.buffered / 1024.0 / 1024.0),
            all(|reading| (reading.during.pss - reading.before.pss) / reading.readers as f64),
        ]);
    }
    table
}

/// A figure of the readings with so many slow readers.
fn of(readings: &[Reading], readers: usize, figure: impl Fn(&Reading) -> f64) -> Vec<f64> {
    readings.iter().filter(|reading| reading.readers == readers).map(figure).collect()
}
