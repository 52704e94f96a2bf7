//! Recordings of brigades, the timelines they give, and what runs the one into the other.
//!
//! A [`Case`] is a recording for each response on one connection, and the settings it runs under. A
//! [`Runner`] turns it into events: which bytes and marks came out, and when. [`Line`]s are these events
//! summed up for each instant, which is what goldens hold and what does not depend on any cut.

pub mod chain;
pub mod golden;
pub mod model;
pub mod recording;

use std::fmt;
use std::ops::AddAssign;
use std::time::Duration;

use sluicegate::filter::{EndOfStream, RateFilter};
use sluicegate::limit::{Carryover, CatchUp, Interval, Limit, Rate, Rates};

/// Nanoseconds in a millisecond.
pub const MS: u64 = 1_000_000;

/// Bytes per second of `rate-limit 60`: a chunk of 12 288 bytes.
pub const GUIDE: u64 = 60 * 1024;

/// A mark between bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// What came before it is to leave now.
    Flush,
    /// Header fields behind the body.
    Trailers,
    /// The source failed.
    Error,
    /// The end of the stream.
    Eos,
}

impl Mark {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 4] = [Self::Flush, Self::Trailers, Self::Error, Self::Eos];

    /// The word for it in recordings and goldens.
    pub fn word(self) -> &'static str {
        match self {
            Self::Flush => "flush",
            Self::Trailers => "trailers",
            Self::Error => "error",
            Self::Eos => "eos",
        }
    }

    /// The mark that is written so.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mark| mark.word() == word)
    }

    /// Whether nothing may follow it.
    pub fn closes(self) -> bool {
        matches!(self, Self::Eos | Self::Error)
    }
}

/// One bucket of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    /// So many bytes in memory.
    Data(u64),
    /// So many bytes in a file.
    File(u64),
    /// No bytes.
    Mark(Mark),
}

impl Item {
    /// How many bytes it stands for.
    pub fn bytes(self) -> u64 {
        match self {
            Self::Data(bytes) | Self::File(bytes) => bytes,
            Self::Mark(_) => 0,
        }
    }
}

/// A brigade that comes to hand at one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Nanoseconds after the response was asked for.
    pub at: u64,
    /// What comes, in order.
    pub items: Vec<Item>,
}

/// One response of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Nanoseconds between the end of the response before it and the request for this one.
    pub after: u64,
    /// What its source gives, in order of time.
    pub arrivals: Vec<Arrival>,
}

/// One connection: what runs over it, and under which settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// Bytes per second; `None` is unlimited.
    pub rate: Option<u64>,
    /// Rates that hold before that one, each for so many bytes of a response.
    pub first: Vec<(Option<u64>, u64)>,
    /// Nanoseconds not used that may be made up at once; below the interval it makes no difference.
    pub catch_up: u64,
    /// Bytes.
    pub burst: u64,
    /// Nanoseconds in which the rate gives a chunk.
    pub interval: u64,
    /// Whether the remainder at the end of a stream waits its interval.
    pub paced_end: bool,
    /// One after another; a response without an end is the last that says anything.
    pub responses: Vec<Response>,
    /// The reader takes nothing from the first instant until the second. In order.
    pub stalls: Vec<(u64, u64)>,
    /// From an instant on, another rate. In order. It is seen when the stream is next looked at.
    pub changes: Vec<(u64, Option<u64>)>,
}

impl Case {
    /// One response under `rate`, nothing else set.
    pub fn one(rate: u64, arrivals: Vec<Arrival>) -> Self {
        Self {
            rate: Some(rate),
            first: Vec::new(),
            catch_up: 0,
            burst: 0,
            interval: 200 * MS,
            paced_end: false,
            responses: vec![Response { after: 0, arrivals }],
            stalls: Vec::new(),
            changes: Vec::new(),
        }
    }

    /// Its interval, as the crate takes it.
    ///
    /// # Panics
    /// If it is out of range.
    pub fn interval(&self) -> Interval {
        Interval::new(Duration::from_nanos(self.interval)).expect("an interval")
    }

