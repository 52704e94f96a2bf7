//! Publishing: what is taken, and what is not, with nothing lost or half done.

use serde_json::json;
use sluicegate::config::EventSettings;
use sluicegate::sink::HeldAs;

use crate::client::{Subscriber, ask, assert_problem, body, named, post, publish, serve};
use testkit::wait::until;
use testkit::wire;

const JSON: &str = "Content-Type: application/json\r\n";

#[test]
fn bad_batches_publish_nothing() {
    let served = serve(EventSettings { event_size: 10, batch: 3, ..named() });
    let mut one = Subscriber::opened(&served, "/events/s", "");
    publish(&served, "s", &json!({"data": "first", "id": "i"}));
    for (what, status, code) in [
        (json!([{"data": "a"}, {"data": "12345678901"}]), 413, "event_too_large"),
        (json!([{"data": "a"}, {"data": "b"}, {"data": "c"}, {"data": "d"}]), 413, "batch_too_large"),
        (json!([]), 422, "empty_batch"),
        (json!([{"data": "a"}, {"data": "b", "id": "a\u{0}b"}]), 422, "bad_id"),
        (json!([{"data": "a"}, {"data": "b", "id": ""}]), 422, "bad_id"),
        (json!({"data": "a", "type": "a\nb"}), 422, "bad_type"),
        (json!({"data": "a", "type": "sluicegate.pause"}), 422, "reserved_type"),
        (json!({"data": "a", "type": "open"}), 422, "reserved_type"),
        (json!({"data": "a", "type": "error"}), 422, "reserved_type"),
        (json!({"data": "a", "type": "message"}), 422, "reserved_type"),
        (json!({"data": "a", "id": "b "}), 422, "bad_id"),
        (json!({"data": "a", "ttl": "0s"}), 422, "bad_ttl"),
        (json!({"data": "a", "ttl": "soon"}), 422, "bad_ttl"),
        (json!({"data": "a", "traceparent": "00-0-0-0"}), 422, "bad_traceparent"),
        (json!([{"data": "a"}, {"data": "other", "id": "i"}]), 409, "conflict"),
        (json!({"data": "a", "oops": 1}), 400, "bad_json"),
        (json!({}), 400, "bad_json"),
        (json!("text"), 400, "bad_json"),
        (json!([[{"data": "a"}]]), 400, "bad_json"),
    ] {
        assert_problem(&post(&served, "/events/s", &what), status, code);
    }
    for (fields, text, status, code) in [
        (JSON, "{", 400, "bad_json"),
        (JSON, "", 400, "bad_json"),
        (JSON, "{\"data\": \"\\ud800\"}", 400, "bad_json"),
        ("", "a", 415, "unsupported_media_type"),
        ("Content-Type: application/x-www-form-urlencoded\r\n", "a", 415, "unsupported_media_type"),
        ("Content-Type: text/plain\r\n", "12345678901", 413, "too_large"),
    ] {
        assert_problem(&ask(&served, "POST", "/events/s", fields, text), status, code);
    }
    publish(&served, "s", &json!({"data": "last"}));
    assert_eq!(one.data(2), ["first", "last"]);
}

#[test]
fn a_body_of_any_length_is_not_read_beyond_its_bound() {
    let served = serve(named());
    let long = "x".repeat(2 << 20);
    let head = format!("POST /events/s HTTP/1.1\r\nHost: t\r\n{JSON}Content-Length: {}\r\n\r\n", long.len());
    let response = wire::answer(served.send(head));
    assert_problem(&response, 413, "too_large");
}

