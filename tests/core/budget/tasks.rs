//! Tasks that only count how often they are woken.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use sluicegate::budget::Flow;
use sluicegate::clock::ManualClock;

#[derive(Default)]
pub struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A flow and the task that sits on it.
pub struct Task {
    pub flow: Flow,
    woken: Arc<Woken>,
    pub sent: u64,
}

impl Task {
    pub fn new(flow: Flow) -> Self {
        Self { flow, woken: Arc::default(), sent: 0 }
    }

    pub fn woken(&self) -> usize {
        self.woken.0.load(Ordering::SeqCst)
    }

    pub fn poll(&mut self, wanted: u64) -> Poll<u64> {
        let waker = Waker::from(Arc::clone(&self.woken));
        self.flow.poll_turn(&mut Context::from_waker(&waker), wanted)
    }

    /// Sends all it may; how much that was.
    pub fn send(&mut self, wanted: u64) -> u64 {
        let before = self.sent;
        while let Poll::Ready(turn) = self.poll(wanted) {
            self.flow.sent(turn);
            self.sent += turn;
        }
        self.sent - before
    }
}

/// A clock that must have no sleeper left at the end.
#[derive(Default)]
pub struct CleanClock(pub Arc<ManualClock>);

impl Drop for CleanClock {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.0.sleepers(), 0, "a wake-up was left behind");
        }
    }
}
