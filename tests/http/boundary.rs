//! A boundary of a schedule on the machine's own clock, under a thousand transfers on real sockets.
//!
//! It waits for the next minute. That nothing comes early is asserted without tolerance; bounds to the nanosecond are asserted on
//! the manual clock. How late this machine is, is measured meanwhile by a timer that has nothing to do, and by how long a look at
//! all sockets takes: that is allowed for, and no more.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sluicegate::http::route::{PaceRule, Route, When};
use sluicegate::limit::Rate;
use sluicegate::rt;
use sluicegate::schedule::{During, Zone};
use testkit::served::Served;

const STREAMS: usize = 1_000;

/// Bytes per second before the boundary, and from then on.
const BEFORE: u64 = 2_000;
const THEN: u64 = 20_000;

/// In which all have moved.
const INTERVAL: Duration = Duration::from_millis(200);

/// For the connections to be made before the boundary.
const LEAST_WAIT: u64 = 10;

/// How long it is looked at.
const WATCHED: Duration = Duration::from_secs(3);

/// Between two looks at the sockets, and the sleep of the timer that measures how late the machine is.
const LOOK: Duration = Duration::from_millis(5);

/// Two ticks of the timer wheel: of the calendar's timer and of the transfers'.
const TICKS: Duration = Duration::from_millis(20);

/// Timers one behind the other, each of which may be late: the calendar's, a transfer's, and that of the next look.
const TIMERS: u32 = 3;

/// Measures how late a timer is that has nothing to do, until `is_over`.
fn lateness(is_over: &AtomicBool) -> Duration {
    let mut worst = Duration::ZERO;
    while !is_over.load(Ordering::Relaxed) {
        let began = Instant::now();
        std::thread::sleep(LOOK);
        worst = worst.max(began.elapsed().saturating_sub(LOOK));
    }
    worst
}

struct Stream {
    socket: TcpStream,
    bytes: u64,
    at_boundary: u64,
    /// When more had come since the boundary than the old rate gives in two intervals.
    moved: Option<Duration>,
}

impl Stream {
    fn read(&mut self, buffer: &mut [u8]) {
        loop {
            match self.socket.read(buffer) {
                Ok(0) => panic!("the stream ended"),
                Ok(bytes) => self.bytes += bytes as u64,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn a_thousand_transfers_move_at_a_boundary_within_an_interval_and_none_early() {
    let descriptors = rt::raise_descriptor_limit().unwrap_or(u64::MAX);
    let count = STREAMS.min((descriptors as usize).saturating_sub(200) / 2);
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
    let route = Route::files("/", folder.path()).unwrap().rate(Rate::new(BEFORE).unwrap());
    let served = Served::new(vec![route.pace_rules(vec![rule])]);
    let begin = |_| {
        let socket = served.begin("/a");
        socket.set_nonblocking(true).unwrap();
        Stream { socket, bytes: 0, at_boundary: 0, moved: None }
    };
    let mut streams: Vec<Stream> = (0..count).map(begin).collect();
    let boundary = UNIX_EPOCH + Duration::from_secs(boundary);
    let mut buffer = vec![0; 64 * 1024];
    while SystemTime::now() < boundary {
        streams.iter_mut().for_each(|stream| stream.read(&mut buffer));
        let left = boundary.duration_since(SystemTime::now()).unwrap_or_default();
        std::thread::sleep(left.min(Duration::from_millis(50)));
    }
    let since = || SystemTime::now().duration_since(boundary).unwrap_or_default();
    for stream in &mut streams {
        stream.at_boundary = stream.bytes;
    }
    let is_over = Arc::new(AtomicBool::new(false));
    let timer = std::thread::spawn({
        let is_over = Arc::clone(&is_over);
        move || lateness(&is_over)
    });
    let (mut looked, mut longest) = (Instant::now(), Duration::ZERO);
    while since() < WATCHED {
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
        std::thread::sleep(LOOK);
        longest = longest.max(looked.elapsed());
        looked = Instant::now();
    }
    is_over.store(true, Ordering::Relaxed);
    let late = TICKS + TIMERS * timer.join().expect("it only sleeps") + longest;
    let last = streams.iter().map(|stream| stream.moved.expect("it did not move")).max().unwrap();
    let least = streams.iter().map(|stream| stream.bytes - stream.at_boundary).min().unwrap();
    println!(
        "{count} transfers: the last had moved {last:?} after the boundary, the machine was up to {late:?} late; {least} bytes \
         at least in {WATCHED:?}"
    );
    assert!(last <= INTERVAL + late, "the last moved after {last:?}, of which {late:?} may be the machine's");
    let due = THEN * (WATCHED - INTERVAL).saturating_sub(late).as_millis() as u64 / 1_000;
    assert!(least + THEN / 5 >= due, "{least} bytes of {due}");
}
