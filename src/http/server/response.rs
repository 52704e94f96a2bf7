//! The body of a response on its way to hyper: paced content, and the record of what became of it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode, Uri, Version};
use http_body::{Body, Frame, SizeHint};

use super::connection::Connection;
use super::streams::StreamWatch;
use crate::body::{BodyError, PacedBody, Waits};
use crate::clock::Instant;
use crate::excerpt::excerpt;
use crate::http::content::Content;
use crate::limit::{Limit, Rate, RateOrOff};
use crate::telemetry::{Ended, Outcome};

/// One request and its answer, from the request's head to the last byte or the abort.
///
/// Dropping it ends the exchange: the connection counts one less in flight, and the access log gets
/// its line.
pub(super) struct Exchange {
    connection: Arc<Connection>,
    began: Instant,
    request: RequestLine,
    route: Option<usize>,
    status: Option<StatusCode>,
    /// What the head promises.
    length: Option<u64>,
    limit: Option<Limit>,
    bytes: u64,
    ended: bool,
    /// What the body waited for.
    waits: Waits,
    /// What the connection had waited for, for tokens and for its reader, when the exchange began.
    waited_before: (Duration, Duration),
}

/// What the access log says of a request.
struct RequestLine {
    method: Method,
    target: String,
    version: Version,
}

impl Exchange {
    pub(super) fn begin(connection: Arc<Connection>, request: &http::Request<hyper::body::Incoming>) -> Self {
        connection.exchange_began();
        let logged = connection.server.settings.access_log;
        Self {
            began: connection.server.clock.now(),
            request: RequestLine {
                method: request.method().clone(),
                target: if logged { target(request.uri()) } else { String::new() },
                version: request.version(),
            },
            route: None,
            status: None,
            length: None,
            limit: None,
            bytes: 0,
            ended: false,
            waits: Waits::default(),
            waited_before: waited(&connection),
            connection,
        }
    }

    pub(super) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// Notes the place of the route that answers.
    pub(super) fn routed(&mut self, route: usize) {
        self.route = Some(route);
    }

