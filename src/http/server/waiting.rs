//! Waiting for what is told to all at once.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Poll, Waker};

use event_listener::Event;

/// Waits until `holds`, which is looked at again with each `event`.
pub(super) async fn wait_until(event: &Event, holds: impl Fn() -> bool) {
    loop {
        if holds() {
            return;
        }
        let listener = event.listen();
        // It may have come to hold before we listened.
        if holds() {
            return;
        }
        listener.await;
    }
}

/// The same where nobody was told of an `event` yet while it `is_quiet`: polled again by the same task this
/// takes no lock then, which all who wait would share.
pub(super) async fn wait_quietly(event: &Event, is_quiet: impl Fn() -> bool, holds: impl Fn() -> bool) {
    let mut waiting = pin!(wait_until(event, holds));
    let mut known: Option<Waker> = None;
    poll_fn(|cx| {
        let is_known = known.as_ref().is_some_and(|known| known.will_wake(cx.waker()));
        if is_known && is_quiet() {
            return Poll::Pending;
        }
        if !is_known {
            known = Some(cx.waker().clone());
        }
        waiting.as_mut().poll(cx)
    })
    .await
}
