//! The same content as a file and behind a plain backend, on real sockets: the same timeline.
//!
//! Real time, for some seconds at several rates at once. A chunk is due each 200 ms, so a client that is
//! looked at half way between two chunks has 100 ms for whatever a loaded machine does in between. A server
//! that was kept from running for more than 50 ms owes nobody that time (a stall earns no more than a chunk).
//! Such pauses are seen by the client, or by a thread that does nothing but look out for them; they are taken
//! off what is asked, as long as they are few. Where they are many, nothing was seen, and it is looked at anew.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sluicegate::http::route::Route;
use sluicegate::limit::Rate;
use testkit::backend::{Backend, routed};
use testkit::folder::folder;
use testkit::message::read_head;
use testkit::served::Served;

/// How long each stream is watched.
const WATCHED: Duration = Duration::from_millis(3_300);

/// Between two chunks.
const INTERVAL: Duration = Duration::from_millis(200);

/// Bytes in which a missing, doubled or misplaced one shows: the run has no common factor with any size
/// that bytes are moved in.
fn content(len: usize) -> Vec<u8> {
    let run: Vec<u8> = (0..65_521).map(|at| (at / 251 + at) as u8).collect();
    let mut all = run.repeat(len.div_ceil(run.len()));
    all.truncate(len);
    all
}

/// What a plain backend does: sends the same bytes to everyone, in pieces of odd sizes, as fast as they are taken.
fn send(stream: &mut TcpStream, body: &[u8]) {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    let mut taken = stream.write_all(head.as_bytes());
    let mut rest = body;
    for size in [1, 7, 1_000, 4_097, 13, 65_537, 30_001, 2].into_iter().cycle() {
        if rest.is_empty() || taken.is_err() {
            return;
        }
        let (piece, behind) = rest.split_at(size.min(rest.len()));
        rest = behind;
        taken = stream.write_all(piece);
    }
}

/// What came when: time since before the request, and bytes of the body so far.
struct Timeline {
    came: Vec<(Duration, u64)>,
}

impl Timeline {
    /// When the first byte of the body came.
    fn began(&self) -> Duration {
        self.came[0].0
    }

    /// How long nothing came, beyond the interval, where that was longer than is made up for.
    fn stalled(&self) -> Duration {
        let pauses = self.came.windows(2).map(|pair| pair[1].0 - pair[0].0);
        pauses.filter(|pause| pause.as_millis() > 250).map(|pause| pause - INTERVAL).sum()
    }

    /// Bytes there at an instant after the first of them.
    fn at(&self, after: Duration) -> u64 {
        let at = self.began() + after;
        self.came.iter().rfind(|(came, _)| *came <= at).map_or(0, |(_, bytes)| *bytes)
    }
}

/// Asks and reads for as long as streams are watched, and checks that each byte is the one to come.
fn watch(served: &Served, target: &str, body: &[u8]) -> JoinHandle<Timeline> {
    let mut stream = served.connect();
    let request = format!("GET {target} HTTP/1.1\r\nHost: t\r\n\r\n");
    let body = body.to_vec();
    std::thread::spawn(move || {
        let asked = Instant::now();
        stream.write_all(request.as_bytes()).unwrap();
        read_head(&mut stream).unwrap();
        let mut came = Vec::new();
        let mut sum = 0;
        let mut buf = vec![0; 65_536];
        while asked.elapsed() < WATCHED {
            let n = stream.read(&mut buf).unwrap();
            assert!(n > 0 && buf[..n] == body[sum..sum + n], "other bytes from {sum} on");
            sum += n;
            came.push((asked.elapsed(), sum as u64));
        }
        Timeline { came }
    })
}

/// Adds up how long a thread that asks to run each 10 ms was kept from it, where that was more than 30 ms.
fn pauses_of_the_machine() -> JoinHandle<Duration> {
    const LOOK: Duration = Duration::from_millis(10);
    std::thread::spawn(|| {
        let (began, mut paused) = (Instant::now(), Duration::ZERO);
        while began.elapsed() < WATCHED {
            let looked = Instant::now();
            std::thread::park_timeout(LOOK);
            let late = looked.elapsed().saturating_sub(LOOK);
            paused += if late.as_millis() > 30 { late } else { Duration::ZERO };
        }
        paused
    })
}

