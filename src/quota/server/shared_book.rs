//! The book behind a lock, with an event for tasks that wait for changes.

use std::sync::Arc;
#[cfg(feature = "redis")]
use std::time::Duration;

use event_listener::{Event, EventListener};
use futures_lite::FutureExt;

use super::keeping::Keeping;
use super::limits::Limits;
use super::schedules::{QuotaSchedule, Schedules};
use crate::clock::{Clock, Instant, Sleep};
use crate::quota::book::Book;
use crate::quota::lead::{Lead, Term};
use crate::sync::Mutex;

pub(super) struct SharedBook {
    held: Mutex<Held>,
    clock: Arc<dyn Clock>,
    pub(super) limits: Limits,
    pub(super) schedules: Schedules,
    /// How long it is configured to learn; a book that was filled from a store does not.
    #[cfg(feature = "redis")]
    pub(super) learning: Duration,
    /// Notified when a client may get another share.
    freed: Event,
    /// Notified when there is something for the store to keep.
    unkept: Event,
    /// Notified when it is kept, or this server leads no longer.
    kept: Event,
    /// Notified once, when the server ends its streams.
    pub(super) ending: Event,
}

/// What is changed together.
pub(super) struct Held {
    pub(super) book: Book,
    /// Whether this server leads; `None` if it is alone.
    pub(super) lead: Option<Lead>,
    /// What the store keeps of the book.
    pub(super) keeping: Keeping,
}

/// This server does not lead: it may not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NotLeader {
    /// Where the leader is, if it is known.
    pub(super) leader: Option<String>,
}

impl SharedBook {
    pub(super) fn new(book: Book, clock: Arc<dyn Clock>) -> Self {
        let (limits, schedules) = (Limits::default(), Schedules::default());
        #[cfg(feature = "redis")]
        let learning = book.settings().learning;
        let held = Mutex::new(Held { book, lead: None, keeping: Keeping::default() });
        let [freed, unkept, kept, ending] = std::array::from_fn(|_| Event::new());
        Self {
            held,
            clock,
            limits,
            schedules,
            #[cfg(feature = "redis")]
            learning,
            freed,
            unkept,
            kept,
            ending,
        }
    }

    /// Has its limits come from `limits`, which have filled the book.
    pub(super) fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Has limits follow `schedules`, from the first call of [`apply_schedules`](Self::apply_schedules) on.
    pub(super) fn with_schedules(self, schedules: Vec<QuotaSchedule>) -> Self {
        Self { schedules: Schedules::new(schedules), ..self }
    }

    pub(super) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Calls `act` with the book and the time, if this server leads.
    ///
    /// # Errors
    /// It does not.
    pub(super) fn leading<T>(&self, act: impl FnOnce(&mut Book, Instant) -> T) -> Result<T, NotLeader> {
        self.leading_in_term(act).map(|(_, result)| result)
    }

    /// The same, with the term; a server that is alone has none.
    pub(super) fn leading_in_term<T>(
        &self,
        act: impl FnOnce(&mut Book, Instant) -> T,
    ) -> Result<(Option<Term>, T), NotLeader> {
        self.leading_held(|held, now| act(&mut held.book, now))
    }

    /// The same, with all that is changed together.
    fn leading_held<T>(
        &self,
        act: impl FnOnce(&mut Held, Instant) -> T,
    ) -> Result<(Option<Term>, T), NotLeader> {
        self.with_held(|held, now| {
            // By the time that `act` decides by, too: a process may be stopped between the two.
            let term = held.lead.as_ref().map(|lead| lead.leads(now)).transpose();
            let term = term.map_err(|leader| NotLeader { leader: leader.map(str::to_owned) })?;
            Ok((term, act(held, now)))
        })
    }

    /// Calls `act` with the book and the time, if this server leads, and completes when what it granted is kept: the next
    /// leader grants it to nobody else.
    ///
    /// # Errors
    /// This server does not lead, or no longer; what it granted must not be told.
    pub(super) async fn granting<T>(
        &self,
        act: impl FnOnce(&mut Book, Instant) -> T,
    ) -> Result<T, NotLeader> {
        let granted = |book: &mut Book, now| {
            let result = act(book, now);
            (book.epoch(), book.raised(), result)
        };
        let (term, (epoch, raised, result)) = self.leading_in_term(granted)?;
        while term.is_some() {
            let listener = self.kept.listen();
            let (_, is_kept) = self
                .leading_held(|held, _| (held.book.epoch() == epoch).then(|| held.keeping.covers(raised)))?;
            match is_kept {
                Some(true) => break,
                Some(false) => listener.await,
                None => return Err(NotLeader { leader: None }),
            }
        }
        Ok(result)
    }

    /// Calls `act` with the book and the time, whether this server leads or not. It must grant nothing.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Book, Instant) -> T) -> T {
        self.with_held(|held, now| act(&mut held.book, now))
    }

    pub(super) fn with_held<T>(&self, act: impl FnOnce(&mut Held, Instant) -> T) -> T {
        let now = self.clock.now();
        // A panic between two of the book's steps could leave it inconsistent, which debug builds assert; no input of
        // callers makes it panic.
        let mut held = self.held.lock();
        let before = (held.book.epoch(), held.book.freed());
        let result = act(&mut held, now);
        let rings = (held.book.epoch(), held.book.freed()) != before;
        let is_unkept = held.book.has_changed();
        drop(held);
        if rings {
            self.freed.notify(usize::MAX);
        }
        if is_unkept {
            self.unkept.notify(usize::MAX);
        }
        result
    }

    /// The same, without a notice that there is something to keep.
    #[cfg(feature = "redis")]
    pub(super) fn with_held_quietly<T>(&self, act: impl FnOnce(&mut Held, Instant) -> T) -> T {
        let now = self.clock.now();
        act(&mut self.held.lock(), now)
    }

    /// Wakes all that wait for changes or for what is kept: they look whether this server leads.
    #[cfg(feature = "redis")]
    pub(super) fn wake(&self) {
        self.freed.notify(usize::MAX);
        self.kept.notify(usize::MAX);
    }

    /// Wakes those that wait for what is kept.
    #[cfg(feature = "redis")]
    pub(super) fn wake_kept(&self) {
        self.kept.notify(usize::MAX);
    }

    /// Listens for something to keep from now on.
    #[cfg(feature = "redis")]
    pub(super) fn listen_unkept(&self) -> EventListener {
        self.unkept.listen()
    }

    /// Listens for changes from now on.
    pub(super) fn listen(&self) -> EventListener {
        self.freed.listen()
    }

    /// Expires clients and grants on time, also without calls; never completes.
    pub(super) async fn sweep(&self) {
        loop {
            // Whatever is added meanwhile has a whole lease before it.
            let due =
                self.with(|book, now| book.next_due().unwrap_or(now + book.settings().heartbeat_timeout));
            Sleep::until(Arc::clone(&self.clock), due).await;
            self.with(|book, now| book.advance(now));
        }
    }

    /// Waits until a client may get another share, or the server ends. Returns false at the end.
    pub(super) async fn freed(&self, listener: EventListener, ending: EventListener) -> bool {
        let freed = async {
            listener.await;
            true
        };
        let ended = async {
            ending.await;
            false
        };
        ended.or(freed).await
    }
}
