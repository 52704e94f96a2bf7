//! One transfer as others may look at it while it runs: a request, and its answer's body with what it waits
//! for.
//!
//! The body stands behind a lock that only its own task takes, but for who asks what holds it. So nothing
//! need be written down for each chunk, and what is told is true at that moment.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode, Uri, Version};
use http_body::{Body, Frame};

use super::clients::Asker;
use super::connection::Connection;
use super::h2::StreamWatch;
use super::report::TransferReport;
use crate::body::{BodyError, PacedBody};
use crate::budget::{Held, HeldBy};
use crate::clock::Instant;
use crate::excerpt::excerpt;
use crate::http::content::Content;
use crate::limit::Limit;
use crate::rt::FileReader;
use crate::sink::{Charge, HeldAs};
use crate::telemetry::Recent;

/// Characters of a target that are kept when no access log wants more.
const MAX_TARGET: usize = 256;

/// How often who looks on tries to, a task's turn with its body being short.
const MAX_TRIES: u32 = 10_000;

/// How long a stream of HTTP/2 may be busy with what it was given before its client is what holds it.
const WINDOW_PATIENCE: Duration = Duration::from_millis(1);

pub(super) struct Transfer {
    pub(super) method: Method,
    /// What the access log shows of the request's target.
    pub(super) target: String,
    pub(super) version: Version,
    /// The access log tells of it.
    pub(super) logged: bool,
    pub(super) asker: Asker,
    pub(super) began: Instant,
    flow: Mutex<Flow>,
}

/// What changes while it runs.
pub(super) struct Flow {
    /// The number of the route that answers.
    pub(super) route: Option<usize>,
    /// `None` until there is an answer.
    pub(super) status: Option<StatusCode>,
    /// What the head promises.
    pub(super) length: Option<u64>,
    /// What its pace is read from.
    pub(super) limit: Option<Limit>,
    /// That is the route's, and no other filter waits.
    pub(super) under_route: bool,
    /// Bytes of content handed on.
    pub(super) bytes: u64,
    /// Of these, how many the route has counted.
    pub(super) counted: u64,
    recent: Recent,
    body: Option<PacedBody<Content, FileReader>>,
    /// What is charged for the content in the body, and for the state of its filters.
    held: Option<[Charge; 2]>,
    /// Over HTTP/2, how long the stream waits for its client.
    watch: Option<Arc<StreamWatch>>,
}

impl Transfer {
    pub(super) fn new<B>(request: &http::Request<B>, asker: Asker, logged: bool, began: Instant) -> Self {
        let most = if logged { 2048 } else { MAX_TARGET };
        Self {
            method: request.method().clone(),
            target: target(request.uri(), most),
            version: request.version(),
            logged,
            asker,
            began,
            flow: Mutex::new(Flow {
                route: None,
                status: None,
                length: None,
                limit: None,
                under_route: false,
                bytes: 0,
                counted: 0,
                recent: Recent::since(began),
                body: None,
                held: None,
                watch: None,
            }),
        }
    }

    /// The tunnel that an exchange became. It outlives it.
    pub(super) fn tunnel(exchange: &Self, now: Instant) -> Self {
        let flow = exchange.flow();
        Self {
            method: exchange.method.clone(),
            target: exchange.target.clone(),
            version: exchange.version,
            logged: exchange.logged,
            asker: exchange.asker.clone(),
            began: exchange.began,
            flow: Mutex::new(Flow {
                route: flow.route,
                status: flow.status,
                length: None,
                limit: flow.limit.clone(),
                under_route: flow.under_route,
                bytes: 0,
                counted: 0,
                recent: Recent::since(now),
                body: None,
                held: None,
                watch: None,
            }),
        }
    }

