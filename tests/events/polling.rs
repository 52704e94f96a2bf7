//! Polling: the same events under the same ids, at once or when they come.

use std::time::{Duration, Instant};

use serde_json::json;

use sluicegate::config::EventSettings;

use crate::client::{Subscriber, assert_problem, body, hub, named, publish, serve};
use testkit::wait::until;

#[test]
fn a_poll_returns_the_events_since_the_last() {
    let served = serve(named());
    let ids = publish(&served, "s", &json!([{"data": "a"}, {"data": "b\nc", "type": "t"}, {"data": "d"}]));
    let poll = |query: &str| served.get(&format!("/events/s/poll{query}"), "");
    assert_eq!(
        body(&poll("")),
        json!({"events": [], "last_id": ids[2], "suspended": false, "may_resume": false})
    );
    let answer = body(&poll(&format!("?after={}&max=1", ids[0])));
    assert_eq!(answer["events"], json!([{"id": ids[1], "type": "t", "data": "b\nc"}]));
    assert_eq!(answer["last_id"], ids[1].as_str());
    let answer = body(&poll("?after=unknown"));
    assert_eq!(
        answer["gap"],
        json!({"after": "unknown", "before": ids[0], "missing": null, "reason": "unknown"})
    );
    assert_eq!(answer["events"].as_array().unwrap().len(), 3);
    for (query, status, code) in [
        ("?max=0", 400, "bad_parameter"),
        ("?wait=-1", 400, "bad_parameter"),
        ("?after=%00", 400, "bad_id"),
        ("?token=short", 400, "bad_token"),
        ("?token=nobodys-token-nobodys-token", 403, "stranger"),
    ] {
        assert_problem(&poll(query), status, code);
    }
}

// What is long is made piece by piece: its length is not told.
#[test]
fn a_long_poll_is_the_same_text_as_a_short_one() {
    let served = serve(named());
    let data = |at: usize| format!("{at} \"{}\"\n\u{1}", "long ".repeat(400));
    let batch: Vec<_> = (0..100).map(|at| json!({"data": data(at)})).collect();
    let ids = publish(&served, "s", &json!(batch));
    for (max, is_long) in [(1, false), (7, false), (9, true), (100, true)] {
        let answer = served.get(&format!("/events/s/poll?after=unknown&max={max}"), "");
        assert_eq!(answer.field("content-length").is_none(), is_long, "{max}");
        let events: Vec<_> = (0..max).map(|at| json!({"id": ids[at], "data": data(at)})).collect();
        let gap = json!({"after": "unknown", "before": ids[0], "missing": null, "reason": "unknown"});
        let expected = json!({
            "events": events, "gap": gap, "last_id": ids[max - 1], "suspended": false, "may_resume": false
        });
        assert!(body(&answer) == expected, "{max}");
    }
}

#[test]
fn a_poll_waits_for_an_event_and_not_longer_than_it_may() {
    let served = serve(named());
    let begin = Instant::now();
    assert_eq!(body(&served.get("/events/s/poll?wait=0.2", ""))["events"], json!([]));
    assert!(begin.elapsed() >= Duration::from_millis(200));
    let hub = hub(&served);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| body(&served.get("/events/s/poll?wait=20s", "")));
        // It counts as answered once it was found to have nothing.
        until("the poll", || hub.counts().polls() == 2);
        publish(&served, "s", &json!({"data": "a"}));
        assert_eq!(waiting.join().unwrap()["events"][0]["data"], "a");
    });
}

#[test]
fn a_server_that_drains_answers_polls_that_wait() {
    let served = serve(named());
    let hub = hub(&served);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| body(&served.get("/events/s/poll?wait=60s", "")));
        until("the poll", || hub.counts().polls() == 1);
        served.handle.drain();
        assert_eq!(waiting.join().unwrap()["events"], json!([]));
    });
}

#[test]
fn events_reported_missing_to_a_suspended_subscriber_count_as_dropped_once() {
    let served = serve(EventSettings { window: 1, queue: 2, batch: 2, log: 4, ..named() });
    let hub = hub(&served);
    let token = "t".repeat(22);
    let mut one = Subscriber::opened(&served, &format!("/events/s?window=1&token={token}"), "");
    let mut published = 0;
    until("the suspension", || {
        published += publish(&served, "s", &json!([{"data": "a"}, {"data": "b"}])).len();
        hub.gauges().suspended == 1
    });
    for _ in 0..4 {
        published += publish(&served, "s", &json!({"data": "c"})).len();
    }
    let first = one.event();
    assert_eq!((first.data.as_str(), hub.counts().dropped()), ("a", 0));
    // It has the first; the log has the last four.
    let missing = published as u64 - 5;
    let target = format!("/events/s/poll?token={token}&after={}", first.id.unwrap());
    for _ in 0..2 {
        let answer = body(&served.get(&target, ""));
        assert_eq!(
            (answer["gap"]["missing"].as_u64(), answer["suspended"].as_bool()),
            (Some(missing), Some(true))
        );
        assert_eq!((answer["events"].as_array().unwrap().len(), hub.counts().dropped()), (4, missing));
    }
}
