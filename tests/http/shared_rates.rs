//! The long test: shared and own rates on real sockets over half a minute, changed half way.
//!
//! Real time, because it is the system's clock, wheel, sockets and executor together that must keep the
//! rates. `cargo test --test http shared_rates -- --ignored --nocapture --test-threads=1` runs it and prints
//! the table; with `--release` a change is tried on five thousand streams.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sluicegate::config::SharedLimits;
use sluicegate::http::route::Route;
use sluicegate::http::server::Settings;
use sluicegate::limit::{Budget, Rate};
use sluicegate::sink::SinkSettings;
use testkit::served::{Served, connect_from};
use testkit::wait::PATIENCE;

const KIB: u64 = 1024;
const WARM_UP: Duration = Duration::from_secs(2);
const HALF: Duration = Duration::from_secs(15);

/// A client on a thread of its own that reads a large file and notes what came when.
struct Reader {
    came: Arc<Mutex<Vec<(Instant, u64)>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    /// Reads from the server, from an address of the loopback's network.
    fn from(client: Ipv4Addr, server: SocketAddr) -> Self {
        let (came, stop): (Arc<Mutex<Vec<_>>>, Arc<AtomicBool>) = Default::default();
        let mut stream = connect_from(client.octets(), server);
        stream.write_all(b"GET /large HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
        let thread = std::thread::spawn({
            let (came, stop) = (Arc::clone(&came), Arc::clone(&stop));
            move || {
                let (mut buf, mut sum) = (vec![0; 65_536], 0);
                while !stop.load(Ordering::Relaxed) {
                    let n = stream.read(&mut buf).unwrap();
                    assert!(n > 0, "the file is longer than the test");
                    sum += n as u64;
                    came.lock().unwrap().push((Instant::now(), sum));
                }
            }
        });
        Self { came, stop, thread: Some(thread) }
    }

    /// Bytes per second from the last that came before `began` to the last before `ended`: bytes come in
    /// chunks, and the window is not to gain or lose one by where it cuts.
    fn rate(&self, began: Instant, ended: Instant) -> f64 {
        let came = self.came.lock().unwrap();
        let last = |before: Instant| came[came.partition_point(|(at, _)| *at <= before) - 1];
        let ((from, before), (to, after)) = (last(began), last(ended));
        (after - before) as f64 / (to - from).as_secs_f64()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            ended.map(Result::unwrap);
        }
    }
}

/// A server of one large file, whose bytes are nowhere on the disk.
fn serving(settings: Settings) -> (tempfile::TempDir, Served) {
    let folder = testkit::folder::sparse("large", 1 << 30);
    let served = Served::with(settings, vec![Route::files("/", folder.path()).unwrap()]);
    (folder, served)
}

/// One part of the test: who reads, and what is due to all of them together.
struct Part {
    name: &'static str,
    readers: Vec<Reader>,
    /// Bytes per second, before and after the change.
    due: [u64; 2],
    /// How the readers are put together for the comparison of shares.
    groups: Vec<std::ops::Range<usize>>,
}

impl Part {
    /// Checks what came in a window, and prints its line.
    fn check(&self, half: usize, began: Instant, ended: Instant) {
        let rates: Vec<f64> = self.readers.iter().map(|reader| reader.rate(began, ended)).collect();
        let rate: f64 = rates.iter().sum();
        let error = rate / self.due[half] as f64 - 1.0;
        let shares: Vec<f64> = self.groups.iter().map(|group| rates[group.clone()].iter().sum()).collect();
        let mean = rate / shares.len() as f64;
        let worst = shares.iter().map(|share| (share / mean - 1.0).abs()).fold(0.0, f64::max);
        println!(
            "{:<34} {:>9} {:>9.1} {:>+8.2} % {:>8.2} %",
            self.name,
            self.due[half] / KIB,
            rate / KIB as f64,
            error * 100.0,
            worst * 100.0
        );
        assert!(error.abs() <= 0.01, "{}: {rate} bytes/s, {} are due", self.name, self.due[half]);
        assert!(worst <= 0.02, "{}: shares {shares:?}", self.name);
    }
}

