//! Rules of a stream, one by one.

use std::time::Duration;

use super::super::hub_error::HubError;
use super::super::stream::{After, SubscribeRequest, Take};
use super::scene::{Scene, json};
use crate::budget::ClientKey;
use crate::clock::Instant;
use crate::events::{EventRate, EventSettings};

/// Small enough that tests reach the bounds.
pub(super) fn small() -> EventSettings {
    EventSettings { queue: 4, batch: 4, log: 8, ..EventSettings::default() }
}

#[test]
fn a_subscriber_gets_what_is_published_from_then_on() {
    let mut scene = Scene::new(small());
    scene.publish(&["before"]);
    let mut one = scene.open(&scene.visit());
    assert_eq!(one.opened.kind, "sluicegate.open");
    assert_eq!(json(&one.opened)["last_id"], "x-1");
    assert!(matches!(scene.take(&mut one, 9).then, Some(Take::Idle)));
    scene.publish(&["a", "b"]);
    let came = scene.take(&mut one, 9);
    assert_eq!((came.said(), came.events[1].last_id.as_str()), (vec!["a", "b"], "x-3"));
}

#[test]
fn a_stream_lost_before_its_first_event_loses_no_event() {
    let mut scene = Scene::new(small());
    for (before, published) in [("x-0", "a"), ("x-1", "b")] {
        let one = scene.open(&scene.visit());
        assert_eq!(one.opened.last_id, before, "the place it begins at");
        scene.publish(&[published]);
        // The connection breaks; a browser says the last id it heard, and no token.
        scene.leave(&one);
        let again = SubscribeRequest { last_id: Some(one.opened.last_id), ..scene.visit() };
        let mut two = scene.open(&again);
        assert_eq!(scene.take(&mut two, 9).said(), [published]);
        assert_eq!(two.opened.last_id, before);
        scene.leave(&two);
    }
}

#[test]
fn a_window_holds_until_it_is_acknowledged_and_what_is_not_is_sent_again() {
    let mut scene = Scene::new(EventSettings { queue: 40, ..small() });
    let visit = SubscribeRequest { window: Some(2), ..scene.visit() };
    let mut one = scene.open(&visit);
    scene.publish(&["a", "b", "c"]);
    let came = scene.take(&mut one, 9);
    assert_eq!(came.said(), ["a", "b"]);
    assert!(matches!(came.then, Some(Take::Window)));
    let token = one.token.clone();
    assert_eq!(scene.ack(&token, "x-3"), Err(HubError::NeverSent), "it was not sent yet");
    assert_eq!(scene.ack(&token, "x-9"), Err(HubError::NeverSent));
    assert_eq!(scene.ack(&token, "y-1"), Err(HubError::NeverSent));
    assert_eq!(scene.ack("somebody else's token", "x-1"), Err(HubError::UnknownToken));
    assert!(scene.ack(&token, "x-1").is_ok());
    assert_eq!(scene.take(&mut one, 9).said(), ["c"]);
    assert!(scene.ack(&token, "x-1").is_ok(), "once more is no error");
    scene.leave(&one);
    let again = SubscribeRequest { token: Some(token.clone()), last_id: Some("x-3".into()), ..visit };
    let mut two = scene.open(&again);
    assert_eq!(
        (json(&two.opened)["known"].as_bool(), json(&two.opened)["last_id"].as_str()),
        (Some(true), Some("x-1"))
    );
    assert_eq!(scene.take(&mut two, 9).said(), ["b", "c"], "neither was acknowledged");
    assert!(scene.ack(&token, "x-3").is_ok());
    assert!(matches!(scene.take(&mut two, 9).then, Some(Take::Idle)));
}

