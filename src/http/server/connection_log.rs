//! What the log says of a connection when the last that worked for it has gone.

use std::sync::atomic::Ordering;

use super::connection::Connection;
use crate::sink::GivenUp;

impl Connection {
    /// Tells of a reader that was given up, as far as the log takes such lines, and at level debug of
    /// every connection.
    pub(super) fn tell_end(&self) {
        if let Some(why) = self.sink.given_up() {
            self.tell_given_up(why);
        }
        let counts = self.sink.counts();
        let now = self.server.clock.now();
        log::debug!(
            connection = self.id,
            client:% = self.client_addr(),
            peer:% = self.ends.peer,
            requests = self.requests.load(Ordering::Relaxed),
            bytes_read = counts.bytes_read(),
            bytes_written = counts.bytes_written(),
            bytes_dropped = counts.bytes_dropped(),
            overflow_closes = counts.overflow_closes(),
            stall_closes = counts.stall_closes(),
            would_block = counts.would_block(),
            buffer_high_water = counts.high_water(),
            token_wait_ms = self.sink.token_wait(now).as_millis() as u64,
            reader_wait_ms = self.sink.reader_wait(now).as_millis() as u64,
            age_ms = (now - self.began).as_millis() as u64;
            "connection ended"
        );
    }

    /// Says that the reader was given up and what it lost.
    fn tell_given_up(&self, why: GivenUp) {
        let counts = self.sink.counts();
        self.server.dropped(self.client_addr().ip(), counts.bytes_dropped());
        if self.server.drops.may_tell() {
            log::warn!(
                fd = self.ends.fd,
                connection = self.id,
                client:% = self.client_addr(),
                peer:% = self.ends.peer,
                route = self.server.telemetry.path(self.last_route.load(Ordering::Relaxed)).as_str(),
                bytes_written = counts.bytes_written(),
                bytes_dropped = counts.bytes_dropped(),
                buffered = self.sink.buffered_at_end(),
                age_ms = (self.server.clock.now() - self.began).as_millis() as u64;
                "{why}: connection reset"
            );
        }
    }
}
