//! How often something was done, and how often it failed for which reason.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};

/// Why something fails: one of a few words.
pub trait Reason: Copy + PartialEq + 'static {
    /// All reasons.
    const ALL: &'static [Self];
}

/// Counts what was done, and what failed by its reason.
#[derive(Debug)]
pub struct Outcomes<R> {
    done: AtomicU64,
    /// In the order of [`Reason::ALL`].
    failed: Box<[AtomicU64]>,
    reasons: PhantomData<R>,
}

impl<R: Reason> Default for Outcomes<R> {
    fn default() -> Self {
        let failed = R::ALL.iter().map(|_| AtomicU64::new(0)).collect();
        Self { done: AtomicU64::new(0), failed, reasons: PhantomData }
    }
}

impl<R: Reason> Outcomes<R> {
    /// Counts one that was done, or that failed for a reason.
    pub(crate) fn note(&self, failed: Option<R>) {
        let counter = failed.map_or(Some(&self.done), |reason| self.of(reason));
        if let Some(counter) = counter {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Those that were done.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Those that failed for `reason`.
    pub fn failed(&self, reason: R) -> u64 {
        self.of(reason).map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    fn of(&self, reason: R) -> Option<&AtomicU64> {
        R::ALL.iter().zip(&self.failed).find_map(|(known, counter)| (*known == reason).then_some(counter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Why {
        Late,
        Lost,
    }

    impl Reason for Why {
        const ALL: &'static [Self] = &[Self::Late, Self::Lost];
    }

    #[test]
    fn each_outcome_is_counted_by_itself() {
        let outcomes = Outcomes::default();
        for outcome in [None, Some(Why::Lost), None, Some(Why::Late), Some(Why::Lost), None] {
            outcomes.note(outcome);
        }
        assert_eq!((outcomes.done(), outcomes.failed(Why::Late), outcomes.failed(Why::Lost)), (3, 1, 2));
    }
}