#[test]
#[ignore = "takes 33 s; .ci/run runs it"]
fn rates_are_met_within_a_per_cent_and_shares_within_two_also_after_a_change() {
    let limited = |server: u64| SharedLimits {
        server: Budget::of(Rate::or_unlimited(server)),
        ..SharedLimits::default()
    };
    let own = SinkSettings { rate: Rate::or_unlimited(200 * KIB), ..SinkSettings::default() };
    let (_a, shared) = serving(Settings { limits: limited(1024 * KIB), ..Settings::default() });
    let (_b, single) = serving(Settings { sink: own, ..Settings::default() });
    let (_c, keyed) = serving(Settings { limits: limited(1024 * KIB), ..Settings::default() });
    let client = |n| Ipv4Addr::new(127, 0, 0, n);
    let many = |count, from, served: &Served| -> Vec<Reader> {
        (0..count).map(|_| Reader::from(from, served.addr)).collect()
    };

    let mut of_two = many(20, client(2), &keyed);
    of_two.extend(many(1, client(3), &keyed));
    let parts = [
        Part {
            name: "server, 8 connections",
            readers: many(8, client(1), &shared),
            due: [1024 * KIB, 2048 * KIB],
            groups: (0..8).map(|at| at..at + 1).collect(),
        },
        Part {
            name: "connection, 1 connection",
            readers: many(1, client(1), &single),
            due: [200 * KIB, 400 * KIB],
            groups: std::iter::once(0..1).collect(),
        },
        Part {
            name: "server, clients with 20 and with 1",
            readers: of_two,
            due: [1024 * KIB, 512 * KIB],
            groups: vec![0..20, 20..21],
        },
    ];

    println!("{:<34} {:>9} {:>9} {:>10} {:>10}", "", "KiB/s due", "came", "error", "shares");
    for half in 0..2 {
        if half == 1 {
            shared.handle.budgets().server().set(Budget::of(Rate::or_unlimited(parts[0].due[1])));
            single.handle.budgets().connection().set_rate(Rate::or_unlimited(parts[1].due[1]));
            keyed.handle.budgets().server().set(Budget::of(Rate::or_unlimited(parts[2].due[1])));
        }
        // After a change one interval may pass; then the rate is the new one.
        std::thread::sleep(if half == 0 { WARM_UP } else { Duration::from_millis(500) });
        let began = Instant::now();
        std::thread::sleep(HALF);
        let ended = Instant::now();
        parts.iter().for_each(|part| part.check(half, began, ended));
    }
}

/// Streams of the test of changes, as far as the system's descriptors go: two for each, both ends being
/// here. A debug build has no time for five thousand on two cores, and it is not its time that is measured.
const STREAMS: usize = if cfg!(debug_assertions) { 1_000 } else { 5_000 };

/// Reads what has come on each of `streams`, and says on how many something did for the first time.
fn read_all(streams: &mut [TcpStream], seen: &mut [bool], buf: &mut [u8]) -> usize {
    let mut first = 0;
    for (stream, seen) in streams.iter_mut().zip(seen) {
        while let Ok(n) = stream.read(buf) {
            assert!(n > 0, "a stream ended");
            first += usize::from(!std::mem::replace(seen, true));
        }
    }
    first
}

#[test]
#[ignore = "takes 15 s; .ci/run runs it"]
fn a_change_is_seen_by_thousands_of_streams_at_once() {
    let descriptors = sluicegate::rt::raise_descriptor_limit().unwrap_or(u64::MAX);
    let count = STREAMS.min((descriptors as usize).saturating_sub(200) / 2);
    let rate = |per_stream: u64| Budget::of(Rate::or_unlimited(per_stream * count as u64));
    // Hardly anything while they come: nobody is to have had more than the others when the test begins, or
    // it would have to wait until these have caught up.
    let limits = SharedLimits { server: Budget::of(Rate::or_unlimited(4 * KIB)), ..SharedLimits::default() };
    let (_folder, served) = serving(Settings { limits, max_connections: 2 * count, ..Settings::default() });
    let mut streams: Vec<TcpStream> = (0..count)
        .map(|_| {
            let stream = served.begin("/large");
            stream.set_nonblocking(true).unwrap();
            stream
        })
        .collect();
    let mut buf = vec![0; 65_536];
    // So little that a turn of all takes two seconds: most of them wait when the change comes.
    served.handle.budgets().server().set(rate(512));
    let began = Instant::now();
    let mut seen = vec![false; count];
    while seen.contains(&false) {
        read_all(&mut streams, &mut seen, &mut buf);
        assert!(began.elapsed() < PATIENCE, "not all of {count} streams began");
    }
    std::thread::sleep(Duration::from_millis(500));
    read_all(&mut streams, &mut vec![false; count], &mut buf);

    let changed = Instant::now();
    served.handle.budgets().server().set(rate(8 * KIB));
    let (mut seen, mut left) = (vec![false; count], count);
    let mut half = None;
    while left > 0 {
        left -= read_all(&mut streams, &mut seen, &mut buf);
        if left <= count / 2 {
            half.get_or_insert(changed.elapsed());
        }
        assert!(changed.elapsed() < PATIENCE, "{left} of {count} streams saw nothing of the change");
    }
    let all = changed.elapsed();
    println!("{count} streams: half had bytes {:?} after the change, all {all:?}", half.unwrap_or(all));
    // One interval on a machine that has time; without the change it would have been two seconds.
    assert!(all < Duration::from_secs(1), "{all:?}");
}
