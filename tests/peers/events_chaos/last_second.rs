//! A machine that loses its power takes with it what Redis had not had written: by `appendfsync everysec` up to a second of what was answered.

use serde_json::{Value, json};
use testkit::wait::until;

use super::event_server::{EventServer, polled, posted};
use super::{beginning, publish_at_last};
use crate::redis::Redis;

const EVERYSEC: [&str; 2] = ["--appendfsync", "everysec"];

fn publish(at: &EventServer, data: &str) -> String {
    let mut id = None;
    until("the store to take it", || {
        let Some((200, answer)) = posted(at.addr, &json!({"data": data}).to_string()) else { return false };
        id = Some(answer["ids"][0].as_str().unwrap().to_owned());
        true
    });
    id.unwrap()
}

fn events(answer: &Value) -> Vec<&str> {
    answer["events"].as_array().unwrap().iter().map(|event| event["data"].as_str().unwrap()).collect()
}

/// What is read behind `id`, once there is something.
fn read(at: &EventServer, id: &str) -> Value {
    let mut answer = None;
    until("an answer", || {
        answer = polled(at.addr, &format!("max=1000&after={id}&wait=1s"))
            .filter(|answer| !events(answer).is_empty());
        answer.is_some()
    });
    answer.unwrap()
}

/// Waits until it has written what it answered. While the system is busy with an earlier `fsync` it puts that off, for up to two seconds.
fn is_written(redis: &Redis) {
    until("Redis to write", || redis.says(&["INFO", "persistence"]).contains("aof_buffer_length:0"));
}

#[test]
fn a_redis_that_is_killed_has_all_that_it_wrote_whether_or_not_it_is_on_the_disk() {
    let mut redis = Redis::with(&EVERYSEC);
    let server = EventServer::start(&redis.store(), 0);
    let begin = beginning(server.addr);
    for round in 0..5 {
        for nth in 0..20 {
            publish(&server, &format!("{round}-{nth}"));
        }
        is_written(&redis);
        redis.kill();
        redis.begin();
    }
    let expected: Vec<String> =
        (0..5).flat_map(|round| (0..20).map(move |nth| format!("{round}-{nth}"))).collect();
    drop(server);
    let other = EventServer::start(&redis.store(), 1);
    let answer = read(&other, &begin);
    assert_eq!(events(&answer), expected);
    assert_eq!(answer["gap"], Value::Null);
}

#[test]
fn the_last_second_that_a_machine_lost_comes_back_from_a_server_that_runs() {
    let mut redis = Redis::with(&EVERYSEC);
    let servers = [EventServer::start(&redis.store(), 0), EventServer::start(&redis.store(), 1)];
    let begin = beginning(servers[0].addr);
    let first = publish(&servers[0], "on the disk");
    is_written(&redis);
    let copy = redis.copied();
    let last = publish(&servers[0], "in the last second");
    for server in &servers {
        assert_eq!(events(&read(server, &first)), ["in the last second"]);
    }
    redis.rewind(&copy);
    // The order is what it was, and ids are.
    let next = publish(&servers[1], "after");
    let third = EventServer::start(&redis.store(), 2);
    let answer = read(&third, &begin);
    assert_eq!(events(&answer), ["on the disk", "in the last second", "after"]);
    let ids: Vec<&str> =
        answer["events"].as_array().unwrap().iter().map(|event| event["id"].as_str().unwrap()).collect();
    assert_eq!(ids, [&first, &last, &next]);
}

#[test]
fn the_last_second_is_lost_when_no_server_has_it_and_who_saw_it_is_told() {
    let mut redis = Redis::with(&EVERYSEC);
    let mut server = EventServer::start(&redis.store(), 0);
    let first = publish(&server, "on the disk");
    is_written(&redis);
    let copy = redis.copied();
    // Answered 200, and read.
    let lost = publish(&server, "in the last second");
    assert_eq!(read(&server, &first)["events"][0]["id"], json!(lost));
    // One machine has both, and begins again.
    server.dies();
    redis.rewind(&copy);
    server.begins();
    let next = publish(&server, "after");
    // The number of what is lost, but not its id.
    assert!(next.starts_with(&format!("{lost}.")), "{next} {lost}");
    let answer = read(&server, &lost);
    assert_eq!((&answer["gap"]["reason"], &answer["gap"]["after"]), (&json!("unknown"), &json!(lost)));
    assert_eq!(events(&answer), ["on the disk", "after"], "all that there is, and the order of before");
    // What had an id of its own may be published again.
    publish_at_last(server.addr, "again");
    publish_at_last(server.addr, "again");
    assert_eq!(events(&read(&server, &next)), ["again"]);
}

#[test]
fn with_always_what_was_answered_is_written_before_the_answer() {
    let mut redis = Redis::start();
    assert_eq!(redis.says(&["CONFIG", "GET", "appendfsync"]), "appendfsync\nalways");
    let mut server = EventServer::start(&redis.store(), 0);
    let begin = beginning(server.addr);
    for nth in 0..10 {
        publish(&server, &nth.to_string());
        // What is written now is all that is left.
        let copy = redis.copied();
        assert!(redis.says(&["INFO", "persistence"]).contains("aof_pending_bio_fsync:0"));
        server.dies();
        redis.rewind(&copy);
        server.begins();
    }
    let expected: Vec<String> = (0..10).map(|nth| nth.to_string()).collect();
    assert_eq!(events(&read(&server, &begin)), expected);
}
