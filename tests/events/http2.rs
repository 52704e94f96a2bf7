//! Streams of events over HTTP/2, with prior knowledge: several on one connection, each with its own window.

use http::{Request, StatusCode, Version};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use serde_json::{Value, json};
use sluicegate::config::EventSettings;
use sluicegate::rt;

use crate::client::{hub, named, publish, serve};
use testkit::h2::{Sender, connect};
use testkit::sse::{Answer, Event};
use testkit::wait::until;

struct Stream {
    body: Incoming,
    answer: Answer,
}

impl Stream {
    async fn new(sender: &mut Sender, target: &str) -> Self {
        let response = get(sender, target).await;
        assert_eq!((response.status(), response.version()), (StatusCode::OK, Version::HTTP_2));
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        // RFC 9113 section 8.2.2: fields of one hop alone make a response malformed.
        for field in ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"] {
            assert!(!response.headers().contains_key(field), "{field} in {:?}", response.headers());
        }
        Self { body: response.into_body(), answer: Answer::content() }
    }

    /// The next event; none at the clean end.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.answer.next() {
                return Some(event);
            }
            if self.answer.ended {
                return None;
            }
            match self.body.frame().await {
                None => self.answer.ended = true,
                Some(frame) => self.answer.push(frame.unwrap().data_ref().unwrap()),
            }
        }
    }

    async fn event(&mut self) -> Event {
        self.next().await.expect("the stream ended")
    }
}

async fn get(sender: &mut Sender, target: &str) -> hyper::Response<Incoming> {
    let request = Request::get(format!("http://t{target}")).body(Empty::new()).unwrap();
    sender.send_request(request).await.unwrap()
}

async fn poll(sender: &mut Sender, target: &str) -> Value {
    let body = get(sender, target).await.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&body).unwrap()
}

#[test]
fn streams_share_a_connection_and_end_cleanly_with_their_server() {
    let served = serve(named());
    publish(&served, "other", &json!({"data": "before"}));
    rt::block_on(async {
        let mut sender = connect(served.addr, 65_535).await;
        let mut one = Stream::new(&mut sender, "/events/s").await;
        let mut two = Stream::new(&mut sender, "/events/other").await;
        assert_eq!(
            (one.event().await.kind, two.event().await.kind),
            ("sluicegate.open".into(), "sluicegate.open".into())
        );
        publish(&served, "s", &json!({"data": "a"}));
        publish(&served, "other", &json!({"data": "b"}));
        assert_eq!((one.event().await.data, two.event().await.data), ("a".into(), "b".into()));
        served.handle.drain();
        assert_eq!((one.next().await, two.next().await), (None, None));
        assert!(one.answer.retry.is_some(), "told when to come again");
    });
    served.join();
}

#[test]
fn a_stream_that_is_not_read_is_paused_and_its_neighbour_on_the_connection_feels_nothing() {
    let served = serve(EventSettings { queue: 20, batch: 20, ..named() });
    let hub = hub(&served);
    let token = "t".repeat(22);
    let target = format!("/events/s?token={token}");
    rt::block_on(async {
        let mut sender = connect(served.addr, 16_384).await;
        let mut stalled = Stream::new(&mut sender, &target).await;
        let mut neighbour = Stream::new(&mut sender, "/events/s").await;
        assert_eq!(neighbour.event().await.kind, "sluicegate.open");
        let data = "x".repeat(20_000);
        let mut published = 0;
        // With its window shut, nothing of the neighbour's may wait for it: each batch comes before the next.
        while hub.gauges().suspended == 0 {
            let batch: Vec<Value> =
                (published..published + 3).map(|n| json!({"data": format!("{n} {data}")})).collect();
            publish(&served, "s", &json!(batch));
            for n in published..published + 3 {
                assert!(neighbour.event().await.data.starts_with(&format!("{n} ")));
            }
            published += 3;
            assert!(published < 3_000, "it takes 60 MB into a window of 16 KiB");
        }
        assert_eq!(hub.gauges().subscribers, 1);

        // Now it reads: what was on its way, the pause, the end.
        assert_eq!(stalled.event().await.kind, "sluicegate.open");
        let mut next = 0;
        let pause = loop {
            let event = stalled.event().await;
            if event.kind == "sluicegate.pause" {
                break event.json();
            }
            assert!(event.data.starts_with(&format!("{next} ")), "{next}: {}", &event.data[..20]);
            next += 1;
        };
        assert_eq!(stalled.next().await, None);

        // On the same connection it polls, and comes back behind what it has.
        let mut at = pause["poll"].as_str().unwrap().to_owned();
        loop {
            let answer = poll(&mut sender, &at).await;
            for event in answer["events"].as_array().unwrap() {
                assert!(event["data"].as_str().unwrap().starts_with(&format!("{next} ")), "{next}");
                next += 1;
            }
            if answer["may_resume"] == true && answer["events"] == json!([]) {
                break;
            }
            let last = answer["last_id"].as_str().unwrap();
            at = format!("/events/s/poll?token={token}&after={last}");
        }
        assert_eq!(next, published);
        let mut back = Stream::new(&mut sender, &target).await;
        assert_eq!(back.event().await.kind, "sluicegate.resume");
        publish(&served, "s", &json!({"data": "after"}));
        assert_eq!((back.event().await.data, neighbour.event().await.data), ("after".into(), "after".into()));
    });
    until("its connection to end", || served.handle.connections() == 0);
}

#[test]
fn a_client_that_subscribes_and_resets_repeatedly_holds_no_more_places_than_its_limit() {
    let served = serve(EventSettings { subscribers: 20, client_streams: 5, ..named() });
    let hub = hub(&served);
    rt::block_on(async {
        let mut sender = connect(served.addr, 65_535).await;
        for _ in 0..40 {
            // Reads the head; dropping what follows resets the stream.
            drop(Stream::new(&mut sender, "/events/s").await);
            until("the reset to be noticed", || hub.gauges().subscribers == 0);
        }
        assert_eq!(hub.gauges().away, 5);
        let mut kept = Vec::new();
        for _ in 0..5 {
            kept.push(Stream::new(&mut sender, "/events/s").await);
        }
        assert_eq!(get(&mut sender, "/events/s").await.status(), StatusCode::TOO_MANY_REQUESTS);
    });
}
