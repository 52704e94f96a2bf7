//! Servers of today side by side with this one: the same content, limits and load, over loopback, one table.
//!
//! Every server runs as a program of its own, as its user would configure it; so do clients and backend. This
//! process starts them in turn, reads their clocks and prints. `docs/benchmarks.md` says what each row is.

mod apache;
mod beside;
mod delay;
mod lighttpd;
mod load;
mod markdown;
mod nginx;
mod pace;
mod plot;
mod scale;
mod secure;
mod sequential;
mod servers;
mod setup;
mod site;
mod sluicegate;
mod table;
mod timelines;
mod unpaced;

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use argh::FromArgs;

use testkit::process::{self, Outcome, procfs};
use testkit::{message, roles};

use scale::Scale;
use servers::{COLUMNS, Running, SERVERS, Server};
use site::{SMALL, Site};
use table::{Row, Table};

/// What `--only` takes, in the order in which it is measured.
const PARTS: [&str; 8] = ["pace", "sequential", "load", "tls", "large", "small", "beside", "start"];

/// Apache, nginx, lighttpd and Sluicegate side by side, in one table.
#[derive(FromArgs)]
struct Options {
    /// how often everything is measured that varies, servers in turn; default 5
    #[argh(option, default = "5")]
    readings: usize,

    /// one reading of everything at a tenth of the load, to see that it runs: less than a minute
    #[argh(switch)]
    quick: bool,

    /// only this: pace, sequential, load, tls, large, small, beside or start; repeatable
    #[argh(option)]
    only: Vec<String>,

    /// the sluicegate program to measure, to compare builds; default the one cargo just built
    #[argh(option, default = "PathBuf::from(env!(\"CARGO_BIN_EXE_sluicegate\"))")]
    server: PathBuf,

    /// write the table into this page, between its marks <!-- peers: begin --> and <!-- peers: end -->
    #[argh(option)]
    markdown: Option<PathBuf>,

    /// write four of its rows into this page, between <!-- peers summary: begin --> and <!-- peers summary: end -->
    #[argh(option)]
    summary: Option<PathBuf>,

    /// write the first 6 s of every paced response as JSON into this folder, to be drawn
    #[argh(option)]
    timelines: Option<PathBuf>,

    /// draw the same as SVG into this file, a plot for each server
    #[argh(option)]
    svg: Option<PathBuf>,

    /// passed by cargo bench
    #[argh(switch, hidden_help)]
    #[allow(dead_code)] // accepted, and of no use here
    bench: bool,
}

fn main() -> ExitCode {
    process::main("peers", roles::run, || start(argh::from_env()))
}

fn start(mut options: Options) -> Outcome<ExitCode> {
    if options.quick {
        options.readings = 1;
    }
    if let Some(unknown) = options.only.iter().find(|name| !PARTS.contains(&name.as_str())) {
        eprintln!("--only {unknown}: one of {} is meant", PARTS.join(", "));
        return Ok(ExitCode::from(2));
    }
    if options.readings == 0 {
        eprintln!("--readings 0: at least 1 is meant");
        return Ok(ExitCode::from(2));
    }
    if options.svg.is_some() && !options.only.is_empty() && !options.only.iter().any(|only| only == "pace") {
        eprintln!("--svg: what it draws is measured by pace, which --only leaves out");
        return Ok(ExitCode::from(2));
    }
    bench(&options, if options.quick { &scale::QUICK } else { &scale::WHOLE })?;
    Ok(ExitCode::SUCCESS)
}

fn bench(options: &Options, scale: &Scale) -> Outcome<()> {
    let site = Site::new(options.server.clone())?;
    process::end_all_on_signals(site.root().to_owned())?;
    let load_average = procfs::load_average();
    let (there, missing): (Vec<Server>, Vec<Server>) =
        COLUMNS.into_iter().partition(|server| server.program(&site).is_some());
    for server in &missing {
        eprintln!("{} is missing: its column stays empty", server.name());
    }
    let mut bench = Bench { options, scale, site, there, table: Table::new(missing), began: Instant::now() };
    eprintln!("this takes about {}", minutes(bench.estimate()));
    let done = bench.measure();
    // What was read before something failed is worth its time too.
    let text = bench.report(&load_average);
    println!("{text}");
    if let Some(file) = &options.markdown {
        markdown::write(file, "peers", &text)?;
    }
    if let Some(file) = &options.summary {
        markdown::write(file, "peers summary", &bench.table.summary(scale))?;
    }
    // Others may fail at what they are asked, and that is worth a row. This one may not.
    if bench.table.has_failed(Server::Sluicegate) {
        return Err("Sluicegate failed: see above".into());
    }
    done
}

struct Bench<'a> {
    options: &'a Options,
    scale: &'a Scale,
    site: Site,
    /// Those that are on this machine.
    there: Vec<Server>,
    table: Table,
    began: Instant,
}

