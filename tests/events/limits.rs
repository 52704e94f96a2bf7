//! Bounds on subscribers, and what is given back.

use serde_json::json;
use sluicegate::config::{EventRate, EventSettings};

use crate::client::{Subscriber, assert_problem, hub, named, publish, serve};
use testkit::wait::until;

/// Who has left is noticed by the next bytes for it.
fn quick() -> EventSettings {
    EventSettings { heartbeat: std::time::Duration::from_millis(50), ..named() }
}

#[test]
fn a_client_has_as_many_streams_as_it_may() {
    let served = serve(EventSettings { client_streams: 2, ..quick() });
    let one = Subscriber::new(&served, "/events/s", "");
    let _two = Subscriber::new(&served, "/events/s", "");
    let refused = served.get("/events/s", "");
    assert_problem(&refused, 429, "client_full");
    assert_eq!(refused.field("retry-after"), Some("5"));
    assert_problem(&served.get("/events/s/poll?wait=1", ""), 429, "client_full");
    drop(one);
    until("its place", || served.get("/events/s/poll?wait=0.01", "").status() == 200);
}

#[test]
fn subscribers_are_limited_and_absent_ones_make_room() {
    let served = serve(EventSettings { subscribers: 2, ..quick() });
    let mut one = Subscriber::opened(&served, "/events/s", "");
    let two = Subscriber::new(&served, "/events/s", "");
    let refused = served.get("/events/s", "");
    assert_problem(&refused, 503, "full");
    drop(two);
    let hub = hub(&served);
    until("it to be away", || hub.gauges().away == 1);
    let mut three = Subscriber::new(&served, "/events/s", "");
    assert_eq!(three.event().kind, "sluicegate.open");
    assert_eq!((hub.gauges().subscribers, hub.gauges().away), (2, 0));
    publish(&served, "s", &json!({"data": "a"}));
    assert_eq!((one.data(1), three.data(1)), (vec!["a".to_owned()], vec!["a".to_owned()]));
}

#[test]
fn a_rate_of_events_holds_each_subscriber_to_it() {
    let served = serve(EventSettings { rate: EventRate::or_unlimited(20), burst: 2, ..named() });
    let mut one = Subscriber::opened(&served, "/events/s", "");
    let begin = std::time::Instant::now();
    publish(
        &served,
        "s",
        &json!([{"data": "1"}, {"data": "2"}, {"data": "3"}, {"data": "4"}, {"data": "5"}, {"data": "6"}]),
    );
    assert_eq!(one.data(6).len(), 6);
    // Two at once, then four a twentieth of a second apart.
    assert!(begin.elapsed() >= std::time::Duration::from_millis(200), "{:?}", begin.elapsed());
}

#[test]
fn pausing_and_coming_back_again_and_again_leaves_nothing_behind() {
    let settings = EventSettings { window: 1, queue: 2, batch: 2, log: 400, ..named() };
    let served = serve(settings);
    let hub = hub(&served);
    let token = "t".repeat(22);
    let target = format!("/events/s?window=1&token={token}");
    let mut last = String::new();
    for round in 0..15 {
        let mut one = Subscriber::new(&served, &target, "");
        assert_eq!(one.event().kind, if round == 0 { "sluicegate.open" } else { "sluicegate.resume" });
        until("the suspension", || {
            last = publish(&served, "s", &json!([{"data": "a"}, {"data": "b"}])).pop().unwrap();
            hub.gauges().suspended == 1
        });
        while one.next().is_some() {}
        for _ in 0..2 {
            let polled = served.get(&format!("/events/s/poll?token={token}&max=1000&after={last}"), "");
            assert_eq!(polled.status(), 200);
        }
    }
    assert_eq!((hub.counts().suspensions(), hub.counts().resumes()), (15, 14));
    let gauges = hub.gauges();
    assert_eq!((gauges.subscribers, gauges.suspended, gauges.away, gauges.sink_buffered), (0, 1, 0, 0));
    until("all connections to end", || served.handle.connections() == 0);
}
