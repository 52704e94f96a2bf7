//! What is known of the upload of a request, as anyone may read it at any time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Waker};
use std::time::Duration;

use super::pacing::Chosen;
use super::published_wait::PublishedWait;
use super::report::PaceBy;
use super::report::UploadReport;
use super::transfer::per_second;
use crate::clock::Instant;
use crate::http::body::{BodyFailure, RequestBodyError};
use crate::http::budgets::UPLOAD;
use crate::limit::Limit;
use crate::sync::Mutex;
use crate::telemetry::Recent;

/// The upload of one request, or of the tunnel that it became.
pub(super) struct UploadRecord {
    began: Instant,
    /// The length that the head states.
    pub(super) length: Option<u64>,
    /// The limit of its pace.
    pub(super) limit: Limit,
    /// Whether that is the route's own.
    is_under_route: bool,
    /// The rule that set it, if the access log asks.
    pub(super) rule: Option<Arc<str>>,
    /// Content passed on to the source.
    passed: Recent,
    /// How many bytes of it the route has counted.
    counted: AtomicU64,
    /// Bytes that were read and are not in its body yet.
    resting: AtomicU64,
    pub(super) wait: PublishedWait,
    failure: OnceLock<BodyFailure>,
    error: Mutex<Option<RequestBodyError>>,
    /// The task that sends the answer, woken by a failure.
    answering: Mutex<Option<Waker>>,
    ended: OnceLock<Ended>,
}

/// How an upload went.
struct Ended {
    at: Instant,
    /// How long it waited for turns in shared budgets and for its pace, by their names.
    turns: Vec<(Arc<str>, Duration)>,
}

impl UploadRecord {
    pub(super) fn new(length: Option<u64>, chosen: Chosen, began: Instant) -> Self {
        let Chosen { limit, by, rule } = chosen;
        Self {
            began,
            length,
            limit,
            is_under_route: by == PaceBy::Route,
            rule,
            passed: Recent::since(began),
            counted: AtomicU64::new(0),
            resting: AtomicU64::new(0),
            wait: PublishedWait::default(),
            failure: OnceLock::new(),
            error: Mutex::default(),
            answering: Mutex::default(),
            ended: OnceLock::new(),
        }
    }

    /// Counts content that was passed on.
    pub(super) fn pass(&self, bytes: u64, now: Instant) {
        self.passed.add(bytes, now);
    }

    /// Bytes passed on so far.
    pub(super) fn bytes(&self) -> u64 {
        self.passed.bytes()
    }

    /// Notes how many bytes were read and are not in its body yet.
    pub(super) fn set_resting(&self, bytes: usize) {
        self.resting.store(bytes as u64, Ordering::Relaxed);
    }

    /// Bytes that were read and are not in its body yet.
    pub(super) fn resting(&self) -> u64 {
        self.resting.load(Ordering::Relaxed)
    }

    /// Takes the bytes that the route has not counted yet.
    pub(super) fn take_uncounted(&self) -> u64 {
        let bytes = self.bytes();
        bytes.saturating_sub(self.counted.fetch_max(bytes, Ordering::Relaxed))
    }

    /// Notes why the content ended early.
    pub(super) fn fail(&self, error: RequestBodyError) {
        let _ = self.failure.set(error.failure());
        *self.error.lock() = Some(error);
        let answering = self.answering.lock().take();
        if let Some(task) = answering {
            task.wake();
        }
    }

    /// Why the content ended early, if it did.
    pub(super) fn failure(&self) -> Option<BodyFailure> {
        self.failure.get().copied()
    }

    /// Takes the error for the source.
    pub(super) fn take_error(&self) -> RequestBodyError {
        let error = self.error.lock().take();
        error.unwrap_or_else(|| RequestBodyError::of(self.failure().unwrap_or(BodyFailure::Broken)))
    }

    /// Whether there is too much content. If not yet, the task of `cx` is woken when there is.
    pub(super) fn is_too_large(&self, cx: &Context<'_>) -> bool {
        let mut answering = self.answering.lock();
        if !answering.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            *answering = Some(cx.waker().clone());
        }
        self.failure() == Some(BodyFailure::TooLarge)
    }

    /// Ends it at `now`. It has waited for its pace, and for turns in shared budgets.
    pub(super) fn end(&self, pace: Duration, mut turns: Vec<(Arc<str>, Duration)>, now: Instant) {
        self.wait.set(None);
        self.wait.set_flow(None);
        turns.push((UPLOAD.into(), pace));
        let _ = self.ended.set(Ended { at: now, turns });
    }

    /// Whether nothing more is read of it.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.get().is_some()
    }

    /// How long it waited for its limits, by their names; known once it has ended.
    pub(super) fn turns(&self) -> &[(Arc<str>, Duration)] {
        self.ended.get().map_or(&[], |ended| &ended.turns)
    }

    /// How long it lasted until `now` or its end.
    pub(super) fn lasted(&self, now: Instant) -> Duration {
        self.ended.get().map_or(now, |ended| ended.at) - self.began
    }

    /// Reports its state at `now`.
    pub(super) fn report(&self, now: Instant) -> UploadReport {
        let bytes = self.bytes();
        UploadReport {
            bytes,
            length: self.length,
            has_ended: self.has_ended(),
            pace: self.limit.rate_at(bytes),
            pace_is_routes: self.is_under_route,
            bytes_per_second: self.passed.bytes_per_second(now),
            mean_bytes_per_second: per_second(bytes, self.lasted(now)),
            waited: self.wait.past(),
            held: self.wait.held(),
        }
    }
}
