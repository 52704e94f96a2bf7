//! Waits for other threads and processes: for something to become true, and for a turn.
//!
//! Turns are for tests that look at all of their process, or at real time so closely that others must be still.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

/// How long to wait for what must come. Only a failing test waits that long.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Calls `attempt` until it returns a value.
///
/// # Panics
/// After three times [`PATIENCE`], naming `what`.
#[track_caller]
pub fn soon<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(value) = attempt() {
            return value;
        }
        assert!(began.elapsed() < 3 * PATIENCE, "waited in vain for {what}");
        // Leaves the processor to what is waited for.
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Calls `holds` until it returns true; like [`soon`].
///
/// # Panics
/// After three times [`PATIENCE`], naming `what`.
#[track_caller]
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    soon(what, || holds().then_some(()));
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
