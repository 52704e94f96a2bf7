//! Which spans a traced event leaves, whatever becomes of it.

use std::sync::Arc;
use std::time::Duration;

use super::super::delivery_trace::Tracing;
use super::super::event::Draft;
use super::super::stream::{After, SubscribeRequest};
use super::scene::Scene;
use crate::events::EventSettings;
use crate::tracing::{Origin, Outcome, Record, Tracer};

pub(super) const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const UNSAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

/// A scene whose spans wait for [`delivered`], at most `most` of them.
pub(super) fn traced(settings: EventSettings, most: usize) -> Scene {
    let tracer = Arc::new(Tracer::mute(most));
    let mut scene = Scene::new(settings);
    scene.tracing = Some(Tracing { tracer, route: "/events/".into() });
    scene
}

fn publish(scene: &mut Scene, data: &str, trace: Option<&str>) -> Vec<Arc<Origin>> {
    let draft = Draft::new(data, 10_000).unwrap().trace(trace.map(|trace| trace.parse().unwrap()));
    scene.with(|stream, context| stream.publish(vec![draft], context).unwrap()).traced
}

fn publish_each(scene: &mut Scene, data: &[&str]) {
    data.iter().for_each(|data| drop(publish(scene, data, Some(SAMPLED))));
}

/// Deliveries recorded since the last call: event, subscriber, when written last and how often, end, outcome.
pub(super) type Delivery = (String, String, Option<(u64, u32)>, u64, Outcome);

pub(super) fn delivered(scene: &Scene) -> Vec<Delivery> {
    let millis = |instant: crate::clock::Instant| instant.as_nanos() / 1_000_000;
    let records = scene.tracing.as_ref().unwrap().tracer.drain().into_iter();
    let deliveries = records.map(|record| match record {
        Record::Delivered { origin, subscriber, written, end, outcome } => {
            let written = written.map(|(at, times)| (millis(at), times));
            (origin.event.to_string(), subscriber.to_string(), written, millis(end), outcome)
        }
        other => panic!("{other:?}"),
    });
    deliveries.collect()
}

fn of(event: &str, subscriber: &str, written: Option<(u64, u32)>, end: u64, outcome: Outcome) -> Delivery {
    (event.to_owned(), subscriber.to_owned(), written, end, outcome)
}

/// Event and outcome of each.
fn outcomes(deliveries: &[Delivery]) -> Vec<(&str, Outcome)> {
    deliveries.iter().map(|delivery| (&*delivery.0, delivery.4)).collect()
}

fn windowed(scene: &Scene, window: usize) -> SubscribeRequest {
    SubscribeRequest { window: Some(window), ..scene.visit() }
}

#[test]
fn only_events_of_sampled_traces_are_traced() {
    let mut scene = traced(EventSettings::default(), 100);
    assert_eq!(publish(&mut scene, "plain", None), []);
    assert_eq!(publish(&mut scene, "unsampled", Some(UNSAMPLED)), []);
    let origins = publish(&mut scene, "sampled", Some(SAMPLED));
    let [origin] = &origins[..] else { panic!("{origins:?}") };
    let expected = Origin {
        trace: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736,
        parent: 0x00f0_67aa_0ba9_02b7,
        span: origin.span,
        route: "/events/".into(),
        stream: "s".into(),
        event: "x-3".into(),
        bytes: 7,
        born: scene.now,
    };
    assert_eq!(**origin, expected);
    assert!(origin.span != 0 && origin.span != origin.parent);
    // The same again under its own id is not published again, and has no span.
    let draft = || Draft::new("a", 10).unwrap().id("own").unwrap().trace(SAMPLED.parse().ok());
    let publish = |scene: &mut Scene| {
        scene.with(|stream, context| stream.publish(vec![draft()], context).unwrap()).traced.len()
    };
    assert_eq!((publish(&mut scene), publish(&mut scene)), (1, 0));
    assert_eq!(delivered(&scene), []);
}

#[test]
fn without_tracing_nothing_is_marked() {
    let mut scene = Scene::new(EventSettings::default());
    assert_eq!(publish(&mut scene, "sampled", Some(SAMPLED)), []);
}