impl Bench<'_> {
    fn wants(&self, part: &str) -> bool {
        self.options.only.is_empty() || self.options.only.iter().any(|only| only == part)
    }

    /// The servers proper, without those that only differ in how they send a file.
    fn servers(&self) -> Vec<Server> {
        SERVERS.into_iter().filter(|server| self.there.contains(server)).collect()
    }

    /// The same with those.
    fn senders(&self) -> Vec<Server> {
        self.there.iter().copied().filter(|server| *server != Server::Floor).collect()
    }

    fn estimate(&self) -> Duration {
        let scale = self.scale;
        let (servers, senders) = (self.servers().len() as u32, self.senders().len() as u32);
        let start = Duration::from_millis(400);
        let stream = start + scale.warm_up + scale.window + Duration::from_millis(scale.streams as u64);
        let once = [
            ("pace", Duration::from_secs(scale.seconds + scale.seconds_of_backend)),
            ("sequential", Duration::from_secs(scale.seconds_in_a_row) * servers),
        ];
        let each = [
            ("load", stream * (2 + senders + servers)),
            ("tls", (stream + (start + scale.requests) * 2) * 2),
            ("large", (start + Duration::from_millis(600) * scale.downloads) * (senders + 1)),
            ("small", (start + scale.requests) * (senders + servers)),
            ("beside", (start + scale.fills + scale.fast * 4 + Duration::from_millis(600)) * servers),
            ("start", start * servers),
        ];
        let sum = |parts: &[(&str, Duration)]| -> Duration {
            parts.iter().filter(|(part, _)| self.wants(part)).map(|(_, time)| *time).sum()
        };
        sum(&once) + sum(&each) * self.options.readings as u32
    }

    fn measure(&mut self) -> Outcome<()> {
        let (servers, senders, scale) = (self.servers(), self.senders(), self.scale);
        // Which of these a server does is no matter of chance: once is enough.
        if self.wants("pace") {
            eprintln!("one response at a pace, {} s, all servers at a time", scale.seconds);
            let timelines = pace::measure(&self.site, &servers, scale.seconds, &mut self.table)?;
            if let Some(folder) = &self.options.timelines {
                timelines::write(folder, &timelines)?;
            }
            if let Some(file) = &self.options.svg {
                plot::write(file, &timelines, Duration::from_secs(scale.seconds))?;
            }
            eprintln!("a backend slower than the limit, {} s", scale.seconds_of_backend);
            delay::measure(&self.site, &servers, scale.seconds_of_backend, &mut self.table)?;
        }
        if self.wants("sequential") {
            eprintln!("small bodies in a row, {} s each", scale.seconds_in_a_row);
            sequential::measure(&self.site, &servers, scale.seconds_in_a_row, &mut self.table);
        }
        for reading in 1..=self.options.readings {
            let say = |what: &str| {
                let (readings, so_far) = (self.options.readings, minutes(self.began.elapsed()));
                eprintln!("{so_far}: reading {reading} of {readings}: {what}");
            };
            if self.wants("load") {
                say("many paced streams");
                load::measure(&self.site, &senders, scale, &mut self.table)?;
            }
            if self.wants("tls") {
                say("TLS");
                secure::measure(&self.site, &servers, scale, &mut self.table);
            }
            if self.wants("large") {
                say("a large file");
                unpaced::large(&self.site, &senders, scale, &mut self.table);
            }
            if self.wants("small") {
                say("small files");
                unpaced::small(&self.site, &senders, scale, &mut self.table)?;
            }
            if self.wants("beside") {
                say("slow readers");
                beside::measure(&self.site, &servers, scale, &mut self.table);
            }
            if self.wants("start") {
                say("start");
                self.start(&servers);
            }
        }
        Ok(())
    }

    /// From `exec` to the first byte of an answer.
    fn start(&mut self, servers: &[Server]) {
        for &server in servers {
            let request = |port| message::request(port, SMALL.path);
            let took = Running::time_to_answer(server, &unpaced::setup(&self.site), request);
            self.table.take(Row::Start, server, took.map(|took| took.as_secs_f64() * 1e3));
        }
    }

    /// All there is to say, as text that is Markdown too.
    fn report(&self, load_average: &str) -> String {
        let mut text = self.table.text(self.scale);
        let versions: Vec<String> = self
            .servers()
            .into_iter()
            .filter_map(|server| Some(format!("{} {}", server.name(), servers::version(server, &self.site)?)))
            .collect();
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "
¹ `sendfile off`. ² no server: one loop that sends the bytes and does nothing else. {versions}.
Medians of {readings}, servers in turn, ± half their span; of the first two parts one reading. Took {took}. {cores} processors,
load average before: {load_average}. Errors, gaps, delays and ratios show what a server does, and are much the same on any
machine. CPU, memory, throughput and start are this machine's: compare them within their row.
",
            versions = versions.join(", "),
            readings = table::readings(self.options.readings),
            took = minutes(self.began.elapsed()),
            cores = std::thread::available_parallelism().map_or(1, usize::from),
        );
        for note in self.table.notes(self.scale) {
            let _ = writeln!(text, "- {note}");
        }
        text
    }
}

/// "3 min 20 s".
fn minutes(time: Duration) -> String {
    match (time.as_secs() / 60, time.as_secs() % 60) {
        (0, seconds) => format!("{seconds} s"),
        (minutes, seconds) => format!("{minutes} min {seconds} s"),
    }
}
