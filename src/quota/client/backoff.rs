//! Pauses between attempts, with jitter so that a fleet does not reconnect at once. Pure.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// The first pause.
const FIRST: Duration = Duration::from_millis(100);

/// A pseudo-random generator for jitter: xorshift. Predictable, not for secrets.
#[derive(Debug)]
pub(super) struct Jitter(u64);

impl Jitter {
    pub(super) fn new() -> Self {
        Self(RandomState::new().build_hasher().finish() | 1)
    }

    /// The next number.
    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Shortens `time` by up to one `part`th of it.
    pub(super) fn shorten(&mut self, time: Duration, part: u32) -> Duration {
        let most = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX) / u64::from(part);
        time - Duration::from_nanos(self.next() % (most + 1))
    }
}

/// Pauses that double up to a longest one, each shortened at random by up to a half.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
    longest: Duration,
    chance: Jitter,
}

impl Backoff {
    pub(super) fn new(longest: Duration) -> Self {
        Self { next: FIRST.min(longest), longest, chance: Jitter::new() }
    }

    pub(super) fn next(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.longest);
        self.chance.shorten(pause, 2)
    }

    /// Starts over after a success; from now on pauses are at most `longest`.
    pub(super) fn restart(&mut self, longest: Duration) {
        (self.next, self.longest) = (FIRST.min(longest), longest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_are_never_cut_by_more_than_half() {
        let mut backoff = Backoff::new(Duration::from_secs(1));
        for (pauses, next_longest) in [
            (&[100, 200, 400, 800, 1000, 1000][..], 1000),
            (&[100, 200, 400, 800, 1000, 1000], 300),
            (&[100, 200, 300, 300], 20),
            (&[20, 20], 1000),
        ] {
            for full in pauses {
                let pause = backoff.next();
                let full = Duration::from_millis(*full);
                assert!(full / 2 <= pause && pause <= full, "{pause:?} of {full:?}");
            }
            backoff.restart(Duration::from_millis(next_longest));
        }
    }

    #[test]
    fn chance_differs() {
        let mut chance = Jitter::new();
        let drawn: std::collections::BTreeSet<u64> = (0..100).map(|_| chance.next()).collect();
        assert_eq!(drawn.len(), 100);
        assert_eq!(chance.shorten(Duration::ZERO, 2), Duration::ZERO);
    }
}