#[test]
fn deep_json_is_refused_and_not_followed() {
    let served = serve(named());
    let deep = format!("{{\"data\": {}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
    assert_problem(&ask(&served, "POST", "/events/s", JSON, &deep), 400, "bad_json");
}

#[test]
fn a_text_is_an_event_with_the_rest_in_the_query() {
    let served = serve(named());
    let mut one = Subscriber::opened(&served, "/events/s", "");
    let plain = "Content-Type: text/plain; charset=utf-8\r\n";
    let response = ask(&served, "POST", "/events/s?type=greeting&id=a%20b&ttl=10s", plain, "hello\r\nü");
    assert_eq!(body(&response), json!({"ids": ["a b"], "last_id": "a b"}));
    let event = one.event();
    assert_eq!(
        (event.kind.as_str(), event.data.as_str(), event.id.as_deref()),
        ("greeting", "hello\nü", Some("a b"))
    );
}

#[test]
fn a_repeated_batch_is_published_once() {
    let served = serve(named());
    let mut one = Subscriber::opened(&served, "/events/s", "");
    let batch = json!([{"data": "a", "id": "1"}, {"data": "b", "id": "2"}]);
    for _ in 0..2 {
        assert_eq!(publish(&served, "s", &batch), ["1", "2"]);
    }
    publish(&served, "s", &json!({"data": "c"}));
    assert_eq!(one.data(3), ["a", "b", "c"]);
}

#[test]
fn streams_come_with_their_first_event_up_to_their_bound() {
    let served = serve(EventSettings { streams: 2, ..named() });
    assert_problem(&served.get("/events/new", ""), 404, "unknown_stream");
    assert_problem(&served.get("/events/new/poll", ""), 404, "unknown_stream");
    publish(&served, "new", &json!({"data": "a"}));
    Subscriber::new(&served, "/events/new", "").event();
    let refused = post(&served, "/events/third", &json!({"data": "a"}));
    assert_problem(&refused, 503, "too_many_streams");
    assert_eq!(refused.field("retry-after"), Some("5"));
    for (target, status, code) in [
        ("/events/", 400, "bad_stream"),
        ("/events/a%20b", 400, "bad_stream"),
        ("/events/s/none", 404, "not_found"),
        ("/events/s/poll/more", 404, "not_found"),
    ] {
        assert_problem(&served.get(target, ""), status, code);
    }
    let refused = ask(&served, "DELETE", "/events/s", "", "");
    assert_problem(&refused, 405, "method_not_allowed");
    assert_eq!(refused.field("allow"), Some("GET, HEAD, POST, OPTIONS"));
}

#[test]
fn a_stream_has_one_name_however_its_path_is_spelt() {
    let served = serve(named());
    for target in ["/events/%73", "//events//s", "/events/x/../s", "/%65vents/./s"] {
        let published = post(&served, target, &json!({"data": target}));
        assert_eq!(published.status(), 200, "{target}");
    }
    let poll = body(&served.get("/events/%73/pol%6c?after=x", ""));
    assert_eq!(poll["events"].as_array().map(Vec::len), Some(4));
}

#[test]
fn the_trace_of_a_publisher_goes_with_its_events() {
    let served = serve(named());
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let fields = format!("{JSON}traceparent: {trace}\r\n");
    ask(&served, "POST", "/events/s", &fields, "{\"data\": \"a\"}");
    let poll = body(&served.get("/events/s/poll?after=x", ""));
    assert_eq!(poll["events"][0]["traceparent"], trace);
}

#[test]
fn a_batch_is_held_while_it_is_read() {
    use std::io::Write;
    let served = serve(named());
    let held = || served.handle.egress().held().of(HeldAs::Request);
    let batch = json!(vec![json!({"data": "x".repeat(1000)}); 400]).to_string();
    let (first, last) = batch.split_at(400_000);
    let length = batch.len();
    let mut stream = served
        .send(format!("POST /events/s HTTP/1.1\r\nHost: t\r\n{JSON}Content-Length: {length}\r\n\r\n{first}"));
    until("the batch", || held() >= 400_000);
    assert!(held() <= 1 << 20, "no more than twice");
    stream.write_all(last.as_bytes()).unwrap();
    assert_eq!(wire::answer(&mut stream).status(), 200);
    assert_eq!(held(), 0);
}
