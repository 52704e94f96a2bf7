//! Log lines of a connection: how its exchanges failed, and how it ended.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::Shared;
use super::account::NOTHING;
use super::connection::Connection;
use crate::body::BodyError;
use crate::clock::Clock;
use crate::duration;
use crate::http::log_bound::LogBound;
use crate::http::peer::{ClientAddr, PeerAddr};
use crate::limit::RateOrOff;
use crate::logging::{AccessLine, Subject};
use crate::proxy_protocol::{HeaderFailure, HeaderReason};
use crate::sink::GivenUp;
use crate::telemetry::Outcome;

/// Bounds of lines that clients and backends can cause at will, except those about slow readers.
pub(super) struct LogBounds {
    aborted: Arc<LogBound>,
    tunnels: Arc<LogBound>,
    cut: Arc<LogBound>,
    headers: Arc<LogBound>,
    #[cfg(feature = "tls")]
    handshakes: Arc<LogBound>,
}

impl LogBounds {
    pub(super) fn new(clock: &Arc<dyn Clock>) -> Self {
        let bound = || LogBound::new(Arc::clone(clock));
        Self {
            aborted: bound(),
            tunnels: bound(),
            cut: bound(),
            headers: bound(),
            #[cfg(feature = "tls")]
            handshakes: bound(),
        }
    }
}

impl Shared {
    /// Counts and logs that a connection had no valid PROXY header. One that was closed without a byte is logged at level
    /// debug: many health checks do that.
    pub(super) fn header_refused(&self, peer: PeerAddr, local: Option<SocketAddr>, failure: HeaderFailure) {
        const WHAT: &str = "connection closed: no valid PROXY header";
        self.headers.note(Some(failure.reason));
        let listener = local.map_or_else(|| "unix".to_owned(), |addr| addr.to_string());
        let (listener, reason) = (listener.as_str(), failure.reason.as_str());
        if failure.reason == HeaderReason::Closed {
            log::debug!(peer:%, listener, reason, error:% = failure; "{WHAT}");
        } else if self.log_bounds.headers.admits(|left_out| log::warn!(left_out; "{WHAT}, more often")) {
            log::warn!(peer:%, listener, reason, error:% = failure; "{WHAT}");
        }
    }
}

impl Connection {
    /// A line of the access log with what the connection knows, for its client.
    pub(super) fn access_line(&self) -> AccessLine<'_> {
        AccessLine {
            time: self.server.clock.calendar(),
            client: &self.ends.client,
            ip: self.ends.client.ip(),
            peer: &self.ends.peer,
            connection: self.id,
            key: None,
            class: None,
            tls: self.tls_version.get().copied(),
            subject: Subject::Stream(""),
            bytes: 0,
            bytes_up: None,
            up_pace: None,
            lasted: Duration::ZERO,
            first_byte: None,
            rule: None,
            rule_up: None,
            rate: RateOrOff(None),
            bytes_per_second: 0,
            held_by: NOTHING,
            outcome: Outcome::Abandoned.as_str(),
        }
    }

    /// Writes a line of the access log.
    pub(super) fn log_access(&self, line: &AccessLine<'_>) {
        self.server.log_access(line);
    }

    /// Logs that the source of a response to `client` failed after `bytes` of its content.
    pub(super) fn log_aborted(&self, client: ClientAddr, bytes: u64, error: &BodyError) {
        const WHAT: &str = "response aborted: its content could not be given to the end";
        if self.server.log_bounds.aborted.admits(|left_out| log::warn!(left_out; "{WHAT}, more often")) {
            log::warn!(connection = self.id, client:%, peer:% = self.ends.peer, bytes, error:%; "{WHAT}");
        }
    }

    /// Logs that a tunnel or TCP relay was closed after `idle` without traffic, which the setting `key` allows.
    pub(super) fn log_idle_tunnel(&self, key: &'static str, idle: Duration) {
        const WHAT: &str = "tunnel cut: no traffic for";
        if self
            .server
            .log_bounds
            .tunnels
            .admits(move |left_out| log::info!(left_out; "{WHAT} {key}, more often"))
        {
            log::info!(
                connection = self.id,
                client:% = self.client_addr(),
                peer:% = self.ends.peer,
                route = self.server.telemetry.path(self.exchanges.last_route()).as_str(),
                timeout = duration::spell(idle).as_str();
                "{WHAT} {key}"
            );
        }
    }

    /// Logs that a TCP stream of the port `route` was cut, and why.
    pub(super) fn log_cut(&self, route: &str, error: &str) {
        const WHAT: &str = "stream cut: its bytes could not be had";
        if self.server.log_bounds.cut.admits(|left_out| log::warn!(left_out; "{WHAT}, more often")) {
            let (client, peer) = (self.ends.client, self.ends.peer);
            log::warn!(connection = self.id, client:%, peer:%, route, error; "{WHAT}");
        }
    }

    /// Logs that the TLS handshake of a listener under `tls` failed.
    #[cfg(feature = "tls")]
    pub(super) fn log_handshake(&self, tls: &str, failure: &crate::tls::Failure) {
        const WHAT: &str = "TLS handshake failed";
        if self.server.log_bounds.handshakes.admits(|left_out| log::info!(left_out; "{WHAT}, more often")) {
            let (client, peer) = (self.ends.client, self.ends.peer);
            let (reason, error) = (failure.reason.as_str(), failure.to_string());
            log::info!(connection = self.id, client:%, peer:%, tls, reason, error = error.as_str(); "{WHAT}");
        }
    }

    /// Logs a slow reader that was given up, within the bound of such lines, and every connection at level debug.
    pub(super) fn log_end(&self) {
        if let Some(why) = self.sink.given_up() {
            self.log_given_up(why);
        }
        let counts = self.sink.counts();
        let now = self.now();
        log::debug!(
            connection = self.id,
            client:% = self.client_addr(),
            peer:% = self.ends.peer,
            requests = self.exchanges.requests(),
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

    /// Logs that the reader was given up, and the bytes it lost.
    fn log_given_up(&self, why: GivenUp) {
        let counts = self.sink.counts();
        self.server.dropped(self.client_addr().ip(), counts.bytes_dropped());
        if self.server.drops.may_log_connection() {
            log::warn!(
                fd = self.ends.fd,
                connection = self.id,
                client:% = self.client_addr(),
                peer:% = self.ends.peer,
                route = self.server.telemetry.path(self.exchanges.last_route()).as_str(),
                bytes_written = counts.bytes_written(),
                bytes_dropped = counts.bytes_dropped(),
                buffered = self.sink.buffered_at_end(),
                age_ms = (self.now() - self.began).as_millis() as u64;
                "{why}: connection reset"
            );
        }
    }
}
