//! The state of a sink that others read and influence while it works.

use std::fmt;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use super::counts::SinkCounts;
use super::held::HeldAs;
use super::quiet::Quiet;
use super::stopwatch::Stopwatch;
use crate::budget::{Held, HeldBy};
use crate::clock::{Clock, Instant};
use crate::telemetry::Recent;

/// Why a sink gave up its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GivenUp {
    /// The buffer stayed full.
    Overflowed,
    /// The reader took nothing, or too little, for too long.
    Stalled,
}

impl fmt::Display for GivenUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Overflowed => "the reader cannot hold the pace",
            Self::Stalled => "the reader takes nothing, or too little",
        })
    }
}

/// The state of a connection's sink, shared with the tasks that write through it and with observers.
pub struct SinkState {
    counts: SinkCounts,
    totals: Arc<SinkCounts>,
    /// Arrival of the first byte since [`await_bytes`](Self::await_bytes), in nanoseconds; 0 before it.
    heard: AtomicU64,
    /// When there will be enough tokens, in nanoseconds; 0 while none are waited for.
    tokens_due: AtomicU64,
    /// The rate at which the socket takes bytes.
    recent: Recent,
    aborted: AtomicBool,
    given_up: AtomicU8,
    /// Bytes held when the reader was given up.
    buffered_at_end: AtomicU64,
    tokens: Stopwatch,
    reader: Stopwatch,
    flushes: AtomicU64,
    /// Bytes were offered since the last flush.
    writing: AtomicBool,
    quiet: Quiet,
    clock: Arc<dyn Clock>,
}

opaque!(SinkState);

impl SinkState {
    pub(crate) fn new(clock: Arc<dyn Clock>, totals: Arc<SinkCounts>) -> Self {
        let now = clock.now();
        Self {
            counts: SinkCounts::default(),
            totals,
            tokens_due: AtomicU64::new(0),
            recent: Recent::since(now),
            heard: AtomicU64::new(0),
            aborted: AtomicBool::new(false),
            given_up: AtomicU8::new(0),
            buffered_at_end: AtomicU64::new(0),
            tokens: Stopwatch::default(),
            reader: Stopwatch::default(),
            flushes: AtomicU64::new(0),
            writing: AtomicBool::new(false),
            quiet: Quiet::since(now),
            clock,
        }
    }

    /// Has the processor fetch what a write uses.
    pub(crate) fn prefetch(&self) {
        self.recent.prefetch();
        black_box((self.counts.bytes_written(), self.counts.buffered()));
        black_box((self.tokens_due.load(Ordering::Relaxed), self.is_writing(), self.flushes()));
    }

    /// The counters of this sink.
    pub fn counts(&self) -> &SinkCounts {
        &self.counts
    }

    /// Time until `now` that tokens of the connection's rate were waited for, the current wait included.
    pub fn token_wait(&self, now: Instant) -> Duration {
        self.counts.token_wait() + self.tokens.lasting(now)
    }

    /// Time until `now` with bytes that the reader did not take, the current wait included.
    pub fn reader_wait(&self, now: Instant) -> Duration {
        self.counts.reader_wait() + self.reader.lasting(now)
    }

    /// Forgets when bytes arrived: the next byte begins a new message.
    pub fn await_bytes(&self) {
        self.heard.store(0, Ordering::Relaxed);
    }

    /// Notes that the first bytes of a message are here, which may have arrived with the message before.
    pub fn note_bytes(&self) {
        if self.heard.load(Ordering::Relaxed) == 0 {
            self.heard.store(self.clock.now().as_nanos().max(1), Ordering::Relaxed);
        }
    }

    /// When the first byte since [`await_bytes`](Self::await_bytes) arrived.
    pub fn heard_at(&self) -> Option<Instant> {
        match self.heard.load(Ordering::Relaxed) {
            0 => None,
            nanos => Some(Instant::from_nanos(nanos)),
        }
    }

    /// Makes the connection end in a reset, so that its peer does not take what it got for complete.
    pub fn abort(&self) {
        self.aborted.store(true, Ordering::Relaxed);
    }

    /// Whether the connection ends, or ended, in a reset.
    pub fn is_aborted(&self) -> bool {
        self.aborted.load(Ordering::Relaxed)
    }

    /// What holds bytes back at the moment: the connection's rate or its reader. `None` if nothing does.
    pub fn held(&self) -> Option<Held> {
        match self.tokens_due.load(Ordering::Relaxed) {
            0 => self.reader.is_running().then(|| Held::by(HeldBy::Reader)),
            due => Some(Held::until(HeldBy::ConnectionRate, Instant::from_nanos(due))),
        }
    }

    /// Bytes per second that the socket took over about the last second.
    pub fn bytes_per_second(&self) -> u64 {
        self.recent.bytes_per_second(self.clock.now())
    }

