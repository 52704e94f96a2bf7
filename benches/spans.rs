//! What spans cost event streams: the same traced events through a server that exports none, one whose
//! collector is dead, and one whose collector takes all.
//!
//! The servers are processes of their own, read in turn. `docs/benchmarks.md` says what each figure is.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use argh::FromArgs;
use testkit::process::{Outcome, procfs};
use testkit::program::Program;
use testkit::report::{Table, show};
use testkit::served::post;
use testkit::watched::page;

/// Subscribers of each server.
const SUBSCRIBERS: u64 = 100;

/// Events published at a time.
const BATCH: u64 = 25;

/// Stands in each event's data once and nowhere else.
const MARK: u8 = b'~';

/// How long subscribers may take for a batch. Only a broken server takes that long.
const PATIENCE: Duration = Duration::from_secs(30);

/// What spans cost event streams.
#[derive(FromArgs)]
struct Options {
    /// how often everything is measured, in turn; default 5
    #[argh(option, default = "5")]
    readings: usize,
    /// batches of 25 events in a reading; default 400
    #[argh(option, default = "400")]
    batches: u64,
    /// does it run at all?
    #[argh(switch)]
    quick: bool,
    /// given by cargo; says nothing
    #[argh(switch)]
    #[allow(dead_code)]
    bench: bool,
}

/// A server with its subscribers.
struct Server {
    name: &'static str,
    program: Program,
    arrived: Arc<Arrived>,
    expected: u64,
    /// Microseconds for each delivery: of the clock, and of the processor.
    wall: Vec<f64>,
    cpu: Vec<f64>,
}

/// Events that subscribers have.
#[derive(Default)]
struct Arrived {
    count: AtomicU64,
    lock: Mutex<()>,
    changed: Condvar,
    /// What is waited for.
    until: AtomicU64,
}

impl Server {
    fn start(name: &'static str, collector: Option<SocketAddr>) -> Outcome<Self> {
        let collector = collector.map(|collector| format!("http://{collector}"));
        let mut args = vec!["events", "bench", "--client-connections", "1000"];
        args.extend(["--log-level", "error", "--admin", "127.0.0.1:0"]);
        args.extend(collector.iter().flat_map(|url| ["--otlp", url]));
        let mut program = Program::start(&args);
        // Nobody reads more of it; the server finds the pipe closed when it writes, and goes on.
        program.log = None;
        let arrived = Arc::new(Arrived::default());
        for _ in 0..SUBSCRIBERS {
            let mut stream = TcpStream::connect(program.addr())?;
            stream.write_all(b"GET /events/bench HTTP/1.0\r\n\r\n")?;
            // The opening event has come: it is subscribed.
            let mut seen = Vec::new();
            while !seen.ends_with(b"}\n\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte)?;
                seen.push(byte[0]);
            }
            let arrived = Arc::clone(&arrived);
            std::thread::spawn(move || read(stream, &arrived));
        }
        Ok(Self { name, program, arrived, expected: 0, wall: Vec::new(), cpu: Vec::new() })
    }

    /// Publishes so many batches, each when all have the one before.
    fn measure(&mut self, batches: u64) -> Outcome<()> {
        let cpu = procfs::cpu_seconds(self.program.id())?;
        let began = Instant::now();
        for _ in 0..batches {
            self.publish()?;
        }
        let deliveries = (batches * BATCH * SUBSCRIBERS) as f64;
        self.wall.push(began.elapsed().as_secs_f64() * 1e6 / deliveries);
        self.cpu.push((procfs::cpu_seconds(self.program.id())? - cpu) * 1e6 / deliveries);
        Ok(())
    }

    /// The share of spans that the collector took, of all that were made.
    fn exported(&self) -> Option<f64> {
        let text = page(self.program.admin(), "/metrics");
        let count = |name: &str| -> Option<f64> {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line?.trim().parse().ok()
        };
        let ends = ["exported", "dropped", "failed"];
        let [exported, dropped, failed] = ends.map(|end| count(&format!("sluicegate_spans_{end}_total")));
        Some(exported? / (exported? + dropped? + failed?).max(1.0))
    }

