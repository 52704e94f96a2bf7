//! The queue of records to export: bounded, and closed within bounded time.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, PoisonError};
use std::time::Duration;

use super::record::Record;
use crate::sync::Mutex;

/// Spans of a batch: the default of OpenTelemetry's SDKs.
const BATCH: usize = 512;

/// How long to wait for a batch to fill.
const DELAY: Duration = Duration::from_secs(1);

/// Records on their way to the exporting thread.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    /// Largest number of queued records, and of deliveries that wait for their acknowledgement.
    most: usize,
    open: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Record>,
    /// Taken for export and not yet sent.
    sending: usize,
    /// Whether a thread exports.
    running: bool,
    closing: bool,
    /// Whether the wait for the rest is over.
    abandoned: bool,
    counts: TracingCounts,
}

/// Counters of spans since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TracingCounts {
    /// Spans that the collector accepted.
    pub exported: u64,
    /// Spans dropped because the queue was full, or because the shutdown's time was over.
    pub dropped: u64,
    /// Spans that were sent and not accepted.
    pub failed: u64,
    /// Batches that were not accepted.
    pub failures: u64,
}

/// A slot for a delivery that waits for its acknowledgement; released when dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<Queue>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Queue {
    pub(super) fn new(most: usize) -> Self {
        Self { most, ..Self::default() }
    }

    /// Queued records, those being sent included.
    pub(super) fn len(&self) -> usize {
        let state = self.state.lock();
        state.waiting.len() + state.sending
    }

    pub(super) fn counts(&self) -> TracingCounts {
        self.state.lock().counts
    }

    /// Slots in use.
    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Takes a slot for a delivery, if one is free.
    pub(super) fn place(self: &Arc<Self>) -> Option<Place> {
        if self.open.fetch_add(1, Ordering::Relaxed) < self.most {
            return Some(Place(Arc::clone(self)));
        }
        self.open.fetch_sub(1, Ordering::Relaxed);
        None
    }

    /// Queues a record; counts it as dropped if the queue is full.
    pub(super) fn push(&self, record: Record) {
        let mut state = self.state.lock();
        if state.closing || state.waiting.len() + state.sending >= self.most {
            state.counts.dropped += 1;
            return;
        }
        state.waiting.push_back(record);
        let len = state.waiting.len();
        drop(state);
        // The thread sleeps until there is a record, and then until there is a batch.
        if len == 1 || len == BATCH {
            self.changed.notify_all();
        }
    }

    /// Refuses further records. Queued ones are still exported.
    pub(super) fn shut(&self) {
        self.state.lock().closing = true;
        self.changed.notify_all();
    }

    /// Refuses further records and waits at most `most` for the queued ones; drops the rest and returns their number.
    /// Blocks the thread.
    pub(super) fn close(&self, most: Duration) -> usize {
        self.shut();
        let (mut state, _) = self
            .changed
            .wait_timeout_while(self.state.lock(), most, |state| state.running)
            .unwrap_or_else(PoisonError::into_inner);
        state.abandoned = true;
        let rest = state.waiting.len() + state.sending;
        state.waiting.clear();
        state.counts.dropped += rest as u64;
        rest
    }

    /// The next batch, once it is full or has waited long enough; `None` at the end. Blocks the thread.
    pub(super) fn next(&self) -> Option<Vec<Record>> {
        let state = self
            .changed
            .wait_while(self.state.lock(), |state| state.waiting.is_empty() && !state.closing)
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

    /// Notes the result of the last batch.
    pub(super) fn sent(&self, taken: bool) {
        let mut state = self.state.lock();
        let spans = std::mem::take(&mut state.sending) as u64;
        // After the wait was over it has been counted as dropped.
        if state.abandoned {
            return;
        }
        let counts = &mut state.counts;
        *(if taken { &mut counts.exported } else { &mut counts.failed }) += spans;
        counts.failures += u64::from(!taken);
    }

    /// Notes whether a thread exports.
    pub(super) fn run(&self, running: bool) {
        self.state.lock().running = running;
        self.changed.notify_all();
    }

    #[cfg(test)]
    pub(super) fn drain(&self) -> Vec<Record> {
        self.state.lock().waiting.drain(..).collect()
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
    fn records_beyond_the_bound_are_dropped_and_counted() {
        let queue = Queue::new(2);
        fill(&queue, 5);
        assert_eq!((queue.len(), queue.counts().dropped), (2, 3));
        queue.shut();
        assert_eq!(queue.next(), Some(vec![record(0), record(1)]));
        assert_eq!(queue.len(), 2, "what is under way takes room until it is through");
        queue.sent(true);
        assert_eq!((queue.len(), queue.counts().exported, queue.counts().failed), (0, 2, 0));
        queue.push(record(9));
        assert_eq!((queue.next(), queue.counts().dropped), (None, 4), "it is shut");
    }

    #[test]
    fn batches_have_a_bound_and_failures_are_counted() {
        let queue = Queue::new(BATCH * 2);
        fill(&queue, BATCH as u64 + 1);
        assert_eq!(queue.next().map(|batch| batch.len()), Some(BATCH), "a full batch waits for nothing");
        queue.sent(false);
        assert_eq!((queue.counts().failed, queue.counts().failures), (BATCH as u64, 1));
        queue.shut();
        assert_eq!(queue.next(), Some(vec![record(BATCH as u64)]));
        queue.sent(true);
        assert_eq!((queue.next(), queue.counts().exported), (None, 1));
    }

    #[test]
    fn closing_drops_unexported_records_and_counts_them_once() {
        let queue = Queue::new(10);
        fill(&queue, 3);
        assert_eq!(queue.close(Duration::ZERO), 3);
        assert_eq!((queue.len(), queue.counts().dropped), (0, 3));

        // A batch being sent when the time is over: its later result is not counted again.
        let queue = Queue::new(BATCH * 2);
        fill(&queue, BATCH as u64 + 1);
        queue.run(true);
        assert!(queue.next().is_some());
        assert_eq!(queue.close(Duration::ZERO), BATCH + 1);
        queue.sent(true);
        assert_eq!((queue.counts().exported, queue.counts().dropped), (0, BATCH as u64 + 1));
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
