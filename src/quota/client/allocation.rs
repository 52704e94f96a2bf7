//! A client's handle to its share of one resource: to spend it, watch it, and declare demand.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use event_listener::Event;

use super::local_bucket::{Attempt, LocalBucket};
use super::settings::ResourceUse;
use super::share::{Grant, LeasedShare, NoShare, Share, ShareState};
use super::shared_bucket::SharedBucket;
use crate::clock::{Clock, Instant, Sleep};
use crate::quota::book::Interest;
use crate::quota::id::Id;
use crate::quota::limit::{MICRO, Unit};
use crate::sync::Mutex;

/// A client's share of one resource. Clones are the same share.
///
/// ```no_run
/// use sluicegate::quota::client::{Allocation, Closed};
///
/// async fn answer(api: &Allocation) -> Result<(), Closed> {
///     if !api.try_acquire(1) {
///         // Not now: in turn, as soon as the share allows it.
///         api.acquire(1).await?;
///     }
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct Allocation(pub(super) Arc<Inner>);

/// The error of a closed client: it grants no tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

type Callback = Box<dyn Fn(Share) + Send + Sync>;

/// State of an allocation.
pub(super) struct Inner {
    pub(super) id: Id,
    unit: Option<Unit>,
    weight: u32,
    /// Demand in micro-units a second; [`ALL`] is as much as there is.
    wants: AtomicU64,
    tokens: SharedBucket,
    state: Mutex<State>,
    callbacks: Mutex<Vec<Callback>>,
    changed: Event,
    /// Notified when the next heartbeat should be sent soon.
    bell: Arc<Event>,
    clock: Arc<dyn Clock>,
}

struct State {
    leased: LeasedShare,
    /// The share last reported to callbacks and readers, and how often it changed.
    reported: Share,
    changes: u64,
}

const ALL: u64 = u64::MAX;

impl Inner {
    pub(super) fn new(resource: &ResourceUse, bell: Arc<Event>, clock: Arc<dyn Clock>) -> Self {
        let leased = LeasedShare::new(resource.safe_share_micros);
        let now = clock.now();
        let share = leased.share(now);
        let mut tokens = LocalBucket::new(resource.burst);
        tokens.set(now, share.rate_micros, None);
        Self {
            id: resource.id.clone(),
            unit: resource.unit,
            weight: resource.weight,
            wants: AtomicU64::new(resource.wants_micros.unwrap_or(ALL)),
            tokens: SharedBucket::new(tokens),
            state: Mutex::new(State { leased, reported: share, changes: 0 }),
            callbacks: Mutex::default(),
            changed: Event::new(),
            bell,
            clock,
        }
    }

    /// What a heartbeat declares about it.
    pub(super) fn interest(&self, now: Instant) -> Interest {
        let state = self.state.lock();
        // Wants nothing of a limit of the other unit, but stays interested, to learn when the limit changes.
        let is_other = matches!(state.leased.no_share(), Some(NoShare::OtherUnit { .. }));
        let wants = if is_other { 0 } else { self.wants.load(Ordering::Relaxed) };
        Interest {
            resource: self.id.clone(),
            weight: self.weight,
            wants: (wants != ALL).then_some(wants),
            applied: state.leased.applied(),
            held: state.leased.held(now),
        }
    }

    /// Applies a grant of the server and its lease. Returns whether to acknowledge it at once.
    pub(super) fn apply(&self, grant: Grant, lease_until: Option<Instant>) -> bool {
        let now = self.clock.now();
        let lower = self.change(|leased| {
            let lower = leased.apply(now, grant);
            if let Some(until) = lease_until {
                leased.renew(until);
            }
            lower
        });
        self.notify();
        lower
    }

    /// Notes that the server grants no share.
    pub(super) fn apply_no_share(&self, no_share: NoShare) {
        self.change(|leased| leased.apply_no_share(no_share));
        self.notify();
    }

    /// Whether `unit` is not what is spent here.
    pub(super) fn is_other_than(&self, unit: Option<Unit>) -> bool {
        self.unit.is_some() && self.unit != unit
    }

    pub(super) fn close(&self) {
        self.tokens.lock().close();
    }

    /// When the share lapses.
    pub(super) fn lapses_at(&self) -> Option<Instant> {
        self.state.lock().leased.lapses(self.clock.now()).map(|(at, _)| at)
    }

    fn change<T>(&self, change: impl FnOnce(&mut LeasedShare) -> T) -> T {
        let mut state = self.state.lock();
        let result = change(&mut state.leased);
        let now = self.clock.now();
        let (share, lapses) = (state.leased.share(now), state.leased.lapses(now));
        // Under the state's lock, so that two changes arrive here in order.
        self.tokens.lock().set(now, share.rate_micros, lapses);
        result
    }

    /// Reports the share to callbacks and readers if it changed.
    pub(super) fn notify(&self) {
        let mut state = self.state.lock();
        let share = state.leased.share(self.clock.now());
        if share == state.reported {
            return;
        }
        let before = std::mem::replace(&mut state.reported, share);
        state.changes += 1;
        let no_share = state.leased.no_share();
        drop(state);
        self.log(before, share, no_share);
        for callback in &*self.callbacks.lock() {
            callback(share);
        }
        self.changed.notify(usize::MAX);
    }

