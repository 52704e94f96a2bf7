//! Tasks that are polled by hand, and a manual clock that must be left clean.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use futures_lite::io::{AsyncRead, AsyncWrite};
use sluicegate::budget::Node;
use sluicegate::clock::{Clock, ManualClock};
use sluicegate::limit::{Budget, Rate};

use crate::wait::LIMIT;

/// A task that is polled by hand and counts how often it is woken. Clones are the same task.
#[derive(Clone, Default)]
pub struct Task(Arc<Wakes>);

#[derive(Default)]
struct Wakes {
    count: AtomicUsize,
    woken: Mutex<bool>,
    changed: Condvar,
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.count.fetch_add(1, Ordering::SeqCst);
        *self.woken.lock().unwrap() = true;
        self.changed.notify_all();
    }
}

impl Task {
    /// How often it was woken so far.
    pub fn woken(&self) -> usize {
        self.0.count.load(Ordering::SeqCst)
    }

    /// Whether it was woken since this was last asked.
    pub fn take_wake(&self) -> bool {
        std::mem::take(&mut *self.0.woken.lock().unwrap())
    }

    /// Blocks until it is woken, by a thread that reads a file and not by a manual clock.
    ///
    /// # Panics
    /// It is not within [`LIMIT`].
    #[track_caller]
    pub fn wait(&self) {
        let woken = self.0.woken.lock().unwrap();
        let (woken, _) = self.0.changed.wait_timeout_while(woken, LIMIT, |woken| !*woken).unwrap();
        assert!(*woken, "nobody woke the task within {LIMIT:?}; it was woken {} times before", self.woken());
    }

    /// Polls once.
    pub fn poll<T>(&self, poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        poll(&mut Context::from_waker(&Waker::from(Arc::clone(&self.0))))
    }

    /// Reads at most `len` bytes.
    pub fn read(&self, mut reader: impl AsyncRead + Unpin, len: usize) -> Poll<io::Result<Vec<u8>>> {
        let mut buf = vec![0; len];
        self.poll(|cx| Pin::new(&mut reader).poll_read(cx, &mut buf)).map_ok(|read| {
            buf.truncate(read);
            buf
        })
    }

    /// Writes, and returns how much was taken.
    pub fn write(&self, mut writer: impl AsyncWrite + Unpin, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll(|cx| Pin::new(&mut writer).poll_write(cx, bytes))
    }
}

/// A manual clock that must have no sleeper left when it is dropped.
#[derive(Default)]
pub struct CleanClock(pub Arc<ManualClock>);

impl CleanClock {
    /// A node without a parent that is limited to `rate` bytes per second; 0 is unlimited.
    pub fn node(&self, rate: u64) -> Node {
        Node::root("server", Budget::of(Rate::or_unlimited(rate)), self.0.clone())
    }

    /// Milliseconds since its start.
    pub fn millis(&self) -> u64 {
        self.0.now().as_nanos() / 1_000_000
    }
}

/// A clock, and a node without a parent on it that is limited to `rate` bytes per second; 0 is unlimited.
pub fn node(rate: u64) -> (CleanClock, Node) {
    let clock = CleanClock::default();
    let node = clock.node(rate);
    (clock, node)
}

impl Drop for CleanClock {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.0.sleepers(), 0, "a wake-up was left behind");
        }
    }
}
