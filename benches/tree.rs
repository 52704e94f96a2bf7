//! What a turn costs in the tree of shared limits alone: thousands of streams that always want more, on time made up here.
//!
//! One thread, no clock, lock or socket. Asserts nothing about time. `cargo bench --bench tree`; to count instructions,
//! `valgrind --tool=callgrind PROGRAM --only classes --readings 1 --streams 2000 --seconds 1`.

use std::collections::VecDeque;
use std::time::Duration;

use argh::FromArgs;
use sluicegate::clock::Instant;
use sluicegate::limit::{Budget, NodeId, Rate, Tree};
use testkit::process::{Outcome, procfs};
use testkit::report::{Table, median, show};

/// What each stream's share gives in a second.
const SHARE: u64 = 16 * 1024;

/// What a stream asks for: a piece of a file.
const PIECE: u64 = 64 * 1024;

/// Alarms are as late as a tick of the system's wheel.
const TICK: Duration = Duration::from_millis(10);

/// What a worker needs to send a turn, and to ask again.
const SENDING: Duration = Duration::from_micros(8);

/// Classes of clients, where there are some.
const CLASSES: usize = 100;

/// Cost of a turn in the tree of shared limits.
#[derive(FromArgs)]
struct Options {
    /// how often each tree is measured; default 5
    #[argh(option, default = "5")]
    readings: usize,

    /// streams of each tree; default 10000
    #[argh(option, default = "10_000")]
    streams: usize,

    /// simulated seconds of a reading; default 20
    #[argh(option, default = "20")]
    seconds: u64,

    /// only this: one, clients, classes or limits; repeatable
    #[argh(option)]
    only: Vec<String>,

    /// passed by cargo bench
    #[argh(switch, hidden_help)]
    #[allow(dead_code)] // accepted, and of no use here
    bench: bool,
}

/// What stands between the server and its streams.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// All streams are of one client.
    One,
    /// Each is of a client of its own.
    Clients,
    /// The same, in classes.
    Classes,
    /// The same; classes and clients have limits of their own, a quarter above their shares.
    Limits,
}

impl Shape {
    const ALL: [Self; 4] = [Self::One, Self::Clients, Self::Classes, Self::Limits];

    fn name(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::Clients => "clients",
            Self::Classes => "classes",
            Self::Limits => "limits",
        }
    }

    /// Returns a tree of this shape, and its streams, neighbours of different classes.
    fn grow(self, streams: usize) -> (Tree, Vec<NodeId>) {
        let now = Instant::ZERO;
        let rate = |streams: usize| Rate::or_unlimited(SHARE * streams as u64);
        let mut tree = Tree::new(Budget::of(rate(streams)), now);
        let own = |streams: usize| match self {
            Self::Limits => Budget::of(Rate::or_unlimited(SHARE * streams as u64 * 5 / 4)),
            _ => Budget::default(),
        };
        let above: Vec<NodeId> = match self {
            Self::One => vec![tree.add(Tree::ROOT, Budget::default(), now)],
            Self::Clients => vec![Tree::ROOT],
            Self::Classes | Self::Limits => {
                (0..CLASSES).map(|_| tree.add(Tree::ROOT, own(streams / CLASSES), now)).collect()
            }
        };
        let ids = (0..streams).map(|stream| {
            let mut parent = above[stream % above.len()];
            if self != Self::One {
                parent = tree.add(parent, own(1), now);
            }
            tree.add_stream(parent, Default::default())
        });
        let ids = ids.collect();
        (tree, ids)
    }
}

/// Streams that send all they may.
struct Load {
    tree: Tree,
    now: Instant,
    turns: u64,
    bytes: u64,
}

impl Load {
    /// Has streams send what was granted, one after the other, and ask again, until the next tick.
    fn tick(&mut self, asking: &mut VecDeque<NodeId>) {
        let tick = self.now;
        self.tree.dispatch(self.now);
        asking.extend(self.tree.granted());
        while let Some(stream) = asking.pop_front() {
            while let Some(bytes) = self.tree.ask(stream, PIECE, self.now) {
                self.turns += 1;
                self.bytes += bytes;
                if self.now + SENDING < tick + TICK {
                    self.now = self.now + SENDING;
                }
            }
            asking.extend(self.tree.granted());
        }
        self.now = tick + TICK;
    }
}

/// What one reading gave.
struct Reading {
    /// Nanoseconds of processor time for a turn: what others do on the machine counts only by its caches.
    nanos: f64,
    /// Bytes of a turn.
    bytes: f64,
    /// What left, against what the limit allows.
    sent: f64,
}

fn measure(shape: Shape, options: &Options) -> Outcome<Reading> {
    let (tree, streams) = shape.grow(options.streams);
    let mut load = Load { tree, now: Instant::ZERO, turns: 0, bytes: 0 };
    let mut asking: VecDeque<NodeId> = streams.into();
    // A second for turns to settle.
    let ticks = |seconds: u64| seconds * 1_000 / TICK.as_millis() as u64;
    (0..ticks(1)).for_each(|_| load.tick(&mut asking));
    (load.turns, load.bytes) = (0, 0);
    let before = procfs::cpu_seconds(std::process::id())?;
    (0..ticks(options.seconds)).for_each(|_| load.tick(&mut asking));
    let seconds = procfs::cpu_seconds(std::process::id())? - before;
    let (turns, bytes) = (load.turns as f64, load.bytes as f64);
    let allowed = (SHARE * options.streams as u64 * options.seconds) as f64;
    Ok(Reading { nanos: seconds * 1e9 / turns, bytes: bytes / turns, sent: bytes / allowed })
}

fn main() -> Outcome<()> {
    let options: Options = argh::from_env();
    let wanted =
        |shape: &Shape| options.only.is_empty() || options.only.iter().any(|only| only == shape.name());
    let mut shapes: Vec<(Shape, Vec<Reading>)> =
        Shape::ALL.into_iter().filter(wanted).map(|shape| (shape, Vec::new())).collect();
    for _ in 0..options.readings {
        for (shape, readings) in &mut shapes {
            readings.push(measure(*shape, &options)?);
        }
    }
    let nanos = |readings: &[Reading]| readings.iter().map(|reading| reading.nanos).collect::<Vec<_>>();
    let clients = shapes.iter().find(|(shape, _)| *shape == Shape::Clients);
    let clients = clients.and_then(|(_, readings)| median(&nanos(readings)));
    let mut table =
        Table::new("streams always want more | CPU ns a turn | ÷ clients | bytes a turn | sent ÷ limit");
    for (shape, readings) in &shapes {
        let one = |figure: fn(&Reading) -> f64| readings.iter().map(figure).collect::<Vec<_>>();
        let against =
            median(&nanos(readings)).zip(clients).map(|(own, clients)| format!("{:.2}", own / clients));
        table.row([
            shape.name().to_owned(),
            show(&nanos(readings), 0),
            against.unwrap_or("–".to_owned()),
            show(&one(|reading| reading.bytes), 0),
            show(&one(|reading| reading.sent), 3),
        ]);
    }
    table.print();
    Ok(())
}
