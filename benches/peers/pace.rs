//! One response at a pace, all servers at a time: how exact it is, how even, and the same from file and backend.
//!
//! The load is next to nothing, so servers need not take turns; at the same time they meet the same machine.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use testkit::message::{self, Head};
use testkit::process::{Outcome, Process};
use testkit::roles;

use crate::scale::PACE_RATE;
use crate::servers::{Running, Server};
use crate::setup::{Setup, Source};
use crate::site::{LARGE, Site};
use crate::table::{Row, Table};

/// A window begins so long before a byte: one whose bytes leave once in any whole number of 100 ms has none at
/// its edges, and what a scheduler adds to an instant does not count as a chunk more or less.
const AHEAD: Duration = Duration::from_millis(50);

/// Windows of 1 s begin so far from one another.
const STEP: Duration = Duration::from_millis(100);

/// A server that gives nothing for so long has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// The bytes of a response's body as they came.
pub struct Timeline {
    pub server: Server,
    pub source: &'static str,
    /// Since the first byte of the body, and bytes so far.
    pub points: Vec<(Duration, u64)>,
}

/// Adds the rows of paced single responses to the table; returns what was seen, to be drawn.
pub fn measure(site: &Site, servers: &[Server], seconds: u64, table: &mut Table) -> Outcome<Vec<Timeline>> {
    let backend = Process::role(roles::BACKEND, &[LARGE.length.to_string()])?;
    let port = backend.port()?;
    let window = Duration::from_secs(seconds);
    let mut running = Vec::new();
    for &server in servers {
        for (name, source) in [("file", Source::File), ("proxied", Source::Proxied(port))] {
            let setup = Setup {
                site,
                source,
                kib_per_second: Some(PACE_RATE),
                interval: None,
                connections: 1,
                tls: false,
            };
            match Running::start(server, &setup) {
                Ok(started) => running.push((server, name, started)),
                Err(error) => table.fail(rows(name)[0], server, error),
            }
        }
    }
    // All at once, each by a thread of its own.
    let reading = running.iter().map(|(server, source, running)| {
        let (server, source, port) = (*server, *source, running.port);
        (server, source, std::thread::spawn(move || read(port, window).map_err(|error| error.to_string())))
    });
    let reading: Vec<_> = reading.collect();
    let mut timelines = Vec::new();
    for (server, source, thread) in reading {
        match thread.join().unwrap_or_else(|_| Err("the reader panicked".to_owned())) {
            Ok(points) => timelines.push(Timeline { server, source, points }),
            Err(error) => table.fail(rows(source)[0], server, error),
        }
    }
    judge(&timelines, window, table);
    Ok(timelines)
}

/// The rows of a source: rate error, slowest and fastest second, longest gap.
fn rows(source: &str) -> [Row; 4] {
    match source {
        "file" => [Row::ErrorFile, Row::SlowestFile, Row::FastestFile, Row::GapFile],
        _ => [Row::ErrorProxied, Row::SlowestProxied, Row::FastestProxied, Row::GapProxied],
    }
}

fn judge(timelines: &[Timeline], window: Duration, table: &mut Table) {
    let rate = (PACE_RATE * 1024) as f64;
    for timeline in timelines {
        let server = timeline.server;
        let [error, slowest, fastest, gap] = rows(timeline.source);
        let achieved = timeline.bytes(Duration::ZERO, window) / (rate * window.as_secs_f64());
        table.add(error, server, (achieved - 1.0) * 100.0);
        let second = Duration::from_secs(1);
        let windows = (0..).map(|step| STEP * step).take_while(|begin| *begin + second <= window);
        let seconds: Vec<f64> = windows.map(|begin| timeline.bytes(begin, second) / rate).collect();
        table.add(slowest, server, seconds.iter().copied().fold(f64::INFINITY, f64::min));
        table.add(fastest, server, seconds.iter().copied().fold(0.0, f64::max));
        table.add(gap, server, timeline.longest_gap(window).as_secs_f64() * 1e3);
    }
    for proxied in timelines.iter().filter(|timeline| timeline.source == "proxied") {
        let same = |other: &&Timeline| other.server == proxied.server && other.source == "file";
        if let Some(direct) = timelines.iter().find(same) {
            let bytes = |timeline: &Timeline| timeline.bytes(Duration::ZERO, window);
            table.add(Row::ProxiedToDirect, proxied.server, bytes(proxied) / bytes(direct));
        }
    }
}

impl Timeline {
    /// Bytes that came within `length` from `begin` on, shifted by [`AHEAD`].
    fn bytes(&self, begin: Duration, length: Duration) -> f64 {
        let until = |end: Duration| {
            let came = self.points.partition_point(|(at, _)| *at + AHEAD < end);
            came.checked_sub(1).map_or(0, |last| self.points[last].1)
        };
        (until(begin + length) - until(begin)) as f64
    }

    fn longest_gap(&self, window: Duration) -> Duration {
        let within = self.points.iter().take_while(|(at, _)| *at <= window).map(|(at, _)| *at);
        let instants: Vec<Duration> = within.collect();
        instants.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(window)
    }
}

/// Reads a large body for `window` and a little more.
fn read(port: u16, window: Duration) -> Outcome<Vec<(Duration, u64)>> {
    let (mut socket, behind) = ask(port, LARGE.path)?;
    let mut bytes = behind.len() as u64;
    let mut buf = vec![0; 1 << 20];
    let mut points = Vec::new();
    let mut first = None;
    // What came behind the head has come now.
    if bytes > 0 {
        first = Some(Instant::now());
        points.push((Duration::ZERO, bytes));
    }
    while first.is_none_or(|first: Instant| first.elapsed() < window) {
        let n = socket.read(&mut buf)?;
        if n == 0 {
            return Err("the server closed before the end".into());
        }
        bytes += n as u64;
        points.push((first.get_or_insert_with(Instant::now).elapsed(), bytes));
    }
    Ok(points)
}

/// Asks for `path` and reads the head of the answer; returns what of the body came with it.
pub fn ask(port: u16, path: &str) -> Outcome<(TcpStream, Vec<u8>)> {
    let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_nodelay(true)?;
    let behind = again(&mut socket, port, path)?;
    Ok((socket, behind))
}

/// Asks for `path` on a connection that is there; like [`ask`].
pub fn again(socket: &mut TcpStream, port: u16, path: &str) -> Outcome<Vec<u8>> {
    socket.write_all(message::request(port, path).as_bytes())?;
    let mut head = Head::default();
    let mut buf = [0; 2048];
    loop {
        let n = socket.read(&mut buf)?;
        if let Some(behind) = head.push(&buf[..n])? {
            return Ok(buf[n - behind..n].to_vec());
        }
    }
}
