//! A redis-server that has lost events, or all that it had.

use rustix::process::Signal;
use serde_json::json;
use testkit::wait::until;

use super::{Reader, is_ready, polled, publish, publish_at_last, start};
use crate::redis::Redis;

#[test]
fn what_the_store_lost_it_is_given_back_by_a_server_that_has_it() {
    let mut redis = Redis::start();
    let server = start(&redis);
    let (mut one, first) = Reader::opened(&server, "");
    publish_at_last(server.addr(), &json!([{"data": "a", "id": "own"}, {"data": "b"}]));
    assert_eq!(one.data(2), ["a", "b"]);
    redis.kill();
    assert_eq!(one.event().kind, "sluicegate.stalled");
    redis.forget();
    redis.begin();
    assert_eq!(one.event().kind, "sluicegate.flowing");
    publish_at_last(server.addr(), &json!({"data": "c"}));
    assert_eq!(one.data(1), ["c"]);
    let other = start(&redis);
    let (mut all, _) = Reader::opened(&other, &format!("Last-Event-ID: {first}\r\n"));
    assert_eq!(all.data(3), ["a", "b", "c"]);
    assert_eq!(publish(&other, "s", &json!({"data": "a", "id": "own"})), ["own"]);
}

#[test]
fn what_cannot_be_had_any_more_is_a_gap_and_the_stream_goes_on() {
    let redis = Redis::start();
    let servers = [start(&redis), start(&redis)];
    until("the store", || servers.iter().all(is_ready));
    let (mut one, first) = Reader::opened(&servers[0], "");
    publish(&servers[0], "s", &json!({"data": "a"}));
    assert_eq!(one.data(1), ["a"]);
    // Another stream of the same name, as if somebody had flushed the store and published anew.
    let key = |of| format!("{{sluicegate:events:/events/}}:s:{of}");
    redis.says(&["EVAL", "redis.call('DEL', KEYS[1], KEYS[2], KEYS[3]) redis.call('HSET', KEYS[1], 'incarnation', 'another', 'head', '0')", "3",
        &key("about"), &key("log"), &key("ids")]);
    publish(&servers[1], "s", &json!({"data": "b"}));
    let gap = one.event();
    assert_eq!(gap.kind, "sluicegate.gap");
    let gap = gap.json();
    assert_eq!((&gap["reason"], &gap["after"]), (&json!("unknown"), &json!(first.replace("-0", "-1"))));
    let event = one.event();
    assert_eq!(event.data, "b");
    assert!(event.id.as_ref().unwrap().starts_with("another-1."), "{event:?}");
}

#[test]
fn a_store_that_is_flushed_is_given_back_what_servers_have_before_anything_is_published() {
    let redis = Redis::start();
    let servers = [start(&redis), start(&redis)];
    until("the store", || servers.iter().all(is_ready));
    let (mut one, first) = Reader::opened(&servers[0], "");
    let (mut two, _) = Reader::opened(&servers[1], "");
    publish(&servers[0], "s", &json!([{"data": "a"}, {"data": "b", "id": "own"}]));
    assert_eq!([one.data(2), two.data(2)], [["a", "b"], ["a", "b"]]);
    redis.says(&["FLUSHALL"]);
    let ids = publish(&servers[1], "s", &json!([{"data": "b", "id": "own"}, {"data": "c"}]));
    assert_eq!(ids[0], "own", "still known");
    assert!(ids[1].starts_with(&first.replace("-0", "-3.")), "a number of its own: {ids:?}");
    let told = [one.told(), two.told()];
    assert_eq!(told.each_ref().map(|event| &*event.data), ["c", "c"], "{told:?}");
    let third = start(&redis);
    let (mut all, _) = Reader::opened(&third, &format!("Last-Event-ID: {first}\r\n"));
    assert_eq!(all.data(3), ["a", "b", "c"]);
    // A part of it that the store forgot by itself.
    redis.says(&["DEL", "{sluicegate:events:/events/}:s:about"]);
    publish(&third, "s", &json!({"data": "d"}));
    assert_eq!([one.told().data, two.told().data, all.told().data], ["d", "d", "d"]);
}

#[test]
fn an_event_that_takes_the_number_of_a_lost_one_has_another_id_and_is_told_by_a_gap() {
    let mut redis = Redis::start();
    let one = start(&redis);
    until("the store", || is_ready(&one));
    let (mut before, first) = Reader::opened(&one, "");
    publish(&one, "s", &json!({"data": "a"}));
    let copy = redis.copied();
    let lost = publish(&one, "s", &json!([{"data": "b"}, {"data": "lost too"}]));
    assert_eq!(before.data(3), ["a", "b", "lost too"]);
    // It cannot give back what it has before another one publishes.
    one.signal(Signal::STOP);
    redis.rewind(&copy);
    let other = start(&redis);
    until("the store", || is_ready(&other));
    let ids = publish(&other, "s", &json!({"data": "c"}));
    assert!(ids[0].starts_with(&format!("{}.", first.replace("-0", "-2"))), "{ids:?}");
    one.signal(Signal::CONT);
    let (after, _) = Reader::opened(&other, &format!("Last-Event-ID: {}\r\n", lost[0]));
    for (reader, known) in [(before, &lost[1]), (after, &lost[0])] {
        let mut reader = reader;
        let gap = reader.told();
        assert_eq!(gap.kind, "sluicegate.gap", "{gap:?}");
        assert_eq!((&gap.json()["reason"], &gap.json()["after"]), (&json!("unknown"), &json!(known)));
        let events = [reader.told(), reader.told()];
        assert_eq!(events.each_ref().map(|event| &*event.data), ["a", "c"]);
        assert_eq!(events[1].id.as_ref(), Some(&ids[0]));
    }
    until("the store", || is_ready(&one));
    publish(&one, "s", &json!({"data": "d"}));
    assert_eq!(polled(&other, "s", &ids[0])["events"][0]["data"], "d");
}
