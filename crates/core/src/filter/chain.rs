//! A chain of filters, stepped without I/O.

mod input;

use std::fmt;
use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;

use super::contract::Contract;
use super::{Filter, FilterError, Verdict};
use crate::brigade::{Brigade, Bucket, FileSlice, MAX_PIECE, SourceError};
use crate::clock::Instant;
use crate::limit::{INTERVAL, Limit};

/// The least that is gathered: smaller reads would cost more than they save.
const MIN_GATHERED: u64 = 512;

/// What the driver of a [`Chain`] must do next.
///
/// ```
/// # use sluicegate_core::{brigade::Brigade, clock::Instant, filter::{Chain, Step}};
/// let (mut chain, mut output) = (Chain::new(), Brigade::new());
/// assert!(matches!(chain.step(Instant::ZERO, &mut output)?, Step::NeedInput));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub enum Step {
    /// Take what is in the output, make room, and step again.
    Output,
    /// Put more buckets into [`Chain::input`], and step again.
    NeedInput,
    /// Step again at this instant; earlier only with new input if [`Chain::wants_input`], or to apply a changed limit.
    Sleep(Instant),
    /// Read this slice or its beginning, pass the bytes to [`Chain::supply`], and step again. While a read is slow, the
    /// chain may be stepped at [`Chain::due`]; it then returns the same slice again.
    Read(FileSlice),
    /// The end of the stream or an error mark has been put out: nothing follows.
    Done,
}

/// Filters in order, each with a brigade of input.
///
/// ```
/// use sluicegate_core::brigade::{Brigade, Bucket};
/// use sluicegate_core::clock::Instant;
/// use sluicegate_core::filter::{Chain, Count, Counts, RateFilter, Step};
/// use sluicegate_core::limit::{Limit, Rate};
///
/// let counts = Counts::default();
/// let mut chain = Chain::new()
///     .then(Count::new(counts.clone()))
///     .then(RateFilter::new(Limit::new(Rate::or_unlimited(5_000))));
/// chain.input().extend([Bucket::Data(vec![7; 2_500].into()), Bucket::Eos]);
///
/// let (mut now, mut out, mut timeline) = (Instant::ZERO, Brigade::new(), Vec::new());
/// loop {
///     match chain.step(now, &mut out)? {
///         Step::Output => {
///             timeline.push((now.as_nanos() / 1_000_000, out.bytes()));
///             out.clear();
///         }
///         Step::Sleep(due) => now = due,
///         Step::Done => break,
///         step => unreachable!("no file and all input given: {step:?}"),
///     }
/// }
/// assert_eq!(timeline, [(0, 1000), (200, 1500)]);
/// assert_eq!(counts.bytes(), 2_500);
/// # Ok::<(), sluicegate_core::filter::FilterError>(())
/// ```
#[derive(Default)]
pub struct Chain {
    links: Vec<Link>,
    /// The input of a chain without filters.
    bare: Brigade,
    /// The link whose input begins with a file slice that the driver is reading.
    reading: Option<usize>,
    /// When the first filter wakes, as of the last step.
    due: Option<Instant>,
    /// End of stream or an error mark came out of the last filter.
    finished: bool,
    /// The most that is gathered before each filter, if set.
    max_gathered: Option<u64>,
}

struct Link {
    filter: Box<dyn Filter>,
    input: Brigade,
    state: State,
    /// Called in this step, without new input since.
    called: bool,
    begun: bool,
    contract: Contract,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Called when its input is not empty.
    Idle,
    /// Its output was full: called when there is room, whatever its input.
    Full,
    /// Called at the instant and in each step before (a limit may change), whatever its input.
    Asleep(Instant),
    /// The stream ended here or further on. So are all links before it.
    Done,
}

impl Chain {
    /// Creates a chain without filters, which passes everything on.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a filter. To be called before the first step.
    #[must_use]
    pub fn then(self, filter: impl Filter + 'static) -> Self {
        self.then_boxed(Box::new(filter))
    }

    /// Appends a filter of a [`FilterFactory`](super::FilterFactory). To be called before the first step.
    #[must_use]
    pub fn then_boxed(mut self, filter: Box<dyn Filter>) -> Self {
        let input = if self.links.is_empty() { std::mem::take(&mut self.bare) } else { Brigade::new() };
        // Few filters: room for more would be held as long as the stream.
        self.links.reserve_exact(1);
        self.links.push(Link {
            filter,
            input,
            state: State::Idle,
            called: false,
            begun: false,
            contract: Contract::default(),
        });
        self
    }

    /// Has the processor fetch what the next step uses. See [`PacedBody::prefetch`](crate::body::PacedBody::prefetch).
    pub(crate) fn prefetch(&self) {
        for link in &self.links {
            link.input.prefetch();
            black_box((link.state == State::Idle, link.called, link.filter.lookahead()));
        }
    }

