//! Drives a connection of either version, and watches the client's silence and the server's stage.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::Stage;
use super::connection::Connection;
use crate::clock::Sleep;

/// A connection's protocol, as its driver sees it.
pub(super) trait Serving {
    /// Serves as far as possible at the moment. Ready when the connection is over.
    fn poll_serving(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Takes no further requests; those under way are answered.
    fn drain(self: Pin<&mut Self>);

    /// Called when the client has been silent for too long. True if that is to be answered.
    fn head_is_late(self: Pin<&mut Self>) -> bool {
        false
    }
}

/// Polls a connection until it ends, its client is silent for too long, or the server stops.
pub(super) async fn drive<S: Serving>(mut serving: Pin<&mut S>, connection: &Connection) -> io::Result<()> {
    let server = &connection.server;
    let mut draining = pin!(server.reached(Stage::Draining));
    let mut stopped = pin!(server.reached(Stage::Stopped));
    let mut closed = pin!(connection.closer.closed());
    let mut drained = false;
    let mut silence = Silence::of(connection);
    // The task whose waker all of these have.
    let mut known: Option<Waker> = None;
    std::future::poll_fn(|cx: &mut Context<'_>| {
        if let Poll::Ready(result) = serving.as_mut().poll_serving(cx) {
            return Poll::Ready(result);
        }
        if connection.is_sent() {
            connection.conclude_unsent(false);
        }
        let is_known = known.as_ref().is_some_and(|known| known.will_wake(cx.waker()));
        if is_known && !connection.closer.is_told() && !server.has_reached(Stage::Draining) {
            // What is below says no more than before.
            return silence.poll(cx, serving.as_mut(), connection);
        }
        if closed.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        // Another connection takes its place, unless a request came in the meantime.
        if connection.closer.take_asked() && connection.idle_since().is_some() {
            return Poll::Ready(Ok(()));
        }
        if stopped.as_mut().poll(cx).is_ready() {
            // A response that is cut must not look complete, however its length was stated.
            if connection.exchanges.are_in_flight() || connection.sink.is_writing() {
                connection.sink.abort();
            }
            return Poll::Ready(Ok(()));
        }
        if !drained && draining.as_mut().poll(cx).is_ready() {
            drained = true;
            serving.as_mut().drain();
            if let Poll::Ready(result) = serving.as_mut().poll_serving(cx) {
                return Poll::Ready(result);
            }
        }
        if !is_known {
            known = Some(cx.waker().clone());
        }
        silence.poll(cx, serving.as_mut(), connection)
    })
    .await
}

/// Watches for a client that is silent for too long.
struct Silence {
    /// Fires when it may have been, or earlier: a busy connection does not touch the timer wheel.
    alarm: Sleep,
    patience: Duration,
}

impl Silence {
    fn of(connection: &Connection) -> Self {
        let settings = &connection.settings;
        // Zero would be looked at again and again.
        let patience = settings.header_timeout.min(settings.idle_timeout).max(Duration::from_millis(1));
        Self { alarm: Sleep::lasting(Arc::clone(&connection.server.clock), patience), patience }
    }

    /// Ready when the connection is over.
    fn poll<S: Serving>(
        &mut self,
        cx: &mut Context<'_>,
        mut serving: Pin<&mut S>,
        connection: &Connection,
    ) -> Poll<io::Result<()>> {
        let is_set = self.alarm.is_set_for(cx.waker());
        if is_set && connection.exchanges.are_in_flight() {
            return Poll::Pending;
        }
        let due = connection.silent_too_long_at();
        match due.filter(|due| *due < self.alarm.deadline()) {
            Some(due) => self.alarm.reset(due),
            // It wakes early enough, and need not be asked.
            None if is_set => return Poll::Pending,
            None => {}
        }
        while Pin::new(&mut self.alarm).poll(cx).is_ready() {
            let now = connection.now();
            match connection.silent_too_long_at() {
                Some(due) if due <= now => {
                    if !serving.as_mut().head_is_late() {
                        return Poll::Ready(Ok(()));
                    }
                    if let Poll::Ready(result) = serving.as_mut().poll_serving(cx) {
                        return Poll::Ready(result);
                    }
                    self.alarm.reset(now + self.patience);
                }
                Some(due) => self.alarm.reset(due),
                None => self.alarm.reset(now + self.patience),
            }
        }
        Poll::Pending
    }
}