#[test]
fn a_delivery_ends_when_the_sink_has_taken_it() {
    let mut scene = traced(EventSettings::default(), 100);
    let mut connection = scene.open(&scene.visit());
    publish(&mut scene, "a", Some(SAMPLED));
    publish(&mut scene, "plain", None);
    scene.pass(10);
    scene.take(&mut connection, 10);
    assert_eq!(delivered(&scene), []);
    assert_eq!(scene.tracing.as_ref().unwrap().tracer.open(), 1);
    scene.pass(10);
    scene.take(&mut connection, 10);
    assert_eq!(delivered(&scene), [of("x-1", "s1", Some((11, 1)), 21, Outcome::Acknowledged)]);
    assert_eq!(scene.tracing.as_ref().unwrap().tracer.open(), 0);
}

#[test]
fn with_a_window_it_ends_when_the_subscriber_acknowledges() {
    let mut scene = traced(EventSettings::default(), 100);
    let mut one = scene.open(&windowed(&scene, 10));
    let mut two = scene.open(&windowed(&scene, 10));
    publish_each(&mut scene, &["a", "b", "c"]);
    scene.pass(10);
    scene.take(&mut one, 10);
    scene.pass(10);
    scene.take(&mut two, 10);
    assert_eq!(delivered(&scene), []);
    scene.pass(10);
    scene.ack(&one.token, "x-2").unwrap();
    let acknowledged =
        |event, subscriber, written| of(event, subscriber, Some((written, 1)), 31, Outcome::Acknowledged);
    assert_eq!(delivered(&scene), [acknowledged("x-1", "s1", 11), acknowledged("x-2", "s1", 11)]);
    scene.ack(&two.token, "x-3").unwrap();
    let events = ["x-1", "x-2", "x-3"];
    assert_eq!(delivered(&scene), events.map(|event| acknowledged(event, "s2", 21)));
    scene.ack(&one.token, "x-3").unwrap();
    assert_eq!(delivered(&scene), [acknowledged("x-3", "s1", 11)]);
}

#[test]
fn an_event_written_again_is_one_delivery() {
    let mut scene = traced(EventSettings::default(), 100);
    let mut connection = scene.open(&windowed(&scene, 10));
    publish(&mut scene, "a", Some(SAMPLED));
    scene.take(&mut connection, 10);
    scene.leave(&connection);
    scene.pass(10);
    let again = SubscribeRequest { token: Some(connection.token.clone()), ..windowed(&scene, 10) };
    let mut connection = scene.open(&again);
    scene.take(&mut connection, 10);
    scene.pass(10);
    scene.ack(&connection.token, "x-1").unwrap();
    assert_eq!(delivered(&scene), [of("x-1", "s1", Some((11, 2)), 21, Outcome::Acknowledged)]);
}

#[test]
fn acknowledgements_are_waited_for_as_long_as_an_event_waits() {
    let settings = EventSettings { ttl: Duration::from_millis(100), ..EventSettings::default() };
    let mut scene = traced(settings, 100);
    let mut connection = scene.open(&windowed(&scene, 10));
    publish(&mut scene, "a", Some(SAMPLED));
    scene.take(&mut connection, 10);
    scene.pass(100);
    scene.sweep();
    assert_eq!(delivered(&scene), []);
    scene.pass(1);
    scene.sweep();
    assert_eq!(delivered(&scene), [of("x-1", "s1", Some((1, 1)), 102, Outcome::Unacknowledged)]);
    scene.ack(&connection.token, "x-1").unwrap();
    assert_eq!(delivered(&scene), [], "it was recorded before");
}

#[test]
fn a_forgotten_subscriber_and_one_left_at_the_end_have_not_acknowledged() {
    let mut scene = traced(EventSettings::default(), 100);
    let mut connections = [scene.open(&windowed(&scene, 10)), scene.open(&windowed(&scene, 10))];
    publish(&mut scene, "a", Some(SAMPLED));
    connections.iter_mut().for_each(|connection| _ = scene.take(connection, 10));
    scene.leave(&connections[0]);
    assert!(scene.with(|stream, context| stream.forget_one(None, context)).is_some());
    assert_eq!(delivered(&scene), [of("x-1", "s1", Some((1, 1)), 1, Outcome::Unacknowledged)]);
    scene.with(|stream, context| stream.give_up(context));
    assert_eq!(delivered(&scene), [of("x-1", "s2", Some((1, 1)), 1, Outcome::Unacknowledged)]);
    assert_eq!(scene.tracing.as_ref().unwrap().tracer.open(), 0);
}

