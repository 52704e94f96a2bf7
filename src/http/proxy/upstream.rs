//! One upstream of a route: its idle connections, its health and its counters.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::HeaderValue;
use http::response::Parts;

use super::connection::Connection;
use super::connector::Connector;
use super::failure::Failure;
use super::health::Health;
use super::idle_pool::IdlePool;
use super::round_trip::{HeadOptions, round_trip};
use super::upload::Upload;
use super::url::UpstreamUrl;
use crate::clock::{Clock, Instant};
use crate::http::log_bound::LogBound;
use crate::http::source::Client;
use crate::sync::Mutex;
use crate::tls::is_certificate_refused;

/// Time after which connecting that nobody waits for any more counts as a failure. A client that leaves sooner must not
/// have a healthy upstream left out.
const SLOW: Duration = Duration::from_secs(1);

/// One upstream of a route.
pub(super) struct Upstream {
    pub(super) url: UpstreamUrl,
    /// The URL, for log lines and metrics.
    pub(super) name: Arc<str>,
    /// The `Host` it is sent, unless the route has another.
    pub(super) host: Option<HeaderValue>,
    pub(super) connector: Connector,
    pub(super) idle: Arc<IdlePool>,
    /// Whether it has no others beside it, and so is never left out.
    pub(super) is_alone: bool,
    /// Shared with the upstream of the same URL after a reload.
    pub(super) state: Arc<State>,
    /// Bounds the route's log lines about health.
    pub(super) log: Arc<LogBound>,
    pub(super) clock: Arc<dyn Clock>,
}

/// What is known of an upstream by its requests.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) health: Health,
    started: AtomicU64,
    ended: AtomicU64,
    failed_connects: AtomicU64,
    retried: AtomicU64,
    /// Why the last connection failed.
    last_error: Mutex<Option<String>>,
}

/// An upstream of a route, as metrics and the admin API show it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UpstreamStatus {
    /// Its URL.
    pub name: Arc<str>,
    /// Whether the last connection to it failed. One of several is left out then.
    pub is_out: bool,
    /// Time until it is tried again, if it is left out.
    pub out_for: Option<Duration>,
    /// Requests under way, until the response's last byte was read.
    pub active: u64,
    /// Idle connections.
    pub idle: usize,
    /// Requests so far, those under way included.
    pub requests: u64,
    /// Connections that failed before a request could be sent.
    pub failed_connects: u64,
    /// Requests that went on to another upstream.
    pub retries: u64,
    /// Why the last connection that failed did.
    pub last_error: Option<String>,
}

impl State {
    /// Requests under way.
    pub(super) fn active(&self) -> u64 {
        // What ends in between is still under way.
        let ended = self.ended.load(Ordering::Relaxed);
        self.started.load(Ordering::Relaxed).saturating_sub(ended)
    }

    /// Notes that a request goes on to another upstream.
    pub(super) fn note_retry(&self) {
        self.retried.fetch_add(1, Ordering::Relaxed);
    }
}

impl Upstream {
    pub(super) fn status(&self) -> UpstreamStatus {
        let state = &self.state;
        let out_until = state.health.out_until();
        let now = self.clock.now();
        UpstreamStatus {
            name: Arc::clone(&self.name),
            is_out: out_until.is_some(),
            out_for: out_until.filter(|_| !self.is_alone).map(|until| until - now),
            active: state.active(),
            idle: self.idle.len(),
            requests: state.started.load(Ordering::Relaxed),
            failed_connects: state.failed_connects.load(Ordering::Relaxed),
            retries: state.retried.load(Ordering::Relaxed),
            last_error: state.last_error.lock().clone(),
        }
    }

    /// Opens a connection for a request of `client`, and notes how that went; over TLS a success is noted later, see
    /// [`Lease::send`].
    ///
    /// Cancel safe: dropping the future closes the connection; if it took long, that is noted as a failure.
    async fn open(&self, client: &Client) -> Result<Connection, Failure> {
        let attempt = Attempt { upstream: self, began: self.clock.now() };
        let opened = self.connector.open(client).await;
        std::mem::forget(attempt);
        match &opened {
            Ok(_) if self.url.is_tls() => {}
            Ok(_) => self.note_reached(),
            Err(failure) => self.note_failed(failure),
        }
        opened
    }

    fn note_reached(&self) {
        if self.state.health.recovered() && !self.is_alone && self.may_log() {
            log::info!(upstream = &*self.name; "upstream is back");
        }
    }

