//! Which spans a traced event leaves, whatever becomes of it.

use std::sync::Arc;
use std::time::Duration;

use super::super::delivery_trace::Tracing;
use super::super::event::Draft;
use super::super::stream::{After, SubscribeRequest};
use super::scene::{Connection, Scene};
use crate::events::EventSettings;
use crate::tracing::{Origin, Outcome, Record, Tracer};

pub(super) const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const UNSAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

/// A scene whose spans wait for [`told`], at most `most` of them.
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

/// Deliveries told since this was asked last: event, subscriber, when written last and how often, end, outcome.
pub(super) type TraceContext = (String, String, Option<(u64, u32)>, u64, Outcome);

pub(super) fn told(scene: &Scene) -> Vec<TraceContext> {
    let millis = |instant: crate::clock::Instant| instant.as_nanos() / 1_000_000;
    let records = scene.tracing.as_ref().unwrap().tracer.drain().into_iter();
    let delivered = records.map(|record| match record {
        Record::Delivered { origin, subscriber, written, end, outcome } => {
            let written = written.map(|(at, times)| (millis(at), times));
            (origin.event.to_string(), subscriber.to_string(), written, millis(end), outcome)
        }
        other => panic!("{other:?}"),
    });
    delivered.collect()
}

fn of(
    event: &str,
    subscriber: &str,
    written: Option<(u64, u32)>,
    end: u64,
    outcome: Outcome,
) -> TraceContext {
    (event.to_owned(), subscriber.to_owned(), written, end, outcome)
}

fn windowed(scene: &Scene, window: usize) -> SubscribeRequest {
    SubscribeRequest { window: Some(window), ..scene.visit() }
}

fn ack(scene: &mut Scene, connection: &Connection, id: &str) {
    let token = connection.token.clone();
    scene.with(|stream, context| stream.ack(&token, id, context).map(drop)).unwrap();
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
    assert_eq!(told(&scene), []);
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
    assert_eq!(told(&scene), []);
    assert_eq!(scene.tracing.as_ref().unwrap().tracer.open(), 1);
    scene.pass(10);
    scene.take(&mut connection, 10);
    assert_eq!(told(&scene), [of("x-1", "s1", Some((11, 1)), 21, Outcome::Acknowledged)]);
    assert_eq!(scene.tracing.as_ref().unwrap().tracer.open(), 0);
}

#[test]
fn with_a_window_it_ends_when_the_subscriber_acknowledges() {
    let mut scene = traced(EventSettings::default(), 100);
    let mut one = scene.open(&windowed(&scene, 10));
    let mut two = scene.open(&windowed(&scene, 10));
    for data in ["a", "b", "c"] {
        publish(&mut scene, data, Some(SAMPLED));
    }
    scene.pass(10);
    scene.take(&mut one, 10);
    scene.pass(10);
    scene.take(&mut two, 10);
    assert_eq!(told(&scene), []);
    scene.pass(10);
    ack(&mut scene, &one, "x-2");
    let acknowledged =
        |event, subscriber, written| of(event, subscriber, Some((written, 1)), 31, Outcome::Acknowledged);
    assert_eq!(told(&scene), [acknowledged("x-1", "s1", 11), acknowledged("x-2", "s1", 11)]);
    ack(&mut scene, &two, "x-3");
    let events = ["x-1", "x-2", "x-3"];
    assert_eq!(told(&scene), events.map(|event| acknowledged(event, "s2", 21)));
    ack(&mut scene, &one, "x-3");
    assert_eq!(told(&scene), [acknowledged("x-3", "s1", 11)]);
}

#[test]
fn what_is_written_again_is_one_delivery() {
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
    ack(&mut scene, &connection, "x-1");
    assert_eq!(told(&scene), [of("x-1", "s1", Some((11, 2)), 21, Outcome::Acknowledged)]);
}

#[test]
fn acknowledgements_are_waited_for_as_long_as_an_event_waits() {
    let settings = EventSettings { ttl: Duration::from_millis(100), ..EventSettings::default() };
    let mut scene = traced(settings, 100);
    let mut connection = scene.open(&windowed(&scene, 10));
    publish(&mut scene, "a", Some(SAMPLED));
    scene.take(&mut connection, 10);
    scene.pass(100);
    scene.with(|stream, context| stream.sweep(context));
    assert_eq!(told(&scene), []);
    scene.pass(1);
    scene.with(|stream, context| stream.sweep(context));
    assert_eq!(told(&scene), [of("x-1", "s1", Some((1, 1)), 102, Outcome::Unacknowledged)]);
    ack(&mut scene, &connection, "x-1");
    assert_eq!(told(&scene), [], "once told is told");
}