    /// Notes the head of the answer, and the limit its body is under.
    pub(super) fn answered(&mut self, head: &http::response::Parts, limit: Option<Limit>) {
        self.status = Some(head.status);
        self.length = head
            .headers
            .get(http::header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        self.limit = limit;
    }

    /// Whether the answer has no content, whatever its head and its source say (RFC 9110 section 6.4.1).
    pub(super) fn is_without_content(&self) -> bool {
        let status = self.status.unwrap_or_default();
        self.request.method == Method::HEAD
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
    }

    fn is_multiplexed(&self) -> bool {
        self.request.version >= Version::HTTP_2
    }

    fn outcome(&self) -> Outcome {
        match self.status {
            None => Outcome::Abandoned,
            Some(_) if self.ended || self.length == Some(self.bytes) => Outcome::Complete,
            Some(_) => Outcome::Aborted,
        }
    }

    fn log(&self, ended: &Ended) {
        let connection = &self.connection;
        let lasted = ended.lasted;
        let pace = Rate::new((u128::from(self.bytes) * 1_000_000_000 / lasted.as_nanos().max(1)) as u64);
        let (tokens_before, reader_before) = self.waited_before;
        let (tokens, reader) = waited(connection);
        let held_by = held_by([
            ("pace", self.waits.pace),
            ("source", self.waits.source),
            ("connection_rate", tokens.saturating_sub(tokens_before)),
            ("reader", reader.saturating_sub(reader_before)),
        ]);
        let set = self.limit.as_ref().and_then(Limit::rate);
        log::info!(
            target: "access",
            client:% = connection.ends.peer,
            connection = connection.id,
            method:% = self.request.method,
            target = self.request.target.as_str(),
            version:? = self.request.version,
            status = self.status.map_or(0, |status| status.as_u16()),
            bytes = self.bytes,
            duration_ms = lasted.as_millis() as u64,
            rate_set:% = RateOrOff(set),
            bytes_per_second = pace.map_or(0, Rate::bytes_per_second),
            held_by,
            outcome = ended.outcome.as_str();
            "response"
        );
    }
}

/// How long the connection has waited for tokens and for its reader.
fn waited(connection: &Connection) -> (Duration, Duration) {
    let counts = connection.sink.counts();
    (counts.token_wait(), counts.reader_wait())
}

/// What held a response longest; `nothing` if none did for a millisecond.
fn held_by<const N: usize>(waits: [(&'static str, Duration); N]) -> &'static str {
    let longest = waits.into_iter().max_by_key(|(_, waited)| *waited);
    longest.filter(|(_, waited)| *waited >= Duration::from_millis(1)).map_or("nothing", |(what, _)| what)
}

/// What was asked for, as the access log shows it: the same over HTTP/2, whose requests name scheme and
/// authority too. A long one is cut, so that a client cannot fill the log.
fn target(uri: &Uri) -> String {
    const MOST: usize = 2048;
    match uri.path_and_query() {
        Some(target) => excerpt(target.as_str(), MOST),
        // CONNECT has an authority alone.
        None => excerpt(&uri.to_string(), MOST),
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let server = &self.connection.server;
        let ended = Ended {
            route: self.route,
            status: self.status,
            bytes: self.bytes,
            lasted: server.clock.now() - self.began,
            outcome: self.outcome(),
        };
        server.telemetry.response_ended(&ended);
        if server.settings.access_log {
            self.log(&ended);
        }
        self.connection.exchange_ended();
    }
}

/// What hyper pulls a response's bytes from.
pub(super) struct ResponseBody {
    /// `None` if the answer has no bytes.
    content: Option<PacedBody<Content>>,
    exchange: Exchange,
    failure: Failure,
    /// Over HTTP/2, what watches over this stream's client.
    watch: Option<Arc<StreamWatch>>,
}

/// A failed body tells hyper only when the bytes before the failure went on, or they would be lost
/// with the connection or the stream.
enum Failure {
    None,
    /// The error, kept until the sink was flushed.
    Flushing(BodyError, Flushes),
    Told,
}

/// Flushes that are waited for.
struct Flushes {
    /// How many the sink had seen when the wait began.
    seen: u64,
    /// How many more waits follow this one.
    more: u8,
}

impl ResponseBody {
    pub(super) fn new(content: Option<PacedBody<Content>>, mut exchange: Exchange) -> Self {
        exchange.ended = content.is_none();
        let watch = content.as_ref().and_then(|_| StreamWatch::current());
        if content.is_some() && !exchange.is_multiplexed() {
            exchange.connection.sink.expect_more(true);
        }
        Self { content, exchange, failure: Failure::None, watch }
    }

    fn failed(&mut self, error: BodyError) {
        let connection = &self.exchange.connection;
        log::warn!(
            connection = connection.id, client:% = connection.ends.peer, bytes = self.exchange.bytes, error:%;
            "response aborted: its content could not be given to the end"
        );
        // Over HTTP/2 the connection's task writes what this stream gave, and may be in the middle of a
        // flush that began before; the second one is behind all of it. What a client's shut window holds
        // back is lost with the stream.
        let more = if self.exchange.is_multiplexed() { 1 } else { 0 };
        self.failure = Failure::Flushing(error, Flushes { seen: connection.sink.flushes(), more });
        if !self.exchange.is_multiplexed() {
            // The reset will be the connection's: it must not overtake what the kernel holds.
            connection.sink.send_before_flushed();
        }
    }

    /// Waits for flushes; then the error.
    fn poll_failure(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let sink = &self.exchange.connection.sink;
        let Failure::Flushing(_, flushes) = &mut self.failure else { return Poll::Ready(None) };
        ready!(sink.poll_flushed(cx, flushes.seen));
        if flushes.more > 0 {
            *flushes = Flushes { seen: sink.flushes(), more: flushes.more - 1 };
            return Poll::Ready(Some(Ok(nudge())));
        }
        match std::mem::replace(&mut self.failure, Failure::Told) {
            Failure::Flushing(error, _) => {
                // Over HTTP/1 the reset is the connection's; over HTTP/2 hyper resets the stream alone.
                if !self.exchange.is_multiplexed() {
                    sink.abort();
                }
                Poll::Ready(Some(Err(error)))
            }
            Failure::None | Failure::Told => Poll::Ready(None),
        }
    }
}

/// A frame without bytes. A connection of HTTP/2 that has nothing to write is not flushed; this makes it.
fn nudge() -> Frame<Bytes> {
    Frame::data(Bytes::new())
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        // Who was told that the last bytes are the last does not ask for more.
        self.exchange.ended |= self.is_end_stream();
        if let Some(content) = &self.content {
            if !self.exchange.is_multiplexed() {
                let sink = &self.exchange.connection.sink;
                sink.expect_more(false);
                if self.exchange.outcome() != Outcome::Complete {
                    sink.abort();
                }
            }
            // The exchange tells of it in the log.
            self.exchange.waits = content.waits();
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if let Some(watch) = &this.watch {
            watch.asked_for();
        }
        if !matches!(this.failure, Failure::None) {
            return this.poll_failure(cx);
        }
        let Some(content) = &mut this.content else { return Poll::Ready(None) };
        match ready!(Pin::new(content).poll_frame(cx)) {
            Some(Ok(frame)) => {
                if let Some(watch) = &this.watch {
                    watch.handed_over(this.exchange.connection.server.clock.now());
                }
                this.exchange.bytes += frame.data_ref().map_or(0, |bytes| bytes.len() as u64);
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                this.failed(error);
                if this.exchange.is_multiplexed() {
                    return Poll::Ready(Some(Ok(nudge())));
                }
                this.poll_failure(cx)
            }
            None => {
                this.exchange.ended = true;
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.failure, Failure::None) && self.content.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            None => SizeHint::with_exact(0),
            // The head says what there is to say.
            Some(_) => SizeHint::default(),
        }
    }
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
            assert_eq!(target(&uri.parse().unwrap()), expected);
        }
    }
}
