//! Waits for what another thread or process is about to make true.

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