#[test]
fn a_missed_event_is_recorded_once_with_the_reason() {
    let ttl = Duration::from_millis(100);
    let settings = EventSettings { ttl, log: 2, queue: 2, batch: 2, ..EventSettings::default() };
    let mut scene = traced(settings, 100);
    let mut connection = scene.open(&scene.visit());
    // Nobody takes it in time.
    publish(&mut scene, "old", Some(SAMPLED));
    scene.pass(100);
    assert_eq!(scene.take(&mut connection, 1).said(), ["sluicegate.gap"]);
    assert_eq!(delivered(&scene), [of("x-1", "s1", None, 101, Outcome::Expired)]);
    // The log has no room for it.
    publish_each(&mut scene, &["out", "b", "c"]);
    assert_eq!(delivered(&scene), [of("x-2", "s1", None, 101, Outcome::Dropped)]);
    assert_eq!(scene.take(&mut connection, 10).said(), ["sluicegate.gap", "b", "c"]);
    scene.pass(1);
    scene.take(&mut connection, 1);
    let expected = [("x-3", Outcome::Acknowledged), ("x-4", Outcome::Acknowledged)];
    assert_eq!(outcomes(&delivered(&scene)), expected);
}

#[test]
fn an_event_that_leaves_the_log_is_lost_to_those_without_it() {
    let settings = EventSettings { log: 1, queue: 1, batch: 1, ..EventSettings::default() };
    let mut scene = traced(settings, 100);
    let mut had = scene.open(&windowed(&scene, 10));
    let _has_not = scene.open(&scene.visit());
    publish(&mut scene, "a", Some(SAMPLED));
    scene.take(&mut had, 10);
    publish(&mut scene, "b", None);
    assert_eq!(delivered(&scene), [of("x-1", "s2", None, 1, Outcome::Dropped)]);
    scene.ack(&had.token, "x-1").unwrap();
    assert_eq!(delivered(&scene), [of("x-1", "s1", Some((1, 1)), 1, Outcome::Acknowledged)]);
}

#[test]
fn one_that_is_suspended_has_what_it_polls_on_from() {
    let settings = EventSettings { queue: 2, batch: 2, ..EventSettings::default() };
    let mut scene = traced(settings, 100);
    let mut connection = scene.open(&windowed(&scene, 1));
    for data in ["a", "b", "c", "d"] {
        publish(&mut scene, data, Some(SAMPLED));
        scene.take(&mut connection, 1);
    }
    scene.pass(250);
    scene.sweep();
    assert_eq!(scene.take(&mut connection, 10).said(), ["sluicegate.pause"]);
    assert_eq!(delivered(&scene), []);
    scene.poll(&connection.token, After::Id("x-1".to_owned()), 10).unwrap();
    assert_eq!(delivered(&scene), [of("x-1", "s1", Some((1, 1)), 251, Outcome::Acknowledged)]);
}

#[test]
fn an_event_too_old_for_the_queue_is_not_lost_to_a_suspended_subscriber() {
    let ttl = Duration::from_millis(500);
    let settings = EventSettings { queue: 2, batch: 2, ttl, ..EventSettings::default() };
    let mut scene = traced(settings, 100);
    let mut connection = scene.open(&scene.visit());
    publish_each(&mut scene, &["a", "b", "c"]);
    scene.pass(250);
    scene.sweep();
    scene.pass(500);
    // It is suspended, the events are older than its queue keeps them, and the log has them for its poll.
    publish(&mut scene, "d", Some(SAMPLED));
    assert_eq!(scene.take(&mut connection, 10).said(), ["sluicegate.pause"]);
    assert_eq!(delivered(&scene), []);
    assert_eq!(scene.poll(&connection.token, After::Known, 10).unwrap().events.len(), 4);
}

#[test]
fn more_deliveries_than_may_be_waited_for_end_with_their_write() {
    let mut scene = traced(EventSettings::default(), 2);
    let mut connection = scene.open(&windowed(&scene, 10));
    publish_each(&mut scene, &["a", "b", "c"]);
    scene.take(&mut connection, 10);
    assert_eq!(delivered(&scene), [of("x-3", "s1", Some((1, 1)), 1, Outcome::Written)]);
    scene.ack(&connection.token, "x-3").unwrap();
    let expected = [("x-1", Outcome::Acknowledged), ("x-2", Outcome::Acknowledged)];
    assert_eq!(outcomes(&delivered(&scene)), expected);
}
