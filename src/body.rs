//! The pull driver: a generator and a chain as an HTTP body.
//!
//! Does all that a filter may not: asks the generator, reads files, sleeps. Nothing is taken from the
//! source before the chain wants it, and nothing is read from a file before it may leave, so a body
//! that sleeps holds at most what one filter's lookahead is.

mod error;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;

use crate::brigade::{Brigade, Bucket, FileSlice, MAX_PIECE};
use crate::budget::{Gate, Held, HeldBy};
use crate::clock::{Clock, Instant, Punctual, Sleep};
use crate::filter::{Chain, FilterError, Step};
use crate::generator::Generator;
use crate::limit::INTERVAL;
use crate::rt::FileReader;

pub use error::BodyError;

/// Up to so many bytes that are left of a chunk are copied before a sleep, to let go of the buffer they are in.
const REST: usize = 256;

/// The most bytes that are read of a file for the first byte of a response.
const MIN_READ: u64 = 2048;

/// Bytes given to a coder after which other tasks have their turn: to code them takes half a millisecond.
const MAX_WORK: u64 = 16 * 1024;

/// A paced [`http_body::Body`]: pulls `generator` through a [`Chain`], on a clock.
///
/// A failing source or filter ends the body with an error after the bytes before it went out; HTTP
/// framing must then abort the exchange, so that it never looks complete.
///
/// Cancel safe: dropping it in mid-sleep or mid-read takes the wake-up back and loses nothing but the
/// stream itself.
///
/// ```
/// use std::sync::Arc;
/// use std::task::{Context, Poll, Waker};
/// use http_body::Body;
/// use sluicegate::body::PacedBody;
/// use sluicegate::brigade::{Brigade, Bucket};
/// use sluicegate::clock::{Clock, ManualClock};
/// use sluicegate::filter::{Chain, RateFilter};
/// use sluicegate::limit::{Limit, Rate};
///
/// let clock = Arc::new(ManualClock::new());
/// let page: Brigade = [Bucket::Data(vec![0; 2_000].into())].into_iter().collect();
/// let chain = Chain::new().then(RateFilter::new(Limit::new(Rate::or_unlimited(5_000))));
/// let mut body = Box::pin(PacedBody::new(page, chain, clock.clone()));
///
/// let mut cx = Context::from_waker(Waker::noop());
/// let mut sent = Vec::new();
/// loop {
///     match body.as_mut().poll_frame(&mut cx) {
///         Poll::Ready(Some(frame)) => {
///             let bytes = frame?.into_data().unwrap();
///             sent.push((clock.now().as_nanos() / 1_000_000, bytes.len()));
///         }
///         Poll::Ready(None) => break,
///         Poll::Pending => drop(clock.advance_to_next()),
///     }
/// }
/// assert_eq!(sent, [(0, 1_000), (200, 1_000)]);
/// # Ok::<(), sluicegate::body::BodyError>(())
/// ```
pub struct PacedBody<G> {
    generator: G,
    /// The generator gave its last bucket.
    exhausted: bool,
    chain: Chain,
    /// What came out of the chain and is on its way to the reader.
    out: Brigade,
    /// The most bytes of one frame.
    most: u64,
    /// The shared budgets that what came out passes.
    gate: Gate,
    clock: Arc<dyn Clock>,
    sleep: Sleep,
    /// What the chain sleeps for; `sleep` may look at it sooner.
    due: Instant,
    /// The generator is asked when the chain wakes, and not before.
    late: bool,
    punctual: Punctual,
    reader: FileReader,
    /// A slice the chain wants as bytes, being read.
    wanted: Option<FileSlice>,
    ended: bool,
    /// A filter codes: what the generator gives beyond a turn's work, as all at once, waits in `ahead`.
    works: bool,
    ahead: Brigade,
    /// Bytes given to such a chain since the last time that the task had to wait.
    worked: u64,
    /// It waits for nothing but its next turn.
    yields: bool,
    waits: Waits,
    /// What is being waited for, and since when.
    waiting: Option<(Wait, Instant)>,
}

/// How long a body kept its reader waiting, and for what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waits {
    /// For the pace, or another filter that slept.
    pub pace: Duration,
    /// For the source: an upstream, or a disk.
    pub source: Duration,
}

#[derive(Clone, Copy, Debug)]
enum Wait {
    /// For the pace, until this instant: whoever asks later than that kept us waiting, not the pace.
    Pace(Instant),
    Source,
}

