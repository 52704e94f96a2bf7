//! The upstreams of a route: which of them a request goes to, and to which next if one cannot answer it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::header::HOST;
use http::{HeaderValue, response};

use super::connection::Connection;
use super::connector::Connector;
use super::failure::Failure;
use super::idle_pool::IdlePool;
use super::request::Outgoing;
use super::request_body::TrackedBody;
use super::round_trip::HeadOptions;
use super::settings::ProxySource;
use super::upload::{Pump, Upload};
use super::upstream::{Lease, Upstream};
use super::url::UpstreamUrl;
use crate::clock::Clock;
use crate::http::log_bound::LogBound;
use crate::http::source::Client;
use crate::limit::Buffers;
use crate::proxy_protocol::ProxyVersion;
use crate::tls::{ClientTls, ClientTlsSettings};

/// The upstreams of a route; at least one.
pub(super) struct Upstreams {
    all: Vec<Arc<Upstream>>,
    /// Whose turn it is among those with equally few requests.
    turn: AtomicUsize,
    /// TLS to those whose URL is `https`, and what comes before it.
    tls: (Box<ClientTlsSettings>, Option<ProxyVersion>),
    clock: Arc<dyn Clock>,
}

/// Those that a request was sent to, as bits.
#[derive(Clone, Copy, Default)]
struct Tried(u64);

/// A response whose head was read.
pub(super) struct Answer {
    pub(super) head: response::Parts,
    pub(super) connection: Connection,
    /// The rest of the request's body, if it is still being sent.
    pub(super) upload: Option<Pump>,
    pub(super) lease: Lease,
}

impl Upstreams {
    /// The upstreams of `source`, whose connections have `buffers`. `tls` is for those that speak TLS. Timeouts run on
    /// `clock`.
    pub(super) fn new(
        source: &ProxySource,
        tls: Option<&ClientTls>,
        buffers: Buffers,
        clock: &Arc<dyn Clock>,
    ) -> Self {
        let log = LogBound::new(Arc::clone(clock));
        let urls: Vec<_> = source.upstreams().collect();
        let new = |url: &UpstreamUrl| {
            let timeout = source.idle_connection_timeout;
            // What began with a client's address is for no other client.
            let idle = if source.send_proxy.is_some() { 0 } else { source.idle_connections };
            Arc::new(Upstream {
                name: url.to_string().into(),
                host: HeaderValue::from_str(url.authority().as_str()).ok(),
                connector: Connector::new(url, source, tls, buffers, Arc::clone(clock)),
                idle: IdlePool::new(idle, timeout, Arc::clone(clock)),
                is_alone: urls.len() == 1,
                state: Arc::default(),
                log: Arc::clone(&log),
                clock: Arc::clone(clock),
                url: url.clone(),
            })
        };
        let all = urls.iter().copied().map(new).collect();
        let tls = (source.tls.clone(), source.send_proxy);
        Self { all, turn: AtomicUsize::new(0), tls, clock: Arc::clone(clock) }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Upstream> {
        self.all.iter().map(|upstream| &**upstream)
    }

    /// Adopts the health and the counters of upstreams of the same URL in `old`. Called before the first request. Those
    /// that speak TLS are tried at once if its settings or the header before it are others: a wrong one may have been why
    /// they were left out.
    pub(super) fn adopt(&mut self, old: &Self) {
        let is_same_tls = self.tls == old.tls;
        for upstream in &mut self.all {
            let same = old.iter().find(|old| old.url == upstream.url);
            if let (Some(old), Some(upstream)) = (same, Arc::get_mut(upstream)) {
                upstream.state = Arc::clone(&old.state);
                if upstream.url.is_tls() && !is_same_tls {
                    upstream.state.health.recovered();
                }
            }
        }
    }

    /// Sends a request and waits for the response's head.
    ///
    /// If an upstream cannot be connected to, or breaks the connection before the first byte of a response, the request
    /// goes to the next if it can: if nothing of it was written, or if its method is idempotent (RFC 9110 §9.2.2) and
    /// nothing of its body was taken. Each upstream gets it at most once, and on an idle connection that was just closed
    /// once more. A failure comes with the name of its upstream.
    ///
    /// Cancel safe: dropping the future closes the connection.
    pub(super) async fn send(
        &self,
        outgoing: &mut Outgoing,
        body: Option<TrackedBody>,
        options: &HeadOptions<'_>,
        client: &Client,
    ) -> Result<Answer, (Failure, Arc<str>)> {
        let mut tried = Tried::default();
        let mut index = self.next(&mut tried).unwrap_or_default();
        self.address(index, outgoing);
        let mut upload = Upload::new(&outgoing.head, body);
        let is_idempotent = outgoing.head.method.is_idempotent();
        loop {
            let lease = Lease::new(&self.all[index]);
            let failure = match lease.send(&mut upload, is_idempotent, options, client).await {
                Ok((head, mut connection)) => {
                    let rest = !upload.is_over();
                    let upload = rest.then(|| Pump::start(upload, connection.link().twin()));
                    return Ok(Answer { head, connection, upload, lease });
                }
                Err(failure) => failure,
            };
            let moves = match &failure {
                Failure::Connect(_) | Failure::Unsent(_) => true,
                Failure::Handshake(_) => !upload.has_begun() || upload.try_restart(),
                Failure::Unanswered(_) => is_idempotent && upload.try_restart(),
                _ => false,
            };
            let upstream = lease.upstream();
            let Some(next) = moves.then(|| self.next(&mut tried)).flatten() else {
                return Err((failure, Arc::clone(&upstream.name)));
            };
            upstream.state.note_retry();
            log::debug!(upstream = &*upstream.name, error:% = failure; "retrying on another upstream");
            index = next;
            if self.address(index, outgoing) {
                upload.set_head(&outgoing.head);
            }
        }
    }

    /// Sets the `Host` of the upstream, if that is the one to send. Returns whether it changed.
    fn address(&self, index: usize, outgoing: &mut Outgoing) -> bool {
        let fields = &mut outgoing.head.headers;
        match &self.all[index].host {
            Some(host) if outgoing.has_own_host && fields.get(HOST) != Some(host) => {
                fields.insert(HOST, host.clone());
                true
            }
            _ => false,
        }
    }

    /// Chooses an upstream that was not tried, and notes it: one whose outage is over, so that it comes back; else the
    /// one with the fewest requests; else, if all are left out, the one that is due soonest.
    fn next(&self, tried: &mut Tried) -> Option<usize> {
        let index = match self.all[..] {
            [_] => (tried.0 == 0).then_some(0),
            _ => self.choose(*tried),
        }?;
        tried.0 |= 1 << index;
        Some(index)
    }

    fn choose(&self, tried: Tried) -> Option<usize> {
        let (count, now) = (self.all.len(), self.clock.now());
        let first = match tried.0 {
            0 => self.turn.fetch_add(1, Ordering::Relaxed),
            _ => self.turn.load(Ordering::Relaxed),
        } % count;
        let untried = || (first..first + count).map(|at| at % count).filter(|at| tried.0 & (1 << at) == 0);
        let health = |at: usize| &self.all[at].state.health;
        if let Some(due) = untried().find(|at| health(*at).try_claim(now)) {
            return Some(due);
        }
        let inside = untried().filter(|at| health(*at).out_until().is_none());
        // Of equals the first.
        inside
            .min_by_key(|at| self.all[*at].state.active())
            .or_else(|| untried().min_by_key(|at| health(*at).out_until()))
    }
}

#[cfg(test)]
#[path = "upstreams_tests.rs"]
mod tests;