#[test]
fn an_acknowledgement_from_the_connection_before_spares_the_second_delivery() {
    let mut scene = Scene::new(small());
    let visit = SubscribeRequest { window: Some(4), ..scene.visit() };
    let mut one = scene.open(&visit);
    scene.publish(&["a", "b", "c"]);
    scene.take(&mut one, 9);
    let mut two = scene.open(&SubscribeRequest { token: Some(one.token.clone()), ..visit });
    assert!(scene.take(&mut one, 9).then.is_none(), "the old connection ends");
    scene.ack(&two.token, "x-2").unwrap();
    assert_eq!(scene.take(&mut two, 9).said(), ["c"]);
    scene.leave(&one);
    scene.publish(&["d"]);
    assert_eq!(scene.take(&mut two, 9).said(), ["d"], "the old connection's end is not the new one's");
}

#[test]
fn an_id_that_is_gone_is_a_gap_and_one_that_was_never_there_too() {
    let mut scene = Scene::new(EventSettings { log: 4, ..small() });
    scene.publish(&["a", "b"]);
    scene.publish(&["c", "d", "e", "f"]);
    let mut one = scene.open(&SubscribeRequest { last_id: Some("x-1".into()), ..scene.visit() });
    let came = scene.take(&mut one, 9);
    assert_eq!(came.said(), ["sluicegate.gap", "c", "d", "e", "f"]);
    let gap = serde_json::json!({"after": "x-1", "before": "x-3", "missing": 1, "reason": "evicted"});
    assert_eq!(json(&came.events[0]), gap);
    let mut two = scene.open(&SubscribeRequest { last_id: Some("x-2".into()), ..scene.visit() });
    assert_eq!(scene.take(&mut two, 9).said(), ["c", "d", "e", "f"], "nothing is missing");
    let mut three =
        scene.open(&SubscribeRequest { last_id: Some("of-another-time".into()), ..scene.visit() });
    let came = scene.take(&mut three, 9);
    assert_eq!(came.said(), ["sluicegate.gap", "c", "d", "e", "f"]);
    let gap = serde_json::json!({"after": "of-another-time", "before": "x-3", "missing": null, "reason": "unknown"});
    assert_eq!(json(&came.events[0]), gap);
}

#[test]
fn an_event_that_waits_too_long_is_passed_over_and_reported() {
    let mut scene = Scene::new(small());
    let mut one = scene.open(&scene.visit());
    scene.publish(&["a", "b"]);
    scene.pass(20_000);
    scene.publish(&["c"]);
    scene.pass(9_999);
    assert_eq!(scene.take(&mut one, 1).said(), ["a"], "not yet 30 s");
    scene.pass(1);
    let came = scene.take(&mut one, 9);
    assert_eq!(came.said(), ["sluicegate.gap", "c"]);
    let gap = serde_json::json!({"after": "x-1", "before": "x-3", "missing": 1, "reason": "expired"});
    assert_eq!(json(&came.events[0]), gap);
    assert_eq!((scene.counts.expired(), scene.counts.gaps(), scene.counts.dropped()), (1, 1, 0));
    let mut late = scene.open(&SubscribeRequest { last_id: Some("x-1".into()), ..scene.visit() });
    assert_eq!(scene.take(&mut late, 9).said(), ["b", "c"], "a replay is not old, the log is");
}

