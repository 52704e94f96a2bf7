//! Thousands of paced streams over loopback, next to a bare loop that sends the same bytes.
//!
//! Every part runs in a process of its own: this one starts them, reads their clocks and prints one
//! table. It asserts nothing about time. `docs/benchmarks.md` says what each figure is.

mod nginx;
mod paced;
mod server;
mod summary;
mod unpaced;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use argh::FromArgs;
use rustix::process::{Resource, getrlimit};
use tempfile::TempDir;

use testkit::process::{self, Outcome, procfs};
use testkit::roles;

use server::Kind;
use summary::Summary;

/// The length of the one file served, and of the backend's body: 1 GiB.
const FILE_LEN: u64 = 1 << 30;

/// The name of the file served.
const FILE_NAME: &str = "body.bin";

/// CPU per GB and memory per stream of thousands of paced streams, and unpaced throughput.
#[derive(FromArgs)]
struct Options {
    /// how often each server is measured, all servers in turn; default 3
    #[argh(option, default = "3")]
    readings: usize,

    /// seconds each load of paced streams is measured for; default 10
    #[argh(option, default = "10")]
    seconds: u64,

    /// seconds between the last stream's first byte and the measured time; default 2
    #[argh(option, default = "2")]
    warm_up: u64,

    /// one reading of 3 s with a tenth of the streams, to see that it runs
    #[argh(switch)]
    quick: bool,

    /// only the loads of so many streams; repeatable
    #[argh(option)]
    streams: Vec<usize>,

    /// only this: floor, relay, splice (measured only if named), file, shared, clients, classes, proxied or unpaced;
    /// repeatable
    #[argh(option)]
    only: Vec<String>,

    /// the sluicegate program to measure, to compare builds; default the one cargo just built
    #[argh(option, default = "PathBuf::from(env!(\"CARGO_BIN_EXE_sluicegate\"))")]
    server: PathBuf,

    /// print JSON, every reading in it, instead of the table
    #[argh(switch)]
    json: bool,

    /// passed by cargo bench
    #[argh(switch, hidden_help)]
    #[allow(dead_code)] // accepted, and of no use here
    bench: bool,
}

/// So many streams of so many bytes a second.
#[derive(Clone, Copy)]
struct Load {
    streams: usize,
    rate: u64,
    /// What is measured under it.
    kinds: &'static [Kind],
}

/// What is measured under the loads of which all is measured.
const ALL: &[Kind] = &[Kind::Floor, Kind::File, Kind::Shared, Kind::Relay, Kind::Splice, Kind::Proxied];

const LOADS: [Load; 4] = [
    Load { streams: 1_000, rate: 64 * 1024, kinds: ALL },
    Load { streams: 5_000, rate: 16 * 1024, kinds: ALL },
    // Whether so many are held at all, each at its pace.
    Load { streams: 10_000, rate: 8 * 1024, kinds: &[Kind::Floor, Kind::File, Kind::Clients, Kind::Classes] },
    Load { streams: 20_000, rate: 4 * 1024, kinds: &[Kind::Floor, Kind::File] },
];

/// What a server opens beside its streams' sockets.
const OTHER_FILES: usize = 100;

/// How long a load is let run.
#[derive(Clone, Copy)]
struct Timing {
    warm_up: Duration,
    window: Duration,
}

fn main() -> ExitCode {
    process::main("streams", roles::run, || bench(argh::from_env()))
}

fn bench(mut options: Options) -> Outcome<ExitCode> {
    if options.quick {
        (options.readings, options.seconds) = (1, 3);
    }
    if let Some(unknown) = options.only.iter().find(|name| !summary::PARTS.contains(&name.as_str())) {
        eprintln!("--only {unknown}: one of {} is meant", summary::PARTS.join(", "));
        return Ok(ExitCode::from(2));
    }
    let site = Site::new(options.server.clone())?;
    process::end_all_on_signals(site.dir.path().to_owned())?;
    let mut loads = LOADS.to_vec();
    loads.retain(|load| options.streams.is_empty() || options.streams.contains(&load.streams));
    if options.quick {
        loads.iter_mut().for_each(|load| load.streams /= 10);
    }
    let most = getrlimit(Resource::Nofile).maximum.map_or(usize::MAX, |most| most as usize);
    for load in &mut loads {
        if load.streams + OTHER_FILES > most {
            let streams = most.saturating_sub(OTHER_FILES).max(1);
            eprintln!(
                "{load}: a process may open {most} files here (ulimit -Hn), so {streams} streams are measured"
            );
            load.streams = streams;
        }
    }
    let timing = Timing {
        warm_up: Duration::from_secs(options.warm_up),
        window: Duration::from_secs(options.seconds),
    };
    let mut summary = Summary::new(procfs::load_average());
    let done = measure_all(&options, &site, &loads, timing, &mut summary);
    // What was read before something failed is worth its time too.
    match options.json {
        true => println!("{}", summary.json()),
        false => summary.print(),
    }
    done.map(|()| ExitCode::SUCCESS)
}

/// All servers in turn, so that what changes on the machine meanwhile meets all of them.
fn measure_all(
    options: &Options,
    site: &Site,
    loads: &[Load],
    timing: Timing,
    summary: &mut Summary,
) -> Outcome<()> {
    let wanted = |part: &str| {
        (options.only.is_empty() && part != Kind::Splice.name())
            || options.only.iter().any(|only| only == part)
    };
    let mut failed = Vec::new();
    for reading in 1..=options.readings {
        for &load in loads {
            for &kind in load.kinds.iter().filter(|kind| wanted(kind.name())) {
                eprintln!("reading {reading} of {}: {load}, {kind}", options.readings);
                match paced::measure(site, load, kind, timing) {
                    Ok(reading) => summary.add_paced(load, kind, reading),
                    // The others are worth their time all the same.
                    Err(error) => {
                        eprintln!("{load}, {kind}: {error}");
                        failed.push(format!("{load}, {kind}: {error}"));
                    }
                }
            }
        }
        if wanted("unpaced") {
            for kind in [Kind::Floor, Kind::File, Kind::Nginx] {
                eprintln!("reading {reading} of {}: unpaced, {kind}", options.readings);
                summary.add_unpaced(kind, unpaced::measure(site, kind)?);
            }
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\nstreams: ").into()) }
}

/// What is served, and by which program. The folder is on the disk the build is on, and removed in the end.
struct Site {
    dir: TempDir,
    sluicegate: PathBuf,
}

impl Site {
    fn new(sluicegate: PathBuf) -> Outcome<Self> {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let file = File::create(dir.path().join(FILE_NAME))?;
        // Allocated, not written: reading it costs page cache and no disk.
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, FILE_LEN)
            .or_else(|_| rustix::fs::ftruncate(&file, FILE_LEN))?;
        std::io::copy(&mut File::open(dir.path().join(FILE_NAME))?, &mut std::io::sink())?;
        Ok(Self { dir, sluicegate })
    }

    fn folder(&self) -> &Path {
        self.dir.path()
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join(FILE_NAME)
    }
}

impl std::fmt::Display for Load {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} × {} KiB/s", self.streams, self.rate / 1024)
    }
}