    fn note_failed(&self, failure: &Failure) {
        self.state.failed_connects.fetch_add(1, Ordering::Relaxed);
        *self.state.last_error.lock() = Some(failure.to_string());
        let outage = self.state.health.failed(self.clock.now());
        if let Some(outage) = outage.filter(|_| !self.is_alone)
            && self.may_log()
        {
            let seconds = outage.as_secs();
            log::warn!(upstream = &*self.name, error:% = failure, seconds; "upstream left out");
        }
    }

    pub(super) fn may_log(&self) -> bool {
        let upstream = Arc::clone(&self.name);
        self.log.admits(
            move |left_out| log::warn!(upstream = &*upstream, left_out; "further changes of upstream health"),
        )
    }
}

/// A connection that is being opened. Dropped when nobody waits for it any more.
struct Attempt<'a> {
    upstream: &'a Upstream,
    began: Instant,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let now = self.upstream.clock.now();
        if now < self.began + SLOW {
            self.upstream.state.health.abandoned(now);
            return;
        }
        let text = "the request ended before a connection was open";
        self.upstream.note_failed(&Failure::Connect(io::Error::new(io::ErrorKind::TimedOut, text)));
    }
}

/// An upstream's part in one exchange, from the choice of the upstream to the end of its response.
pub(super) struct Lease {
    upstream: Arc<Upstream>,
    /// Whether the connection goes back to the pool.
    keeps: bool,
}

impl Lease {
    pub(super) fn new(upstream: &Arc<Upstream>) -> Self {
        upstream.state.started.fetch_add(1, Ordering::Relaxed);
        Self { upstream: Arc::clone(upstream), keeps: false }
    }

    pub(super) fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// Has a connection that is given back wait for the next request if `keeps`. Default: it is closed.
    pub(super) fn keep(self, keeps: bool) -> Self {
        let mut lease = self;
        lease.keeps = keeps;
        lease
    }

    /// Ends the exchange; the whole response was read from `connection`.
    pub(super) fn give_back(self, connection: Connection) {
        if self.keeps {
            self.upstream.idle.put(connection);
        }
    }

    /// Sends a request on an idle connection or on a new one, and waits for the response's head.
    ///
    /// A request of which no byte was written moves on to another connection. One that got no byte of a response on an
    /// idle connection is sent once more, on a new connection, if `is_idempotent` and nothing of its body was taken
    /// (RFC 9110 §9.2.2): the upstream may just have closed the idle one.
    ///
    /// In TLS 1.3 an upstream looks at the client's certificate when the client's handshake is over (RFC 8446 §4.4.2.4):
    /// its refusal is a failed handshake too, and the upstream counts as reached only once an exchange got further. The
    /// request was not looked at then, but may be partly written.
    ///
    /// Connecting has a timeout of its own; that of the response begins when a connection is open.
    ///
    /// Cancel safe: dropping the future closes the connection.
    pub(super) async fn send(
        &self,
        upload: &mut Upload,
        is_idempotent: bool,
        options: &HeadOptions<'_>,
        client: &Client,
    ) -> Result<(Parts, Connection), Failure> {
        while let Some(connection) = self.upstream.idle.take() {
            match options.in_time(round_trip(connection, upload, options)).await {
                Ok(answered) => {
                    self.upstream.note_reached();
                    return Ok(answered);
                }
                Err(Failure::Unsent(_)) => {}
                Err(error @ Failure::Unanswered(_)) if is_idempotent && upload.try_restart() => {
                    log::debug!(error:% = error; "upstream closed an idle connection; retrying on a new one");
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        // Boxed: most requests find an idle connection, and are smaller without this.
        let connection = Box::pin(self.upstream.open(client)).await?;
        let answered = options.in_time(round_trip(connection, upload, options)).await;
        if !self.upstream.url.is_tls() {
            return answered;
        }
        match answered {
            Err(Failure::Unanswered(error)) if is_certificate_refused(&error) => {
                let failure = Failure::Handshake(error);
                self.upstream.note_failed(&failure);
                return Err(failure);
            }
            // A reset can overtake the refusal.
            Err(Failure::Unanswered(_)) => {}
            _ => self.upstream.note_reached(),
        }
        answered
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.upstream.state.ended.fetch_add(1, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Lease").field(&self.upstream.name).finish()
    }
}
