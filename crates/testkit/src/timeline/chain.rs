//! Runs a case on the bare chain and a manual clock, as the simplest driver there can be.

use std::cell::Cell;
use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, LazyLock};
use std::task::Waker;

use bytes::Bytes;
use http::HeaderMap;
use sluicegate::brigade::{Brigade, Bucket, FileSlice, MAX_PIECE, SourceError};
use sluicegate::clock::{Clock, Instant, ManualClock};
use sluicegate::filter::{Chain, Filter, Step};
use sluicegate::limit::{Carryover, Limit, Rate};

use super::{Case, Event, Item, Mark, Response, Runner, What};

/// Makes the filters of one response.
pub type MakeFilters = fn() -> Vec<Box<dyn Filter>>;

/// How the chain is driven. None of it may show in a timeline.
#[derive(Clone, Copy)]
pub struct ChainRunner {
    /// Bytes of room in the output of a step.
    pub room: u64,
    /// Nanoseconds a sleeping stream is left alone at most; a live limit is seen by then. `None` is what the chain says.
    pub look_every: Option<u64>,
    /// Steps also one nanosecond before each due instant, and expects the same answer and no bytes.
    pub look_early: bool,
    /// Gives all that has arrived at once, as a generator does that has its bytes at hand. Otherwise data in
    /// memory comes as from a socket, no more than there is room for.
    pub at_hand: bool,
    /// Says with each change of the limit when it began to hold.
    pub timed: bool,
    /// The filters before the rate filter.
    pub before: MakeFilters,
}

impl Default for ChainRunner {
    fn default() -> Self {
        Self {
            room: MAX_PIECE,
            look_every: None,
            look_early: true,
            at_hand: false,
            timed: false,
            before: Vec::new,
        }
    }
}

impl Runner for ChainRunner {
    /// Runs the case, and checks that each byte is the one that was to come.
    fn run(&self, case: &Case) -> Vec<Event> {
        let mut events = Vec::new();
        let position = Cell::new(0);
        self.drive(case, &mut |now, out| {
            for bucket in out.iter() {
                let what = match bucket {
                    Bucket::Data(bytes) => {
                        assert_eq!(bytes, &content(position.get(), bytes.len() as u64), "at {position:?}");
                        What::Bytes(bytes.len() as u64)
                    }
                    Bucket::File(slice) => {
                        assert_eq!(slice.offset(), position.get(), "a slice of another place");
                        What::Bytes(slice.len())
                    }
                    mark => What::Mark(mark_of(mark)),
                };
                position.set(match what {
                    What::Bytes(bytes) => position.get() + bytes,
                    What::Mark(mark) if mark.closes() => 0,
                    What::Mark(_) => position.get(),
                });
                events.push(Event { at: now, what });
            }
        });
        events
    }
}

impl ChainRunner {
    /// Runs the case and shows `sink` what comes out of each step, and when.
    ///
    /// # Panics
    /// If the chain errs, spins, holds too much, answers otherwise when asked early, or leaves a sleeper.
    pub fn drive(&self, case: &Case, sink: &mut dyn FnMut(u64, &Brigade)) {
        let clock = ManualClock::new();
        let limit = case.limit();
        let carryover = Carryover::default();
        for response in &case.responses {
            advance(&clock, now(&clock) + response.after);
            let rate = case.filter(&limit, &carryover);
            let chain = (self.before)().into_iter().fold(Chain::new(), Chain::then_boxed).then(rate);
            if !self.drive_one(case, response, &limit, &clock, chain, sink) {
                break;
            }
        }
        assert_eq!(clock.sleepers(), 0, "a sleeper was left");
    }

    /// Runs one response. False if its source went silent without an end.
    fn drive_one(
        &self,
        case: &Case,
        response: &Response,
        limit: &Limit,
        clock: &ManualClock,
        mut chain: Chain,
        sink: &mut dyn FnMut(u64, &Brigade),
    ) -> bool {
        let asked = now(clock);
        let mut source = Source::new(response, asked, self.at_hand);
        let mut out = Brigade::with_budget(self.room);
        let mut steps_here = 0;
        loop {
            let here = case.awake(now(clock));
            steps_here = if here == now(clock) { steps_here + 1 } else { 0 };
            assert!(steps_here < 1_000_000, "spins at {here}");
            advance(clock, here);
            if let Some((at, rate)) = case.changes.iter().rfind(|(at, _)| *at <= here) {
                let rate = rate.and_then(Rate::or_unlimited);
                match self.timed {
                    true => limit.set_all_at(rate.into(), case.burst, false, Instant::from_nanos(*at)),
                    false => limit.set_rate(rate),
                }
            }
            source.feed(here, &mut chain);
            let held = in_memory(chain.input());
            assert!(self.at_hand || held <= MAX_PIECE, "holds {held} bytes");
            match chain.step(clock.now(), &mut out).expect("no filter fails") {
                Step::Output => {
                    assert!(out.bytes() <= self.room, "{} bytes for {} of room", out.bytes(), self.room);
                    sink(here, &out);
                    out.clear();
                }
                Step::Read(slice) => chain.supply(read(&slice)),
                Step::Done => return true,
                _ if source.can_feed(&mut chain) => {}
                Step::NeedInput => match source.next() {
                    Some(next) => advance(clock, next),
                    None => return false,
                },
                Step::Sleep(due) => {
                    let due = due.as_nanos();
                    let most = self.look_every.unwrap_or(chain.max_sleep().as_nanos() as u64);
                    let mut until = due.min(here.saturating_add(most));
                    if let Some(next) = source.next()
                        && chain.wants_input()
                    {
                        until = until.min(next);
                    }
                    // A change between would be seen before its time.
                    let changes = case.changes.iter().any(|(at, _)| (here + 1..due).contains(at));
                    if self.look_early && until == due && due - 1 > here && !changes {
                        let early =
                            chain.step(Instant::from_nanos(due - 1), &mut out).expect("no filter fails");
                        assert!(matches!(early, Step::Sleep(same) if same.as_nanos() == due), "{early:?}");
                        assert!(out.is_empty(), "out early: {out:?}");
                    }
                    advance(clock, until);
                }
            }
        }
    }
}

