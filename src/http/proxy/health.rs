//! Whether an upstream is left out because connections to it failed, and until when.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Instant;
use crate::sync::Mutex;

/// How long an upstream is left out after the first failure, and the longest time: each further trial doubles it.
pub(super) const FIRST_OUTAGE: Duration = Duration::from_secs(1);
pub(super) const MAX_OUTAGE: Duration = Duration::from_secs(30);

/// The health of one upstream, learnt from connections that were made anyway.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// When it is tried again, in nanoseconds of the clock; 0 while it is in.
    until: AtomicU64,
    record: Mutex<Record>,
}

/// What happened to it since it was in.
#[derive(Debug, Default)]
struct Record {
    failures: u32,
    /// Whether a request tries it, and has not found out yet.
    is_tried: bool,
}

impl Health {
    /// When it is tried again; `None` while it is in.
    pub(super) fn out_until(&self) -> Option<Instant> {
        match self.until.load(Ordering::Relaxed) {
            0 => None,
            nanos => Some(Instant::from_nanos(nanos)),
        }
    }

    /// Notes that a connection failed at `now`. Returns for how long it is left out if it was in.
    pub(super) fn failed(&self, now: Instant) -> Option<Duration> {
        let mut record = self.record.lock();
        // Others that failed meanwhile say nothing new.
        if !record.is_tried && self.out_until().is_some_and(|until| now < until) {
            return None;
        }
        let failures = record.failures.saturating_add(1);
        *record = Record { failures, is_tried: false };
        let outage = self.leave_out(now, failures);
        (failures == 1).then_some(outage)
    }

    /// Takes the turn to try it if that is due at `now`. For as long as it would be left out after a failure no other
    /// request does: it may be slow to fail.
    pub(super) fn try_claim(&self, now: Instant) -> bool {
        if self.out_until().is_none_or(|until| now < until) {
            return false;
        }
        let mut record = self.record.lock();
        let is_due = self.out_until().is_some_and(|until| now >= until);
        if is_due {
            record.is_tried = true;
            self.leave_out(now, record.failures.saturating_add(1));
        }
        is_due
    }

    /// Notes that a request ended before it found out whether it can be reached. If it was tried, that is due again.
    pub(super) fn abandoned(&self, now: Instant) {
        let mut record = self.record.lock();
        if std::mem::take(&mut record.is_tried) {
            self.until.store(now.as_nanos().max(1), Ordering::Relaxed);
        }
    }

    /// Notes that it can be reached. Returns whether it was left out.
    pub(super) fn recovered(&self) -> bool {
        if self.out_until().is_none() {
            return false;
        }
        let mut record = self.record.lock();
        *record = Record::default();
        self.until.swap(0, Ordering::Relaxed) != 0
    }

    fn leave_out(&self, now: Instant, failures: u32) -> Duration {
        let outage = 1u32.checked_shl(failures.saturating_sub(1)).and_then(|n| FIRST_OUTAGE.checked_mul(n));
        let outage = outage.unwrap_or(MAX_OUTAGE).min(MAX_OUTAGE);
        self.until.store((now + outage).as_nanos(), Ordering::Relaxed);
        outage
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64) -> Instant {
        Instant::ZERO + Duration::from_secs_f64(seconds)
    }

    #[test]
    fn it_is_left_out_for_times_that_double_up_to_half_a_minute() {
        let health = Health::default();
        assert!(!health.try_claim(at(0.0)), "there is nothing to try");
        assert_eq!(health.failed(at(0.0)), Some(FIRST_OUTAGE));
        let mut due = 1.0;
        for outage in [2.0, 4.0, 8.0, 16.0, 30.0, 30.0] {
            assert_eq!(health.out_until(), Some(at(due)));
            assert!(!health.try_claim(Instant::from_nanos(at(due).as_nanos() - 1)));
            assert!(health.try_claim(at(due)));
            assert!(!health.try_claim(at(due)), "one request tries it");
            assert_eq!(health.failed(at(due)), None);
            due += outage;
        }
        // A trial without an outcome doubles nothing.
        for _ in 0..100 {
            assert!(health.try_claim(at(due)));
            due += 30.0;
        }
        assert!(health.recovered() && !health.recovered());
        assert_eq!(health.out_until(), None);
        assert_eq!(health.failed(at(due)), Some(FIRST_OUTAGE), "and it begins anew");
    }

    #[test]
    fn failures_of_one_moment_are_one_and_a_late_one_counts() {
        let health = Health::default();
        assert_eq!(health.failed(at(5.0)), Some(FIRST_OUTAGE));
        for _ in 0..100 {
            assert_eq!(health.failed(at(5.5)), None);
        }
        assert_eq!(health.out_until(), Some(at(6.0)));
        assert_eq!(health.failed(at(6.0)), None, "it was out already");
        assert_eq!(health.out_until(), Some(at(8.0)));
    }

    #[test]
    fn only_trials_that_fail_double_the_time_and_one_that_is_dropped_is_due_again() {
        let health = Health::default();
        health.abandoned(at(0.0));
        assert_eq!(health.out_until(), None, "there was no trial");
        health.failed(at(0.0));
        health.abandoned(at(0.5));
        assert_eq!(health.out_until(), Some(at(1.0)), "nor here");
        for _ in 0..10 {
            assert!(health.try_claim(at(1.5)));
            assert_eq!(health.out_until(), Some(at(3.5)));
            health.abandoned(at(2.0));
            assert_eq!(health.out_until(), Some(at(2.0)));
            assert!(health.try_claim(at(2.0)) && !health.try_claim(at(2.0)));
            health.abandoned(at(1.5));
        }
        assert!(health.try_claim(at(1.5)));
        assert_eq!(health.failed(at(3.0)), None);
        assert_eq!(health.out_until(), Some(at(5.0)), "two seconds from the failure");
    }
}
