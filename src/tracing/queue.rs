//! What waits for its export: bounded, and closed in bounded time.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::record::Record;

/// Spans sent at a time: what the SDKs of OpenTelemetry send.
const BATCH: usize = 512;

/// How long a batch is waited for to fill.
const DELAY: Duration = Duration::from_secs(1);

/// Records on their way from those who tell them to the thread that exports.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    /// The most records that wait, and the most deliveries that are waited for.
    most: usize,
    open: AtomicUsize,
    pub(super) counts: TracingCounts,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Record>,
    /// Taken out and not yet sent.
    sending: usize,
    /// A thread exports.
    running: bool,
    closing: bool,
    /// Nobody waits for the rest any more.
    abandoned: bool,
}

/// What became of spans. Sums since the start.
#[derive(Debug, Default)]
pub struct TracingCounts {
    exported: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
    failures: AtomicU64,
}

impl TracingCounts {
    /// Spans that the collector took.
    pub fn exported(&self) -> u64 {
        self.exported.load(Ordering::Relaxed)
    }

    /// Spans that found no room in the queue, or were still in it when the time to end was up.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Spans that were sent and not taken.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Batches that were not taken.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }
}

/// A delivery that is waited for, among those that may be. Given back when dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<Queue>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Queue {
    pub(super) fn new(most: usize) -> Self {
        Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            most,
            open: AtomicUsize::new(0),
            counts: TracingCounts::default(),
        }
    }

    /// Records that wait, those under way included.
    pub(super) fn len(&self) -> usize {
        let state = self.lock();
        state.waiting.len() + state.sending
    }

    /// Places that are taken.
    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// A place among the deliveries that are waited for, if there is one.
    pub(super) fn place(self: &Arc<Self>) -> Option<Place> {
        if self.open.fetch_add(1, Ordering::Relaxed) < self.most {
            return Some(Place(Arc::clone(self)));
        }
        self.open.fetch_sub(1, Ordering::Relaxed);
        None
    }

    /// Puts a record in; counts it as dropped if there is no room.
    pub(super) fn push(&self, record: Record) {
        let mut state = self.lock();
        if state.closing || state.waiting.len() + state.sending >= self.most {
            drop(state);
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        state.waiting.push_back(record);
        let len = state.waiting.len();
        drop(state);
        // The thread sleeps until there is something, and then until there is a batch.
        if len == 1 || len == BATCH {
            self.changed.notify_all();
        }
    }

    /// Takes no more records. What is there is still handed out.
    pub(super) fn shut(&self) {
        self.lock().closing = true;
        self.changed.notify_all();
    }

    /// The same, and waits at most `most` for what is there to be dealt with; what is not by then is dropped.
    /// How much that was. Blocks its thread.
    pub(super) fn close(&self, most: Duration) -> usize {
        self.shut();
        let (mut state, _) = self
            .changed
            .wait_timeout_while(self.lock(), most, |state| state.running)
            .unwrap_or_else(PoisonError::into_inner);
        state.abandoned = true;
        let rest = state.waiting.len() + state.sending;
        state.waiting.clear();
        self.counts.dropped.fetch_add(rest as u64, Ordering::Relaxed);
        rest
    }

    /// The next batch, when it is full or has waited long enough; `None` when no more come. Blocks its thread.
    pub(super) fn next(&self) -> Option<Vec<Record>> {
        let state = self
            .changed
            .wait_while(self.lock(), |state| state.waiting.is_empty() && !state.closing)
            .unwrap_or_else(PoisonError::into_inner);
        let (mut state, _) = self
            .changed
            .wait_timeout_while(state, DELAY, |state| state.waiting.len() < BATCH && !state.closing)
            .unwrap_or_else(PoisonError::into_inner);
        if state.waiting.is_empty() {
            return None;
        }
        let most = state.waiting.len().min(BATCH);
        let batch: Vec<_> = state.waiting.drain(..most).collect();
        state.sending = batch.len();
        Some(batch)
    }

    /// Notes how it went with the batch that was handed out last.
    pub(super) fn sent(&self, taken: bool) {
        let mut state = self.lock();
        let spans = std::mem::take(&mut state.sending) as u64;
        // One that nobody waits for any more has been counted.
        if state.abandoned {
            return;
        }
        let count = if taken { &self.counts.exported } else { &self.counts.failed };
        count.fetch_add(spans, Ordering::Relaxed);
        self.counts.failures.fetch_add(u64::from(!taken), Ordering::Relaxed);
    }

    /// Notes whether a thread exports.
    pub(super) fn run(&self, running: bool) {
        self.lock().running = running;
        self.changed.notify_all();
    }

    /// Takes out what is there.
    #[cfg(test)]
    pub(super) fn drain(&self) -> Vec<Record> {
        self.lock().waiting.drain(..).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Instant;
    use crate::tracing::{Origin, Record};

    fn record(id: u64) -> Record {
        let origin = Origin {
            trace: 1,
            parent: 2,
            span: id,
            route: "/".into(),
            stream: "s".into(),
            event: "e".into(),
            bytes: 0,
            born: Instant::ZERO,
        };
        Record::Published { origin: Arc::new(origin), end: Instant::ZERO }
    }

    fn fill(queue: &Queue, n: u64) {
        (0..n).for_each(|id| queue.push(record(id)));
    }

    #[test]
    fn what_finds_no_room_is_dropped_and_counted_and_the_older_stay() {
        let queue = Queue::new(2);
        fill(&queue, 5);
        assert_eq!((queue.len(), queue.counts.dropped()), (2, 3));
        queue.shut();
        assert_eq!(queue.next(), Some(vec![record(0), record(1)]));
        assert_eq!(queue.len(), 2, "what is under way takes room until it is through");
        queue.sent(true);
        assert_eq!((queue.len(), queue.counts.exported(), queue.counts.failed()), (0, 2, 0));
        queue.push(record(9));
        assert_eq!((queue.next(), queue.counts.dropped()), (None, 4), "it is shut");
    }

    #[test]
    fn batches_have_a_bound_and_failures_are_counted() {
        let queue = Queue::new(BATCH * 2);
        fill(&queue, BATCH as u64 + 1);
        assert_eq!(queue.next().map(|batch| batch.len()), Some(BATCH), "a full batch waits for nothing");
        queue.sent(false);
        assert_eq!((queue.counts.failed(), queue.counts.failures()), (BATCH as u64, 1));
        queue.shut();
        assert_eq!(queue.next(), Some(vec![record(BATCH as u64)]));
        queue.sent(true);
        assert_eq!((queue.next(), queue.counts.exported()), (None, 1));
    }

    #[test]
    fn closing_drops_what_nobody_exports_and_counts_it_once() {
        let queue = Queue::new(10);
        fill(&queue, 3);
        assert_eq!(queue.close(Duration::ZERO), 3);
        assert_eq!((queue.len(), queue.counts.dropped()), (0, 3));

        // A batch under way when time is up: what becomes of it later is not counted again.
        let queue = Queue::new(BATCH * 2);
        fill(&queue, BATCH as u64 + 1);
        queue.run(true);
        assert!(queue.next().is_some());
        assert_eq!(queue.close(Duration::ZERO), BATCH + 1);
        queue.sent(true);
        assert_eq!((queue.counts.exported(), queue.counts.dropped()), (0, BATCH as u64 + 1));
        assert_eq!(queue.next(), None);
    }

    #[test]
    fn places_come_back() {
        let queue = Arc::new(Queue::new(2));
        let [one, two, three] = [queue.place(), queue.place(), queue.place()];
        assert!(one.is_some() && two.is_some() && three.is_none());
        drop(one);
        assert!(queue.place().is_some());
        drop(two);
        assert_eq!(queue.open(), 0);
    }
}
