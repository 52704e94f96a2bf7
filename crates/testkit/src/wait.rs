//! Waits for other threads and processes: for something to become true, and for a turn.
//!
//! Turns are for tests that look at all of their process, or at real time so closely that others must be still.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long to wait for what must come. Only a failing test waits that long.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How long a whole wait may take, of many steps or of a process with much to do. Ten times what any takes on a
/// machine under load.
pub const LIMIT: Duration = Duration::from_secs(120);

/// Calls `attempt` until it returns a value.
///
/// # Panics
/// After [`LIMIT`], naming `what`.
#[track_caller]
pub fn soon<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(value) = attempt() {
            return value;
        }
        assert!(began.elapsed() < LIMIT, "waited {LIMIT:?} in vain for {what}");
        // Leaves the processor to what is waited for.
        thread::sleep(Duration::from_millis(1));
    }
}

/// Calls `holds` until it returns true; like [`soon`].
///
/// # Panics
/// After [`LIMIT`], naming `what`.
#[track_caller]
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    soon(what, || holds().then_some(()));
}

/// Waits for a thread's end; `None` if it does not end within [`LIMIT`].
pub fn ended<T>(thread: JoinHandle<T>) -> Option<thread::Result<T>> {
    let began = Instant::now();
    while !thread.is_finished() {
        if began.elapsed() > LIMIT {
            return None;
        }
        thread::sleep(Duration::from_millis(1));
    }
    Some(thread.join())
}

/// What a thread returns.
///
/// # Panics
/// It panicked, or did not end within [`LIMIT`].
#[track_caller]
pub fn joined<T>(what: &str, thread: JoinHandle<T>) -> T {
    ended(thread).unwrap_or_else(|| panic!("waited {LIMIT:?} in vain for {what}")).unwrap()
}

/// A channel on which a silence has an end.
pub fn channel<T>() -> (Sender<T>, Told<T>) {
    let (tell, told) = mpsc::channel();
    (tell, Told(told))
}

/// What other threads tell.
#[derive(Debug)]
pub struct Told<T>(mpsc::Receiver<T>);

impl<T> Told<T> {
    /// The next that is told.
    ///
    /// # Errors
    /// Nothing came within [`LIMIT`], or nobody is left to tell.
    pub fn recv(&self) -> Result<T, RecvTimeoutError> {
        self.recv_within(LIMIT)
    }

    /// The next that is told within `patience`.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn recv_within(&self, patience: Duration) -> Result<T, RecvTimeoutError> {
        self.0.recv_timeout(patience)
    }

    /// What has been told already.
    pub fn try_recv(&self) -> Option<T> {
        self.0.try_recv().ok()
    }
}

static TURN: RwLock<()> = RwLock::new(());

/// Waits until no other test has a turn and keeps them out until the guard is dropped.
pub fn alone() -> RwLockWriteGuard<'static, ()> {
    TURN.write().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until no test is [`alone`]; any number may be beside each other.
pub fn beside() -> RwLockReadGuard<'static, ()> {
    TURN.read().unwrap_or_else(PoisonError::into_inner)
}