/// What a recording's source has given and not yet put into the chain, and what it will give.
struct Source {
    arrived: VecDeque<Bucket>,
    /// With absolute instants.
    coming: VecDeque<(u64, Vec<Item>)>,
    at_hand: bool,
    file: Arc<File>,
    position: u64,
}

impl Source {
    fn new(response: &Response, asked: u64, at_hand: bool) -> Self {
        let coming = response.arrivals.iter().map(|a| (asked + a.at, a.items.clone())).collect();
        let file = Arc::new(tempfile::tempfile().expect("a temporary file"));
        Self { arrived: VecDeque::new(), coming, at_hand, file, position: 0 }
    }

    fn next(&self) -> Option<u64> {
        self.coming.front().map(|(at, _)| *at)
    }

    fn can_feed(&self, chain: &mut Chain) -> bool {
        !self.arrived.is_empty() && chain.wants_input()
    }

    /// Gives what has arrived by `now`, as far as the chain wants it.
    fn feed(&mut self, now: u64, chain: &mut Chain) {
        while self.coming.front().is_some_and(|(at, _)| *at <= now) {
            let items = self.coming.pop_front().map(|(_, items)| items).unwrap_or_default();
            for item in items {
                let bucket = self.bucket(item);
                self.arrived.push_back(bucket);
            }
        }
        while self.can_feed(chain) {
            let room = chain.input().room();
            match self.arrived.front_mut() {
                // As from a socket: no more than there is room for.
                Some(Bucket::Data(bytes)) if !self.at_hand && bytes.len() as u64 > room => {
                    chain.input().push(bytes.split_to(room as usize));
                }
                Some(Bucket::Data(_)) if !self.at_hand => chain.input().extend(self.arrived.pop_front()),
                // A slice of a file comes whole, and with all that is known to follow it.
                _ => {
                    while let Some(bucket) = self.at_hand_next() {
                        chain.input().push(bucket);
                    }
                }
            }
        }
    }

    /// The next bucket that is given whatever room there is.
    fn at_hand_next(&mut self) -> Option<Bucket> {
        let is_data = matches!(self.arrived.front(), Some(Bucket::Data(_)));
        if is_data && !self.at_hand { None } else { self.arrived.pop_front() }
    }

    fn bucket(&mut self, item: Item) -> Bucket {
        let position = self.position;
        self.position += item.bytes();
        match item {
            Item::Data(bytes) => Bucket::Data(content(position, bytes)),
            Item::File(bytes) => {
                // Small ones hold the bytes, for filters that read; large ones are never read.
                if bytes <= 1 << 20 {
                    self.file.write_all_at(&content(position, bytes), position).expect("a temporary file");
                }
                Bucket::File(FileSlice::new(Arc::clone(&self.file), position, bytes))
            }
            Item::Mark(Mark::Flush) => Bucket::Flush,
            Item::Mark(Mark::Trailers) => Bucket::Trailers(Box::new(HeaderMap::new())),
            Item::Mark(Mark::Error) => Bucket::Error(SourceError::new("the recording says so")),
            Item::Mark(Mark::Eos) => Bucket::Eos,
        }
    }
}

/// The bytes of every recording: which stands where can be seen from its value.
pub fn content(position: u64, len: u64) -> Bytes {
    static PERIODS: LazyLock<Bytes> =
        LazyLock::new(|| (0..251 * 4096u32).map(|at| (at % 251) as u8).collect());
    let (from, len) = ((position % 251) as usize, len as usize);
    if from + len <= PERIODS.len() {
        return PERIODS.slice(from..from + len);
    }
    PERIODS.iter().cycle().skip(from).take(len).copied().collect()
}

/// The mark that a bucket is.
///
/// # Panics
/// If it is data.
pub fn mark_of(bucket: &Bucket) -> Mark {
    match bucket {
        Bucket::Flush => Mark::Flush,
        Bucket::Trailers(_) => Mark::Trailers,
        Bucket::Error(_) => Mark::Error,
        Bucket::Eos => Mark::Eos,
        Bucket::Data(_) | Bucket::File(_) => unreachable!("data is no mark"),
    }
}

fn read(slice: &FileSlice) -> Bytes {
    let mut bytes = vec![0; slice.len() as usize];
    slice.file().read_exact_at(&mut bytes, slice.offset()).expect("a temporary file");
    bytes.into()
}

fn in_memory(brigade: &Brigade) -> u64 {
    if brigade.bytes() <= MAX_PIECE {
        return brigade.bytes(); // at most; no need to look at each of many small buckets
    }
    brigade.iter().filter(|bucket| matches!(bucket, Bucket::Data(_))).map(Bucket::len).sum()
}

fn now(clock: &ManualClock) -> u64 {
    clock.now().as_nanos()
}

/// Sleeps on the clock until `at`, as a driver would.
fn advance(clock: &ManualClock, at: u64) {
    if at > now(clock) {
        clock.wake_at(Instant::from_nanos(at), Waker::noop().clone());
        assert_eq!(clock.advance_to_next(), Some(Instant::from_nanos(at)), "somebody else sleeps here");
    }
}
