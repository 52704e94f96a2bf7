//! The program, its publisher, and the subscribers that read.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::healthy::Crowd;
use testkit::process::role::raise_open_files;
use testkit::program::Program;
use testkit::served::connect;
use testkit::wait::until;

pub const HEALTHY: usize = 1_000;
pub const STALLED: usize = 200;

/// Bytes the sink of each connection may hold.
pub const SINK: u64 = 16 * 1024;

/// Bytes of the log.
pub const LOG_BYTES: u64 = 1 << 20;

/// Events the log holds. Far less than is published in a round: the stalled ones will miss some.
const LOG: usize = 100;

/// Events published at a time.
const BURST: usize = 8;

/// Bursts of a window, and how often they come at most.
const BURSTS: usize = 25;
const EVERY: Duration = Duration::from_millis(40);

/// Bytes of an event's data.
const SIZE: usize = 2_000;

pub struct Scene {
    pub program: Program,
    publisher: TcpStream,
    crowd: Crowd,
    /// When each event was published, by its number.
    published: Vec<Instant>,
    _folder: tempfile::TempDir,
}

impl Scene {
    pub fn new() -> Self {
        raise_open_files().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("gate.toml");
        let text = format!(
            "admin = \"127.0.0.1:0\"\nlog_level = \"off\"\n[sink]\nbuffer = \"{SINK}B\"\nunsent = \"16k\"\n\
             [[route]]\npath = \"/events/\"\n[route.events]\nnames = \"s\"\nclient_streams = 10_000\n\
             queue = {queue}\nbatch = {BURST}\nevent_size = \"2k\"\nqueue_bytes = \"64k\"\nlog = {LOG}\n\
             log_bytes = \"{LOG_BYTES}B\"\n",
            queue = BURST * 2,
        );
        std::fs::write(&config, text).unwrap();
        let program = Program::start(&["run", config.to_str().unwrap()]);
        let publisher = connect(program.addr());
        publisher.set_nodelay(true).unwrap();
        Self { program, publisher, crowd: Crowd::default(), published: Vec::new(), _folder: folder }
    }

    /// Those who read come.
    pub fn healthy_come(&mut self) {
        self.crowd = Crowd::of(HEALTHY, self.program.addr());
        assert_eq!(self.gauge("subscribers"), HEALTHY as u64);
    }

    /// Publishes a window's bursts. Gives the time that 99 of 100 deliveries took at most, in microseconds.
    pub fn window(&mut self) -> f64 {
        self.crowd.took.clear();
        for _ in 0..BURSTS {
            let begin = Instant::now();
            self.burst();
            std::thread::sleep(EVERY.saturating_sub(begin.elapsed()));
        }
        let took = &mut self.crowd.took;
        assert_eq!(took.len(), BURSTS * BURST * HEALTHY);
        took.sort_unstable();
        took[took.len() * 99 / 100] as f64 / 1e3
    }

    /// Publishes until all of the stalled ones of so many rounds are suspended.
    pub fn fill(&mut self, rounds: usize) {
        until("the stalled ones to be suspended", || {
            self.burst();
            self.gauge("suspended") == (rounds * STALLED) as u64
        });
    }

    /// Publishes a burst, and waits until all who read have it.
    fn burst(&mut self) {
        let first = self.published.len();
        let padding = "x".repeat(SIZE - 9);
        let events: Vec<String> =
            (first..first + BURST).map(|number| format!("{{\"data\":\"{number:08} {padding}\"}}")).collect();
        let body = format!("[{}]", events.join(","));
        let head = format!(
            "POST /events/s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        self.published.resize(first + BURST, Instant::now());
        self.publisher.write_all((head + &body).as_bytes()).unwrap();
        self.crowd.read_up_to(first + BURST, &self.published);
        let mut answer = [0; 4096];
        let len = self.publisher.read(&mut answer).unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer[..len]));
    }

    /// Events published so far.
    pub fn published(&self) -> usize {
        self.published.len()
    }

    /// Events that those who read have read, all together.
    pub fn read(&self) -> u64 {
        (self.published() * HEALTHY) as u64
    }

    pub fn gauge(&self, name: &str) -> u64 {
        self.program.metric(&format!("sluicegate_events_{name}{{route=\"/events/\"}}"))
    }

    pub fn counter(&self, name: &str) -> u64 {
        self.program.metric(&format!("sluicegate_events_{name}_total{{route=\"/events/\"}}"))
    }

    pub fn memory(&self) -> u64 {
        self.program.memory()
    }
}

/// The body of an answer, on a connection of its own.
pub fn get(addr: SocketAddr, target: &str, host: &str) -> String {
    let mut stream = connect(addr);
    // Of HTTP/1.0, which has no chunks to be undone.
    write!(stream, "GET {target} HTTP/1.0\r\nHost: {host}\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    page.split_once("\r\n\r\n").unwrap().1.to_owned()
}