impl<G: Generator> PacedBody<G> {
    /// A body of what `generator` gives, through `chain`, on `clock`.
    pub fn new(generator: G, chain: Chain, clock: Arc<dyn Clock>) -> Self {
        let sleep = Sleep::until(Arc::clone(&clock), clock.now());
        Self {
            generator,
            exhausted: false,
            works: chain.codes(),
            ahead: Brigade::new(),
            worked: 0,
            yields: false,
            chain,
            out: Brigade::with_budget(MAX_PIECE),
            most: MAX_PIECE,
            gate: Gate::default(),
            clock,
            sleep,
            due: Instant::ZERO,
            late: false,
            punctual: Punctual::default(),
            reader: FileReader::default(),
            wanted: None,
            ended: false,
            waits: Waits::default(),
            waiting: None,
        }
    }

    /// The same, with every byte that comes out of the chain passing `gate`.
    #[must_use]
    pub fn through(mut self, gate: Gate) -> Self {
        self.gate = gate;
        self
    }

    /// Hands over at most `most` bytes in a frame from now on, at least one and at most [`MAX_PIECE`], which is
    /// the default; and takes no more from the source, and makes no more of it, than that needs. For a reader of
    /// whom it is not known yet whether it takes anything.
    pub fn frames_of_at_most(&mut self, most: u64) {
        let most = most.clamp(1, MAX_PIECE);
        if most != self.most {
            if self.most == 1 {
                // The byte alone was our wish: what belongs to it would else find what the time until now has
                // earned, a byte perhaps, and the grid would begin there.
                self.punctual.expect_rest();
            }
            self.most = most;
            self.out.set_budget(most);
            self.chain.gather_at_most(Some(most).filter(|most| *most < MAX_PIECE));
        }
    }

    /// Bytes of content in memory that wait in the chain and behind it.
    pub fn bytes_held(&self) -> u64 {
        self.ahead.bytes_in_memory() + self.chain.bytes_held() + self.out.bytes_in_memory()
    }

    /// Bytes of memory that the filters' own state takes.
    pub fn filters_held(&self) -> u64 {
        self.chain.filters_held()
    }

    /// The shared budgets it passes.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Whether the end of the stream has been handed over.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// How long the reader was kept waiting so far.
    pub fn waits(&self) -> Waits {
        self.waits
    }

    /// What it waits for at the moment; `None` if for nothing: it is being polled, or not asked for more.
    pub fn held(&self) -> Option<Held> {
        self.gate.held().or_else(|| match self.waiting?.0 {
            Wait::Pace(due) => Some(Held::until(HeldBy::Pace, due)),
            Wait::Source => Some(Held::by(HeldBy::Source)),
        })
    }

    /// Books the wait that ends, and the next one that begins if `polled` is pending.
    fn note_wait<T>(&mut self, began: Instant, polled: &Poll<T>) {
        match self.waiting.take() {
            Some((Wait::Pace(due), since)) => self.waits.pace += began.min(due) - since,
            Some((Wait::Source, since)) => self.waits.source += began - since,
            None => {}
        }
        // The gate keeps a book of its own.
        if polled.is_pending() && !self.gate.is_waiting() && !self.yields {
            let wait = if self.sleep.is_armed() { Wait::Pace(self.due) } else { Wait::Source };
            self.waiting = Some((wait, began));
        }
    }

    /// The next frame out of what the chain put out already. `Ready(None)`: it put out nothing more.
    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        while let Some(bucket) = self.out.front() {
            let len = bucket.len();
            if len > 0 && self.gate.granted() == 0 {
                ready!(self.gate.poll_turn(cx, self.out.bytes()));
            }
            let granted = self.gate.granted().min(self.most);
            if let Bucket::File(slice) = bucket {
                // A read of one byte costs what one of some more does: those wait here, in memory of their size.
                let want = if self.most == 1 { MIN_READ } else { granted };
                let slice = slice.clone().split_to(want);
                let read = ready!(self.reader.poll_read(cx, &slice));
                return Poll::Ready(Some(match read {
                    Ok(mut bytes) => {
                        let _read = self.out.pop_within(bytes.len() as u64);
                        if bytes.len() as u64 > granted {
                            bytes = Bytes::copy_from_slice(&bytes);
                            // Less than the length, so it is a usize.
                            self.out.push_front(bytes.split_off(granted as usize));
                        }
                        self.gate.sent(bytes.len() as u64);
                        Ok(Frame::data(bytes))
                    }
                    Err(error) => Err(self.fail(BodyError::source(error))),
                }));
            }
            match self.out.pop_within(granted) {
                Some(Bucket::Data(bytes)) => {
                    self.gate.sent(bytes.len() as u64);
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                Some(Bucket::Trailers(fields)) => return Poll::Ready(Some(Ok(Frame::trailers(*fields)))),
                Some(Bucket::Error(error)) => {
                    return Poll::Ready(Some(Err(self.fail(BodyError::source(error)))));
                }
                // HTTP framing flushes whenever the body has nothing more at the moment.
                Some(Bucket::Flush | Bucket::File(_)) => {}
                Some(Bucket::Eos) | None => self.ended = true,
            }
        }
        Poll::Ready(None)
    }