#[test]
fn a_file_and_a_proxied_body_keep_the_same_pace_to_a_chunk() {
    // The last two have chunks of more than the 60 KiB that are read or held at a time.
    let rates = [2_000, 61_440, 1 << 20, 4 << 20];
    let body = content(4 * (4 << 20));
    let folder = folder(&[("body", &body)]);
    let sent = body.clone();
    let backend = Backend::new(move |stream, _| send(stream, &sent));
    let routes = rates.into_iter().flat_map(|rate| {
        let pace = Rate::or_unlimited(rate);
        let direct = Route::files(&format!("/direct/{rate}/"), folder.path()).unwrap().rate(pace);
        [routed(&format!("/proxied/{rate}/"), backend.source(), pace), direct]
    });
    let served = Served::new(routes.collect());
    // Real time: a machine that stands still for a quarter of the time, five times on end, is no place for this.
    let seen = (0..5).any(|_| look(&served, rates, &body));
    assert!(seen, "the machine, or the server, stood still too long each time");
}

/// Watches a file and a proxied body at each rate. False if too little of it was seen.
fn look(served: &Served, rates: [u64; 4], body: &[u8]) -> bool {
    let watched = rates.map(|rate| {
        let direct = watch(served, &format!("/direct/{rate}/body"), body);
        (rate, direct, watch(served, &format!("/proxied/{rate}/body"), body))
    });
    let paused = pauses_of_the_machine().join().unwrap();
    let mut seen = true;
    for (rate, direct, proxied) in watched {
        let (direct, proxied) = (direct.join().unwrap(), proxied.join().unwrap());
        assert_bound(rate, &direct);
        assert_bound(rate, &proxied);
        let stalled = paused + direct.stalled() + proxied.stalled();
        if stalled >= WATCHED / 4 {
            eprintln!("{rate} B/s: stood still for {stalled:?}, the machine for {paused:?}");
            seen = false;
            continue;
        }
        let excused = (rate as f64 * stalled.as_secs_f64()) as u64;
        assert_rate(rate, &direct, excused);
        assert_rate(rate, &proxied, excused);
        assert_together(rate, &direct, &proxied, excused);
    }
    seen
}

/// At no instant more than one chunk and rate × time since before the request: without tolerance.
fn assert_bound(rate: u64, timeline: &Timeline) {
    for (at, bytes) in &timeline.came {
        let earned = (rate as f64 * at.as_secs_f64()) as u64;
        assert!(*bytes <= rate.div_ceil(5) + earned, "{rate} B/s: {bytes} bytes at {at:?}");
    }
}

/// Half way between two chunks: within one chunk of the rate.
fn assert_rate(rate: u64, timeline: &Timeline, excused: u64) {
    for half in (100..=2_900).step_by(200) {
        let target = rate * half / 1_000;
        let is = timeline.at(Duration::from_millis(half));
        let most = rate.div_ceil(5) + if is < target { excused } else { 0 };
        assert!(is.abs_diff(target) <= most, "{rate} B/s: {is} of {target} bytes at {half} ms");
    }
}

/// Half way between two chunks never more than one chunk apart; at every hundredth of a second, also while
/// the one has its chunk and the other is about to get it, not more than that and what 50 ms are worth: by
/// so much may the first pieces of a backend come one after another, and wake-ups be late.
fn assert_together(rate: u64, direct: &Timeline, proxied: &Timeline, excused: u64) {
    let chunk = rate.div_ceil(5);
    for millis in (0..2_900).step_by(10) {
        let at = Duration::from_millis(millis);
        let (file, backend) = (direct.at(at), proxied.at(at));
        let most = excused + if millis % 200 == 100 { chunk } else { chunk + rate / 20 };
        let apart = file.abs_diff(backend);
        assert!(apart <= most, "{rate} B/s at {millis} ms: file {file}, proxied {backend}");
    }
}
