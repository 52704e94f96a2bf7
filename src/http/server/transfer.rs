//! One request and its answer under way, as anyone may read them: what its task publishes, without a lock that the task
//! holds while it works.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::header::{HOST, REFERER, USER_AGENT};
use http::{Method, StatusCode, Version};

use super::account::SinkWaits;
use super::clients::Requester;
use super::published_wait::PublishedWait;
use super::report::{PaceBy, TransferReport};
use super::stream_watch::StreamWatch;
use super::target::{MAX_REPORTED, Target, without_tokens};
use super::upload_record::UploadRecord;
use crate::budget::{Held, HeldBy};
use crate::clock::Instant;
use crate::excerpt::excerpt;
use crate::limit::Limit;
use crate::sink::SinkState;
use crate::telemetry::{Recent, Telemetry};

/// Characters of a field in the access log.
const MAX_LOGGED_FIELD: usize = 1024;

/// How long an HTTP/2 stream may process what it was given before its client counts as what holds it.
const WINDOW_PATIENCE: Duration = Duration::from_millis(1);

pub(super) struct Transfer {
    pub(super) method: Method,
    target: Target,
    pub(super) version: Version,
    /// What only the access log shows, if it gets a line.
    pub(super) logged: Option<Box<LoggedFields>>,
    pub(super) requester: Requester,
    pub(super) began: Instant,
    /// The number of the route that answers.
    route: OnceLock<usize>,
    answer: OnceLock<AnswerHead>,
    /// The request's content, or what the client sends through the tunnel.
    upload: OnceLock<Arc<UploadRecord>>,
    /// The backend that was asked, if the access log gets a line.
    asked: OnceLock<Arc<str>>,
    /// Over HTTP/2, how long the stream waits for its client.
    watch: OnceLock<Arc<StreamWatch>>,
    /// What the connection had waited for when it began: nanoseconds for its rate, and for its reader.
    before: [AtomicU64; 2],
    /// Names of the filters that its content passes beside the route's rate. Behind one pointer, since most have none.
    filters: OnceLock<Arc<Vec<Arc<str>>>>,
    /// Content passed on.
    passed: Recent,
    /// How many bytes of it the route has counted.
    counted: AtomicU64,
    pub(super) wait: PublishedWait,
}

/// What is known of an answer with its head.
#[derive(Clone)]
pub(super) struct AnswerHead {
    pub(super) status: StatusCode,
    /// The length that the head states.
    pub(super) length: Option<u64>,
    /// The limit of its content's pace.
    pub(super) limit: Option<Limit>,
    /// What set that.
    pub(super) by: Option<PaceBy>,
    /// Whether that is the route's, and no other filter waits.
    pub(super) is_under_route: bool,
    /// The rule of the route's pace that set it, if the access log asks.
    pub(super) rule: Option<Arc<str>>,
    /// When it was there, if the access log asks.
    pub(super) at: Instant,
}

/// Fields of a request that only the access log shows; empty where there is none.
#[derive(Clone)]
pub(super) struct LoggedFields {
    pub(super) host: String,
    pub(super) user_agent: String,
    pub(super) referer: String,
}

impl LoggedFields {
    fn of<B>(request: &http::Request<B>) -> Self {
        let field = |name| request.headers().get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
        let text = |name| {
            field(name).map_or_else(String::new, |text| excerpt(&without_tokens(&text), MAX_LOGGED_FIELD))
        };
        let host = request.uri().authority().map(|authority| excerpt(authority.as_str(), MAX_LOGGED_FIELD));
        Self {
            host: host.unwrap_or_else(|| text(HOST)),
            user_agent: text(USER_AGENT),
            referer: text(REFERER),
        }
    }
}

impl Transfer {
    pub(super) fn new<B>(
        request: &http::Request<B>,
        requester: Requester,
        logged: bool,
        began: Instant,
    ) -> Self {
        Self {
            method: request.method().clone(),
            target: Target::new(request.uri(), logged),
            version: request.version(),
            logged: logged.then(|| Box::new(LoggedFields::of(request))),
            requester,
            began,
            route: OnceLock::new(),
            answer: OnceLock::new(),
            upload: OnceLock::new(),
            asked: OnceLock::new(),
            watch: OnceLock::new(),
            before: Default::default(),
            filters: OnceLock::new(),
            passed: Recent::since(began),
            counted: AtomicU64::new(0),
            wait: PublishedWait::default(),
        }
    }