    /// Returns the bytes of content that wait in the chain, in memory.
    pub fn bytes_held(&self) -> u64 {
        self.links.iter().fold(self.bare.bytes_in_memory(), |sum, link| sum + link.input.bytes_in_memory())
    }

    /// Returns whether a filter is a coder, with a large [state](Filter::max_held) and long computations.
    pub fn has_coder(&self) -> bool {
        self.links.iter().any(|link| link.filter.max_held() > 0)
    }

    /// Returns the memory of the filters' state in bytes.
    pub fn filters_held(&self) -> u64 {
        self.links.iter().map(|link| link.filter.held()).sum()
    }

    /// Returns how long a driver may sleep at most before it steps again, to apply a changed limit.
    pub fn max_sleep(&self) -> Duration {
        let asleep = self.links.iter().filter(|link| matches!(link.state, State::Asleep(_)));
        asleep.map(|link| link.filter.max_sleep()).min().unwrap_or(INTERVAL)
    }

    /// Returns whether a step would put out more of a file now: no filter sleeps, and the last has it as its input.
    pub(crate) fn has_file_at_hand(&self) -> bool {
        let input = self.links.last().map_or(&self.bare, |link| &link.input);
        matches!(input.front(), Some(Bucket::File(_)))
            && !self.links.iter().any(|link| matches!(link.state, State::Asleep(_) | State::Done))
    }

    /// Returns the limit of the first filter that sleeps and has one, for a driver to [watch](Limit::watch) while it sleeps.
    pub fn sleeping_limit(&self) -> Option<&Limit> {
        let mut asleep = self.links.iter().filter(|link| matches!(link.state, State::Asleep(_)));
        asleep.find_map(|link| link.filter.limit())
    }

    /// Returns whether the end of the stream or an error mark was put out.
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// Returns when the first filter wakes, as of the last step, whatever that returned. A driver whose read or source is
    /// slow steps again then.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Moves what can be moved at `now`, and returns what the driver must do next.
    ///
    /// `out` must have room for a byte, or hold something for the driver to take.
    ///
    /// # Errors
    /// A filter failed, or broke its contract. The stream must be aborted.
    ///
    /// # Panics
    /// In debug builds, if a filter broke its contract. They check a sleeping filter by calling it a second time.
    pub fn step(&mut self, now: Instant, out: &mut Brigade) -> Result<Step, FilterError> {
        self.due = None;
        if self.finished {
            return Ok(if out.is_empty() { Step::Done } else { Step::Output });
        }
        if self.links.is_empty() {
            while let Some(bucket) = self.bare.pop_within(out.room()) {
                out.push(bucket);
            }
        }
        for link in &mut self.links {
            link.called = false;
        }
        // From the last to the first, so that nothing is pulled into a link that cannot pass it on.
        let mut at = self.links.len();
        while at > 0 && self.links[at - 1].state != State::Done {
            if self.max_gathered.is_some() && out.room() == 0 {
                break;
            }
            at -= 1;
            // What a filter has to put out comes before a read.
            let pending = self.links[at].may_hold_bytes() || self.has_header(at);
            if !pending && let Some(slice) = self.slice_to_read(at, out) {
                self.due = self.earliest(at + 1, out);
                if !out.is_empty() {
                    // What is put out must not wait for a disk.
                    return Ok(Step::Output);
                }
                self.reading = Some(at);
                return Ok(Step::Read(slice));
            }
            if !self.may_call(at, out) {
                continue;
            }
            let moved = self.call(at, now, out)?;
            if moved && at + 1 < self.links.len() {
                // The next link has new input: continue there.
                self.links[at + 1].called = false;
                at += 2;
            } else if !moved && self.slice_to_read(at, out).is_some() {
                // It took its input, or had nothing due: it can read.
                at += 1;
            }
        }
        self.finished = out.is_closed();
        self.due = if self.finished { None } else { self.earliest(0, out) };
        Ok(match self.due {
            _ if !out.is_empty() || out.room() == 0 => Step::Output,
            Some(due) => Step::Sleep(due),
            None => Step::NeedInput,
        })
    }

    /// Answers [`Step::Read`] with the bytes at the beginning of the slice as `Data`, or with an `Error` mark.
    ///
    /// If there are fewer bytes than requested, the rest is requested again. Empty data means that the file was truncated,
    /// and is an error.
    pub fn supply(&mut self, bucket: impl Into<Bucket>) {
        let Some(link) = self.reading.take().and_then(|at| self.links.get_mut(at)) else { return };
        let Some(Bucket::File(slice)) = link.input.front() else { return };
        let read = match bucket.into() {
            Bucket::Data(bytes) => slice.accept(bytes),
            Bucket::Error(cause) => Err(cause),
            _ => slice.accept(Bytes::new()),
        };
        match read {
            Ok(bytes) => {
                let _read = link.input.pop_within(bytes.len() as u64);
                link.input.push_front(bytes);
            }
            Err(cause) => link.fail(cause),
        }
    }