    fn log(&self, before: Share, share: Share, no_share: Option<NoShare>) {
        let (resource, rate) = (&self.id, share.rate_micros as f64 / MICRO as f64);
        let why = match no_share {
            Some(NoShare::NoLimit) => "quota server has no limit for this resource",
            Some(NoShare::OtherUnit { .. }) => "quota server's limit of this resource counts the other unit",
            None => "quota server lost and lease expired",
        };
        match share.state {
            ShareState::SafeShare if before.state == share.state => {}
            ShareState::SafeShare => log::warn!(resource:%, rate; "{why}: using the safe share"),
            ShareState::Learning if before.state == share.state => {}
            ShareState::Learning => {
                log::info!(resource:%, rate; "quota server is learning: using the safe share until it grants one");
            }
            ShareState::Leased if before.state == share.state => {
                log::debug!(resource:%, rate; "share changed");
            }
            ShareState::Leased => log::info!(resource:%, rate; "using the share granted by the quota server"),
        }
    }
}

impl Allocation {
    /// The resource.
    pub fn resource(&self) -> &Id {
        &self.0.id
    }

    /// The current rate, and its reason.
    pub fn share(&self) -> Share {
        self.0.state.lock().leased.share(self.0.clock.now())
    }

    /// Takes `n` units if they are available and no caller waits; otherwise takes none and returns false.
    ///
    /// Does not call the server: mostly one atomic operation, else a lock and some arithmetic. If tokens of a bucket that is
    /// full are taken so, it is full again up to a millisecond later than it could be.
    pub fn try_acquire(&self, n: u64) -> bool {
        self.0.tokens.try_take(n.saturating_mul(MICRO), || self.0.clock.now())
    }

    /// Takes `n` units, waiting in order of arrival. More than the burst are taken once the bucket is full, and are
    /// refilled before the next caller.
    ///
    /// Cancel safe: if dropped while waiting it has taken nothing and leaves the queue.
    ///
    /// # Errors
    /// The client was closed.
    pub fn acquire(&self, n: u64) -> Acquire {
        Acquire { held: Arc::clone(&self.0), n: n.saturating_mul(MICRO), ticket: None, sleep: None }
    }

    /// Declares demand in micro-units a second; `None` is as much as there is. Sent to the server at once; others get what
    /// is not wanted.
    pub fn set_wants(&self, micros: Option<u64>) {
        let wants = micros.unwrap_or(ALL);
        if self.0.wants.swap(wants, Ordering::Relaxed) != wants {
            self.0.bell.notify(usize::MAX);
        }
    }

    /// Calls `callback` with the current share at once, and with each new share from the client's background task. It
    /// must not block.
    pub fn on_change(&self, callback: impl Fn(Share) + Send + Sync + 'static) {
        callback(self.share());
        self.0.callbacks.lock().push(Box::new(callback));
    }

    /// Watches the share for changes.
    pub fn changes(&self) -> Changes {
        Changes { held: Arc::clone(&self.0), seen: None }
    }
}

/// Changes of a share. A late reader sees only the latest.
pub struct Changes {
    held: Arc<Inner>,
    seen: Option<u64>,
}

opaque!(Changes);

impl Changes {
    /// Returns the share: at once the first time, then once it changed. Cancel safe.
    pub async fn next(&mut self) -> Share {
        loop {
            let listener = self.held.changed.listen();
            let (told, changes) = {
                let state = self.held.state.lock();
                (state.reported, state.changes)
            };
            if self.seen != Some(changes) {
                self.seen = Some(changes);
                return told;
            }
            listener.await;
        }
    }
}

/// Waits for tokens; see [`Allocation::acquire`].
pub struct Acquire {
    held: Arc<Inner>,
    n: u64,
    ticket: Option<u64>,
    sleep: Option<Sleep>,
}

opaque!(Acquire);

impl Future for Acquire {
    type Output = Result<(), Closed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        let this = self.get_mut();
        loop {
            let now = this.held.clock.now();
            let due = match this.held.tokens.lock().attempt(now, this.n, &mut this.ticket, cx.waker()) {
                Attempt::Taken => return Poll::Ready(Ok(())),
                Attempt::Closed => return Poll::Ready(Err(Closed)),
                Attempt::NotYet(due) => due,
            };
            let Some(due) = due else {
                this.sleep = None;
                return Poll::Pending;
            };
            let sleep = this.sleep.get_or_insert_with(|| Sleep::until(Arc::clone(&this.held.clock), due));
            sleep.reset(due);
            if Pin::new(sleep).poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl Drop for Acquire {
    fn drop(&mut self) {
        self.held.tokens.lock().leave(&mut self.ticket);
    }
}

impl fmt::Debug for Allocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Allocation").field("resource", self.resource()).field("share", &self.share()).finish()
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the quota client was closed")
    }
}

impl std::error::Error for Closed {}
