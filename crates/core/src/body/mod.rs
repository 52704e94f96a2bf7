//! Drives a chain as an HTTP body: polls a generator, reads files, sleeps.
//!
//! Pulls: nothing is taken from the source before the chain wants it, and nothing is read from a file before it may
//! be sent, so a sleeping body holds at most what its filters look ahead.

mod error;
mod piece;
mod read_file;
mod turn;
mod waits;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Frame;

use crate::brigade::{Brigade, Bucket, FileSlice, MAX_PIECE};
use crate::budget::{Gate, Held};
use crate::clock::{Clock, Instant, Lateness, Sleep};
use crate::filter::{Chain, FilterError, Step};
use crate::generator::Generator;

pub use error::BodyError;
pub use piece::Piece;
pub use read_file::{NoFiles, ReadFile};
pub use waits::Waits;

use turn::{MAX_CODED, Turn};
use waits::{Wait, Waiting, Watch};

/// A rest of at most this many bytes is copied before a sleep, to release the buffer that it was cut from.
const MAX_COPIED: usize = 256;

/// A paced [`http_body::Body`]: pulls `generator` through a [`Chain`], on a clock.
///
/// A failing source or filter ends the body with an error after the bytes before it; HTTP framing must then abort
/// the exchange, so that it never looks complete. File buckets are read by `R`; without one the first ends the body
/// with an error.
///
/// *Cancel safety*: dropped at any time it cancels its timer and loses nothing but the stream itself.
///
/// ```
/// use std::sync::Arc;
/// use std::task::{Context, Poll, Waker};
/// use http_body::Body;
/// use sluicegate_core::body::PacedBody;
/// use sluicegate_core::brigade::{Brigade, Bucket};
/// use sluicegate_core::clock::{Clock, ManualClock};
/// use sluicegate_core::filter::{Chain, RateFilter};
/// use sluicegate_core::limit::{Limit, Rate};
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
/// # Ok::<(), sluicegate_core::body::BodyError>(())
/// ```
pub struct PacedBody<G, R = NoFiles> {
    generator: G,
    /// The generator gave its last bucket.
    exhausted: bool,
    chain: Chain,
    /// What the chain put out and no frame has taken yet.
    output: Brigade,
    /// The most bytes of a frame.
    max_frame: u64,
    /// The shared budgets that `output` passes.
    gate: Gate,
    clock: Arc<dyn Clock>,
    sleep: Sleep,
    /// When the chain is due; `sleep` may end earlier.
    due: Instant,
    /// The generator is polled at `due` and not before.
    deferred: bool,
    lateness: Lateness,
    files: R,
    /// The slice that the chain wants as bytes, being read.
    reading: Option<FileSlice>,
    ended: bool,
    /// Why the chain failed, behind what is in `output`.
    failed: Option<Box<FilterError>>,
    /// If a filter codes, what the generator gives beyond one turn's work.
    ahead: Option<Box<Brigade>>,
    turn: Turn,
    /// Pending only to let other tasks run.
    yielded: bool,
    waits: Waiting,
    watch: Watch,
}

impl<G: Generator> PacedBody<G> {
    /// Creates a body that has no file buckets.
    pub fn new(generator: G, chain: Chain, clock: Arc<dyn Clock>) -> Self {
        Self::with_files(generator, chain, clock, NoFiles)
    }
}

impl<G: Generator, R: ReadFile> PacedBody<G, R> {
    /// Creates a body whose file buckets are read by `files`.
    pub fn with_files(generator: G, chain: Chain, clock: Arc<dyn Clock>, files: R) -> Self {
        let sleep = Sleep::until(Arc::clone(&clock), clock.now());
        Self {
            generator,
            exhausted: false,
            ahead: chain.has_coder().then(Box::default),
            turn: Turn::default(),
            yielded: false,
            chain,
            output: Brigade::with_budget(MAX_PIECE),
            max_frame: MAX_PIECE,
            gate: Gate::default(),
            clock,
            sleep,
            due: Instant::ZERO,
            deferred: false,
            lateness: Lateness::default(),
            files,
            reading: None,
            ended: false,
            failed: None,
            waits: Waiting::default(),
            watch: Watch::default(),
        }
    }

