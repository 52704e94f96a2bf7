//! Time: what it is now and who is to be woken later, in one object.
//!
//! Only `wheel.rs` reads the system's clock. Everything that waits takes an `Arc<dyn Clock>`, so a
//! test on a [`ManualClock`] decides when anything happens.

mod herald;
mod instant;
mod manual;
mod punctual;
mod sleep;
mod system;
mod wheel;

use std::task::Waker;
use std::time::SystemTime;

pub use instant::Instant;
pub use manual::ManualClock;
pub use punctual::Punctual;
pub use sleep::Sleep;
pub use system::SystemClock;

/// A time line, and wake-ups on it.
///
/// The two belong together: a deadline computed from one clock and waited for on another is a bug
/// this trait makes hard to write.
pub trait Clock: Send + Sync + 'static {
    /// The present instant. Never panics; may stay or step back, and callers bear it.
    fn now(&self) -> Instant;

    /// The present time of the calendar, for those outside who are told when something happened; never to
    /// measure by. A time line of its own begins in 1970.
    fn calendar(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + (self.now() - Instant::ZERO)
    }

    /// Arranges that `waker` is woken once, at `deadline` or soon after, never before.
    ///
    /// A deadline that has passed wakes at once. The key names the wake-up until it fired.
    fn wake_at(&self, deadline: Instant, waker: Waker) -> TimerKey;

    /// Takes a wake-up back. One that fired already is no error.
    fn cancel(&self, key: TimerKey);

    /// Whether a wake-up set for `deadline` may have fired by now. No lock: who waits asks this at each poll,
    /// and sets a wake-up anew only if there may be none. A clock that cannot tell says yes.
    fn may_have_fired(&self, deadline: Instant) -> bool {
        let _ = deadline;
        true
    }
}

/// Names a wake-up of one clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerKey {
    /// Where the clock keeps it.
    pub slot: usize,
    /// Tells it from an earlier one that was kept in the same place.
    pub generation: u64,
}
