//! Subscribing: what comes, how, and how it ends.

use std::time::{Duration, Instant};

use serde_json::json;
use sluicegate::config::EventSettings;
use sluicegate::filter::{GzipFactory, MediaTypes};
use sluicegate::http::server::Settings;
use sluicegate::limit::Rate;

use crate::client::{Subscriber, ask, assert_problem, hub, named, post, publish, route, serve, serve_with};
use testkit::served::Served;
use testkit::wait::until;
use testkit::wire::dechunk;

#[test]
fn a_stream_has_its_fields_opens_and_goes_on() {
    let served = serve(named());
    let mut one = Subscriber::new(&served, "/events/s", "");
    for field in [
        "HTTP/1.1 200 OK\r\n",
        "content-type: text/event-stream\r\n",
        "cache-control: no-cache\r\n",
        "x-accel-buffering: no\r\n",
        "transfer-encoding: chunked\r\n",
    ] {
        assert!(one.head.contains(field), "{field} in {}", one.head);
    }
    assert!(!one.head.contains("connection:"), "{}", one.head);
    let open = one.event();
    assert!((2400..=3600).contains(&one.retry.unwrap()));
    let opened = open.json();
    assert_eq!(opened["token"].as_str().unwrap().len(), 32);
    let start = opened["last_id"].as_str();
    assert_eq!(
        (open.kind.as_str(), open.id.as_deref(), opened["known"].as_bool()),
        ("sluicegate.open", start, Some(false))
    );
    assert!(start.unwrap().ends_with("-0"), "the place before the first event: {opened}");
    let ids = publish(&served, "s", &json!([{"data": "a\nb", "type": "t"}, {"data": {"x": 1}, "id": "own"}]));
    let (a, b) = (one.event(), one.event());
    assert_eq!((a.kind.as_str(), a.data.as_str(), a.id.as_deref()), ("t", "a\nb", Some(ids[0].as_str())));
    assert_eq!((b.kind.as_str(), b.data.as_str(), b.id.as_deref()), ("message", "{\"x\":1}", Some("own")));
}

#[test]
fn http_1_0_gets_the_same_to_the_end_of_the_connection() {
    let served = serve(named());
    let mut one = Subscriber::asking(&served, "GET /events/s HTTP/1.0\r\n\r\n");
    assert!(!one.head.contains("transfer-encoding"), "{}", one.head);
    assert_eq!(one.event().kind, "sluicegate.open");
    publish(&served, "s", &json!({"data": "a"}));
    assert_eq!(one.data(1), ["a"]);
    served.handle.drain();
    assert_eq!(one.next(), None);
}

#[test]
fn a_server_that_drains_ends_streams_cleanly_with_a_time_to_come_again() {
    let served = serve(named());
    let mut one = Subscriber::opened(&served, "/events/s", "");
    one.retry = None;
    publish(&served, "s", &json!({"data": "last"}));
    assert_eq!(one.data(1), ["last"]);
    served.handle.drain();
    assert_eq!((one.next(), one.ended), (None, true));
    assert!(one.retry.is_some(), "told when to come again");
    served.join();
}

#[test]
fn a_silent_stream_has_heartbeats() {
    let served = serve(EventSettings { heartbeat: Duration::from_millis(50), ..named() });
    let mut one = Subscriber::opened(&served, "/events/s", "");
    publish(&served, "s", &json!({"data": "a"}));
    one.data(1);
    let begin = Instant::now();
    publish(&served, "s", &json!({"data": "b", "ttl": "1h"}));
    one.data(1);
    let before = one.comments;
    while one.comments < before + 3 {
        one.read();
        // Comments are counted with the event behind them.
        if begin.elapsed() > Duration::from_millis(160) {
            publish(&served, "s", &json!({"data": "c"}));
            one.data(1);
        }
    }
    assert!(begin.elapsed() >= Duration::from_millis(150));
}

