//! What a good collector gets, to the last attribute.

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind, status::StatusCode};

use super::collector::{Collector, attributes};
use super::{PARENT, SAMPLED, Subscriber, TRACE, UNSAMPLED, has_thread, metric, publish};
use testkit::program::{Program, command};
use testkit::wait::{soon, until};

fn start(collector: &Collector, more: &[&str]) -> Program {
    let url = collector.url();
    let args = [&["events", "news", "--otlp", &url, "--admin", "127.0.0.1:0"], more].concat();
    Program::start(&args)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64
}

/// What spans of an event have in common.
fn check(span: &Span, kind: SpanKind, name: &str, id: &str, own: &[(&str, &str)]) {
    assert_eq!((span.trace_id.as_slice(), span.kind()), (&TRACE.to_be_bytes()[..], kind));
    assert_eq!((span.name.as_str(), span.trace_state.as_str()), (name, ""));
    let operation = name.split(' ').next().unwrap();
    let mut expected = vec![
        ("messaging.system", "sluicegate"),
        ("messaging.operation.name", operation),
        ("messaging.destination.name", "news"),
        ("messaging.destination.template", "/events/{stream}"),
        ("messaging.message.id", id),
        ("messaging.message.body.size", "5"),
    ];
    expected.extend(own);
    let found = attributes(&span.attributes);
    let found: Vec<_> = found.iter().map(|(key, value)| (*key, value.as_str())).collect();
    assert_eq!(found, expected);
    assert!(span.span_id.iter().any(|byte| *byte != 0) && span.links.is_empty());
}

#[test]
fn a_traced_event_leaves_a_span_of_its_publishing_and_one_of_each_delivery() {
    let collector = Collector::good();
    let program = start(&collector, &[]);
    assert!(
        program.started.contains(&format!("spans of traced events go to {}/v1/traces", collector.url())),
        "{:?}",
        program.started
    );
    let mut windowed = Subscriber::new(&program, "?window=10");
    let mut plain = Subscriber::new(&program, "");
    publish(&program, "no trace", None);
    publish(&program, "not recorded", Some(UNSAMPLED));
    let before = now();
    let id = publish(&program, "hello", Some(SAMPLED));
    for subscriber in [&mut windowed, &mut plain] {
        assert_eq!([(); 3].map(|()| subscriber.data()), ["no trace", "not recorded", "hello"]);
    }
    let written = now();
    windowed.ack(&program, &id);
    // What the connection took is known when more is asked for.
    publish(&program, "no trace", None);
    assert_eq!((windowed.data().as_str(), plain.data().as_str()), ("no trace", "no trace"));

    let mut spans = collector.spans(3);
    let after = now();
    let publishing = spans.pop().unwrap();
    check(
        &publishing,
        SpanKind::Producer,
        "publish /events/{stream}",
        &id,
        &[("messaging.operation.type", "send")],
    );
    assert_eq!(publishing.parent_span_id, PARENT.to_be_bytes());
    assert!(publishing.events.is_empty());
    let (start, end) = (publishing.start_time_unix_nano, publishing.end_time_unix_nano);
    assert!(before <= start && start <= end && end <= written, "{before} {start} {end} {written}");

    spans.sort_by_key(|span| span.end_time_unix_nano);
    for subscriber in [&windowed, &plain] {
        let at = spans.iter().position(|span| {
            attributes(&span.attributes).contains(&("sluicegate.subscriber", subscriber.id.clone()))
        });
        let span = spans.remove(at.unwrap());
        let own = [
            ("messaging.operation.type", "deliver"),
            ("sluicegate.subscriber", &subscriber.id),
            ("sluicegate.outcome", "acknowledged"),
            ("sluicegate.writes", "1"),
        ];
        check(&span, SpanKind::Consumer, "deliver /events/{stream}", &id, &own);
        assert_eq!((&span.parent_span_id, span.start_time_unix_nano), (&publishing.span_id, start));
        let [wrote, acknowledged] = &span.events[..] else { panic!("{span:?}") };
        assert_eq!((wrote.name.as_str(), acknowledged.name.as_str()), ("written", "acknowledged"));
        let times = [start, wrote.time_unix_nano, acknowledged.time_unix_nano, after];
        assert!(times.is_sorted(), "{times:?}");
        assert_eq!(span.end_time_unix_nano, acknowledged.time_unix_nano);
        assert!(span.status.as_ref().is_none_or(|status| status.code() == StatusCode::Unset));
    }
    soon("the spans are counted", || metric(&program, "sluicegate_spans_exported_total").filter(|n| *n == 3));
    for (name, expected) in [("dropped_total", 0), ("failed_total", 0), ("queued", 0), ("open", 0)] {
        assert_eq!(metric(&program, &format!("sluicegate_spans_{name}")), Some(expected), "{name}");
    }
    program.end();
}

