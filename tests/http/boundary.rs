//! A boundary of a schedule on the machine's own clock, under a thousand transfers on real sockets.
//!
//! It waits for the next minute. That nothing comes early is asserted without tolerance; bounds to the nanosecond are asserted on
//! the manual clock. How late this machine is, transfers show that cross no boundary: they are of the same server, have the rate that
//! the others move to, and are read by the same loop. One of them is due every millisecond, so what stops the server, its timers or
//! this loop for longer is in their longest gap, and that is allowed for.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sluicegate::http::route::{PaceRule, Route, When};
use sluicegate::limit::Rate;
use sluicegate::rt;
use sluicegate::schedule::{During, Zone};
use testkit::served::Served;
use testkit::wait::PATIENCE;

const STREAMS: usize = 1_000;

/// Bytes per second before the boundary, and from then on.
const BEFORE: u64 = 2_000;
const THEN: u64 = 20_000;

/// In which all move.
const INTERVAL: Duration = Duration::from_millis(200);

/// A chunk that is due so soon after the boundary is almost all of the old rate: only the next one shows that a transfer moved.
const UNSEEN: Duration = Duration::from_millis(25);

/// Two ticks of the timer wheel: of the calendar's timer and of the transfer's.
const TICKS: Duration = Duration::from_millis(20);

/// Transfers that have the new rate all the time.
const STEADY: usize = 250;

/// For the connections to be made before the boundary.
const LEAST_WAIT: u64 = 10;

/// How long it is looked at.
const WATCHED: Duration = Duration::from_secs(3);

/// Between two looks at the sockets.
const LOOK: Duration = Duration::from_millis(5);

struct Stream {
    socket: TcpStream,
    bytes: u64,
    /// When bytes came last, and the longest time without any.
    came: Instant,
    gap: Duration,
    at_boundary: u64,
    /// When more had come since the boundary than the old rate gives in two intervals.
    moved: Option<Duration>,
}

impl Stream {
    fn begin(served: &Served, target: &str) -> Self {
        let socket = served.begin(target);
        socket.set_nonblocking(true).unwrap();
        Self { socket, bytes: 0, came: Instant::now(), gap: Duration::ZERO, at_boundary: 0, moved: None }
    }

    fn read(&mut self, buffer: &mut [u8]) {
        loop {
            match self.socket.read(buffer) {
                Ok(0) => panic!("the stream ended"),
                Ok(bytes) => {
                    self.bytes += bytes as u64;
                    let now = Instant::now();
                    self.gap = self.gap.max(now - self.came);
                    self.came = now;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn a_thousand_transfers_move_at_a_boundary_within_an_interval_and_none_early() {
    // Where it takes longer than expected to connect, the next boundary counts.
    assert!((0..5).any(|_| all_move()), "no thousand connections within {LEAST_WAIT} s");
}

/// Returns whether all were there before the boundary.
fn all_move() -> bool {
    let descriptors = rt::raise_descriptor_limit().unwrap_or(u64::MAX);
    let count = STREAMS.min((descriptors as usize).saturating_sub(200 + 2 * STEADY) / 2);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a"), vec![b'x'; 4_000_000]).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let boundary = (now + LEAST_WAIT) / 60 * 60 + 60;
    let minute = |seconds: u64| format!("{:02}:{:02}", seconds / 3600 % 24, seconds / 60 % 60);
    let during = format!("{}-{}", minute(boundary), minute(boundary + 120));
    let during = Some(During::parse([during.as_str()], Zone::default()).unwrap());
    let when = When { during, ..When::default() };
    let rates = Rate::new(THEN).unwrap().into();
    let rule = PaceRule { name: None, when, rates, burst: 0 };
    let files = |path, rate| Route::files(path, folder.path()).unwrap().rate(Rate::new(rate).unwrap());
    let moving = files("/", BEFORE).pace_rules(vec![rule]);
    let served = Served::new(vec![moving, files("/steady/", THEN)]);
    let mut streams: Vec<Stream> = (0..count).map(|_| Stream::begin(&served, "/a")).collect();
    // Evenly over an interval.
    let began = Instant::now();
    let mut steady: Vec<Stream> = (0..STEADY as u32)
        .map(|nth| {
            let due = began + INTERVAL * nth / STEADY as u32;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            Stream::begin(&served, "/steady/a")
        })
        .collect();
    let boundary = UNIX_EPOCH + Duration::from_secs(boundary);
    if SystemTime::now() + Duration::from_secs(1) > boundary {
        return false;
    }
    let mut buffer = vec![0; 64 * 1024];
    while SystemTime::now() < boundary {
        streams.iter_mut().chain(&mut steady).for_each(|stream| stream.read(&mut buffer));
        // What comes before the last second is of no account.
        let left = boundary.duration_since(SystemTime::now()).unwrap_or_default();
        if left > Duration::from_secs(1) {
            steady.iter_mut().for_each(|stream| stream.gap = Duration::ZERO);
        }
        std::thread::sleep(left.min(LOOK));
    }
    let since = || SystemTime::now().duration_since(boundary).unwrap_or_default();
    // Behind the boundary: what had come before may not count.
    for stream in &mut streams {
        stream.read(&mut buffer);
        stream.at_boundary = stream.bytes;
    }
    let seen_from = since();
    let mut is_over = false;
    while since() < WATCHED || !is_over {
        for stream in &mut streams {
            stream.read(&mut buffer);
            let (bytes, at) = (stream.bytes - stream.at_boundary, since());
            // What was on its way, the chunk that was due, the new chunk, and what the new rate gave until now.
            let most = 2 * BEFORE / 5 + THEN / 5 + THEN * at.as_millis() as u64 / 1_000 + 1;
            assert!(bytes <= most, "{bytes} bytes {at:?} after the boundary");
            if bytes > 2 * BEFORE / 5 && stream.moved.is_none() {
                stream.moved = Some(at);
            }
        }
        steady.iter_mut().for_each(|stream| stream.read(&mut buffer));
        std::thread::sleep(LOOK);
        // On a machine that hardly runs them, transfers need more time to show anything.
        is_over = streams.iter().all(|stream| stream.moved.is_some()) || since() > PATIENCE;
    }
    let last = streams.iter().map(|stream| stream.moved.expect("it did not move")).max().unwrap();
    // One that got nothing up to now has been waiting until now.
    let longest = steady.iter().map(|stream| stream.gap.max(stream.came.elapsed())).max().unwrap();
    let late = longest.saturating_sub(INTERVAL);
    println!(
        "{count} transfers: the last had moved {last:?} after the boundary; this machine was {late:?} late"
    );
    // The calendar's timer may be late, and the transfer's behind it.
    let most = seen_from + INTERVAL + UNSEEN + TICKS + 2 * late;
    assert!(last <= most, "the last moved after {last:?}, of which {most:?} are allowed");
    true
}
