//! Turns records into OpenTelemetry spans, and passes them to its exporter.
//!
//! Names and attributes follow its semantic conventions for messaging; `sluicegate.*` are additions.

use std::time::{Duration, SystemTime};

use opentelemetry::trace::{Event, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, Key, KeyValue};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks};

use super::TracingError;
use super::post::Post;
use super::record::{Origin, Outcome, Record};
use crate::clock::{Clock, Instant};

const SERVICE: &str = "sluicegate";

#[derive(Debug)]
pub(super) struct Exporter {
    exporter: SpanExporter,
    post: Post,
}

impl Exporter {
    /// Creates an exporter to `endpoint`. Without `service` the environment names the service.
    ///
    /// The crate reads OTEL_EXPORTER_OTLP_HEADERS, OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES.
    pub(super) fn new(endpoint: &str, service: Option<&str>) -> Result<Self, TracingError> {
        let post = Post::default();
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(post.clone())
            .with_endpoint(endpoint)
            .with_protocol(Protocol::HttpBinary)
            .build();
        let mut exporter = exporter.map_err(|error| TracingError(format!("spans of {endpoint}: {error}")))?;
        exporter.set_resource(&resource(service));
        Ok(Self { exporter, post })
    }

    /// Sends spans; retries for a while if the collector asks for it or cannot be reached. Blocks the thread between
    /// attempts.
    pub(super) async fn export(&self, batch: Vec<SpanData>) -> Result<(), String> {
        let done = self.exporter.export(batch).await;
        done.map_err(|error| self.post.fault().unwrap_or_else(|| error.to_string()))
    }
}

fn resource(service: Option<&str>) -> Resource {
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let builder = || Resource::builder().with_attribute(version.clone());
    if let Some(service) = service {
        return builder().with_service_name(service.to_owned()).build();
    }
    let found = builder().build();
    // The SDK's name of a service without a name.
    let is_unknown = found
        .get(&Key::from_static_str("service.name"))
        .is_none_or(|name| name.as_str().starts_with("unknown_service"));
    if is_unknown { builder().with_service_name(SERVICE).build() } else { found }
}

/// Converts a clock's instants to calendar time.
pub(super) struct Moments {
    origin: SystemTime,
}

impl Moments {
    /// By the current system time, which may be changed later.
    pub(super) fn of(clock: &dyn Clock) -> Self {
        let (calendar, now) = (clock.calendar(), clock.now());
        let since = now - Instant::ZERO;
        Self { origin: calendar.checked_sub(since).unwrap_or(SystemTime::UNIX_EPOCH) }
    }

    fn at(&self, instant: Instant) -> SystemTime {
        let since: Duration = instant - Instant::ZERO;
        self.origin.checked_add(since).unwrap_or(self.origin)
    }

    /// The span of a record. `id` makes one for spans that have none yet.
    pub(super) fn span(&self, record: &Record, id: impl FnOnce() -> u64) -> SpanData {
        match record {
            Record::Published { origin, end } => {
                let mut span = self.bare(origin, origin.span, origin.parent, SpanKind::Producer, "publish");
                span.parent_span_is_remote = true;
                span.end_time = self.at(*end);
                span.attributes.push(KeyValue::new("messaging.operation.type", "send"));
                span
            }
            Record::Delivered { origin, subscriber, written, end, outcome } => {
                let mut span = self.bare(origin, id(), origin.span, SpanKind::Consumer, "deliver");
                span.end_time = self.at(*end);
                let times = written.map_or(0, |(_, times)| i64::from(times));
                span.attributes.extend([
                    // Not `receive` and not `process`, which subscribers do themselves.
                    KeyValue::new("messaging.operation.type", "deliver"),
                    KeyValue::new("sluicegate.subscriber", subscriber.to_string()),
                    KeyValue::new("sluicegate.outcome", outcome.as_str()),
                    KeyValue::new("sluicegate.writes", times),
                ]);
                let mark = |name, at| Event::new(name, self.at(at), Vec::new(), 0);
                if let Some((at, _)) = written {
                    span.events.events.push(mark("written", *at));
                }
                if *outcome == Outcome::Acknowledged {
                    span.events.events.push(mark("acknowledged", *end));
                }
                if outcome.is_loss() {
                    span.attributes.push(KeyValue::new("error.type", outcome.as_str()));
                    span.status = Status::error(match outcome {
                        Outcome::Expired => "it grew too old before the subscriber took it",
                        _ => "the log had no room for it before the subscriber took it",
                    });
                }
                span
            }
        }
    }

