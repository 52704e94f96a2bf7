//! Ids of publishers' own, and what is known of earlier runs, when redis-server has lost events.

use rustix::process::Signal;
use serde_json::{Value, json};
use testkit::program::Program;
use testkit::wait::until;

use super::{Reader, is_ready, polled, publish, publish_at_last, start};
use crate::redis::Redis;

fn ready(redis: &Redis) -> Program {
    let server = start(redis);
    until("the store", || is_ready(&server));
    server
}

fn data(answer: &Value) -> Vec<&str> {
    answer["events"].as_array().unwrap().iter().map(|event| event["data"].as_str().unwrap()).collect()
}

/// Kinds of the server's own events, and data of the others.
fn said(reader: &mut Reader, count: usize) -> Vec<String> {
    let said = |_| {
        let event = reader.event();
        if event.kind == "message" { event.data } else { event.kind }
    };
    (0..count).map(said).collect()
}

#[test]
fn who_had_a_lost_event_misses_nothing_when_its_publisher_repeats_it_behind_others() {
    let mut redis = Redis::start();
    let server = ready(&redis);
    let (mut before, _) = Reader::opened(&server, "");
    publish(&server, "s", &json!({"data": "a"}));
    let copy = redis.copied();
    publish(&server, "s", &json!([{"data": "lost"}, {"data": "e", "id": "own"}]));
    assert_eq!(before.data(3), ["a", "lost", "e"]);
    // Nobody gives back what the store loses now.
    drop((before, server));
    redis.rewind(&copy);
    let mut server = ready(&redis);
    publish(&server, "s", &json!([{"data": "b"}, {"data": "c", "id": "other"}]));
    assert_eq!(publish(&server, "s", &json!({"data": "e", "id": "own"})), ["own"]);
    publish(&server, "s", &json!({"data": "f"}));
    for way in ["the server that took it", "one that begins", "one after another loss of nothing"] {
        let (mut after, at) = Reader::opened(&server, "Last-Event-ID: own\r\n");
        let behind = ["b", "c", "sluicegate.position", "e"];
        assert_eq!(said(&mut after, 4), behind, "{way}, behind {at}");
        // By its position a client resumes exactly.
        let position = after.event();
        assert_eq!((&*position.kind, &*position.data), ("sluicegate.position", "{}"));
        let (mut after, _) = Reader::opened(&server, &format!("Last-Event-ID: {}\r\n", position.id.unwrap()));
        assert_eq!(said(&mut after, 1), ["f"]);
        let answer = polled(&server, "s", "own");
        assert_eq!((data(&answer), &answer["gap"]), (vec!["b", "c", "e", "f"], &Value::Null), "{way}");
        let answer = polled(&server, "s", answer["last_id"].as_str().unwrap());
        assert_eq!(data(&answer), [""; 0], "{way}");
        // It is published once all the same.
        assert_eq!(publish(&server, "s", &json!({"data": "e", "id": "own"})), ["own"], "{way}");
        if way.starts_with("one that") {
            redis.kill();
            redis.begin();
        }
        drop(server);
        server = ready(&redis);
    }
}

#[test]
fn a_server_that_had_lost_events_of_a_run_in_between_is_not_taken_to_have_those_that_another_one_gives_back()
{
    let mut redis = Redis::start();
    let servers = [ready(&redis), ready(&redis)];
    let (mut first, _) = Reader::opened(&servers[0], "");
    let (mut second, _) = Reader::opened(&servers[1], "");
    publish(&servers[0], "s", &json!({"data": "a"}));
    assert_eq!([first.data(1), second.data(1)], [["a"], ["a"]]);
    let copy = redis.copied();
    // One server has an event that is lost, and the other one another event in its place, which is lost too.
    servers[1].signal(Signal::STOP);
    // Nothing is in the socket of the one that stands still.
    redis.says(&["CLIENT", "KILL", "TYPE", "normal"]);
    publish_at_last(servers[0].addr(), &json!({"data": "given back"}));
    assert_eq!(first.told().data, "given back");
    servers[0].signal(Signal::STOP);
    redis.rewind(&copy);
    servers[1].signal(Signal::CONT);
    publish_at_last(servers[1].addr(), &json!({"data": "lost"}));
    assert_eq!(second.told().data, "lost");
    servers[1].signal(Signal::STOP);
    redis.rewind(&copy);
    // A third one takes the stream over before either of them.
    let third = ready(&redis);
    let (_all, _) = Reader::opened(&third, "");
    servers[0].signal(Signal::CONT);
    publish_at_last(servers[0].addr(), &json!({"data": "b"}));
    assert_eq!(first.told().data, "b");
    servers[1].signal(Signal::CONT);
    let gap = second.told();
    assert_eq!((&*gap.kind, &gap.json()["reason"]), ("sluicegate.gap", &json!("unknown")));
    assert_eq!([(); 3].map(|()| second.told().data), ["a", "given back", "b"]);
}

#[test]
fn what_is_known_of_earlier_runs_does_not_grow() {
    let redis = Redis::start();
    let server = ready(&redis);
    let (mut reader, _) = Reader::opened(&server, "");
    let about = |redis: &Redis| {
        redis.says(&["HGETALL", "{sluicegate:events:/events/}:s:about"]).lines().map(str::len).sum::<usize>()
    };
    let mut sizes = Vec::new();
    for run in 0..80 {
        // As a failover does: another primary's life begins.
        redis.says(&["REPLICAOF", "127.0.0.1", "1"]);
        redis.says(&["REPLICAOF", "NO", "ONE"]);
        publish_at_last(server.addr(), &json!({"data": run.to_string(), "id": format!("own-{run}")}));
        loop {
            let event = reader.told();
            if event.kind == "message" {
                assert_eq!(event.data, run.to_string(), "no gap, in order, once");
                break;
            }
            assert_eq!(event.kind, "sluicegate.position");
        }
        sizes.push(about(&redis));
    }
    let (half, last) = (sizes[39], sizes[79]);
    assert!(last <= half + 100, "{half} bytes after 40 runs, {last} after 80");
}