    fn publish(&mut self) -> Outcome<()> {
        let mark = char::from(MARK);
        let event = format!("{{\"data\":\"{mark}{}\"}}", "x".repeat(63));
        let body = format!("[{}]", vec![event; BATCH as usize].join(","));
        let fields = "Content-Type: application/json\r\n\
                      traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n";
        self.expected += BATCH * SUBSCRIBERS;
        self.arrived.until.store(self.expected, Ordering::SeqCst);
        let answer = post(self.program.addr(), "/events/bench", fields, &body);
        if answer.status() != 200 {
            return Err(format!("not published: {answer:?}").into());
        }
        let guard = self.arrived.lock.lock().map_err(|_| "a reader panicked")?;
        let waits = |_: &mut ()| self.arrived.count.load(Ordering::SeqCst) < self.expected;
        let (_guard, late) = self
            .arrived
            .changed
            .wait_timeout_while(guard, PATIENCE, waits)
            .map_err(|_| "a reader panicked")?;
        if late.timed_out() { Err("events do not arrive".into()) } else { Ok(()) }
    }
}

/// Counts the events of one subscriber, to the end of its stream.
fn read(mut stream: TcpStream, arrived: &Arrived) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(len @ 1..) = stream.read(&mut buffer) {
        let marks = memchr::memchr_iter(MARK, &buffer[..len]).count() as u64;
        let count = arrived.count.fetch_add(marks, Ordering::SeqCst) + marks;
        if count >= arrived.until.load(Ordering::SeqCst) {
            let _guard = arrived.lock.lock();
            arrived.changed.notify_all();
        }
    }
}

/// A collector that takes all and keeps nothing.
fn collector() -> Outcome<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let addr = listener.local_addr()?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // One that breaks off is the server's to mind.
            let _ = take(stream);
        }
    });
    Ok(addr)
}

fn take(stream: TcpStream) -> Outcome<()> {
    let mut reader = BufReader::new(&stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if let Some(given) = line.to_lowercase().strip_prefix("content-length: ") {
            length = given.trim().parse()?;
        }
        if line.trim().is_empty() {
            break;
        }
    }
    std::io::copy(&mut reader.take(length), &mut std::io::sink())?;
    (&stream).write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
    Ok(())
}

fn main() -> Outcome<()> {
    let options: Options = argh::from_env();
    let (readings, batches) = if options.quick { (1, 2) } else { (options.readings.max(1), options.batches) };
    // Taken and left: nobody listens there.
    let dead = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let mut servers = [
        Server::start("no spans", None)?,
        Server::start("collector dead", Some(dead))?,
        Server::start("collector takes all", Some(collector()?))?,
    ];
    println!(
        "{SUBSCRIBERS} subscribers, every event traced; {readings} readings of {} deliveries; load {}\n",
        batches * BATCH * SUBSCRIBERS,
        procfs::load_average()
    );
    for server in &mut servers {
        server.measure(batches.min(4))?;
        server.wall.clear();
        server.cpu.clear();
    }
    for at in 0..readings {
        // Each is first in its turn.
        for next in 0..servers.len() {
            let len = servers.len();
            servers[(at + next) % len].measure(batches)?;
        }
    }
    let mut table =
        Table::new("events | µs a delivery | ÷ no spans | CPU µs a delivery | ÷ no spans | spans taken");
    let ratios = |of: &[f64], by: &[f64]| of.iter().zip(by).map(|(of, by)| of / by).collect::<Vec<_>>();
    for server in &servers {
        table.row([
            server.name.to_owned(),
            show(&server.wall, 2),
            show(&ratios(&server.wall, &servers[0].wall), 2),
            show(&server.cpu, 2),
            show(&ratios(&server.cpu, &servers[0].cpu), 2),
            server.exported().map_or("–".to_owned(), |share| format!("{:.0} %", share * 100.0)),
        ]);
    }
    table.print();
    Ok(())
}
