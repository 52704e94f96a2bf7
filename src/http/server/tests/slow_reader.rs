//! A reader of 1 KiB a second against 256 KiB at 64 KiB a second, beside one that is fast enough.

use std::time::Duration;

use super::pipe::{Client, End, Road};
use super::{GET, World, content};
use crate::http::SharedLimits;
use crate::http::server::Settings;
use crate::limit::{Budget, Rate};
use crate::sink::{OnFull, SinkSettings};
use testkit::recorder::{self, Record};

const LEN: u64 = 256 * 1024;
const PACE: u64 = 64 * 1024;
/// What leaves in 200 ms, 13 107.2 bytes: whole ones.
const CHUNK: u64 = PACE / 5;
/// What the kernel would hold for the slow reader: little, as with small send and receive buffers.
const KERNEL: u64 = 8 * 1024;
const CAP: u64 = 64 * 1024;
/// What the slow one takes each second, from the first second on.
const STEP: u64 = 1024;

/// The two on one server, and what came to each.
struct Race {
    world: World,
    slow: Client,
    fast: Client,
    slow_came: Vec<u8>,
    fast_came: Vec<u8>,
}

impl Race {
    /// Both ask at once.
    fn begin(on_full: OnFull) -> Self {
        let sink = SinkSettings { buffer: CAP as usize, on_full, ..SinkSettings::default() };
        let settings = Settings { sink, access_log: true, ..Settings::default() };
        let mut world = World::new(settings, LEN as usize, PACE);
        let slow = world.connect(Road { capacity: KERNEL as usize, ..Road::WIDE });
        let fast = world.connect(Road::WIDE);
        slow.send(GET);
        fast.send(GET);
        Self { world, slow, fast, slow_came: Vec::new(), fast_came: Vec::new() }
    }

    /// Goes on for `seconds`.
    fn run(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.world.pass(Duration::from_secs(1));
            self.slow_came.extend(self.slow.read(STEP as usize));
            self.fast_came.extend(self.fast.read(usize::MAX));
            self.world.settle();
        }
    }

    /// Checks that the fast one got everything, and says how long the head is.
    fn fast_got_everything(&self) -> u64 {
        let (head, body) = split(&self.fast_came);
        assert!(body == content(LEN as usize), "{} bytes", body.len());
        assert_eq!(self.fast.refusals(), 0);
        head
    }
}

/// How long the head is, and the body.
fn split(came: &[u8]) -> (u64, &[u8]) {
    let head = came.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    (head as u64, &came[head..])
}

/// The access log's line of a connection.
fn response(records: &[Record], connection: &str) -> Record {
    let mut lines = records.iter().filter(|record| record.text == "response");
    lines.find(|line| line.field("connection") == connection).unwrap().clone()
}

#[test]
fn with_close_it_is_reset_when_the_buffer_stays_full() {
    let mut race = Race::begin(OnFull::Close);
    race.run(1);
    assert!(race.world.lives(1), "the buffer is full, but for no interval yet");
    let egress = race.world.handle.egress();
    assert_eq!((egress.buffered(), egress.overflow_closes()), (CAP, 0));
    race.run(1);
    assert_eq!((race.world.lives(1), race.slow.end()), (false, Some(End::Reset)));
    race.run(2);
    let head = race.fast_got_everything();

    // It is full at 1 s, by the sixth chunk, when 1 KiB was read; a seventh comes before 1.2 s are over.
    let taken = 7 * CHUNK;
    let written = KERNEL + STEP;
    let dropped = head + taken - written;
    let records = recorder::taken();
    let told = records.iter().filter(|record| record.level == log::Level::Warn).collect::<Vec<_>>();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].text, "the reader cannot hold the pace: connection reset");
    let expected = [
        ("age_ms", 1200.to_string()),
        ("buffered", CAP.to_string()),
        ("bytes_dropped", dropped.to_string()),
        ("bytes_written", written.to_string()),
        ("client", "192.0.2.1:9001".to_owned()),
        ("connection", "1".to_owned()),
        ("fd", "71".to_owned()),
        ("peer", "192.0.2.1:9001".to_owned()),
        ("route", "/".to_owned()),
    ];
    let fields = expected.map(|(name, value)| (name.to_owned(), value)).into();
    assert_eq!(told[0].fields, fields);
    let line = response(&records, "1");
    assert_eq!(
        (line.number("bytes"), line.field("outcome"), line.field("held_by")),
        (taken, "aborted", "reader")
    );

    let egress = race.world.handle.egress();
    assert_eq!((egress.overflow_closes(), egress.stall_closes()), (1, 0));
    assert_eq!((egress.bytes_written(), egress.bytes_dropped()), (written + head + LEN, dropped));
    assert_eq!((egress.high_water(), egress.buffered()), (CAP, 0));
    assert_eq!(egress.would_block(), race.slow.refusals());
    assert_eq!(egress.reader_wait(), Duration::from_millis(1200));
    assert_eq!(race.world.taken(), taken + LEN);
    let came = race.slow_came.len() as u64 + race.slow.unread() as u64;
    assert_eq!(came, written, "a reset would discard some of it");
}