    /// Has every byte that comes out of the chain pass `gate`.
    #[must_use]
    pub fn with_gate(mut self, gate: Gate) -> Self {
        self.gate = gate;
        self
    }

    /// Limits frames to `bytes` from now on, between 1 and [`MAX_PIECE`], which is the default; takes no more from
    /// the source, and codes no more, than that needs. For a reader that has not been seen to read yet.
    pub fn set_max_frame(&mut self, bytes: u64) {
        let bytes = bytes.clamp(1, MAX_PIECE);
        if bytes == self.max_frame {
            return;
        }
        if self.max_frame == 1 {
            // The byte went ahead of its chunk at our wish. The rest is still of the same instant; else it would find
            // what the time since has earned, perhaps a byte, and the grid would start there.
            self.lateness.expect_again();
        }
        self.max_frame = bytes;
        self.output.set_budget(bytes);
        self.chain.set_max_gathered((bytes < MAX_PIECE).then_some(bytes));
    }

    /// Bytes of content that wait in memory: before, in and behind the chain.
    pub fn bytes_held(&self) -> u64 {
        self.ahead.as_ref().map_or(0, |ahead| ahead.bytes_in_memory())
            + self.chain.bytes_held()
            + self.output.bytes_in_memory()
    }

    /// Bytes of memory that the filters' state takes.
    pub fn filters_held(&self) -> u64 {
        self.chain.filters_held()
    }

    /// The shared budgets that it passes.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// How long the reader was kept waiting, by cause.
    pub fn waits(&self) -> Waits {
        self.waits.past()
    }

    /// What the body waits for; `None` if it is not waiting, or not being polled.
    pub fn held(&self) -> Option<Held> {
        self.gate.held().or_else(|| self.waits.held())
    }

    /// Whether the generator has so much more that the chain cannot see the end of the stream while it sleeps. More input
    /// then changes nothing, and is not read: sleeping bodies hold no chunks.
    fn is_end_far(&mut self) -> bool {
        self.chain.sleeps_at_input() && self.generator.min_remaining() > self.chain.input().room()
    }

