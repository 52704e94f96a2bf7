//! Waits for something that an event tells of.

use event_listener::Event;

/// Waits until `holds`, which is checked again at each `event`. Cancel safe.
pub(crate) async fn wait_until(event: &Event, holds: impl Fn() -> bool) {
    while !holds() {
        let listener = event.listen();
        // It may have come to hold before we listened.
        if holds() {
            return;
        }
        listener.await;
    }
}
