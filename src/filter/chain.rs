//! The chain: filters one behind the other, stepped without I/O.

use std::collections::VecDeque;

use super::{Filter, FilterError, Verdict};
use crate::brigade::{Brigade, Bucket, FileSlice, MAX_PIECE};
use crate::clock::Instant;

/// What the driver of a [`Chain`] must do next.
#[derive(Clone, Debug)]
pub enum Step {
    /// Take what is in the output, make room, and step again.
    Output,
    /// Put more buckets into [`Chain::input`], and step again.
    NeedInput,
    /// Step again at this instant; sooner only if [`Chain::wants_input`] was satisfied, or to see
    /// whether a live limit changed.
    Sleep(Instant),
    /// Read this slice, or its beginning, hand the bytes to [`Chain::supply`], and step again.
    Read(FileSlice),
    /// The end of the stream has been put out, or an error mark has: nothing follows.
    Done,
}

/// Filters in a row, each with a holding brigade before it.
///
/// ```
/// use bytes::Bytes;
/// use sluicegate::brigade::{Brigade, Bucket};
/// use sluicegate::clock::Instant;
/// use sluicegate::filter::{Chain, Count, Counts, RateFilter, Step};
/// use sluicegate::limit::{Limit, Rate};
///
/// let counts = Counts::default();
/// let mut chain = Chain::new()
///     .then(Count::new(counts.clone()))
///     .then(RateFilter::new(Limit::new(Rate::new(5_000))));
/// let mut out = Brigade::new();
///
/// chain.input().extend([Bucket::Data(Bytes::from_static(&[7; 2_500])), Bucket::Eos]);
/// let mut timeline = Vec::new();
/// let mut now = Instant::ZERO;
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
/// # Ok::<(), sluicegate::filter::FilterError>(())
/// ```
#[derive(Default)]
pub struct Chain {
    links: VecDeque<Link>,
    /// Input of a chain that has no filter yet.
    bare: Brigade,
    /// The link whose input begins with a file slice that the driver is reading.
    reading: Option<usize>,
    /// End of stream or an error mark came out of the last filter.
    finished: bool,
}

struct Link {
    filter: Box<dyn Filter>,
    input: Brigade,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// To be called when its input is not empty.
    Idle,
    /// Its output was full: to be called when there is room, whatever its input holds.
    Full,
    /// It ended, or what ended the stream passed it.
    Done,
}

impl Chain {
    /// A chain without filters: what goes in comes out.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same chain with `filter` behind the others. Filters are added before the first step.
    #[must_use]
    pub fn then(self, filter: impl Filter + 'static) -> Self {
        self.then_boxed(Box::new(filter))
    }

    /// The same as [`then`](Self::then), for a filter made by a [`FilterFactory`](super::FilterFactory).
    #[must_use]
    pub fn then_boxed(mut self, filter: Box<dyn Filter>) -> Self {
        let input = if self.links.is_empty() { std::mem::take(&mut self.bare) } else { Brigade::new() };
        self.links.push_back(Link { filter, input, state: State::Idle });
        self
    }

    /// Where a generator puts its buckets. Its [`room`](Brigade::room) says how much is wanted.
    pub fn input(&mut self) -> &mut Brigade {
        match self.links.front_mut() {
            Some(first) => {
                first.input.set_budget(first.filter.lookahead());
                &mut first.input
            }
            None => {
                self.bare.set_budget(MAX_PIECE);
                &mut self.bare
            }
        }
    }

    /// Whether more input would be taken now, also while the chain sleeps: the end of a stream that
    /// comes to hand in time lets the remainder go.
    pub fn wants_input(&mut self) -> bool {
        let finished = self.finished;
        let input = self.input();
        !finished && input.room() > 0 && !input.is_closed()
    }

    /// Whether end of stream or an error mark was put out.
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// Moves what can be moved at `now`, and says what is needed next.
    ///
    /// # Errors
    /// A filter's own error, or [`FilterError::Contract`] if one broke its contract. The stream cannot
    /// go on after it.
    ///
    /// # Panics
    /// In debug builds, if a filter broke its contract.
    pub fn step(&mut self, now: Instant, out: &mut Brigade) -> Result<Step, FilterError> {
        if self.finished {
            return Ok(if out.is_empty() { Step::Done } else { Step::Output });
        }
        if self.links.is_empty() {
            while let Some(bucket) = self.bare.pop_within(out.room()) {
                out.push(bucket);
            }
        }
        let mut sleep = None;
        // From the end to the front: what is nearest to the client goes first, and nothing is pulled
        // into a link that cannot pass it on.
        let mut at = self.links.len();
        while at > 0 {
            at -= 1;
            if let Some(slice) = self.slice_to_read(at, out) {
                self.reading = Some(at);
                return Ok(Step::Read(slice));
            }
            if !self.may_call(at, out) {
                continue;
            }
            let (moved, due) = self.call(at, now, out)?;
            if at + 1 == self.links.len() {
                sleep = due;
            } else if moved {
                // The link behind has new input: back to it, and begin its step anew.
                at += 2;
            } else {
                sleep = sleep.into_iter().chain(due).min();
            }
        }
        self.finished = out.is_closed();
        Ok(match sleep {
            _ if !out.is_empty() => Step::Output,
            Some(due) => Step::Sleep(due),
            None => Step::NeedInput,
        })
    }