    /// Why the reader was given up, if it was.
    pub fn given_up(&self) -> Option<GivenUp> {
        match self.given_up.load(Ordering::Relaxed) {
            0 => None,
            1 => Some(GivenUp::Overflowed),
            _ => Some(GivenUp::Stalled),
        }
    }

    /// Bytes held when the reader was given up.
    pub fn buffered_at_end(&self) -> u64 {
        self.buffered_at_end.load(Ordering::Relaxed)
    }

    /// Number of flushes: times at which all bytes passed to the sink had gone to the socket.
    pub fn flushes(&self) -> u64 {
        self.flushes.load(Ordering::Acquire)
    }

    /// Whether offered bytes still wait for tokens or for the reader.
    pub fn is_writing(&self) -> bool {
        self.writing.load(Ordering::Acquire)
    }

    /// Time until `now` with nothing to write: neither tokens nor the reader were waited for.
    pub fn quiet(&self, now: Instant) -> Duration {
        self.quiet.until(now)
    }

    pub(crate) fn note_offered(&self, now: Instant) {
        if !self.writing.swap(true, Ordering::AcqRel) {
            self.quiet.end(now);
        }
    }

    pub(crate) fn flushed(&self) {
        if self.writing.swap(false, Ordering::AcqRel) {
            self.quiet.begin(self.clock.now());
        }
        self.flushes.fetch_add(1, Ordering::Release);
    }

    pub(super) fn note_read(&self, n: usize) {
        if n > 0 {
            self.add(|counts| &counts.read, n as u64);
            self.note_bytes();
        }
    }

    pub(crate) fn note_written(&self, n: usize, now: Instant) {
        self.add(|counts| &counts.written, n as u64);
        self.recent.add(n as u64, now);
    }

    pub(super) fn note_would_block(&self) {
        self.add(|counts| &counts.would_block, 1);
    }

    pub(crate) fn note_buffered(&self, before: usize, after: usize) {
        self.counts.high_water.fetch_max(after as u64, Ordering::Relaxed);
        self.totals.high_water.fetch_max(after as u64, Ordering::Relaxed);
        self.counts.held.set(HeldAs::Sink, after as u64);
        self.totals.held.change(HeldAs::Sink, before as u64, after as u64);
    }

    /// Notes that `bytes` were offered and none can be accepted now; 0 ends that.
    pub(super) fn note_waiting(&self, bytes: usize) {
        let (before, after) = (self.counts.held.of(HeldAs::Framing), bytes as u64);
        if before != after {
            self.counts.held.set(HeldAs::Framing, after);
            self.totals.held.change(HeldAs::Framing, before, after);
        }
    }

    /// Changes what is charged to the connection and to its server.
    pub(super) fn change_held(&self, held: HeldAs, before: u64, after: u64) {
        self.counts.held.change(held, before, after);
        self.totals.held.change(held, before, after);
    }

    /// Notes that tokens are waited for; there will be enough when they are `due`.
    pub(super) fn note_tokens_short(&self, now: Instant, due: Instant) {
        self.tokens_due.store(due.as_nanos().max(1), Ordering::Relaxed);
        self.book(|counts| &counts.token_wait, self.tokens.lap(now));
    }

    /// Notes that tokens are no longer waited for.
    pub(super) fn note_tokens_ready(&self, now: Instant) {
        self.tokens_due.store(0, Ordering::Relaxed);
        self.book(|counts| &counts.token_wait, self.tokens.stop(now));
    }

    /// Notes that the reader is waited for.
    pub(super) fn note_reader_behind(&self, now: Instant) {
        self.book(|counts| &counts.reader_wait, self.reader.lap(now));
    }

    /// Notes that the reader is no longer waited for.
    pub(super) fn note_reader_done(&self, now: Instant) {
        self.book(|counts| &counts.reader_wait, self.reader.stop(now));
    }

    fn book(&self, counter: impl Fn(&SinkCounts) -> &AtomicU64, waited: Duration) {
        if !waited.is_zero() {
            self.add(counter, waited.as_nanos() as u64);
        }
    }

    pub(super) fn note_given_up(&self, why: GivenUp, held: usize, offered: usize) {
        self.buffered_at_end.store(held as u64, Ordering::Relaxed);
        self.add(|counts| &counts.dropped, (held + offered) as u64);
        match why {
            GivenUp::Overflowed => self.add(|counts| &counts.overflow_closes, 1),
            GivenUp::Stalled => self.add(|counts| &counts.stall_closes, 1),
        }
        self.given_up.store(1 + u8::from(why == GivenUp::Stalled), Ordering::Relaxed);
    }

    fn add(&self, counter: impl Fn(&SinkCounts) -> &AtomicU64, n: u64) {
        counter(&self.counts).fetch_add(n, Ordering::Relaxed);
        counter(&self.totals).fetch_add(n, Ordering::Relaxed);
    }
}
