//! A boundary of a schedule on the machine's own clock, under a thousand transfers on real sockets.
//!
//! It waits for the next minute. That nothing comes early is asserted without tolerance; bounds to the nanosecond are asserted on
//! the manual clock.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sluicegate::http::route::{PaceRule, Route, When};
use sluicegate::limit::Rate;
use sluicegate::rt;
use sluicegate::schedule::{During, Zone};
use testkit::served::Served;

const STREAMS: usize = 1_000;

/// Bytes per second before the boundary, and from then on.
const BEFORE: u64 = 2_000;
const THEN: u64 = 20_000;

/// For the connections to be made before the boundary.
const LEAST_WAIT: u64 = 10;

/// How long it is looked at.
const WATCHED: Duration = Duration::from_secs(3);

/// For a machine that has other things to do.
const SLACK: Duration = Duration::from_secs(2);

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
        std::thread::sleep(Duration::from_millis(5));
    }
    let last = streams.iter().map(|stream| stream.moved.expect("it did not move")).max().unwrap();
    let least = streams.iter().map(|stream| stream.bytes - stream.at_boundary).min().unwrap();
    println!(
        "{count} transfers: the last had moved {last:?} after the boundary; {least} bytes at least in {WATCHED:?}"
    );
    assert!(last <= Duration::from_millis(200) + SLACK, "the last moved after {last:?}");
    let due = THEN * (WATCHED - SLACK).as_millis() as u64 / 1_000;
    assert!(least >= due, "{least} bytes of {due}");
}