#[test]
fn a_full_queue_is_suspended_polls_and_comes_back() {
    let mut scene = Scene::new(EventSettings { queue: 4, log: 100, ..small() });
    let (mut slow, mut other) = (scene.open(&scene.visit()), scene.open(&scene.visit()));
    scene.publish(&["a"]);
    assert_eq!(scene.take(&mut slow, 9).said(), ["a"]);
    scene.publish(&["b", "c", "d", "e"]);
    scene.publish(&["f"]);
    assert_eq!(scene.counts.suspensions(), 0, "a burst is no stall");
    scene.take(&mut other, 9);
    scene.pass(200);
    scene.publish(&["g"]);
    assert_eq!(scene.counts.suspensions(), 1);
    let came = scene.take(&mut slow, 9);
    assert_eq!((came.said(), came.then.is_none()), (vec!["sluicegate.pause"], true));
    let pause = json(&came.events[0]);
    assert_eq!((pause["reason"].as_str(), pause["last_id"].as_str()), (Some("queue_full"), Some("x-1")));
    assert_eq!(pause["poll"], format!("/events/s/poll?token={}&after=x%2D1", slow.token));
    assert_eq!(slow.parser.retry, Some(24_600), "long, and with jitter");
    assert_eq!(scene.take(&mut other, 9).said(), ["g"], "others feel nothing");
    scene.leave(&slow);

    let token = slow.token.clone();
    let again = SubscribeRequest { token: Some(token.clone()), last_id: Some("x-1".into()), ..scene.visit() };
    let pause = scene.subscribe(&again).err().expect("still suspended");
    assert_eq!((pause.kind.as_str(), json(&pause)["last_id"].as_str()), ("sluicegate.pause", Some("x-1")));

    let poll = |scene: &mut Scene, after: &str, max| {
        let polled = scene.poll(&token, After::Id(after.into()), max).unwrap();
        let data: Vec<String> =
            polled.events.iter().map(|event| String::from_utf8(event.data.to_vec()).unwrap()).collect();
        (data.concat(), polled.last_id.unwrap(), polled.suspended, polled.may_resume)
    };
    assert_eq!(poll(&mut scene, "x-1", 4), ("bcde".into(), "x-5".into(), true, false));
    assert!(scene.subscribe(&again).is_err(), "not at the head");
    assert_eq!(poll(&mut scene, "x-5", 4), ("fg".into(), "x-7".into(), true, true));
    assert_eq!(poll(&mut scene, "x-7", 4), (String::new(), "x-7".into(), true, true));
    scene.publish(&["h"]);
    let mut back = scene.open(&again);
    assert_eq!(back.opened.kind, "sluicegate.resume");
    assert_eq!(scene.take(&mut back, 9).said(), ["h"], "what was polled is not sent again");
    assert_eq!(scene.counts.resumes(), 1);
    assert!(!scene.poll(&back.token, After::Known, 9).unwrap().suspended);
}

#[test]
fn only_its_token_makes_one_a_known_subscriber() {
    let mut scene = Scene::new(EventSettings { queue: 4, log: 100, ..small() });
    let slow = scene.open(&scene.visit());
    scene.publish(&["a", "b", "c", "d"]);
    scene.publish(&["e"]);
    scene.pass(200);
    scene.publish(&["f"]);
    scene.pass(200);
    scene.publish(&["g"]);
    assert_eq!(scene.counts.suspensions(), 1);
    scene.leave(&slow);
    // From the same address, with each id that the suspended one may have seen, and without its token.
    for (last, after) in [("x-0", "abcdefg"), ("x-1", "bcdefg"), ("x-7", "")] {
        let guess = SubscribeRequest { last_id: Some(last.into()), ..scene.visit() };
        let mut other = scene.open(&guess);
        let opened = json(&other.opened);
        assert_eq!((other.opened.kind.as_str(), &opened["known"]), ("sluicegate.open", &false.into()));
        assert_ne!(other.token, slow.token);
        assert!(!other.opened.data.contains(&slow.token));
        assert_eq!(scene.take(&mut other, 9).said().concat(), after, "it goes on from where it says it is");
        scene.leave(&other);
    }
    let own = SubscribeRequest { token: Some(slow.token.clone()), ..scene.visit() };
    let pause = scene.subscribe(&own).err().expect("still suspended");
    assert!(json(&pause)["poll"].as_str().unwrap().contains(&slow.token), "it brought that itself");
}

#[test]
fn bytes_fill_a_queue_too() {
    let settings = EventSettings { queue: 100, queue_bytes: 5_000, ..small() };
    let mut scene = Scene::new(settings);
    let mut one = scene.open(&scene.visit());
    scene.publish(&["x".repeat(4_000).as_str(), "y".repeat(1_000).as_str()]);
    scene.pass(200);
    scene.publish(&["z"]);
    scene.pass(200);
    scene.publish(&["z"]);
    assert_eq!(json(&scene.take(&mut one, 9).events[0])["reason"], "queue_bytes_full");
}