#[test]
fn the_request_is_otlp_and_names_the_service() {
    let folder = tempfile::tempdir().unwrap();
    let collector = Collector::good();
    let file = folder.path().join("traced.toml");
    let text = format!(
        "[tracing]\notlp = '{}/base/'\nservice = 'tickers'\n\
         [[route]]\npath = '/events/'\nevents = {{ names = ['news'] }}\n",
        collector.url()
    );
    std::fs::write(&file, text).unwrap();
    let program = Program::start(&["run", file.to_str().unwrap()]);
    publish(&program, "hello", Some(SAMPLED));
    let request = collector.request();
    let head = request.head.to_lowercase();
    assert!(head.starts_with("post /base/v1/traces http/1.1\r\n"), "{head}");
    assert!(head.contains("\r\ncontent-type: application/x-protobuf\r\n"), "{head}");
    assert!(head.contains(&format!("\r\nhost: {}\r\n", collector.addr)), "{head}");
    assert_eq!(request.resource("service.name").as_deref(), Some("tickers"));
    assert_eq!(request.resource("service.version").as_deref(), Some(env!("CARGO_PKG_VERSION")));
    assert_eq!(request.body.resource_spans[0].scope_spans[0].scope.as_ref().unwrap().name, "sluicegate");
    program.end();
}

#[test]
fn the_environment_says_what_the_configuration_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let collector = Collector::good();
    let file = folder.path().join("traced.toml");
    std::fs::write(&file, "[tracing]\n[[route]]\npath = '/events/'\nevents = { names = ['news'] }\n")
        .unwrap();
    let mut command = command(&["run", file.to_str().unwrap()]);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url()).env("OTEL_SERVICE_NAME", "from outside");
    command.env("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=seven");
    command.env("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test");
    let program = Program::start_command(command);
    publish(&program, "hello", Some(SAMPLED));
    let request = collector.request();
    assert!(request.head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{}", request.head);
    assert!(request.head.to_lowercase().contains("\r\nx-tenant: seven\r\n"), "{}", request.head);
    assert_eq!(request.resource("service.name").as_deref(), Some("from outside"));
    assert_eq!(request.resource("deployment.environment.name").as_deref(), Some("test"));
    program.end();
}

#[test]
fn at_the_end_all_open_spans_are_exported() {
    let collector = Collector::good();
    let program = start(&collector, &[]);
    let mut subscriber = Subscriber::new(&program, "?window=10");
    publish(&program, "hello", Some(SAMPLED));
    assert_eq!(subscriber.data(), "hello");
    program.end();
    let spans = collector.spans(2);
    let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["deliver /events/{stream}", "publish /events/{stream}"]);
    let outcome = ("sluicegate.outcome", "unacknowledged".to_owned());
    assert!(attributes(&spans[0].attributes).contains(&outcome), "{spans:?}");
}

#[test]
fn where_nothing_is_traced_there_is_no_thread_and_without_the_flag_no_metric() {
    let collector = Collector::good();
    let program = start(&collector, &[]);
    let without = Program::start(&["events", "news", "--admin", "127.0.0.1:0"]);
    for program in [&program, &without] {
        publish(program, "plain", None);
        publish(program, "unsampled", Some(UNSAMPLED));
        assert!(!has_thread(program));
    }
    assert_eq!(metric(&program, "sluicegate_spans_exported_total"), Some(0));
    for program in [&program, &without] {
        publish(program, "hello", Some(SAMPLED));
    }
    until("the thread", || has_thread(&program));
    assert!(!has_thread(&without));
    assert_eq!(metric(&without, "sluicegate_spans_exported_total"), None);
    program.end();
    without.end();
}
