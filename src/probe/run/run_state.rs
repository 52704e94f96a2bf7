//! The state that the connections of a run share: its start, its end, and its progress.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use event_listener::Event;

use crate::clock::Instant;

/// State shared by the connections of a run.
#[derive(Default)]
pub(super) struct RunState {
    all: usize,
    /// Connections that are connected or have failed.
    ready: AtomicUsize,
    done: AtomicUsize,
    bytes: AtomicU64,
    begin: OnceLock<Instant>,
    over: AtomicBool,
    changed: Event,
}

impl RunState {
    pub(super) fn new(all: usize) -> Self {
        Self { all, ..Self::default() }
    }

    /// Notes that a connection is connected or has failed.
    pub(super) fn note_ready(&self) {
        self.ready.fetch_add(1, Ordering::AcqRel);
        self.changed.notify(usize::MAX);
    }

    /// Notes that a connection is done.
    pub(super) fn note_done(&self) {
        self.done.fetch_add(1, Ordering::AcqRel);
        self.changed.notify(usize::MAX);
    }

    pub(super) fn add_bytes(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) async fn all_ready(&self) {
        self.until(|| (self.ready.load(Ordering::Acquire) == self.all).then_some(())).await;
    }

    pub(super) async fn all_done(&self) {
        self.until(|| (self.done.load(Ordering::Acquire) == self.all).then_some(())).await;
    }

    /// Begins the run; the first call decides when. Returns that instant.
    pub(super) fn begin(&self, now: Instant) -> Instant {
        let begin = *self.begin.get_or_init(|| now);
        self.changed.notify(usize::MAX);
        begin
    }

    /// Waits for the run to begin.
    pub(super) async fn begun(&self) -> Instant {
        self.until(|| self.begin.get().copied()).await
    }

    /// Ends the run, and returns its length.
    pub(super) fn end(&self, now: Instant) -> Duration {
        self.over.store(true, Ordering::Release);
        self.changed.notify(usize::MAX);
        now - *self.begin.get().unwrap_or(&now)
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Waits for the run to end.
    pub(super) async fn over(&self) {
        self.until(|| self.is_over().then_some(())).await;
    }

    /// Returns a guard that ends the run when it is dropped.
    pub(super) fn ends_when_dropped(self: &Arc<Self>) -> impl Drop + use<> {
        Ending(Arc::clone(self))
    }

    async fn until<T>(&self, found: impl Fn() -> Option<T>) -> T {
        loop {
            let listener = self.changed.listen();
            if let Some(found) = found() {
                return found;
            }
            listener.await;
        }
    }
}

struct Ending(Arc<RunState>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Release);
        self.0.changed.notify(usize::MAX);
    }
}