#[test]
fn a_replay_of_any_length_fills_no_queue() {
    let mut scene = Scene::new(EventSettings { queue: 4, log: 100, ..small() });
    for _ in 0..10 {
        scene.publish(&["a", "b", "c", "d"]);
    }
    let mut one = scene.open(&SubscribeRequest { last_id: Some("x-1".into()), ..scene.visit() });
    for _ in 0..3 {
        scene.pass(300);
        scene.publish(&["e"]);
    }
    assert_eq!(scene.take(&mut one, 99).events.len(), 39 + 3);
    assert_eq!(scene.counts.suspensions(), 0);
}

#[test]
fn the_rate_lets_a_burst_go_and_then_one_by_one_to_the_nanosecond() {
    let settings = EventSettings { queue: 100, rate: EventRate::or_unlimited(2), burst: 2, ..small() };
    let mut scene = Scene::new(settings);
    let mut one = scene.open(&scene.visit());
    scene.publish(&["a", "b", "c", "d"]);
    let came = scene.take(&mut one, 9);
    assert_eq!(came.said(), ["a", "b"]);
    let Some(Take::Until(due)) = came.then else { panic!("{:?}", came.then) };
    assert_eq!(due, scene.now + Duration::from_millis(500));
    scene.now = Instant::from_nanos(due.as_nanos() - 1);
    assert!(scene.take(&mut one, 9).events.is_empty());
    scene.now = due;
    assert_eq!(scene.take(&mut one, 9).said(), ["c"]);
}

#[test]
fn the_cap_for_all_gives_each_its_turn() {
    let settings = EventSettings { total_rate: EventRate::or_unlimited(10), total_burst: 1, ..small() };
    let mut scene = Scene::new(settings);
    let mut all = [scene.open(&scene.visit()), scene.open(&scene.visit()), scene.open(&scene.visit())];
    scene.publish(&["a"]);
    let begin = scene.now;
    let mut dues = Vec::new();
    for one in &mut all {
        match scene.take(one, 9).then {
            Some(Take::Until(due)) => dues.push(due),
            Some(Take::Idle) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(dues, [100, 200].map(|millis| begin + Duration::from_millis(millis)));
    scene.now = dues[0];
    assert!(scene.take(&mut all[2], 9).events.is_empty(), "it is not its turn");
    assert_eq!(scene.take(&mut all[1], 9).said(), ["a"]);
}

#[test]
fn a_subscriber_that_is_away_too_long_is_forgotten() {
    let mut scene = Scene::new(small());
    let one = scene.open(&scene.visit());
    scene.leave(&one);
    scene.pass(29_999);
    assert_eq!(scene.sweep(), []);
    scene.pass(1);
    assert_eq!(scene.sweep(), [ClientKey::Local]);
    assert_eq!(scene.ack(&one.token, "x-1"), Err(HubError::UnknownToken));
    assert_eq!(scene.stream.subscribers().count(), 0);
}

#[test]
fn without_a_window_what_the_sink_flushed_is_acknowledged() {
    let mut scene = Scene::new(small());
    let visit = SubscribeRequest { token: Some("t".repeat(22)), ..scene.visit() };
    let one = scene.open(&visit);
    scene.publish(&["a", "b"]);
    let take = |scene: &mut Scene, flushes| {
        scene.with(|stream, context| {
            stream.asked(one.at, flushes, 1, context);
            stream.take(one.at, "/", 0, context)
        })
    };
    assert!(matches!(take(&mut scene, 5), Take::Bytes(_)));
    assert!(matches!(take(&mut scene, 5), Take::Bytes(_)), "the first is on its way");
    assert!(matches!(take(&mut scene, 6), Take::Idle), "the first is through");
    scene.leave(&one);
    let mut two = scene.open(&visit);
    assert_eq!(scene.take(&mut two, 9).said(), ["b"]);
}