#[test]
fn with_wait_it_gets_every_byte() {
    let mut race = Race::begin(OnFull::Wait);
    race.run(4);
    let head = race.fast_got_everything();
    // The last step takes what is left of the last KiB.
    let seconds = (head + LEN).div_ceil(STEP);
    race.run(seconds - 5);
    assert!(split(&race.slow_came).1.len() < LEN as usize, "a second before its time");
    race.run(1);
    assert!(split(&race.slow_came).1 == content(LEN as usize));

    let egress = race.world.handle.egress();
    assert_eq!((egress.overflow_closes(), egress.stall_closes(), egress.bytes_dropped()), (0, 0, 0));
    assert_eq!((egress.bytes_written(), race.world.taken()), (2 * (head + LEN), 2 * LEN));
    assert_eq!((egress.high_water(), egress.buffered()), (CAP, 0));
    assert_eq!(egress.would_block(), race.slow.refusals());
    // From its first bytes on, until all that is left fits into the kernel.
    let waited = Duration::from_secs((head + LEN - KERNEL).div_ceil(STEP));
    assert_eq!(egress.reader_wait(), waited);
    let records = recorder::taken();
    assert!(records.iter().all(|record| record.level >= log::Level::Info), "{records:?}");
    let fast = response(&records, "2");
    assert_eq!((fast.field("outcome"), fast.field("held_by")), ("complete", "pace"));
    let slow = response(&records, "1");
    assert_eq!(
        (slow.number("bytes"), slow.field("outcome"), slow.field("held_by")),
        (LEN, "complete", "reader")
    );
    assert_eq!(slow.number("duration_ms"), waited.as_millis() as u64, "to the last byte");
    race.slow.half_close();
    race.fast.half_close();
    race.world.settle();
    assert_eq!((race.slow.end(), race.fast.end()), (Some(End::Clean), Some(End::Clean)));
}

// The turn it is given it does not take, and then it asks for no more.
#[test]
fn what_it_leaves_of_a_shared_rate_others_use() {
    let limits = SharedLimits { server: Budget::of(Rate::or_unlimited(PACE)), ..SharedLimits::default() };
    let mut world = World::new(Settings { limits, ..Settings::default() }, LEN as usize, 0);
    let slow = world.connect(Road { capacity: KERNEL as usize, ..Road::WIDE });
    slow.send(GET);
    world.pass(Duration::from_secs(10));
    let held = world.handle.egress().bytes_written() + world.handle.egress().buffered();
    assert!(held > CAP, "{held} bytes until it stands still");
    let fast = world.connect(Road::WIDE);
    fast.send(GET);
    // 256 KiB at 64 KiB a second, and its heads and its first turn are charged too.
    world.pass(Duration::from_millis(4_200));
    let came = fast.read(usize::MAX);
    assert!(split(&came).1 == content(LEN as usize), "{} bytes", came.len());
    assert!(world.lives(1));
    world.cut(1);
}
