//! Lets other tasks run between the pieces that a coder codes.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes given to a coder in one turn: coding them takes about half a millisecond.
pub(super) const MAX_CODED: u64 = 16 * 1024;

/// Coders that run between two polls of any other task. Of `n` coders each skips about `n` / 16 polls; a skipped poll
/// takes about a microsecond.
const CODERS_AT_ONCE: usize = 16;

/// Upper bound of polls that are skipped: some of the counted coders may be waiting for their readers and need none.
const MAX_PASSES: usize = 64;

/// Coders of this process that are between two turns.
static CODERS: AtomicUsize = AtomicUsize::new(0);

/// The turns of one coder.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// Bytes coded in this turn.
    coded: u64,
    /// Counted in [`CODERS`].
    is_counted: bool,
    /// Turns to pass before the next one.
    passes: usize,
}

impl Turn {
    /// Notes bytes given to the coder.
    pub(super) fn note(&mut self, bytes: u64) {
        self.coded += bytes;
    }

    /// Whether the task must yield before more is coded; then it is to be woken at once.
    pub(super) fn yields(&mut self) -> bool {
        if self.passes > 0 {
            self.passes -= 1;
            return true;
        }
        if self.coded < MAX_CODED {
            return false;
        }
        self.coded = 0;
        if !self.is_counted {
            self.is_counted = true;
            CODERS.fetch_add(1, Ordering::Relaxed);
        }
        self.passes = (CODERS.load(Ordering::Relaxed).saturating_sub(1) / CODERS_AT_ONCE).min(MAX_PASSES);
        true
    }

    /// Ends the turn: the coder waits for something else, or is done.
    pub(super) fn end(&mut self) {
        (self.coded, self.passes) = (0, 0);
        if std::mem::take(&mut self.is_counted) {
            CODERS.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.end();
    }
}
