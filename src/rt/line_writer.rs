//! Lines for a file or standard error, written by a thread of their own, so that a task that logs never waits for a disk
//! or a reader.
//!
//! The queue is bounded in bytes. What does not fit is dropped whole and counted. What cannot be written (disk full,
//! reader gone) is retried, from the byte on where it stopped, so that no line is torn.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::sync::{Arc, Condvar, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::{Clock, Instant};
use crate::sync::Mutex;

/// Bytes that wait for a slow output at most: 4 MiB.
const MAX_QUEUED: usize = 4 << 20;

/// How long lines are gathered for one write.
const GATHER: Duration = Duration::from_millis(10);

/// The pause before another try to write.
const RETRY: Duration = Duration::from_millis(250);

/// The shortest time between two reports of dropped lines.
const REPORT_PAUSE: Duration = Duration::from_secs(10);

/// A buffer that keeps its memory while it is empty.
const KEPT: usize = 256 * 1024;

/// What lines are written to.
pub trait LineOutput: Write + Send + 'static {
    /// Removes the last `bytes` that were written, the beginning of a line whose rest goes elsewhere.
    fn take_back(&mut self, bytes: u64);
}

/// Takes back only what is still the file's end: the program that replaces this one appends to the same file. What it wrote
/// behind the beginning of a line stays, and so does that beginning.
impl LineOutput for File {
    fn take_back(&mut self, bytes: u64) {
        // Also with O_APPEND the position is where the last write of this descriptor ended.
        let (Ok(metadata), Ok(end)) = (self.metadata(), self.stream_position()) else { return };
        if metadata.is_file() && metadata.len() == end {
            let _ = self.set_len(end.saturating_sub(bytes));
        }
    }
}

/// Standard error, of which nothing can be taken back.
impl LineOutput for io::Stderr {
    fn take_back(&mut self, _: u64) {}
}

/// What happens to an output, for the log.
#[derive(Debug)]
pub enum LineEvent {
    /// It cannot be written to now; lines wait for it. Reported once, until it can.
    Failed(io::Error),
    /// It can be written to again.
    Recovered,
    /// This many lines were dropped, since the last report: the queue is full, or the program ends. Reported at once, then
    /// every ten seconds at most.
    Dropped(u64),
}

type Report = dyn Fn(LineEvent) + Send + Sync;

/// A bounded queue of lines and the thread that writes them. The thread ends when this is closed or dropped.
pub struct LineWriter(Arc<Shared>);

opaque!(LineWriter);

struct Shared {
    state: Mutex<State>,
    /// Wakes the thread.
    work: Condvar,
    /// Wakes callers of `close` when the thread has ended.
    ended: Condvar,
    clock: Arc<dyn Clock>,
    report: Box<Report>,
}

#[derive(Default)]
struct State {
    queue: Vec<u8>,
    /// Bytes that the thread has taken and not yet written.
    taken: usize,
    /// The thread sleeps until it is woken.
    asleep: bool,
    closing: bool,
    /// A caller of `close` waits: an output that would block is tried again.
    is_awaited: bool,
    ended: bool,
    /// Takes the place of the output.
    next: Option<Box<dyn LineOutput>>,
    dropped: u64,
    unreported: u64,
    reported_at: Option<Instant>,
}

impl LineWriter {
    /// Starts the thread, named `name`. `report` is called from that thread and from those that write lines; it must not
    /// write lines here.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub fn start(
        name: &str,
        output: Box<dyn LineOutput>,
        clock: Arc<dyn Clock>,
        report: impl Fn(LineEvent) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            work: Condvar::new(),
            ended: Condvar::new(),
            clock,
            report: Box::new(report),
        });
        let own = Arc::clone(&shared);
        thread(name, move || {
            Thread { output, batch: Vec::new(), written: 0, failing: false, shared: own }.run()
        })?;
        Ok(Self(shared))
    }

    /// Queues a whole line, with its end. False if it was dropped, since the queue is full. Never waits.
    pub fn push(&self, line: &[u8]) -> bool {
        let is_queued = self.try_push(line);
        if !is_queued {
            let report = self.0.state.lock().drop_lines(1, &*self.0.clock);
            self.0.report_dropped(report);
        }
        is_queued
    }

    /// Queues whole lines, all or none. Like `push`, but lines that do not fit are not counted as dropped.
    pub fn try_push(&self, lines: &[u8]) -> bool {
        let mut state = self.0.state.lock();
        if state.queue.len() + state.taken + lines.len() > MAX_QUEUED || state.ended {
            return false;
        }
        state.queue.extend_from_slice(lines);
        if std::mem::take(&mut state.asleep) {
            drop(state);
            self.0.work.notify_one();
        }
        true
    }

    /// How many lines were dropped so far.
    #[cfg(test)]
    fn dropped(&self) -> u64 {
        self.0.state.lock().dropped
    }

    /// Writes to `output` from now on. A line whose beginning the old one took goes to the new one whole.
    pub fn replace(&self, output: Box<dyn LineOutput>) {
        self.0.state.lock().next = Some(output);
        self.0.work.notify_one();
    }

    /// Takes no more lines, and waits at most `patience` until those in the queue are written. What cannot be written is
    /// dropped and reported.
    pub fn close(&self, patience: Duration) {
        self.close_after(b"", patience);
    }

    /// Like `close`, with `last` as the last line, also if the queue is full.
    pub fn close_after(&self, last: &[u8], patience: Duration) {
        let mut state = self.0.state.lock();
        if !state.ended {
            state.queue.extend_from_slice(last);
        }
        (state.closing, state.is_awaited) = (true, true);
        self.0.work.notify_one();
        let over = self.0.ended.wait_timeout_while(state, patience, |state| !state.ended);
        over.unwrap_or_else(PoisonError::into_inner).0.is_awaited = false;
        self.0.work.notify_one();
    }
}