    /// The piece of a file slice that the filter at `at` needs as bytes.
    fn slice_to_read(&self, at: usize, out: &Brigade) -> Option<FileSlice> {
        let link = &self.links[at];
        match link.input.front() {
            Some(Bucket::File(slice)) if link.filter.reads_bytes() && self.room_behind(at, out) > 0 => {
                Some(slice.clone().split_to(self.max_gathered.unwrap_or(MAX_PIECE)))
            }
            _ => None,
        }
    }

    /// How much data the filter at `at` may put out.
    fn room_behind(&self, at: usize, out: &Brigade) -> u64 {
        match self.links.get(at + 1) {
            Some(next) if next.input.is_closed() => 0,
            Some(next) => next.lookahead(self.max_gathered).saturating_sub(next.input.bytes()),
            None => out.room(),
        }
    }

    /// Whether the filter at `at` could put out what comes next: there is room, or a mark comes next.
    fn may_move(&self, at: usize, out: &Brigade) -> bool {
        // Nothing follows an error that occurred within the chain, not even marks.
        let closed = self.links.get(at + 1).is_some_and(|next| next.input.is_closed());
        let mark = self.links[at].input.front().is_some_and(Bucket::is_mark);
        self.room_behind(at, out) > 0 || (mark && !closed)
    }

    fn may_call(&self, at: usize, out: &Brigade) -> bool {
        let link = &self.links[at];
        match link.state {
            State::Done => false,
            State::Full => self.room_behind(at, out) > 0,
            State::Asleep(_) => !link.called && self.may_move(at, out),
            State::Idle => (!link.input.is_empty() || self.has_header(at)) && self.may_move(at, out),
        }
    }

    /// Whether the filter at `at` has a header to put out.
    fn has_header(&self, at: usize) -> bool {
        let link = &self.links[at];
        self.max_gathered.is_some() && !link.begun && link.input.is_empty() && link.filter.has_header()
    }

    /// When the first filter from `first` on wakes, of those that could move something then.
    fn earliest(&self, first: usize, out: &Brigade) -> Option<Instant> {
        let sleepers = self.links.iter().enumerate().skip(first);
        sleepers
            .filter_map(|(at, link)| match link.state {
                State::Asleep(due) if self.may_move(at, out) => Some(due),
                _ => None,
            })
            .min()
    }

    /// Calls the filter at `at`. Returns whether something was put out.
    fn call(&mut self, at: usize, now: Instant, out: &mut Brigade) -> Result<bool, FilterError> {
        let (most, (front, behind)) = (self.max_gathered, self.links.split_at_mut(at + 1));
        let link = &mut front[at];
        let output = match behind.first_mut() {
            Some(next) => {
                next.input.set_budget(next.lookahead(most));
                &mut next.input
            }
            None => out,
        };
        // A filter that reads bytes gets them up to the first file slice.
        let mut unread =
            if link.filter.reads_bytes() { link.input.split_off_files() } else { Brigade::new() };
        let before = (output.len(), output.bytes());
        let result = link.contract.call(&mut *link.filter, now, &mut link.input, output);
        while let Some(bucket) = unread.pop() {
            link.input.push(bucket);
        }
        (link.called, link.begun) = (true, true);
        link.state = match result? {
            Verdict::Done => State::Done,
            _ if output.is_closed() => State::Done,
            Verdict::SleepUntil(due) => State::Asleep(due),
            Verdict::Ready if output.room() == 0 => State::Full,
            Verdict::Ready => State::Idle,
        };
        let moved = (output.len(), output.bytes()) != before;
        if link.state == State::Done {
            // The stream ended here: nothing before can be sent any more.
            for link in front {
                link.state = State::Done;
                link.input.clear();
            }
        }
        Ok(moved)
    }
}

impl Link {
    /// Whether the filter may have something to put out without new input.
    fn may_hold_bytes(&self) -> bool {
        self.state == State::Full || !self.called && matches!(self.state, State::Asleep(_))
    }

    /// At least one byte, or the filter would never see data.
    fn lookahead(&self, most: Option<u64>) -> u64 {
        self.filter.lookahead().max(1).min(most.unwrap_or(u64::MAX))
    }

    /// Replaces the input by an error mark.
    fn fail(&mut self, cause: SourceError) {
        self.input.clear();
        self.input.push(Bucket::Error(cause));
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain")
            .field("filters", &self.links.len())
            .field("due", &self.due)
            .field("finished", &self.finished)
            .finish_non_exhaustive()
    }
}
