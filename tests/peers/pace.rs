//! Timelines on real sockets, held against a rate.
//!
//! Tolerances. Times are taken where the reader runs, after two or three schedulers: what is written
//! at one instant is read some milliseconds later, on a busy machine of two cores now and then tens of
//! them. A pace that was lost, or doubled, or held for one interval too long is off by 200 ms and a
//! chunk, so [`SLACK`] tells these apart from a late thread. A thread that is later still makes
//! [`timed`](crate::program::timed) look again.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use testkit::served;
use testkit::wire::{self, Answer};

/// The rate of most tests here: mod_ratelimit's `rate-limit 60`.
pub const RATE: usize = 60 * 1024;

/// What leaves at that rate in one interval of 200 ms.
pub const CHUNK: usize = RATE / 5;

/// How late a reader may be.
const SLACK: Duration = Duration::from_millis(120);

/// GETs `target` with HTTP/1.1 on a connection of its own.
pub fn get(addr: SocketAddr, target: &str, fields: &str) -> Answer {
    wire::answer(ask(addr, target, fields))
}

/// The connection, with the request sent.
pub fn ask(addr: SocketAddr, target: &str, fields: &str) -> TcpStream {
    let mut stream = served::connect(addr);
    let request = format!("GET {target} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n{fields}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

/// A response with a length keeps to `rate`: at no instant more than one chunk ahead, or behind, and
/// `held` bytes more behind where something on the way gathers that many before it sends.
pub fn assert_paced(response: &Answer, rate: usize, held: usize) {
    let chunk = rate / 5;
    let total = response.timeline().last().unwrap().1;
    let mut before = 0;
    for (at, bytes) in response.timeline() {
        let even = |at: Duration| rate * at.as_millis() as usize / 1000;
        // The remainder of less than a chunk leaves with the last chunk.
        let remainder = if bytes == total { chunk } else { 0 };
        assert!(bytes <= chunk + even(at + SLACK) + remainder, "{bytes} bytes at {at:?} are too many");
        let least = even(at.saturating_sub(SLACK)).min(total).saturating_sub(chunk + held);
        assert!(before >= least, "{before} bytes until {at:?} are too few");
        before = bytes;
    }
}

/// Two timelines are the same: at no instant more than one chunk apart.
///
/// The allowance refills continuously, so a first chunk that came from its source in two pieces some
/// milliseconds apart earns the rate of these milliseconds.
pub fn assert_same_pace(one: &Answer, other: &Answer) {
    let had = |timeline: &[(Duration, usize)], at: Duration| {
        timeline.iter().take_while(|(then, _)| *then <= at).last().map_or(0, |(_, bytes)| *bytes)
    };
    let (one, other) = (one.timeline(), other.timeline());
    for &(at, _) in one.iter().chain(&other) {
        let (one, other) = (had(&one, at), had(&other, at));
        assert!(one.abs_diff(other) <= CHUNK + RATE * 20 / 1000, "at {at:?}, {one} and {other} bytes");
    }
}

/// All bytes came at whole intervals of 200 ms after the first, up to a late wake-up and a late reader:
/// the pace is reckoned from the first spend, never from the last wake-up.
pub fn assert_on_grid(response: &Answer) {
    for (at, _) in response.timeline() {
        let off = at.as_millis() % 200;
        assert!(off < 70, "{off} ms off the grid at {at:?}");
    }
}

/// How long the events of a stream took from their source to their reader.
#[derive(Debug)]
pub struct Delays(pub Vec<Duration>);

impl Delays {
    /// Pairs the instants at which events were sent with those at which they came.
    pub fn between(sent: &[Instant], came: &[Instant]) -> Self {
        assert_eq!(sent.len(), came.len());
        Self(sent.iter().zip(came).map(|(sent, came)| came.saturating_duration_since(*sent)).collect())
    }

    /// Each event came at once. In lumps of 200 ms, events of every 50 ms are late by 150, 100, 50 and
    /// 0 ms: half of them by 100 ms or more. A busy machine makes single events late, not every second.
    pub fn assert_at_once(&self) {
        let mut sorted = self.0.clone();
        sorted.sort();
        let (median, nine_in_ten) = (sorted[sorted.len() / 2], sorted[sorted.len() * 9 / 10]);
        let longest = sorted.last().unwrap();
        println!("delay of events: median {median:?}, nine in ten {nine_in_ten:?}, longest {longest:?}");
        assert!(median < Duration::from_millis(25), "{self:?}");
        assert!(nine_in_ten < Duration::from_millis(75), "{self:?}");
    }
}
