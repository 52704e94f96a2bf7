//! One stream of events to thousands of subscribers over loopback, beside nginx with nchan, or beside itself on Redis.
//!
//! Every part runs in a process of its own: the server, and its subscribers with the publisher; this one starts
//! them, reads their clocks and prints one table. `docs/benchmarks.md` says what each figure is.

mod reading;
mod roles;
mod server;
mod summary;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use argh::FromArgs;
use tempfile::TempDir;

use testkit::process::{self, Outcome, procfs};

use reading::Reading;
use server::Kind;

/// How many subscribers there are, in turn.
const CROWDS: [usize; 2] = [1_000, 5_000];

/// The same, and what a delivery takes without a crowd.
const WITH_ONE: [usize; 3] = [1, 1_000, 5_000];

const BESIDE_NCHAN: [Kind; 2] = [Kind::Sluicegate, Kind::Nchan];
const ON_REDIS: [Kind; 3] = [Kind::Sluicegate, Kind::Redis, Kind::RedisElsewhere];

/// Events a second to all subscribers of a stream, delays and processor time, beside nginx with nchan.
#[derive(FromArgs)]
struct Options {
    /// how often everything is measured, in turn; default 5
    #[argh(option, default = "5")]
    readings: usize,

    /// seconds of each of the two measurements in a reading; default 3
    #[argh(option, default = "3.0")]
    seconds: f64,

    /// bytes of an event's data; default 200
    #[argh(option, default = "200")]
    size: usize,

    /// measure servers whose streams are in Redis in place of nchan, to one subscriber too: on one server, and published at another
    /// one than the subscribers'
    #[argh(switch)]
    redis: bool,

    /// exit with 1 if at any number of subscribers Sluicegate takes more of the processor for a delivery than
    /// nchan, or its delay at p99 is more than twice nchan's; with --redis, if delays at p50 are more than 2 ms longer on Redis, or
    /// deliveries to 5000 less than 0.8 of those without: medians of the readings
    #[argh(switch)]
    check: bool,

    /// the sluicegate program to measure, to compare builds; default the one cargo just built
    #[argh(option, default = "PathBuf::from(env!(\"CARGO_BIN_EXE_sluicegate\"))")]
    server: PathBuf,

    /// passed by cargo bench
    #[argh(switch, hidden_help)]
    #[allow(dead_code)] // accepted, and of no use here
    bench: bool,
}

fn main() -> ExitCode {
    process::main("fan_out", roles::run, || bench(&argh::from_env()))
}

fn bench(options: &Options) -> Outcome<ExitCode> {
    let size_is_good = (16..=60_000).contains(&options.size);
    if options.readings == 0 || !(0.1..=600.0).contains(&options.seconds) || !size_is_good {
        eprintln!("--readings is at least 1, --seconds 0.1 to 600, --size 16 to 60000");
        return Ok(ExitCode::from(2));
    }
    let site =
        Site { dir: tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?, sluicegate: options.server.clone() };
    process::end_all_on_signals(site.folder().to_owned())?;
    println!(
        "median (lowest–highest) of {}; {} bytes an event; load average before: {}\n",
        options.readings,
        options.size,
        procfs::load_average()
    );
    let mut readings: Vec<Reading> = Vec::new();
    let kinds = if options.redis { &ON_REDIS[..] } else { &BESIDE_NCHAN };
    let crowds = if options.redis { &WITH_ONE[..] } else { &CROWDS };
    for number in 1..=options.readings {
        for (subscribers, kind) in
            crowds.iter().flat_map(|&count| kinds.iter().map(move |&kind| (count, kind)))
        {
            eprintln!("reading {number} of {}: {kind}, {subscribers} subscribers", options.readings);
            readings.extend(reading::measure(&site, kind, subscribers, options)?);
        }
    }
    summary::print(&readings, crowds, kinds);
    let is_good = match (options.check, options.redis) {
        (false, _) => true,
        (true, false) => summary::check(&readings),
        (true, true) => summary::check_redis(&readings),
    };
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Where the servers' files lie, and which program is measured. Removed in the end.
struct Site {
    dir: TempDir,
    sluicegate: PathBuf,
}

impl Site {
    fn folder(&self) -> &Path {
        self.dir.path()
    }
}