    /// The tunnel that `exchange` became, which outlives it. Counts from `now`.
    pub(super) fn tunnel(exchange: &Self, now: Instant) -> Self {
        // No content: the length that a head states is not the tunnel's.
        let answer = exchange.answer.get().map(|answer| AnswerHead { length: None, ..answer.clone() });
        Self {
            method: exchange.method.clone(),
            target: exchange.target.clone(),
            version: exchange.version,
            logged: exchange.logged.clone(),
            requester: exchange.requester.clone(),
            began: exchange.began,
            route: exchange.route.clone(),
            answer: answer.map_or_else(OnceLock::new, OnceLock::from),
            upload: OnceLock::new(),
            asked: exchange.asked.clone(),
            watch: OnceLock::new(),
            before: exchange.before.each_ref().map(|nanos| nanos.load(Ordering::Relaxed).into()),
            // They are for content, and a tunnel has none.
            filters: OnceLock::new(),
            passed: Recent::since(now),
            counted: AtomicU64::new(0),
            wait: PublishedWait::default(),
        }
    }

    /// The request's target as the access log shows it.
    pub(super) fn target(&self) -> Cow<'_, str> {
        self.target.shown()
    }

    pub(super) fn is_multiplexed(&self) -> bool {
        self.version >= Version::HTTP_2
    }

    /// Publishes the number of the route that answers.
    pub(super) fn routed(&self, route: usize) {
        let _ = self.route.set(route);
    }

    pub(super) fn route(&self) -> Option<usize> {
        self.route.get().copied()
    }

    /// Publishes the head of the answer. The first one stays.
    pub(super) fn answered(&self, answer: AnswerHead) {
        let _ = self.answer.set(answer);
    }

    /// Where a source puts the backend that it asked; `None` if nobody reads that.
    pub(super) fn asked(&self) -> Option<&OnceLock<Arc<str>>> {
        self.logged.is_some().then_some(&self.asked)
    }

    /// The backend that was asked last, for the access log.
    pub(super) fn upstream(&self) -> Option<&str> {
        self.asked.get().map(|name| &**name)
    }

    pub(super) fn answer(&self) -> Option<&AnswerHead> {
        self.answer.get()
    }

    /// Notes what the connection had waited for when this began.
    pub(super) fn began_behind(&self, before: SinkWaits) {
        for (kept, waited) in self.before.iter().zip([before.tokens, before.reader]) {
            kept.store(u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }

    /// Publishes the names of the filters that its content passes, in order.
    pub(super) fn filtered(&self, filters: Vec<Arc<str>>) {
        let _ = self.filters.set(Arc::new(filters));
    }

    /// Publishes how long the HTTP/2 stream waits for its client.
    pub(super) fn watched_by(&self, watch: Arc<StreamWatch>) {
        let _ = self.watch.set(watch);
    }

    /// Publishes the request's content.
    pub(super) fn uploads(&self, upload: &Arc<UploadRecord>) {
        let _ = self.upload.set(Arc::clone(upload));
    }

    /// The request's content, if its source is to read some.
    pub(super) fn upload(&self) -> Option<&Arc<UploadRecord>> {
        self.upload.get()
    }

    /// Has the processor fetch what [`pass`](Self::pass) uses.
    pub(super) fn prefetch(&self) {
        self.passed.prefetch();
        self.wait.prefetch();
    }

    /// Counts content that was passed on.
    pub(super) fn pass(&self, bytes: u64, now: Instant) {
        self.passed.add(bytes, now);
    }

    /// Bytes of content passed on so far.
    pub(super) fn bytes(&self) -> u64 {
        self.passed.bytes()
    }

    /// Takes the bytes that the route has not counted yet, with its number. `None` if there are none, or for a tunnel,
    /// whose bytes are no content.
    pub(super) fn take_uncounted(&self) -> Option<(Option<usize>, u64)> {
        if self.answer()?.status == StatusCode::SWITCHING_PROTOCOLS {
            return None;
        }
        let bytes = self.bytes();
        let uncounted = bytes.saturating_sub(self.counted.fetch_max(bytes, Ordering::Relaxed));
        (uncounted > 0).then(|| (self.route(), uncounted))
    }

    /// Adds what the route has not counted of the request's content; what comes through a tunnel is none.
    pub(super) fn count_upload(&self, telemetry: &Telemetry) {
        let is_tunnel = self.answer().is_some_and(|answer| answer.status == StatusCode::SWITCHING_PROTOCOLS);
        if let Some(upload) = self.upload().filter(|_| !is_tunnel) {
            let bytes = upload.take_uncounted();
            if bytes > 0 {
                telemetry.content_received(self.route(), bytes);
            }
        }
    }

    /// Ends the counting: `bytes` are counted by the caller. Returns how many of them were counted before.
    pub(super) fn end_counting(&self, bytes: u64) -> u64 {
        self.counted.fetch_max(bytes, Ordering::Relaxed)
    }

    /// Reports its state at `now`; its number on the connection is `number`.
    pub(super) fn report(
        &self,
        number: u64,
        now: Instant,
        sink: &SinkState,
        telemetry: &Telemetry,
    ) -> TransferReport {
        self.report_with(number, now, (self.held(sink, now), self.waited(sink, now)), telemetry)
    }

    /// The same with what holds it and how long it was held, by cause.
    pub(super) fn report_with(
        &self,
        number: u64,
        now: Instant,
        (held, waited): (Option<Held>, Vec<(HeldBy, Duration)>),
        telemetry: &Telemetry,
    ) -> TransferReport {
        let (age, bytes, answer) = (now - self.began, self.bytes(), self.answer());
        let status = answer.map(|answer| answer.status);
        TransferReport {
            at: now,
            number,
            method: self.method.clone(),
            target: excerpt(&self.target.shown(), MAX_REPORTED),
            client: self.requester.charged.key.clone(),
            class: self.requester.charged.class.as_ref().map(|class| class.shared_name()),
            route: self.route().map(|route| telemetry.path(route)),
            status,
            is_tunnel: status == Some(StatusCode::SWITCHING_PROTOCOLS),
            age,
            bytes,
            length: answer.and_then(|answer| answer.length),
            pace: answer.and_then(|answer| answer.limit.as_ref()?.rate_at(bytes)),
            pace_by: answer.and_then(|answer| answer.by),
            pace_is_routes: answer.is_some_and(|answer| answer.is_under_route),
            bytes_per_second: self.passed.bytes_per_second(now),
            mean_bytes_per_second: per_second(bytes, age),
            held,
            waited,
            filters: self.filters.get().map_or_else(Vec::new, |filters| filters.to_vec()),
            upload: self.upload().map(|upload| upload.report(now)),
        }
    }

    /// How long it was held so far, by cause. What waits for the socket is the connection's, since this began.
    fn waited(&self, sink: &SinkState, now: Instant) -> Vec<(HeldBy, Duration)> {
        let mut waited = self.wait.past();
        let [tokens, reader] =
            self.before.each_ref().map(|nanos| Duration::from_nanos(nanos.load(Ordering::Relaxed)));
        let sink = SinkWaits::until(now, sink).since(SinkWaits { tokens, reader });
        let window = self.watch.get().map_or(Duration::ZERO, |watch| watch.waited(now));
        waited.push((HeldBy::ConnectionRate, sink.tokens));
        waited.push((HeldBy::Reader, sink.reader.max(window)));
        waited
    }

    /// What holds it. Bytes that wait for the socket come first; but over HTTP/2 those may be another stream's.
    pub(super) fn held(&self, sink: &SinkState, now: Instant) -> Option<Held> {
        if self.answer().is_none() {
            return Some(Held::by(HeldBy::Source));
        }
        if !self.is_multiplexed() {
            return sink.held().or_else(|| self.wait.held());
        }
        let window = || {
            let since = self.watch.get()?.waiting_since()?;
            (now - since >= WINDOW_PATIENCE).then(|| Held::by(HeldBy::Reader))
        };
        self.wait.held().or_else(|| sink.held()).or_else(window)
    }
}

/// The mean rate of `bytes` that took `lasted`.
pub(super) fn per_second(bytes: u64, lasted: Duration) -> u64 {
    let rate = u128::from(bytes) * 1_000_000_000 / lasted.as_nanos().max(1);
    u64::try_from(rate).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_shows_no_token_of_a_referer() {
        let request = http::Request::get("/").header(REFERER, "https://a.test/e?x=1&token=secret#top");
        let logged = LoggedFields::of(&request.body(()).unwrap());
        assert_eq!(logged.referer, "https://a.test/e?x=1&token=***");
    }
}