    /// Answers [`Step::Read`]: the bytes at the slice's beginning, or an error mark.
    ///
    /// Fewer bytes than asked for are fine; what is missing is asked for again.
    pub fn supply(&mut self, bucket: impl Into<Bucket>) {
        let bucket = bucket.into();
        let Some(link) = self.reading.take().and_then(|at| self.links.get_mut(at)) else { return };
        if let Bucket::Error(_) = bucket {
            link.input.clear();
        } else {
            // The slice is at the front and at least as long: `slice_to_read` put it there.
            let _read = link.input.pop_within(bucket.len());
        }
        link.input.push_front(bucket);
    }

    /// The next piece of a file slice that the filter at `at` wants as bytes.
    fn slice_to_read(&mut self, at: usize, out: &Brigade) -> Option<FileSlice> {
        let room = self.room_behind(at, out);
        let link = &self.links[at];
        if room == 0 || link.state == State::Done || !link.filter.reads_bytes() {
            return None;
        }
        match link.input.front() {
            Some(Bucket::File(slice)) => Some(slice.clone().split_to(MAX_PIECE)),
            _ => None,
        }
    }

    fn room_behind(&self, at: usize, out: &Brigade) -> u64 {
        self.links
            .get(at + 1)
            .map_or(out.room(), |next| next.filter.lookahead().saturating_sub(next.input.bytes()))
    }

    fn may_call(&self, at: usize, out: &Brigade) -> bool {
        let link = &self.links[at];
        match link.state {
            State::Done => false,
            State::Full => self.room_behind(at, out) > 0,
            State::Idle => self.room_behind(at, out) > 0 || link.input.front().is_some_and(Bucket::is_mark),
        }
    }

    /// Calls the filter at `at`. Says whether anything came out, and until when it sleeps.
    fn call(
        &mut self,
        at: usize,
        now: Instant,
        out: &mut Brigade,
    ) -> Result<(bool, Option<Instant>), FilterError> {
        let (front, behind) = self.links.make_contiguous().split_at_mut(at + 1);
        let link = &mut front[at];
        let output = match behind.first_mut() {
            Some(next) => {
                next.input.set_budget(next.filter.lookahead());
                &mut next.input
            }
            None => out,
        };
        if link.input.is_empty() && link.state == State::Idle {
            return Ok((false, None));
        }
        // A filter that reads bytes sees them up to the first file slice; the rest waits for the driver.
        let mut unread = Brigade::new();
        if link.filter.reads_bytes() {
            set_files_aside(&mut link.input, &mut unread);
        }
        let before = (output.len(), output.bytes());
        let result = checked_call(link, now, output);
        while let Some(bucket) = unread.pop() {
            link.input.push(bucket);
        }
        let verdict = result?;
        let moved = (output.len(), output.bytes()) != before;
        link.state = match verdict {
            Verdict::Done => State::Done,
            _ if output.is_closed() => State::Done,
            Verdict::Ready if output.room() == 0 => State::Full,
            _ => State::Idle,
        };
        Ok((
            moved,
            match verdict {
                Verdict::SleepUntil(due) => Some(due),
                _ => None,
            },
        ))
    }
}

/// Moves the first file slice and all behind it to `unread`.
fn set_files_aside(input: &mut Brigade, unread: &mut Brigade) {
    if !input.iter().any(|bucket| matches!(bucket, Bucket::File(_))) {
        return;
    }
    let mut seen = Brigade::new();
    while let Some(bucket) = input.pop() {
        let target =
            if matches!(bucket, Bucket::File(_)) || !unread.is_empty() { &mut *unread } else { &mut seen };
        target.push(bucket);
    }
    std::mem::swap(input, &mut seen);
}

/// Calls a filter and holds it to the contract.
fn checked_call(link: &mut Link, now: Instant, output: &mut Brigade) -> Result<Verdict, FilterError> {
    let verdict = link.filter.filter(now, &mut link.input, output)?;
    let breach = if output.take_overrun() {
        Some("data was pushed although the output had no room")
    } else {
        match verdict {
            Verdict::Ready if output.ends() => Some("Ready although end of stream is out; it is Done"),
            Verdict::Ready if !link.input.is_empty() && output.room() > 0 => {
                Some("Ready although there is input and the output has room")
            }
            Verdict::SleepUntil(due) if due <= now => Some("SleepUntil an instant that is not after now"),
            Verdict::Done if !output.ends() => Some("Done although end of stream is not out"),
            _ => None,
        }
    };
    match breach {
        None => Ok(verdict),
        Some(rule) => {
            debug_assert!(false, "filter contract: {rule}");
            Err(FilterError::Contract(rule))
        }
    }
}
