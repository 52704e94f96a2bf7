//! All readings, as a table with goals and as JSON.

use serde_json::json;
use testkit::report::{Table, median, show};

use crate::server::Kind;
use crate::{Load, paced, unpaced};

/// What `--only` takes.
pub const PARTS: [&str; 9] =
    ["floor", "relay", "splice", "file", "shared", "clients", "classes", "proxied", "unpaced"];

/// The readings so far.
pub struct Summary {
    load_average: String,
    paced: Vec<(Load, Kind, Vec<paced::Reading>)>,
    /// `None` for a server that is not on this machine.
    unpaced: Vec<(Kind, Vec<Option<unpaced::Reading>>)>,
}

/// The most a server may take, against the floor and in memory.
struct Goal {
    cpu_ratio: f64,
    kib: f64,
}

fn goal(kind: Kind, load: Load) -> Option<Goal> {
    // Where chunks are large they cost the floor more too.
    let is_large = load.rate >= 64 * 1024;
    match kind {
        Kind::File => Some(Goal { cpu_ratio: if is_large { 1.4 } else { 1.2 }, kib: 6.0 }),
        Kind::Shared => Some(Goal { cpu_ratio: 1.5, kib: 6.0 }),
        Kind::Proxied => Some(Goal { cpu_ratio: if is_large { 3.0 } else { 2.5 }, kib: 8.0 }),
        Kind::Floor | Kind::Relay | Kind::Splice | Kind::Clients | Kind::Classes | Kind::Nginx => None,
    }
}

/// What one shared limit may cost against limits of the streams' own.
const SHARED_GOAL: f64 = 1.3;

/// What classes may cost against the same clients without.
const CLASSES_GOAL: f64 = 1.3;

/// Unpaced CPU per GB at most so many times nginx's with `sendfile off`.
const UNPACED_GOAL: f64 = 1.0;

/// What a kind is compared with, which lacks the one thing, and the most that it may take of that.
fn without(kind: Kind) -> Option<(Kind, f64)> {
    match kind {
        Kind::Shared => Some((Kind::File, SHARED_GOAL)),
        Kind::Classes => Some((Kind::Clients, CLASSES_GOAL)),
        _ => None,
    }
}

/// The most that may wait in the kernel for a proxied stream, in KiB: two chunks, and 64.
fn queue_goal(load: Load) -> f64 {
    2.0 * load.rate as f64 / 5.0 / 1024.0 + 64.0
}

impl Summary {
    /// A summary of nothing yet. `load_average` is the machine's, before the first reading.
    pub fn new(load_average: String) -> Self {
        Self { load_average, paced: Vec::new(), unpaced: Vec::new() }
    }

    pub fn add_paced(&mut self, load: Load, kind: Kind, reading: paced::Reading) {
        let same = |of: &(Load, Kind, _)| of.0.streams == load.streams && of.1 == kind;
        match self.paced.iter_mut().find(|of| same(of)) {
            Some((_, _, readings)) => readings.push(reading),
            None => self.paced.push((load, kind, vec![reading])),
        }
    }

    pub fn add_unpaced(&mut self, kind: Kind, reading: Option<unpaced::Reading>) {
        match self.unpaced.iter_mut().find(|of| of.0 == kind) {
            Some((_, readings)) => readings.push(reading),
            None => self.unpaced.push((kind, vec![reading])),
        }
    }

    /// Prints both tables to standard output.
    pub fn print(&self) {
        println!("median (lowest–highest); load average before: {}\n", self.load_average);
        if !self.paced.is_empty() {
            self.paced_table().print();
            println!();
        }
        if !self.unpaced.is_empty() {
            self.unpaced_table().print();
        }
    }

    fn paced_table(&self) -> Table {
        let mut table = Table::new(
            "paced streams | CPU s/GB | ÷ floor | goal | ÷ without | goal | KiB a stream | goal | \
             achieved ÷ set | slowest | fastest | within a chunk | upstream KiB | fullest | goal",
        );
        for (load, kind, readings) in &self.paced {
            let all = |figure: fn(&paced::Reading) -> f64| readings.iter().map(figure).collect::<Vec<_>>();
            let one = |figure| median(&all(figure)).map_or("–".to_owned(), |median| format!("{median:.3}"));
            let goal = goal(*kind, *load);
            let without = without(*kind);
            table.row([
                format!("{load}: {kind}"),
                show(&all(|reading| reading.cpu_per_gb), 2),
                show(&self.against(Kind::Floor, *load, readings), 2),
                goal.as_ref().map_or("–".to_owned(), |goal| format!("≤ {}", goal.cpu_ratio)),
                without.map_or("–".to_owned(), |(other, _)| show(&self.against(other, *load, readings), 2)),
                without.map_or("–".to_owned(), |(_, most)| format!("≤ {most}")),
                show(&all(|reading| reading.kib_per_stream), 1),
                goal.as_ref().map_or("–".to_owned(), |goal| format!("≤ {}", goal.kib)),
                one(|reading| reading.achieved),
                one(|reading| reading.slowest),
                one(|reading| reading.fastest),
                // Of the worst reading.
                match readings.iter().map(|reading| reading.astray).max().unwrap_or_default() {
                    0 => "all".to_owned(),
                    astray => format!("{} of {}", load.streams - astray, load.streams),
                },
                show(&queues(readings, |queues| queues.mean), 1),
                show(&queues(readings, |queues| queues.most), 1),
                if *kind == Kind::Proxied {
                    format!("≤ {:.1}", queue_goal(*load))
                } else {
                    "–".to_owned()
                },
            ]);
        }
        table
    }