#[test]
fn who_is_forgotten_and_who_is_left_at_the_end_has_not_acknowledged() {
    let mut scene = traced(EventSettings::default(), 100);
    let mut connections = [scene.open(&windowed(&scene, 10)), scene.open(&windowed(&scene, 10))];
    publish(&mut scene, "a", Some(SAMPLED));
    connections.iter_mut().for_each(|connection| _ = scene.take(connection, 10));
    scene.leave(&connections[0]);
    assert!(scene.with(|stream, context| stream.forget_one(None, context)).is_some());
    assert_eq!(told(&scene), [of("x-1", "s1", Some((1, 1)), 1, Outcome::Unacknowledged)]);
    scene.with(|stream, context| stream.give_up(context));
    assert_eq!(told(&scene), [of("x-1", "s2", Some((1, 1)), 1, Outcome::Unacknowledged)]);
    assert_eq!(scene.tracing.as_ref().unwrap().tracer.open(), 0);
}

#[test]
fn what_a_subscriber_misses_is_told_once_with_the_reason() {
    let settings = EventSettings {
        ttl: Duration::from_millis(100),
        log: 2,
        queue: 2,
        batch: 2,
        ..EventSettings::default()
    };
    let mut scene = traced(settings, 100);
    let mut connection = scene.open(&scene.visit());
    // Nobody takes it in time.
    publish(&mut scene, "old", Some(SAMPLED));
    scene.pass(100);
    assert_eq!(scene.take(&mut connection, 1).said(), ["sluicegate.gap"]);
    assert_eq!(told(&scene), [of("x-1", "s1", None, 101, Outcome::Expired)]);
    // The log has no room for it.
    for data in ["out", "b", "c"] {
        publish(&mut scene, data, Some(SAMPLED));
    }
    assert_eq!(told(&scene), [of("x-2", "s1", None, 101, Outcome::Dropped)]);
    assert_eq!(scene.take(&mut connection, 10).said(), ["sluicegate.gap", "b", "c"]);
    scene.pass(1);
    scene.take(&mut connection, 1);
    let told = told(&scene);
    assert_eq!(
        told.iter().map(|told| (&*told.0, told.4)).collect::<Vec<_>>(),
        [("x-3", Outcome::Acknowledged), ("x-4", Outcome::Acknowledged)]
    );
}

#[test]
fn what_leaves_the_log_was_missed_by_those_alone_who_did_not_have_it() {
    let settings = EventSettings { log: 1, queue: 1, batch: 1, ..EventSettings::default() };
    let mut scene = traced(settings, 100);
    let mut had = scene.open(&windowed(&scene, 10));
    let _has_not = scene.open(&scene.visit());
    publish(&mut scene, "a", Some(SAMPLED));
    scene.take(&mut had, 10);
    publish(&mut scene, "b", None);
    assert_eq!(told(&scene), [of("x-1", "s2", None, 1, Outcome::Dropped)]);
    ack(&mut scene, &had, "x-1");
    assert_eq!(told(&scene), [of("x-1", "s1", Some((1, 1)), 1, Outcome::Acknowledged)]);
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
    scene.with(|stream, context| stream.sweep(context));
    assert_eq!(scene.take(&mut connection, 10).said(), ["sluicegate.pause"]);
    assert_eq!(told(&scene), []);
    let (token, after) = (connection.token.clone(), After::Id("x-1".to_owned()));
    scene.with(|stream, context| stream.poll(Some(&token), &after, 10, context).map(drop)).unwrap();
    assert_eq!(told(&scene), [of("x-1", "s1", Some((1, 1)), 251, Outcome::Acknowledged)]);
}

#[test]
fn what_waits_too_long_for_who_has_no_stream_is_not_missed_yet() {
    let ttl = Duration::from_millis(500);
    let settings = EventSettings { queue: 2, batch: 2, ttl, ..EventSettings::default() };
    let mut scene = traced(settings, 100);
    let mut connection = scene.open(&scene.visit());
    for data in ["a", "b", "c"] {
        publish(&mut scene, data, Some(SAMPLED));
    }
    scene.pass(250);
    scene.with(|stream, context| stream.sweep(context));
    scene.pass(500);
    // It is suspended, the events are older than its queue keeps them, and the log has them for its poll.
    publish(&mut scene, "d", Some(SAMPLED));
    assert_eq!(scene.take(&mut connection, 10).said(), ["sluicegate.pause"]);
    assert_eq!(told(&scene), []);
    let (token, after) = (connection.token.clone(), After::Known);
    let polled = scene.with(|stream, context| stream.poll(Some(&token), &after, 10, context));
    assert_eq!(polled.unwrap().events.len(), 4);
}

#[test]
fn more_deliveries_than_may_be_waited_for_end_with_their_write() {
    let mut scene = traced(EventSettings::default(), 2);
    let mut connection = scene.open(&windowed(&scene, 10));
    for data in ["a", "b", "c"] {
        publish(&mut scene, data, Some(SAMPLED));
    }
    scene.take(&mut connection, 10);
    assert_eq!(told(&scene), [of("x-3", "s1", Some((1, 1)), 1, Outcome::Written)]);
    ack(&mut scene, &connection, "x-3");
    let told = told(&scene);
    let told: Vec<_> = told.iter().map(|told| (&*told.0, told.4)).collect();
    assert_eq!(told, [("x-1", Outcome::Acknowledged), ("x-2", Outcome::Acknowledged)]);
}
