//! The book, shared: one lock for its arithmetic, and a bell for those who wait for more.

use std::sync::{Arc, Mutex, PoisonError};

use event_listener::{Event, EventListener};
use futures_lite::FutureExt;

use crate::clock::{Clock, Instant, Sleep};
use crate::quota::book::Book;

/// The book of a running server.
pub(super) struct Ledger {
    book: Mutex<Book>,
    clock: Arc<dyn Clock>,
    /// Rings when somebody may get another share than it was told.
    freed: Event,
    /// Rings once, when the server ends its streams.
    pub(super) ending: Event,
}

impl Ledger {
    pub(super) fn new(book: Book, clock: Arc<dyn Clock>) -> Self {
        Self { book: Mutex::new(book), clock, freed: Event::new(), ending: Event::new() }
    }

    pub(super) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Does something with the book, now.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Book, Instant) -> T) -> T {
        let now = self.clock.now();
        // What panicked between two of the book's own steps may have left it torn; it would say so in debug
        // builds, and nothing in it panics on what callers send.
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let before = book.freed();
        let result = act(&mut book, now);
        let rings = book.freed() != before;
        drop(book);
        if rings {
            self.freed.notify(usize::MAX);
        }
        result
    }

    /// Rings from now on.
    pub(super) fn listen(&self) -> EventListener {
        self.freed.listen()
    }

    /// Lets what runs out run out on time, also while nobody calls; never completes.
    pub(super) async fn sweep(&self) {
        loop {
            // What is not due yet by then will have been made later, with a whole lease before it.
            let due =
                self.with(|book, now| book.next_due().unwrap_or(now + book.settings().heartbeat_timeout));
            Sleep::until(Arc::clone(&self.clock), due).await;
            self.with(|book, now| book.advance(now));
        }
    }

    /// Waits until the book may have changed in somebody's favour, or the server ends; says whether it goes on.
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