#[test]
fn a_client_that_lost_its_stream_goes_on_behind_what_it_has() {
    let served = serve(named());
    let ids = publish(&served, "s", &json!([{"data": "a"}, {"data": "b"}, {"data": "c"}]));
    let mut one = Subscriber::new(&served, "/events/s", &format!("Last-Event-ID: {}\r\n", ids[0]));
    assert_eq!(
        (one.event().kind.as_str(), one.data(2)),
        ("sluicegate.open", vec!["b".to_owned(), "c".to_owned()])
    );
    let mut two = Subscriber::new(&served, &format!("/events/s?last_event_id={}", ids[1]), "");
    assert_eq!((two.event().kind.as_str(), two.data(1)), ("sluicegate.open", vec!["c".to_owned()]));
    let mut three = Subscriber::opened(&served, "/events/s", "Last-Event-ID: before-the-restart\r\n");
    let gap = three.event();
    assert_eq!((gap.kind.as_str(), gap.json()["reason"].as_str()), ("sluicegate.gap", Some("unknown")));
    assert_eq!(three.data(3), ["a", "b", "c"]);
}

#[test]
fn a_window_goes_on_with_its_acknowledgements() {
    let served = serve(named());
    let mut one = Subscriber::new(&served, "/events/s?window=2", "");
    let token = one.event().json()["token"].as_str().unwrap().to_owned();
    let ids = publish(&served, "s", &json!([{"data": "a"}, {"data": "b"}, {"data": "c"}]));
    assert_eq!(one.data(2), ["a", "b"]);
    let ack = |token: &str, id: &str| post(&served, "/events/s/ack", &json!({"token": token, "id": id}));
    assert_problem(&ack(&token, &ids[2]), 409, "never_sent");
    assert_problem(&ack("somebody-elses-token-here", &ids[0]), 403, "stranger");
    assert_problem(&ack("short", &ids[0]), 400, "bad_token");
    assert_eq!(ack(&token, &ids[0]).status(), 204);
    assert_eq!(one.data(1), ["c"]);
    drop(one);
    let mut again = Subscriber::new(&served, &format!("/events/s?window=2&token={token}"), "");
    assert_eq!(again.event().json()["known"], true);
    assert_eq!(again.data(2), ["b", "c"]);
}

#[test]
fn a_new_connection_takes_a_stream_over() {
    let served = serve(named());
    let target = format!("/events/s?token={}", "t".repeat(22));
    let mut one = Subscriber::opened(&served, &target, "");
    let mut two = Subscriber::new(&served, &target, "");
    assert_eq!(two.event().json()["known"], true);
    assert_eq!(one.next(), None);
    publish(&served, "s", &json!({"data": "a"}));
    assert_eq!(two.data(1), ["a"]);
}

#[test]
fn events_pass_filters_at_once() {
    let coder = GzipFactory::new().types(MediaTypes::parse(["text/event-stream"]).unwrap());
    let served = Served::new(vec![route(named(), None).filter(coder)]);
    let mut stream = Subscriber::new(&served, "/events/s", "Accept-Encoding: gzip\r\n");
    assert!(stream.head.contains("content-encoding: gzip"), "{}", stream.head);
    // What is flushed for each event decodes to it without more.
    stream.stream.set_read_timeout(Some(testkit::wait::PATIENCE)).unwrap();
    publish(&served, "s", &json!({"data": "squeezed"}));
    let mut raw = Vec::new();
    until("the event", || {
        let mut piece = [0; 4096];
        let len = std::io::Read::read(&mut stream.stream, &mut piece).unwrap();
        raw.extend_from_slice(&piece[..len]);
        let bytes = dechunk(&raw).bytes;
        let mut text = Vec::new();
        // The stream has no end yet: what decodes so far is what counts.
        let _ = std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&bytes[..]), &mut text);
        String::from_utf8_lossy(&text).contains("data: squeezed\n\n")
    });
}

// 2 KiB/s has a chunk of 409 bytes: six events of 60 bytes fit it, and none waits for a tick.
#[test]
fn a_rate_holds_no_event_that_its_tokens_cover() {
    let served = Served::new(vec![route(named(), None).rate(Rate::or_unlimited(2048))]);
    let mut one = Subscriber::opened(&served, "/events/s", "");
    let mut quickest = Duration::MAX;
    // The first may wait until what the opening has spent is earned back; the others have the rest of its chunk.
    for n in 0..5 {
        let begin = Instant::now();
        publish(&served, "s", &json!({"data": format!("{n}")}));
        one.data(1);
        quickest = quickest.min(begin.elapsed());
    }
    assert!(quickest < Duration::from_millis(100), "{quickest:?}: the best of five waited for something");
}