    /// The fields that all spans have.
    fn bare(
        &self,
        origin: &Origin,
        id: u64,
        parent: u64,
        kind: SpanKind,
        operation: &'static str,
    ) -> SpanData {
        let template = format!("{}{{stream}}", origin.route);
        let context = SpanContext::new(
            TraceId::from(origin.trace),
            SpanId::from(id),
            TraceFlags::SAMPLED,
            false,
            TraceState::NONE,
        );
        SpanData {
            span_context: context,
            parent_span_id: SpanId::from(parent),
            parent_span_is_remote: false,
            span_kind: kind,
            // Names must be few: the stream is an attribute.
            name: format!("{operation} {template}").into(),
            start_time: self.at(origin.born),
            end_time: self.at(origin.born),
            attributes: vec![
                KeyValue::new("messaging.system", SERVICE),
                KeyValue::new("messaging.operation.name", operation),
                KeyValue::new("messaging.destination.name", origin.stream.to_string()),
                KeyValue::new("messaging.destination.template", template),
                KeyValue::new("messaging.message.id", origin.event.to_string()),
                KeyValue::new("messaging.message.body.size", origin.bytes as i64),
            ],
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: InstrumentationScope::builder("sluicegate")
                .with_version(env!("CARGO_PKG_VERSION"))
                .build(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::ManualClock;

    fn origin() -> Arc<Origin> {
        Arc::new(Origin {
            trace: 0x4bf9,
            parent: 0xf067,
            span: 0xaaaa,
            route: "/events/".into(),
            stream: "news".into(),
            event: "x-1".into(),
            bytes: 5,
            born: Instant::from_millis(1000),
        })
    }

    fn moments() -> Moments {
        let clock = ManualClock::new();
        clock.set(Instant::from_millis(5000));
        Moments::of(&clock)
    }

    fn at(millis: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(millis)
    }

    fn attributes(span: &SpanData) -> Vec<String> {
        span.attributes.iter().map(|pair| format!("{}={}", pair.key, pair.value)).collect()
    }

    const OF_ALL: [&str; 4] = [
        "messaging.destination.name=news",
        "messaging.destination.template=/events/{stream}",
        "messaging.message.id=x-1",
        "messaging.message.body.size=5",
    ];

    #[test]
    fn publishing_is_a_producer_below_the_publisher() {
        let record = Record::Published { origin: origin(), end: Instant::from_millis(1002) };
        let span = moments().span(&record, || unreachable!("it has an id"));
        assert_eq!(
            (span.span_context.trace_id(), span.span_context.span_id(), span.parent_span_id),
            (TraceId::from(0x4bf9), SpanId::from(0xaaaa), SpanId::from(0xf067))
        );
        assert!(span.parent_span_is_remote && span.span_context.is_sampled());
        assert_eq!((span.span_kind.clone(), &*span.name), (SpanKind::Producer, "publish /events/{stream}"));
        assert_eq!((span.start_time, span.end_time), (at(1000), at(1002)));
        let own = ["messaging.system=sluicegate", "messaging.operation.name=publish"];
        let expected = [&own[..], &OF_ALL, &["messaging.operation.type=send"]].concat();
        assert_eq!(attributes(&span), expected);
        assert_eq!((span.status, span.events.len()), (Status::Unset, 0));
    }

    #[test]
    fn a_delivery_is_a_consumer_below_the_publishing_and_says_how_it_ended() {
        let written = Some((Instant::from_millis(1010), 2));
        for (outcome, written, marks, error) in [
            (Outcome::Acknowledged, written, vec![("written", 1010), ("acknowledged", 1500)], false),
            (Outcome::Unacknowledged, written, vec![("written", 1010)], false),
            (Outcome::Written, written, vec![("written", 1010)], false),
            (Outcome::Expired, None, vec![], true),
            (Outcome::Dropped, None, vec![], true),
        ] {
            let end = Instant::from_millis(1500);
            let record =
                Record::Delivered { origin: origin(), subscriber: "5ub".into(), written, end, outcome };
            let span = moments().span(&record, || 0xbbbb);
            assert_eq!(
                (span.span_context.trace_id(), span.span_context.span_id(), span.parent_span_id),
                (TraceId::from(0x4bf9), SpanId::from(0xbbbb), SpanId::from(0xaaaa))
            );
            assert!(!span.parent_span_is_remote);
            assert_eq!(
                (span.span_kind.clone(), &*span.name),
                (SpanKind::Consumer, "deliver /events/{stream}")
            );
            assert_eq!((span.start_time, span.end_time), (at(1000), at(1500)));
            let outcome = outcome.as_str();
            let own = ["messaging.system=sluicegate", "messaging.operation.name=deliver"].map(str::to_owned);
            let mut expected = own.to_vec();
            expected.extend(OF_ALL.map(str::to_owned));
            expected.extend([
                "messaging.operation.type=deliver".to_owned(),
                "sluicegate.subscriber=5ub".to_owned(),
                format!("sluicegate.outcome={outcome}"),
                format!("sluicegate.writes={}", written.map_or(0, |_| 2)),
            ]);
            expected.extend(error.then(|| format!("error.type={outcome}")));
            assert_eq!(attributes(&span), expected);
            let found: Vec<_> = span.events.iter().map(|event| (&*event.name, event.timestamp)).collect();
            assert_eq!(found, marks.iter().map(|(name, ms)| (*name, at(*ms))).collect::<Vec<_>>());
            assert_eq!(matches!(span.status, Status::Error { .. }), error);
        }
    }
}
