//! The book behind a lock, with an event for tasks that wait for changes.

use std::sync::Arc;

use event_listener::{Event, EventListener};
use futures_lite::FutureExt;

use super::limits::Limits;
use super::schedules::{QuotaSchedule, Schedules};
use crate::clock::{Clock, Instant, Sleep};
use crate::quota::book::Book;
use crate::sync::Mutex;

pub(super) struct SharedBook {
    book: Mutex<Book>,
    clock: Arc<dyn Clock>,
    pub(super) limits: Limits,
    pub(super) schedules: Schedules,
    /// Notified when a client may get another share.
    freed: Event,
    /// Notified once, when the server ends its streams.
    pub(super) ending: Event,
}

impl SharedBook {
    pub(super) fn new(book: Book, clock: Arc<dyn Clock>) -> Self {
        let (limits, schedules) = (Limits::default(), Schedules::default());
        Self { book: Mutex::new(book), clock, limits, schedules, freed: Event::new(), ending: Event::new() }
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

    /// Calls `act` with the book and the time.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Book, Instant) -> T) -> T {
        let now = self.clock.now();
        // A panic between two of the book's steps could leave it inconsistent, which debug builds assert; no input of
        // callers makes it panic.
        let mut book = self.book.lock();
        let before = book.freed();
        let result = act(&mut book, now);
        let rings = book.freed() != before;
        drop(book);
        if rings {
            self.freed.notify(usize::MAX);
        }
        result
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