    /// Takes buckets from the generator. Until the end of the stream may be near, takes what may pass at `now`, and a byte that
    /// the chain sleeps for: the rest stays in the kernel's buffers.
    fn poll_generator(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<()> {
        let is_far = self.ahead.is_none() && self.generator.min_remaining() > self.chain.input().room();
        let input = if is_far { self.chain.input_due(now) } else { self.chain.input() };
        if let Some(ahead) = &mut self.ahead {
            if ahead.is_empty() {
                ahead.set_budget(input.room());
                ready!(self.generator.poll_fill(cx, ahead));
            }
            let (before, mut left) = (input.bytes_in_memory(), MAX_CODED);
            while let Some(bucket) = ahead.pop_within(input.room().min(left)) {
                left -= bucket.len();
                input.push(bucket);
            }
            self.turn.note(input.bytes_in_memory() - before);
        } else {
            ready!(self.generator.poll_fill(cx, input));
        }
        self.exhausted = input.is_closed();
        Poll::Ready(())
    }

    /// Ends the body: nothing follows an error.
    fn fail(&mut self, error: BodyError) -> BodyError {
        self.ended = true;
        self.output.clear();
        self.sleep.disarm();
        error
    }

    /// Takes more of a file that nothing paces but the gate, while less than half of a piece is left of it. Else each piece would
    /// end with a turn for some bytes, which costs as much as one for a whole share.
    fn top_up(&mut self, began: Instant) {
        if self.gate.granted() > 0
            || self.failed.is_some()
            || self.output.bytes() >= MAX_PIECE / 2
            || self.max_frame < MAX_PIECE
            || !matches!(self.output.front(), Some(Bucket::File(_)))
            || !self.chain.has_file_at_hand()
        {
            return;
        }
        let now = self.lateness.correct(began);
        // What is put out goes before the error.
        self.failed = self.chain.step(now, &mut self.output).err().map(Box::new);
    }

    /// Steps until there is a piece, from the instant `began` on.
    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        began: Instant,
        min_file: u64,
    ) -> Poll<Option<Result<Piece, BodyError>>> {
        let (mut read, mut is_watched) = (Some(began), false);
        loop {
            self.top_up(began);
            if let Some(piece) = ready!(self.poll_output(cx, min_file)) {
                return Poll::Ready(Some(piece));
            }
            if self.ended {
                return Poll::Ready(None);
            }
            if let Some(error) = self.failed.take() {
                return Poll::Ready(Some(Err(self.fail(BodyError::filter(*error)))));
            }
            if self.turn.yields() {
                self.yielded = true;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if let Some(slice) = &self.reading {
                let read = ready!(self.files.poll_read(cx, slice));
                self.reading = None;
                self.turn.note(read.as_ref().map_or(0, |bytes| bytes.len() as u64));
                self.chain.supply(read.map_or_else(Bucket::Error, Bucket::Data));
            }
            let now = read.take().unwrap_or_else(|| self.clock.now());
            let now = self.lateness.correct(now);
            if std::mem::take(&mut self.deferred) && now >= self.due {
                // If it is pending, what comes later is sent when it comes.
                let _ = self.poll_generator(cx, now);
            }
            match self.chain.step(now, &mut self.output) {
                Ok(Step::Output) => {}
                Ok(Step::Done) => self.ended = true,
                Ok(Step::Read(slice)) => self.reading = Some(slice),
                Ok(Step::NeedInput) if self.exhausted => {
                    let lost = FilterError::Contract("the end of the stream went in and never came out");
                    return Poll::Ready(Some(Err(self.fail(BodyError::filter(lost)))));
                }
                Ok(Step::NeedInput) => {
                    // The chain no longer waits for the timer.
                    self.sleep.disarm();
                    ready!(self.poll_generator(cx, now));
                    // What was read is what may pass at that instant, and some bytes more that are waited for: while it was
                    // read, time has earned those too.
                    read = Some(now);
                }
                Ok(Step::Sleep(_))
                    if !std::mem::replace(&mut is_watched, true)
                        && self.watch.renew(&self.chain, cx.waker(), now) =>
                {
                    // The limit may have changed before it was watched: once more, at the same instant.
                    read = Some(now);
                }
                Ok(Step::Sleep(due)) => {
                    if self.max_frame == 1 {
                        // When the first byte leaves depends on whether the end is in sight.
                        self.chain.set_max_gathered(None);
                    }
                    if !self.exhausted && self.chain.wants_input() {
                        self.deferred = self.is_end_far();
                        if self.deferred {
                            self.chain.input().detach_front(MAX_COPIED);
                        } else if self.poll_generator(cx, now).is_ready() {
                            // If that was the end of the stream, the chain may release the last chunk now.
                            continue;
                        }
                    }
                    self.lateness.expect(due);
                    self.due = due;
                    // Not every filter has its limit watched.
                    self.sleep.reset(due.min(now + self.chain.max_sleep()));
                    ready!(Pin::new(&mut self.sleep).poll(cx));
                }
                Err(error) => return Poll::Ready(Some(Err(self.fail(BodyError::filter(error))))),
            }
        }
    }
}

impl<G: Generator + Unpin, R: ReadFile + Unpin> http_body::Body for PacedBody<G, R> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let piece = ready!(self.get_mut().poll_piece(cx, u64::MAX));
        Poll::Ready(piece.map(|piece| piece.map(Piece::into_frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.ended || matches!(self.output.front(), Some(Bucket::Eos))
    }
}

impl<G: Generator, R: ReadFile> fmt::Debug for PacedBody<G, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PacedBody")
            .field("chain", &self.chain)
            .field("due", &self.due)
            .field("held", &self.held())
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}