impl Drop for LineWriter {
    fn drop(&mut self) {
        self.0.state.lock().closing = true;
        self.0.work.notify_one();
    }
}

impl State {
    /// Counts lines that were dropped; returns how many are to be reported now.
    fn drop_lines(&mut self, lines: u64, clock: &dyn Clock) -> u64 {
        self.dropped += lines;
        self.unreported += lines;
        self.take_unreported(clock)
    }

    fn take_unreported(&mut self, clock: &dyn Clock) -> u64 {
        if self.unreported == 0 {
            return 0;
        }
        let now = clock.now();
        if self.reported_at.is_some_and(|last| now < last + REPORT_PAUSE) {
            return 0;
        }
        self.reported_at = Some(now);
        std::mem::take(&mut self.unreported)
    }
}

impl Shared {
    fn report_dropped(&self, lines: u64) {
        if lines > 0 {
            (self.report)(LineEvent::Dropped(lines));
        }
    }

    /// Waits until woken, at most `time`.
    fn wait<'a>(&self, state: MutexGuard<'a, State>, time: Duration) -> MutexGuard<'a, State> {
        self.work.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0
    }
}

/// What the thread has.
struct Thread {
    output: Box<dyn LineOutput>,
    batch: Vec<u8>,
    /// Bytes of the batch that are written.
    written: usize,
    failing: bool,
    shared: Arc<Shared>,
}

impl Thread {
    fn run(mut self) {
        while self.next_batch() {
            if !self.write_batch() {
                break;
            }
        }
        let left = memchr::memchr_iter(b'\n', &self.batch[self.written..]).count() as u64;
        let incomplete = self.written - self.line_start();
        if incomplete > 0 {
            self.output.take_back(incomplete as u64);
        }
        let mut state = self.shared.state.lock();
        let queued = memchr::memchr_iter(b'\n', &state.queue).count() as u64;
        state.queue = Vec::new();
        state.ended = true;
        state.reported_at = None;
        let report = state.drop_lines(left + queued, &*self.shared.clock);
        drop(state);
        self.shared.report_dropped(report);
        self.shared.ended.notify_all();
    }

    /// Takes what is queued, once there is something. False if the writer is closed and all is written.
    fn next_batch(&mut self) -> bool {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.state.lock();
        while state.queue.is_empty() && !state.closing {
            state = self.take_next(state);
            state.asleep = true;
            state = shared.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.asleep = false;
        }
        state = self.take_next(state);
        if state.queue.is_empty() {
            return false;
        }
        if !state.closing {
            state = shared.wait(state, GATHER);
            state = self.take_next(state);
        }
        std::mem::swap(&mut self.batch, &mut state.queue);
        (state.taken, self.written) = (self.batch.len(), 0);
        true
    }

    /// Turns to another output, if there is one.
    fn take_next<'a>(&mut self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        if let Some(next) = state.next.take() {
            let start = self.line_start();
            if self.written > start {
                self.output.take_back((self.written - start) as u64);
                self.written = start;
            }
            self.output = next;
        }
        state
    }

    /// Where the line begins that is written next.
    fn line_start(&self) -> usize {
        memchr::memrchr(b'\n', &self.batch[..self.written]).map_or(0, |end| end + 1)
    }

    /// Writes the batch. False if that fails when the writer is closed.
    fn write_batch(&mut self) -> bool {
        while self.written < self.batch.len() {
            let error = match self.output.write(&self.batch[self.written..]) {
                Ok(0) => io::ErrorKind::WriteZero.into(),
                Ok(n) => {
                    self.written += n;
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => error,
            };
            let would_block = error.kind() == io::ErrorKind::WouldBlock;
            if !std::mem::replace(&mut self.failing, true) {
                (self.shared.report)(LineEvent::Failed(error));
            }
            let shared = Arc::clone(&self.shared);
            let mut state = shared.state.lock();
            if state.closing && !(would_block && state.is_awaited) {
                return false;
            }
            if state.next.is_none() {
                let pause = if state.closing { GATHER } else { RETRY };
                state = shared.wait(state, pause);
            }
            drop(self.take_next(state));
        }
        self.batch.clear();
        self.batch.shrink_to(KEPT);
        self.written = 0;
        if std::mem::take(&mut self.failing) {
            (self.shared.report)(LineEvent::Recovered);
        }
        let mut state = self.shared.state.lock();
        state.taken = 0;
        let report = state.take_unreported(&*self.shared.clock);
        drop(state);
        self.shared.report_dropped(report);
        true
    }
}

/// Starts a thread of ordinary priority for work that blocks as long as the process lives.
#[allow(clippy::disallowed_methods, reason = "a log that falls behind loses lines: no low priority")]
pub(super) fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name(name.into()).spawn(work).map(drop)
}

#[cfg(test)]
mod tests;