    /// CPU per GB against that of `other` in the same round: what slowed the machine slowed both.
    fn against(&self, other: Kind, load: Load, readings: &[paced::Reading]) -> Vec<f64> {
        let other = self.paced.iter().find(|of| of.0.streams == load.streams && of.1 == other);
        let other = other.map_or(&[][..], |(_, _, readings)| readings);
        readings.iter().zip(other).map(|(server, other)| server.cpu_per_gb / other.cpu_per_gb).collect()
    }

    fn unpaced_table(&self) -> Table {
        let mut table = Table::new(
            "unpaced, one 1 GiB file | GB/s | ÷ nginx, sendfile off | CPU s/GB | ÷ nginx, sendfile off | \
             goal",
        );
        for (kind, readings) in &self.unpaced {
            let readings: Vec<unpaced::Reading> = readings.iter().flatten().copied().collect();
            if readings.is_empty() {
                table.row([kind.to_string(), "nginx not found".to_owned()]);
                continue;
            }
            let goal = if *kind == Kind::File { format!("≤ {UNPACED_GOAL}") } else { "–".to_owned() };
            table.row([
                kind.to_string(),
                show(&readings.iter().map(|reading| reading.gb_per_second).collect::<Vec<_>>(), 2),
                show(&self.against_nginx(&readings, |reading| reading.gb_per_second), 2),
                show(&readings.iter().map(|reading| reading.cpu_per_gb).collect::<Vec<_>>(), 3),
                show(&self.against_nginx(&readings, |reading| reading.cpu_per_gb), 2),
                goal,
            ]);
        }
        table
    }

    fn against_nginx(&self, readings: &[unpaced::Reading], figure: fn(&unpaced::Reading) -> f64) -> Vec<f64> {
        let nginx = self.unpaced.iter().find(|of| of.0 == Kind::Nginx).map_or(&[][..], |of| &of.1);
        let pairs = readings.iter().zip(nginx.iter().flatten());
        pairs.map(|(server, nginx)| figure(server) / figure(nginx)).collect()
    }

    /// Every reading, one object.
    pub fn json(&self) -> String {
        let paced = self.paced.iter().flat_map(|(load, kind, readings)| {
            readings.iter().map(|reading| {
                let mut one = json!({
                    "streams": load.streams,
                    "rate": load.rate,
                    "server": kind.name(),
                    "cpu_seconds_per_gb": reading.cpu_per_gb,
                    "kib_per_stream": reading.kib_per_stream,
                    "achieved": reading.achieved,
                    "slowest": reading.slowest,
                    "fastest": reading.fastest,
                    "further_than_a_chunk": reading.astray,
                });
                if let Some(queues) = &reading.queues {
                    one["upstream_queue_kib"] = queues.mean.into();
                    one["upstream_queue_most_kib"] = queues.most.into();
                }
                one
            })
        });
        let unpaced = self.unpaced.iter().flat_map(|(kind, readings)| {
            readings.iter().map(|reading| match reading {
                None => json!({"server": kind.name(), "found": false}),
                Some(reading) => json!({
                    "server": kind.name(),
                    "gb_per_second": reading.gb_per_second,
                    "cpu_seconds_per_gb": reading.cpu_per_gb,
                }),
            })
        });
        json!({
            "load_average_before": self.load_average,
            "paced": paced.collect::<Vec<_>>(),
            "unpaced": unpaced.collect::<Vec<_>>(),
        })
        .to_string()
    }
}

/// A figure of the upstream queues of each reading that has some.
fn queues(readings: &[paced::Reading], figure: fn(&paced::Queues) -> f64) -> Vec<f64> {
    readings.iter().filter_map(|reading| reading.queues.as_ref()).map(figure).collect()
}