    /// What is known of it. Its task waits meanwhile.
    pub(super) fn flow(&self) -> MutexGuard<'_, Flow> {
        self.flow.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same for who looks on. `None` if its task does not let go of it: then it may be the body itself
    /// that asks, and must not wait for itself.
    fn flow_soon(&self) -> Option<MutexGuard<'_, Flow>> {
        for _ in 0..MAX_TRIES {
            match self.flow.try_lock() {
                Ok(flow) => return Some(flow),
                Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => std::thread::yield_now(),
            }
        }
        None
    }

    /// The bytes of content that the route has not counted yet, with its number. `None` if its task is busy with
    /// it, if there are none, or if it is a tunnel's: those are no content.
    pub(super) fn take_uncounted(&self) -> Option<(Option<usize>, u64)> {
        let mut flow = self.flow.try_lock().ok()?;
        if flow.status == Some(StatusCode::SWITCHING_PROTOCOLS) {
            return None;
        }
        let bytes = flow.bytes - flow.counted;
        flow.counted = flow.bytes;
        (bytes > 0).then_some((flow.route, bytes))
    }

    pub(super) fn is_multiplexed(&self) -> bool {
        self.version >= Version::HTTP_2
    }

    /// Puts the body in place that is given on from now on.
    pub(super) fn begin(&self, body: PacedBody<Content, FileReader>) {
        self.flow().body = Some(body);
    }

    /// Charges `connection` for an answer that was made whole, until its body is asked for the first time.
    pub(super) fn charge_whole(&self, bytes: u64, connection: &Connection) {
        self.flow().charge([bytes, 0], connection);
    }

    /// Notes what watches over the client of a stream of HTTP/2.
    pub(super) fn watched_by(&self, watch: Arc<StreamWatch>) {
        self.flow().watch = Some(watch);
    }

    /// Takes the body out; nothing more is given on.
    pub(super) fn end(&self) -> Option<PacedBody<Content, FileReader>> {
        let mut flow = self.flow();
        flow.held = None;
        flow.body.take()
    }

    /// The next frame of the body, and its bytes counted. `Ready(None)` without a body.
    pub(super) fn poll_frame(
        &self,
        cx: &mut Context<'_>,
        connection: &Connection,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut flow = self.flow();
        let frame = ready!(flow.poll_frame(cx, connection));
        if let Some(Ok(frame)) = &frame {
            flow.handed_on(frame.data_ref().map_or(0, |data| data.len() as u64), connection);
        }
        Poll::Ready(frame)
    }

    /// The next frame of the body, of at most `most` bytes, which are not counted yet. `Ready(None)` without a body.
    pub(super) fn poll_chunk(
        &self,
        cx: &mut Context<'_>,
        connection: &Connection,
        most: u64,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut flow = self.flow();
        if let Some(body) = &mut flow.body {
            body.set_max_frame(most);
        }
        flow.poll_frame(cx, connection)
    }

    /// Counts bytes of a chunk that were handed on.
    pub(super) fn handed_on(&self, bytes: u64, connection: &Connection) {
        self.flow().handed_on(bytes, connection);
    }

    /// Whether the body has nothing more to give.
    pub(super) fn is_end_stream(&self) -> bool {
        self.flow().body.as_ref().is_none_or(Body::is_end_stream)
    }

    /// What is to be told of it now.
    pub(super) fn report(&self, connection: &Connection, number: u64) -> TransferReport {
        let now = connection.now();
        let Some(flow) = self.flow_soon() else { return self.busy(number, now) };
        let age = now - self.began;
        TransferReport {
            route: flow.route.map(|route| connection.server.telemetry.path(route)),
            status: flow.status,
            is_tunnel: flow.status == Some(StatusCode::SWITCHING_PROTOCOLS),
            bytes: flow.bytes,
            length: flow.length,
            pace: flow.limit.as_ref().and_then(Limit::rate),
            pace_is_routes: flow.under_route,
            bytes_per_second: flow.recent.bytes_per_second(now),
            mean_bytes_per_second: per_second(flow.bytes, age),
            held: self.held(&flow, connection, now),
            ..self.busy(number, now)
        }
    }

    /// What can be told while its task works on it: it waits for nothing.
    fn busy(&self, number: u64, now: Instant) -> TransferReport {
        TransferReport {
            at: now,
            number,
            method: self.method.clone(),
            target: excerpt(&self.target, MAX_TARGET),
            client: self.asker.key.clone(),
            route: None,
            status: None,
            is_tunnel: false,
            age: now - self.began,
            bytes: 0,
            length: None,
            pace: None,
            pace_is_routes: false,
            bytes_per_second: 0,
            mean_bytes_per_second: 0,
            held: None,
        }
    }

    /// What holds it. Bytes that are on their way already come first; but over HTTP/2 those may be another
    /// stream's.
    fn held(&self, flow: &Flow, connection: &Connection, now: Instant) -> Option<Held> {
        if flow.status.is_none() {
            return Some(Held::by(HeldBy::Source));
        }
        let body = || flow.body.as_ref().and_then(PacedBody::held);
        let socket = || connection.sink.held();
        if !self.is_multiplexed() {
            return socket().or_else(body);
        }
        let window = || {
            let since = flow.watch.as_ref()?.waiting_since()?;
            (now - since >= WINDOW_PATIENCE).then(|| Held::by(HeldBy::Reader))
        };
        body().or_else(socket).or_else(window)
    }
}

impl Flow {
    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
        connection: &Connection,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = Pin::new(&mut *body).poll_frame(cx);
        let held = [body.bytes_held(), body.filters_held()];
        self.charge(held, connection);
        frame
    }

    /// Charges `connection` for content in the body, and for the state of its filters.
    fn charge(&mut self, held: [u64; 2], connection: &Connection) {
        if self.held.is_some() || held != [0; 2] {
            let charges = self.held.get_or_insert_with(|| {
                [HeldAs::Content, HeldAs::Filter].map(|held| Charge::new(&connection.sink, held))
            });
            charges.iter_mut().zip(held).for_each(|(charge, bytes)| charge.set(bytes));
        }
    }

    fn handed_on(&mut self, bytes: u64, connection: &Connection) {
        self.bytes += bytes;
        self.recent.add(bytes, connection.now());
        connection.handed_over(bytes);
    }
}

/// What was asked for, as the access log shows it: the same over HTTP/2, whose requests name scheme and
/// authority too. A long one is cut, so that a client cannot fill the log.
fn target(uri: &Uri, most: usize) -> String {
    match uri.path_and_query() {
        Some(target) => excerpt(target.as_str(), most),
        // CONNECT has an authority alone.
        None => excerpt(&uri.to_string(), most),
    }
}

fn per_second(bytes: u64, lasted: Duration) -> u64 {
    let rate = u128::from(bytes) * 1_000_000_000 / lasted.as_nanos().max(1);
    u64::try_from(rate).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_shows_the_target_alone_and_not_without_end() {
        let long = |len: usize| format!("/{}", "x".repeat(len - 1));
        for (uri, expected) in [
            ("/a?b=c".to_owned(), "/a?b=c".to_owned()),
            ("http://host:1/a?b=c".to_owned(), "/a?b=c".to_owned()),
            ("http://host".to_owned(), "/".to_owned()),
            ("*".to_owned(), "*".to_owned()),
            ("host:443".to_owned(), "host:443".to_owned()),
            (long(2048), long(2048)),
            (long(2049), format!("{}…", long(2048))),
        ] {
            assert_eq!(target(&uri.parse().unwrap(), 2048), expected);
        }
    }
}
