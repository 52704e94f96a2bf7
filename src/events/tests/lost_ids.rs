//! Resuming by the id of a publisher's own that a lost event had too: nothing is skipped, whichever of them the subscriber had.

use std::time::Duration;

use super::super::event::Draft;
use super::super::place::Place;
use super::super::stream::{After, SubscribeRequest};
use super::rules::small;
use super::scene::{Came, Scene, json};
use crate::events::EventSettings;

const TAG: &str = "0000000a";

/// A store that lost what was behind `b`: then c, own (e) and f were published.
fn scene(settings: EventSettings) -> Scene {
    let mut scene = Scene::new(settings);
    let (now, ttl) = (scene.now, Duration::from_secs(100));
    let event =
        |seq: u64, id: &str, data: &str| Draft::new(data, 100).unwrap().publish(seq, id.to_owned(), now, ttl);
    let place = Place { tag: TAG.into(), fork: Some(2) };
    let events = vec![
        event(1, "x-1", "a"),
        event(2, "x-2", "b"),
        event(3, "x-3.0000000a", "c"),
        event(4, "own", "e").placed(place, "x-4.0000000a"),
        event(5, "x-5.0000000a", "f"),
    ];
    scene.with(|stream, context| stream.append(events, context));
    scene
}

/// What is sent behind `last`, and where that begins.
fn behind(scene: &mut Scene, last: &str) -> (String, Came) {
    let visit = SubscribeRequest { last_id: Some(last.to_owned()), ..scene.visit() };
    let mut connection = scene.open(&visit);
    let came = scene.take(&mut connection, 9);
    (connection.opened.last_id, came)
}

#[test]
fn all_that_is_behind_the_fork_is_sent_to_whoever_resumes_by_such_an_id() {
    let mut scene = scene(EventSettings { queue: 40, ..small() });
    let (begin, came) = behind(&mut scene, "own");
    assert_eq!((begin.as_str(), came.said()), ("x-2", vec!["c", "e", "sluicegate.position", "f"]));
    let ids: Vec<&str> = came.events.iter().map(|read| &*read.last_id).collect();
    assert_eq!(ids, ["x-3.0000000a", "own", "x-4.0000000a", "x-5.0000000a"]);
    // Whoever has its position goes on there.
    let (begin, came) = behind(&mut scene, "x-4.0000000a");
    assert_eq!((begin.as_str(), came.said()), ("x-4.0000000a", vec!["f"]));
    for lost in ["x-4", "x-4.0000000b"] {
        let (_, came) = behind(&mut scene, lost);
        assert_eq!(came.said(), ["sluicegate.gap", "a", "b", "c", "e", "sluicegate.position", "f"], "{lost}");
    }
}

#[test]
fn polls_by_such_an_id_get_on() {
    let mut scene = scene(small());
    let mut poll = |after: &str, max| {
        let after = After::Id(after.to_owned());
        let polled = scene.with(|stream, context| stream.poll(None, &after, max, context)).unwrap();
        assert_eq!(polled.gap, None);
        let data = polled.events.iter().map(|event| String::from_utf8(event.data.to_vec()).unwrap());
        (data.collect::<Vec<_>>().join(" "), polled.last_id.unwrap())
    };
    assert_eq!(poll("own", 9), ("c e f".into(), "x-5.0000000a".into()));
    // Up to that event at least.
    assert_eq!(poll("own", 1), ("c e".into(), "x-4.0000000a".into()));
    assert_eq!(poll("x-4.0000000a", 1), ("f".into(), "x-5.0000000a".into()));
}

#[test]
fn acknowledgements_by_such_an_id_count_and_a_reconnect_by_it_goes_back() {
    let mut scene = scene(EventSettings { queue: 40, ..small() });
    let last_id = Some("x-2".to_owned());
    let visit = SubscribeRequest { window: Some(2), last_id, ..scene.visit() };
    let mut one = scene.open(&visit);
    assert_eq!(scene.take(&mut one, 9).said(), ["c", "e", "sluicegate.position"]);
    let token = one.token.clone();
    assert!(scene.ack(&token, "own").is_ok());
    scene.leave(&one);
    for (last, begin, said) in [
        (None, "x-4.0000000a", vec!["f"]),
        (Some("x-3.0000000a"), "x-4.0000000a", vec!["f"]),
        (Some("own"), "x-2", vec!["c", "e", "sluicegate.position"]),
    ] {
        let last_id = last.map(str::to_owned);
        let mut two = scene.open(&SubscribeRequest { token: Some(token.clone()), last_id, ..visit.clone() });
        assert_eq!(two.opened.last_id, begin, "{last:?}");
        assert_eq!(scene.take(&mut two, 9).said(), said, "{last:?}");
        scene.leave(&two);
    }
}

#[test]
fn it_is_unknown_once_the_log_does_not_reach_back_to_the_fork() {
    let mut scene = scene(EventSettings { queue: 40, ..small() });
    scene.settings.log = 2;
    scene.with(|stream, context| stream.sweep(context));
    let (_, came) = behind(&mut scene, "own");
    assert_eq!(came.said(), ["sluicegate.gap", "e", "sluicegate.position", "f"]);
    assert_eq!(json(&came.events[0])["reason"], "unknown");
    let (_, came) = behind(&mut scene, "x-4.0000000a");
    assert_eq!(came.said(), ["f"]);
}

#[test]
fn a_known_subscriber_with_an_id_that_is_lost_is_not_taken_to_have_what_was_written_to_it() {
    let mut scene = scene(EventSettings { queue: 40, ..small() });
    let mut one = scene.open(&SubscribeRequest { last_id: Some("x-2".into()), ..scene.visit() });
    assert_eq!(scene.take(&mut one, 9).said(), ["c", "e", "sluicegate.position", "f"]);
    scene.pass(1);
    scene.take(&mut one, 9);
    scene.leave(&one);
    let last_id = Some("x-4.0000000b".to_owned());
    let mut two = scene.open(&SubscribeRequest { token: Some(one.token), last_id, ..scene.visit() });
    assert_eq!(
        scene.take(&mut two, 9).said(),
        ["sluicegate.gap", "a", "b", "c", "e", "sluicegate.position", "f"]
    );
}
