//! A client's handle to its share of one resource: spend it, watch it, say how much is wanted.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use event_listener::Event;

use super::local_bucket::{Attempt, LocalBucket};
use super::settings::ResourceUse;
use super::share::{Grant, LeasedShare, NoShare, Share, ShareState};
use crate::clock::{Clock, Instant, Sleep};
use crate::quota::book::Interest;
use crate::quota::id::Id;
use crate::quota::limit::{MICRO, Unit};

/// A client's share of one resource. Clones are the same share.
#[derive(Clone)]
pub struct Allocation(pub(super) Arc<Held>);

/// A client that was closed gives no tokens any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

type Callback = Box<dyn Fn(Share) + Send + Sync>;

/// What an allocation is made of.
pub(super) struct Held {
    pub(super) id: Id,
    unit: Option<Unit>,
    weight: u32,
    /// Micro-units a second; [`ALL`] is as much as there is.
    wants: AtomicU64,
    tokens: Mutex<LocalBucket>,
    state: Mutex<State>,
    callbacks: Mutex<Vec<Callback>>,
    changed: Event,
    /// Rings when the server should hear something soon.
    bell: Arc<Event>,
    clock: Arc<dyn Clock>,
}

struct State {
    leased: LeasedShare,
    /// What was told last to those who look on, and how often that was something new.
    told: Share,
    changes: u64,
}

const ALL: u64 = u64::MAX;

impl Held {
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
            tokens: Mutex::new(tokens),
            state: Mutex::new(State { leased, told: share, changes: 0 }),
            callbacks: Mutex::default(),
            changed: Event::new(),
            bell,
            clock,
        }
    }

    /// What a heartbeat says of it.
    pub(super) fn interest(&self, now: Instant) -> Interest {
        let state = self.state();
        // Nothing of a limit that cannot be spent; the interest stays, to hear when it is another one.
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

    /// Applies a word of the server, and the lease it came with. Says whether to acknowledge it at once.
    pub(super) fn apply(&self, grant: Grant, lease_until: Option<Instant>) -> bool {
        let now = self.clock.now();
        let lower = self.change(|leased| {
            let lower = leased.apply(now, grant);
            if let Some(until) = lease_until {
                leased.renew(until);
            }
            lower
        });
        self.tell();
        lower
    }

    /// There is no share to be had.
    pub(super) fn apply_no_share(&self, no_share: NoShare) {
        self.change(|leased| leased.apply_no_share(no_share));
        self.tell();
    }

    /// Whether a limit of `unit` is not what is spent here.
    pub(super) fn is_other_than(&self, unit: Option<Unit>) -> bool {
        self.unit.is_some() && self.unit != unit
    }

    pub(super) fn close(&self) {
        self.tokens().close();
    }

    /// When the share lapses.
    pub(super) fn lapses_at(&self) -> Option<Instant> {
        self.state().leased.lapses(self.clock.now()).map(|(at, _)| at)
    }

    fn change<T>(&self, change: impl FnOnce(&mut LeasedShare) -> T) -> T {
        let mut state = self.state();
        let result = change(&mut state.leased);
        let now = self.clock.now();
        let (share, lapses) = (state.leased.share(now), state.leased.lapses(now));
        // Within the state's lock, so that two changes do not come in another order here.
        self.tokens().set(now, share.rate_micros, lapses);
        result
    }

    /// Tells those who look on if the share is another one.
    pub(super) fn tell(&self) {
        let mut state = self.state();
        let share = state.leased.share(self.clock.now());
        if share == state.told {
            return;
        }
        let before = std::mem::replace(&mut state.told, share);
        state.changes += 1;
        let no_share = state.leased.no_share();
        drop(state);
        self.log(before, share, no_share);
        for callback in &*self.callbacks.lock().unwrap_or_else(PoisonError::into_inner) {
            callback(share);
        }
        self.changed.notify(usize::MAX);
    }

    fn log(&self, before: Share, share: Share, no_share: Option<NoShare>) {
        let (resource, rate) = (&self.id, share.rate_micros as f64 / MICRO as f64);
        let why = match no_share {
            Some(NoShare::NoLimit) => "the quota server has no limit for this resource",
            Some(NoShare::OtherUnit { .. }) => {
                "the quota server's limit of this resource is of the other unit"
            }
            None => "the quota server is lost and the lease has run out",
        };
        match share.state {
            ShareState::SafeShare if before.state == share.state => {}
            ShareState::SafeShare => log::warn!(resource:%, rate; "{why}: the safe share holds"),
            ShareState::Learning if before.state == share.state => {}
            ShareState::Learning => {
                log::info!(resource:%, rate; "the quota server learns: the safe share holds until it tells one");
            }
            ShareState::Leased if before.state == share.state => {
                log::debug!(resource:%, rate; "another share");
            }
            ShareState::Leased => log::info!(resource:%, rate; "the quota server's share holds"),
        }
    }

    fn tokens(&self) -> MutexGuard<'_, LocalBucket> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Allocation {
    /// The resource.
    pub fn resource(&self) -> &Id {
        &self.0.id
    }

    /// The rate to spend at now, and why it is that.
    pub fn share(&self) -> Share {
        self.0.state().leased.share(self.0.clock.now())
    }

    /// Takes `n` units if they are there now and nobody waits for some; else takes none and says false.
    ///
    /// No call to the server: a lock and some arithmetic.
    pub fn try_acquire(&self, n: u64) -> bool {
        let now = self.0.clock.now();
        self.0.tokens().try_take(now, n.saturating_mul(MICRO))
    }

    /// Takes `n` units, waiting for them behind those who came before. More than the burst pass once it is
    /// full, and are refilled before anything else.
    ///
    /// Cancel safe: dropped while it waits it has taken nothing and gives its place up.
    ///
    /// # Errors
    /// The client was closed.
    pub fn acquire(&self, n: u64) -> Acquire {
        Acquire { held: Arc::clone(&self.0), n: n.saturating_mul(MICRO), ticket: None, sleep: None }
    }

    /// Says how much can be used from now on, in micro-units a second; `None` is as much as there is. The
    /// server hears it at once; what is not wanted others have.
    pub fn set_wants(&self, micros: Option<u64>) {
        let wants = micros.unwrap_or(ALL);
        if self.0.wants.swap(wants, Ordering::Relaxed) != wants {
            self.0.bell.notify(usize::MAX);
        }
    }

    /// Calls `callback` with each new share, from the client's background task: it must not block. The first
    /// call is at once, with the share as it is.
    pub fn on_change(&self, callback: impl Fn(Share) + Send + Sync + 'static) {
        callback(self.share());
        self.0.callbacks.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(callback));
    }

    /// The shares as they change.
    pub fn changes(&self) -> Changes {
        Changes { held: Arc::clone(&self.0), seen: None }
    }
}

/// The changes of a share. A reader that is late sees the last one only.
pub struct Changes {
    held: Arc<Held>,
    seen: Option<u64>,
}

impl Changes {
    /// The share, at once the first time, then as soon as it is another one. Cancel safe.
    pub async fn next(&mut self) -> Share {
        loop {
            let listener = self.held.changed.listen();
            let (told, changes) = {
                let state = self.held.state();
                (state.told, state.changes)
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
    held: Arc<Held>,
    n: u64,
    ticket: Option<u64>,
    sleep: Option<Sleep>,
}

impl Future for Acquire {
    type Output = Result<(), Closed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        let this = self.get_mut();
        loop {
            let now = this.held.clock.now();
            let due = match this.held.tokens().attempt(now, this.n, &mut this.ticket, cx.waker()) {
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
        self.held.tokens().leave(&mut self.ticket);
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
