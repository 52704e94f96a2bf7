//! What the core costs without a socket: chain throughput, a step, the allowance, the timer wheel.
//!
//! Everything runs on one thread, in memory, on instants made up here. Prints one table; asserts
//! nothing about time. `cargo bench --bench chain -- --help` tells the options.

use std::hint::black_box;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant as Stopwatch};

use argh::FromArgs;
use bytes::Bytes;
use sluicegate::brigade::{Brigade, Bucket, FileSlice, MAX_PIECE};
use sluicegate::clock::{Clock, Instant, SystemClock};
use sluicegate::filter::{Chain, Count, Counts, RateFilter, Step};
use sluicegate::limit::{Allowance, INTERVAL, Interval, Limit, Rate};
use testkit::report::{Table, show};

/// Cost of the filter chain, the pacing arithmetic and the timer wheel, without I/O.
#[derive(FromArgs)]
struct Options {
    /// shorter and fewer readings: 3 of 20 ms instead of 9 of 200 ms
    #[argh(switch)]
    quick: bool,

    /// passed by cargo bench
    #[argh(switch, hidden_help)]
    #[allow(dead_code)] // accepted, and of no use here
    bench: bool,
}

/// How often and how long each figure is read.
#[derive(Clone, Copy)]
struct Plan {
    readings: usize,
    each: Duration,
}

impl Plan {
    /// Nanoseconds for one run of `work`, read several times, after runs that warm up.
    fn nanos(self, mut work: impl FnMut()) -> Vec<f64> {
        let mut runs = 1u64;
        // Runs enough to fill a reading; doubling costs less than one reading in all.
        while time(runs, &mut work) < self.each / 2 {
            runs *= 2;
        }
        (0..self.readings).map(|_| time(runs, &mut work).as_nanos() as f64 / runs as f64).collect()
    }
}

fn time(runs: u64, work: &mut impl FnMut()) -> Duration {
    let start = Stopwatch::now();
    for _ in 0..runs {
        work();
    }
    start.elapsed()
}

fn main() {
    let options: Options = argh::from_env();
    let plan = match options.quick {
        true => Plan { readings: 3, each: Duration::from_millis(20) },
        false => Plan { readings: 9, each: Duration::from_millis(200) },
    };
    println!("median (lowest–highest) of {} readings of {:?}, one thread\n", plan.readings, plan.each);

    let mut throughput = Table::new("unpaced chain: count, rate off | GB/s | ns a bucket");
    for len in [256usize, 1024, 8 * 1024, 64 * 1024] {
        let data = Bytes::from(vec![7; len]);
        let (name, nanos) = unpaced(plan, &Bucket::Data(data));
        throughput.row([name, show(&gigabytes(len as u64, &nanos), 2), show(&nanos, 1)]);
    }
    let file = Arc::new(tempfile::tempfile().expect("a temporary file"));
    let slice = Bucket::File(FileSlice::new(file, 0, MAX_PIECE));
    let (name, nanos) = unpaced(plan, &slice);
    throughput.row([name, show(&gigabytes(MAX_PIECE, &nanos), 2), show(&nanos, 1)]);
    throughput.print();

    println!();
    let mut costs = Table::new("one operation | ns");
    costs.row(["Chain::step, paced: a chunk leaves (64 KiB/s)".to_owned(), show(&chunk_step(plan), 1)]);
    costs.row(["Chain::step, paced: must sleep".to_owned(), show(&sleeping_step(plan), 1)]);
    costs.row(["a chunk's both steps, count before rate".to_owned(), show(&both_steps(plan), 1)]);
    costs.row(["Allowance: settle, covered, spend, whole_at".to_owned(), show(&allowance(plan), 1)]);
    for others in [0, 1_000, 10_000] {
        let name = format!("wheel: set and cancel a wake-up, {others} others set");
        costs.row([name, show(&wheel(plan, others), 1)]);
    }
    costs.row(["SystemClock::now".to_owned(), show(&now(plan), 1)]);
    costs.print();
}

