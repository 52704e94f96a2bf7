//! Clocks: time and timers in one object.
//!
//! Only `system.rs` reads the system's clock. Everything that waits takes an `Arc<dyn Clock>`, so that a test on a
//! [`ManualClock`] decides when anything happens.

mod instant;
mod lateness;
mod manual;
mod sleep;
#[allow(
    clippy::disallowed_methods,
    reason = "reads the system's clock for all others, and starts the clock's thread"
)]
mod system;
#[cfg(test)]
mod wake_count {
    //! A waker that counts.

    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    pub(super) struct WakeCount(AtomicUsize);

    impl WakeCount {
        pub(super) fn get(&self) -> usize {
            self.0.load(Ordering::SeqCst)
        }
    }

    impl Wake for WakeCount {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
}
mod wheel;

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::task::Waker;
use std::time::SystemTime;

pub use instant::Instant;
pub use lateness::Lateness;
pub use manual::ManualClock;
pub use sleep::Sleep;
pub use system::{LocalWheel, SystemClock};

/// A monotonic time line and timers on it.
///
/// Both are in one trait so that a deadline computed on one clock is not waited for on another.
pub trait Clock: Send + Sync + 'static {
    /// Returns the current instant. Never panics. It may stand still or step back; callers must tolerate that.
    fn now(&self) -> Instant;

    /// Returns the wall-clock time, for timestamps that leave the process; never for measuring. By default the time
    /// line's origin is 1970.
    fn calendar(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + (self.now() - Instant::ZERO)
    }

    /// Sets a timer that wakes `waker` once, at `deadline` or soon after, never before.
    ///
    /// A deadline that has passed wakes at once. The key is valid until the timer fires.
    fn wake_at(&self, deadline: Instant, waker: Waker) -> TimerKey;

    /// Cancels a timer. One that has fired already is no error.
    fn cancel(&self, key: TimerKey);

    /// Returns whether a timer set for `deadline` may have fired by now. Takes no lock: a sleeping task calls it at
    /// each poll, and sets its timer anew only if there may be none. The default is always true.
    fn may_have_fired(&self, deadline: Instant) -> bool {
        let _ = deadline;
        true
    }
}

impl SystemClock {
    /// Returns the process's clock, started by the first call. It has one thread, needs no runtime, and never ends.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use sluicegate_core::clock::SystemClock;
    ///
    /// assert!(Arc::ptr_eq(&SystemClock::shared(), &SystemClock::shared()));
    /// ```
    ///
    /// # Panics
    /// As [`new`](Self::new).
    pub fn shared() -> Arc<Self> {
        static CLOCK: OnceLock<Arc<SystemClock>> = OnceLock::new();
        Arc::clone(CLOCK.get_or_init(|| Arc::new(Self::new())))
    }
}

impl fmt::Debug for SystemClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemClock")
            .field("now", &self.now())
            .field("sleepers", &self.sleepers())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for LocalWheel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalWheel").finish_non_exhaustive()
    }
}

/// Identifies a timer of one clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerKey {
    /// Where the clock keeps it.
    pub slot: usize,
    /// Distinguishes it from an earlier timer in the same slot.
    pub generation: u64,
}