    /// A limit with its rates and burst.
    ///
    /// # Panics
    /// If its rates are none.
    pub fn limit(&self) -> Limit {
        let last = self.rate.and_then(Rate::or_unlimited);
        let first: Vec<_> =
            self.first.iter().map(|&(rate, bytes)| (rate.and_then(Rate::or_unlimited), bytes)).collect();
        let limit = Limit::unlimited().with_burst(self.burst);
        limit.set_rates(Rates::new(&first, last).expect("rates"));
        limit
    }

    /// The filter of one response under `limit`.
    ///
    /// # Panics
    /// If a setting is out of range.
    pub fn filter(&self, limit: &Limit, carryover: &Carryover) -> RateFilter {
        let rule = if self.paced_end { EndOfStream::Paced } else { EndOfStream::Immediate };
        let catch_up = Duration::from_nanos(self.catch_up);
        let catch_up = (!catch_up.is_zero()).then(|| CatchUp::new(catch_up).expect("a time to catch up"));
        let filter = RateFilter::new(limit.clone()).interval(self.interval()).end_of_stream(rule);
        filter.catch_up(catch_up).with_carryover(carryover.clone())
    }

    /// When a reader that wants to look at `now` does: then, or at the end of its stall.
    pub fn awake(&self, now: u64) -> u64 {
        self.stalls.iter().fold(now, |now, &(from, to)| if (from..to).contains(&now) { to } else { now })
    }
}

/// Something that came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Nanoseconds on the clock, which starts at zero with the first request.
    pub at: u64,
    /// What came out then.
    pub what: What,
}

/// Bytes or a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// So many bytes.
    Bytes(u64),
    /// A mark.
    Mark(Mark),
}

/// A thing that runs a case and says what came out when.
pub trait Runner {
    /// Runs `case` from its first request to its last event.
    fn run(&self, case: &Case) -> Vec<Event>;

    /// Whether its events tell of this mark. An HTTP body, for example, has no flushes.
    fn sees(&self, _mark: Mark) -> bool {
        true
    }

    /// Whether it can run this case at all.
    fn can_run(&self, _case: &Case) -> bool {
        true
    }
}

/// All that came out at one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Nanoseconds on the clock.
    pub at: u64,
    /// Bytes out at this instant.
    pub bytes: u64,
    /// Bytes out up to and with this instant, over the connection's life.
    pub cumulative: u64,
    /// Each mark with the number of bytes that had come out before it.
    pub marks: Vec<(Mark, u64)>,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.at, self.bytes, self.cumulative)?;
        self.marks.iter().try_for_each(|(mark, position)| write!(f, " {}@{position}", mark.word()))
    }
}

/// Sums events up, one line for each instant, leaving out marks that `runner` does not see.
///
/// # Panics
/// If the events are not in order of time.
pub fn lines(runner: &dyn Runner, events: &[Event]) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut cumulative = 0;
    for event in events {
        if matches!(event.what, What::Mark(mark) if !runner.sees(mark)) {
            continue;
        }
        let last = lines.last().map(|line| line.at);
        assert!(last.is_none_or(|last| last <= event.at), "an event at {} after {last:?}", event.at);
        if last != Some(event.at) {
            lines.push(Line { at: event.at, bytes: 0, cumulative, marks: Vec::new() });
        }
        let Some(line) = lines.last_mut() else { unreachable!("pushed above") };
        match event.what {
            What::Bytes(bytes) => {
                cumulative += bytes;
                line.bytes += bytes;
                line.cumulative = cumulative;
            }
            What::Mark(mark) => line.marks.push((mark, cumulative)),
        }
    }
    lines
}

/// Bytes out, each with its instant.
pub fn sends(events: &[Event]) -> Vec<(u64, u64)> {
    let bytes = |event: &Event| match event.what {
        What::Bytes(bytes) => Some((event.at, bytes)),
        What::Mark(_) => None,
    };
    events.iter().filter_map(bytes).collect()
}

/// What came at the same instant, one after another, added up.
pub fn by_instant<T: PartialEq, N: AddAssign>(came: impl IntoIterator<Item = (T, N)>) -> Vec<(T, N)> {
    let mut sums: Vec<(T, N)> = Vec::new();
    for (at, bytes) in came {
        match sums.last_mut() {
            Some((last, sum)) if *last == at => *sum += bytes,
            _ => sums.push((at, bytes)),
        }
    }
    sums
}
