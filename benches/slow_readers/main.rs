//! What readers that hardly read cost the others: hundreds of them beside a few fast clients, over loopback.
//!
//! Every part runs in a process of its own: this one starts them, reads their clocks and prints one table.
//! `--check` makes a verdict of it. `--kernel` measures instead what the kernel holds of one connection whose
//! reader has stopped. `docs/benchmarks.md` says what each figure is.

mod kernel;
mod reading;
mod server;
mod summary;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use argh::FromArgs;
use tempfile::TempDir;

use testkit::process::{self, Outcome, procfs};
use testkit::roles;

use reading::Reading;

/// What slow readers ask for: 1 GiB, more than they will ever read.
const LARGE: (&str, u64) = ("large.bin", 1 << 30);

/// What fast clients ask for, again and again: 64 KiB.
const SMALL: (&str, u64) = ("small.bin", 64 * 1024);

/// How many slow readers there are beside the fast clients, in turn.
const CROWDS: [usize; 2] = [500, 1_000];

/// The most that a request may take at the median with slow readers, for what it takes without.
const MOST: f64 = 1.05;

/// What slow readers cost fast clients, and what the kernel holds for a reader that has stopped.
#[derive(FromArgs)]
struct Options {
    /// how often everything is measured, in turn; default 5
    #[argh(option, default = "5")]
    readings: usize,

    /// exit with 1 if the median of the readings is above 1.05 × without slow readers, at p50
    #[argh(switch)]
    check: bool,

    /// measure what the kernel holds for a reader that has stopped, at several settings, and nothing else
    #[argh(switch)]
    kernel: bool,

    /// the sluicegate program to measure, to compare builds; default the one cargo just built
    #[argh(option, default = "PathBuf::from(env!(\"CARGO_BIN_EXE_sluicegate\"))")]
    server: PathBuf,

    /// passed by cargo bench
    #[argh(switch, hidden_help)]
    #[allow(dead_code)] // accepted, and of no use here
    bench: bool,
}

fn main() -> ExitCode {
    process::main("slow_readers", roles::run, || bench(&argh::from_env()))
}

fn bench(options: &Options) -> Outcome<ExitCode> {
    if options.readings == 0 {
        eprintln!("--readings 0: at least 1 is meant");
        return Ok(ExitCode::from(2));
    }
    let site = Site::new(options.server.clone())?;
    process::end_all_on_signals(site.folder().to_owned())?;
    println!(
        "median (lowest–highest) of {}; load average before: {}\n",
        options.readings,
        procfs::load_average()
    );
    if options.kernel {
        kernel::measure(&site, options.readings)?.print();
        return Ok(ExitCode::SUCCESS);
    }
    let mut readings: Vec<Reading> = Vec::new();
    let mut failed = None;
    for (number, readers) in (1..=options.readings).flat_map(|number| CROWDS.map(|readers| (number, readers)))
    {
        eprintln!("reading {number} of {}: {readers} slow readers", options.readings);
        match reading::measure(&site, readers) {
            Ok(reading) => readings.push(reading),
            // What was read before is worth its time too.
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
    }
    summary::print(&readings);
    match failed {
        Some(error) => Err(error),
        None if options.check && !summary::check(&readings, MOST) => Ok(ExitCode::FAILURE),
        None => Ok(ExitCode::SUCCESS),
    }
}

/// What is served, and by which program. The folder is on the disk the build is on, and removed in the end.
struct Site {
    dir: TempDir,
    sluicegate: PathBuf,
}

impl Site {
    fn new(sluicegate: PathBuf) -> Outcome<Self> {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        for (name, len) in [LARGE, SMALL] {
            // Holes: they are read as zeroes, from the page cache after the first time.
            File::create(dir.path().join(name))?.set_len(len)?;
        }
        Ok(Self { dir, sluicegate })
    }

    fn folder(&self) -> &Path {
        self.dir.path()
    }
}
