//! One stream of events to thousands of subscribers over loopback, beside nginx with nchan.
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

    /// exit with 1 if at any number of subscribers Sluicegate takes more of the processor for a delivery than
    /// nchan, or its delay at p99 is more than twice nchan's: medians of the readings
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
    for number in 1..=options.readings {
        for (subscribers, kind) in
            CROWDS.into_iter().flat_map(|count| [(count, Kind::Sluicegate), (count, Kind::Nchan)])
        {
            eprintln!("reading {number} of {}: {kind}, {subscribers} subscribers", options.readings);
            readings.extend(reading::measure(&site, kind, subscribers, options)?);
        }
    }
    summary::print(&readings);
    let is_good = !options.check || summary::check(&readings);
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