/// Fills a chain with copies of `bucket`, steps it and empties the output: nanoseconds a bucket.
fn unpaced(plan: Plan, bucket: &Bucket) -> (String, Vec<f64>) {
    let mut chain =
        Chain::new().then(Count::new(Counts::default())).then(RateFilter::new(Limit::unlimited()));
    let mut out = Brigade::with_budget(MAX_PIECE);
    let per_fill = (MAX_PIECE / bucket.len()).max(1);
    let nanos = plan.nanos(|| {
        let input = chain.input();
        for _ in 0..per_fill {
            input.push(bucket.clone());
        }
        while let Step::Output = chain.step(Instant::ZERO, &mut out).expect("filters keep their contract") {
            black_box(&out);
            out.clear();
        }
    });
    let kind = if matches!(bucket, Bucket::File(_)) { "file slices" } else { "memory" };
    let name = format!("{kind}, buckets of {} B", bucket.len());
    (name, nanos.iter().map(|nanos| nanos / per_fill as f64).collect())
}

fn rate() -> Option<Rate> {
    Rate::or_unlimited(64 * 1024)
}

/// A paced chain over a file that never ends, and the instant its next chunk is due.
struct Paced {
    chain: Chain,
    out: Brigade,
    now: Instant,
}

impl Paced {
    fn new(chain: Chain) -> Self {
        let mut chain = chain.then(RateFilter::new(Limit::new(rate())));
        let file = Arc::new(tempfile::tempfile().expect("a temporary file"));
        chain.input().push(FileSlice::new(file, 0, u64::MAX));
        let mut paced = Self { chain, out: Brigade::with_budget(MAX_PIECE), now: Instant::ZERO };
        // The first chunk, and the sleep behind it.
        paced.step();
        paced.out.clear();
        paced.step();
        paced
    }

    fn step(&mut self) -> Step {
        self.chain.step(self.now, &mut self.out).expect("filters keep their contract")
    }
}

/// The step at the end of a sleep, in which a chunk leaves.
fn chunk_step(plan: Plan) -> Vec<f64> {
    let mut paced = Paced::new(Chain::new());
    // From one whole allowance to the next: the sleep in between need not be asked for.
    plan.nanos(|| {
        paced.now = paced.now + INTERVAL;
        black_box(paced.step());
        paced.out.clear();
    })
}

/// The step that finds the allowance spent. Asked again too early, it answers the same.
fn sleeping_step(plan: Plan) -> Vec<f64> {
    let mut paced = Paced::new(Chain::new());
    plan.nanos(|| {
        black_box(paced.step());
    })
}

/// What one chunk of a stream costs in all: out, then told to sleep.
fn both_steps(plan: Plan) -> Vec<f64> {
    let mut paced = Paced::new(Chain::new().then(Count::new(Counts::default())));
    plan.nanos(|| {
        paced.now = paced.now + INTERVAL;
        black_box(paced.step());
        paced.out.clear();
        black_box(paced.step());
    })
}

fn allowance(plan: Plan) -> Vec<f64> {
    let rate = Rate::new(61_441).expect("not zero");
    let mut now = Instant::ZERO;
    let mut allowance = Allowance::full(rate, Interval::DEFAULT, now);
    plan.nanos(|| {
        allowance.settle(rate, now);
        allowance.spend(allowance.covered());
        now = black_box(allowance.whole_at());
    })
}

/// So far away that nothing fires while it is measured.
const FAR: Instant = Instant::from_millis(3_600_000);

/// A wheel in which nothing fires: registration alone, with `others` in it.
fn wheel(plan: Plan, others: u64) -> Vec<f64> {
    let clock = SystemClock::new();
    for other in 0..others {
        let due = FAR + Duration::from_millis(other % 200);
        let _fires_never = clock.wake_at(due, Waker::noop().clone());
    }
    let mut turn = 0;
    plan.nanos(|| {
        turn = (turn + 7) % 200;
        let key = clock.wake_at(FAR + Duration::from_millis(turn), Waker::noop().clone());
        clock.cancel(black_box(key));
    })
}

fn now(plan: Plan) -> Vec<f64> {
    let clock = SystemClock::new();
    plan.nanos(|| {
        black_box(clock.now());
    })
}

fn gigabytes(bytes: u64, nanos: &[f64]) -> Vec<f64> {
    // Bytes a nanosecond are 10⁹ bytes a second.
    nanos.iter().map(|nanos| bytes as f64 / nanos).collect()
}