#[test]
fn head_has_the_fields_of_get_and_subscribes_nobody() {
    let served = serve(named());
    let head = ask(&served, "HEAD", "/events/s", "", "");
    assert_eq!((head.status(), head.field("content-type")), (200, Some("text/event-stream")));
    assert_eq!(ask(&served, "HEAD", "/events/s/poll", "", "").status(), 200);
    assert_eq!(ask(&served, "HEAD", "/events/none", "", "").status(), 404);
}

#[test]
fn a_stalled_reader_is_moved_to_polling_and_others_feel_nothing() {
    let server = Settings {
        sink: sluicegate::config::SinkSettings { send_buffer: Some(8 * 1024), ..Default::default() },
        ..Settings::default()
    };
    let served = serve_with(server, EventSettings { queue: 50, batch: 50, ..named() });
    let target = format!("/events/s?token={}", "t".repeat(22));
    let mut stalled = Subscriber::opened(&served, &target, "");
    let mut healthy = Subscriber::opened(&served, "/events/s", "");
    let streams = &served.handle.routes()[0];
    let hub = streams.hub().unwrap();
    let data = "x".repeat(20_000);
    let mut published = 0;
    until("the stalled one to be suspended", || {
        publish(&served, "s", &json!([{"data": data}, {"data": data}, {"data": data}]));
        published += 3;
        healthy.data(3);
        hub.gauges().suspended == 1
    });
    // Now it reads: what was on its way, then the pause, then the end.
    let mut last = None;
    let pause = loop {
        let event = stalled.event();
        if event.kind == "sluicegate.pause" {
            break event.json();
        }
        assert_eq!(event.kind, "message");
        last = event.id;
    };
    assert_eq!((stalled.next(), pause["last_id"].as_str()), (None, last.as_deref()));
    assert!(stalled.retry.unwrap() >= 24_000);
    let again = Subscriber::new(&served, &target, "");
    assert!(
        again.head.contains("x-stream-pause: true\r\n") && again.head.starts_with("HTTP/1.1 200"),
        "{}",
        again.head
    );

    let mut polled = 0;
    let mut at = pause["poll"].as_str().unwrap().to_owned();
    loop {
        let answer = served.get(&at, "");
        let answer: serde_json::Value = serde_json::from_str(answer.text()).unwrap();
        polled += answer["events"].as_array().unwrap().len();
        at = format!("/events/s/poll?token={}&after={}", "t".repeat(22), answer["last_id"].as_str().unwrap());
        if answer["events"].as_array().unwrap().is_empty() {
            assert_eq!((&answer["suspended"], &answer["may_resume"]), (&json!(true), &json!(true)));
            break;
        }
    }
    assert!(polled > 0 && polled < published);
    let mut back = Subscriber::new(&served, &target, "");
    assert_eq!(back.event().kind, "sluicegate.resume");
    publish(&served, "s", &json!({"data": "after"}));
    assert_eq!(back.data(1), ["after"]);
    assert_eq!(hub.counts().resumes(), 1);
}

#[test]
fn a_suspended_client_that_reads_status_gets_429() {
    let settings = EventSettings { suspend: sluicegate::config::Suspend::TooManyRequests, ..named() };
    let served = serve(EventSettings { window: 1, queue: 2, batch: 2, ..settings });
    let target = format!("/events/s?window=1&token={}", "t".repeat(22));
    let mut one = Subscriber::opened(&served, &target, "");
    let hub = hub(&served);
    until("the suspension", || {
        publish(&served, "s", &json!([{"data": "a"}, {"data": "b"}]));
        hub.gauges().suspended == 1
    });
    while one.next().is_some() {}
    let refused = served.get(&target, "");
    assert_problem(&refused, 429, "suspended");
    assert_eq!((refused.field("x-stream-pause"), refused.field("retry-after")), (Some("true"), Some("30")));
}