    /// Whether what the generator still has cannot bring the end of the stream to hand, and so cannot change
    /// what the sleeping chain does before it wakes. Then it is left where it is: a thousand bodies that
    /// sleep hold no chunks.
    fn is_end_far(&mut self) -> bool {
        self.chain.sleeps_at_input() && self.generator.at_least() > self.chain.input().room()
    }

    fn poll_generator(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let input = self.chain.input();
        if self.works {
            if self.ahead.is_empty() {
                self.ahead.set_budget(input.room());
                ready!(self.generator.poll_fill(cx, &mut self.ahead));
            }
            let (before, mut left) = (input.bytes_in_memory(), MAX_WORK);
            while let Some(bucket) = self.ahead.pop_within(input.room().min(left)) {
                left -= bucket.len();
                input.push(bucket);
            }
            self.worked += input.bytes_in_memory() - before;
        } else {
            ready!(self.generator.poll_fill(cx, input));
        }
        self.exhausted = input.is_closed();
        Poll::Ready(())
    }

    /// After an error nothing follows.
    fn fail(&mut self, error: BodyError) -> BodyError {
        self.ended = true;
        self.out.clear();
        self.sleep.disarm();
        error
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        loop {
            if let Some(frame) = ready!(self.poll_out(cx)) {
                return Poll::Ready(Some(frame));
            }
            if self.ended {
                return Poll::Ready(None);
            }
            if self.worked >= MAX_WORK {
                self.yields = true;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if let Some(slice) = &self.wanted {
                let read = ready!(self.reader.poll_read(cx, slice));
                self.wanted = None;
                self.worked += read.as_ref().map_or(0, |bytes| bytes.len() as u64);
                self.chain.supply(read.map_or_else(Bucket::Error, Bucket::Data));
            }
            let now = self.punctual.tell(self.clock.now());
            if std::mem::take(&mut self.late) && now >= self.due {
                // What is not there now leaves when it comes.
                let _ = self.poll_generator(cx);
            }
            match self.chain.step(now, &mut self.out) {
                Ok(Step::Output) => {}
                Ok(Step::Done) => self.ended = true,
                Ok(Step::Read(slice)) => self.wanted = Some(slice),
                Ok(Step::NeedInput) if self.exhausted => {
                    let lost = FilterError::Contract("the end of the stream went in and never came out");
                    return Poll::Ready(Some(Err(self.fail(BodyError::filter(lost)))));
                }
                Ok(Step::NeedInput) => {
                    // What it was set for is no longer waited for.
                    self.sleep.disarm();
                    ready!(self.poll_generator(cx));
                }
                Ok(Step::Sleep(due)) => {
                    if self.most == 1 {
                        // Whether the end comes to hand decides when the first byte leaves.
                        self.chain.gather_at_most(None);
                    }
                    if !self.exhausted && self.chain.wants_input() {
                        self.late = self.is_end_far();
                        if self.late {
                            self.chain.input().detach_front(REST);
                        } else if self.poll_generator(cx).is_ready() {
                            // The end of the stream may come to hand meanwhile, and lets a remainder go.
                            continue;
                        }
                    }
                    self.punctual.expect(due);
                    self.due = due;
                    // At least once an interval a live limit is looked at again.
                    self.sleep.reset(due.min(now + INTERVAL));
                    ready!(Pin::new(&mut self.sleep).poll(cx));
                }
                Err(error) => return Poll::Ready(Some(Err(self.fail(BodyError::filter(error))))),
            }
        }
    }
}

impl<G: Generator + Unpin> http_body::Body for PacedBody<G> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let began = this.clock.now();
        this.yields = false;
        let polled = this.poll_next(cx);
        this.note_wait(began, &polled);
        this.worked *= u64::from(polled.is_ready());
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.ended || matches!(self.out.front(), Some(Bucket::Eos))
    }
}
