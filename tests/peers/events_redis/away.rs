//! A redis-server that is killed, hung or full.

use rustix::process::Signal;
use serde_json::json;
use testkit::served::post;
use testkit::wait::until;

use super::{JSON, Reader, body, is_ready, publish, publish_at_last, ready, start};
use crate::redis::Redis;

#[test]
fn a_store_that_is_killed_costs_publishers_a_503_and_subscribers_nothing() {
    let mut redis = Redis::start();
    let servers = [start(&redis), start(&redis)];
    let (mut one, _) = Reader::opened(&servers[0], "");
    let (mut two, _) = Reader::opened(&servers[1], "");
    publish_at_last(servers[0].addr(), &json!({"data": "before", "id": "0"}));
    assert_eq!([one.data(1), two.data(1)], [["before"], ["before"]]);
    redis.kill();
    for reader in [&mut one, &mut two] {
        assert_eq!(reader.event().kind, "sluicegate.stalled");
    }
    let refused = post(servers[0].addr(), "/events/s", JSON, &json!({"data": "lost"}).to_string());
    assert_eq!((refused.status(), refused.field("retry-after")), (503, Some("5")));
    let why = ready(&servers[1]);
    assert_eq!(why.status(), 503);
    assert!(why.text().contains("event streams /events/: store unix:"), "{}", why.text());
    redis.begin();
    publish_at_last(servers[0].addr(), &json!({"data": "after", "id": "1"}));
    for reader in [&mut one, &mut two] {
        assert_eq!(reader.event().kind, "sluicegate.flowing");
        assert_eq!(reader.data(1), ["after"]);
    }
    until("both to be ready", || servers.iter().all(is_ready));
}

#[test]
fn a_store_that_answers_late_costs_a_503_and_what_is_published_again_is_there_once() {
    let redis = Redis::start();
    let server = start(&redis);
    let (mut one, _) = Reader::opened(&server, "");
    publish_at_last(server.addr(), &json!({"data": "before", "id": "0"}));
    assert_eq!(one.data(1), ["before"]);
    redis.signal(Signal::STOP);
    let late = json!({"data": "late", "id": "1"});
    let refused = post(server.addr(), "/events/s", JSON, &late.to_string());
    assert_eq!((refused.status(), refused.field("retry-after")), (503, Some("5")));
    assert_eq!(one.event().kind, "sluicegate.stalled");
    redis.signal(Signal::CONT);
    publish_at_last(server.addr(), &late);
    publish_at_last(server.addr(), &json!({"data": "after", "id": "2"}));
    assert_eq!([one.told().data, one.told().data], ["late", "after"]);
}

#[test]
fn a_store_that_is_full_takes_nothing_and_says_so() {
    let redis = Redis::start();
    let server = start(&redis);
    let (mut one, _) = Reader::opened(&server, "");
    publish_at_last(server.addr(), &json!({"data": "a"}));
    assert_eq!(one.data(1), ["a"]);
    redis.says(&["CONFIG", "SET", "maxmemory", "1"]);
    let refused = post(server.addr(), "/events/s", JSON, &json!({"data": "b"}).to_string());
    assert_eq!((refused.status(), body(&refused)["code"].as_str()), (503, Some("store_down")));
    assert_eq!(refused.field("retry-after"), Some("5"));
    assert_eq!(one.event().kind, "sluicegate.stalled");
    assert!(ready(&server).text().contains("OOM"), "{}", ready(&server).text());
    redis.says(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(one.event().kind, "sluicegate.flowing");
    until("the store", || is_ready(&server));
    publish(&server, "s", &json!({"data": "c"}));
    assert_eq!(one.data(1), ["c"], "what was refused is nowhere");
}

#[test]
fn a_server_ends_in_order_while_the_store_is_killed_or_hung() {
    for signal in [Signal::KILL, Signal::STOP] {
        let redis = Redis::start();
        let server = start(&redis);
        let (mut one, _) = Reader::opened(&server, "");
        publish_at_last(server.addr(), &json!({"data": "a"}));
        assert_eq!(one.told().data, "a");
        redis.signal(signal);
        server.signal(Signal::TERM);
        while one.event_or_end().is_some() {}
        let (status, log, _) = server.wait();
        assert!(status.success(), "{status} {log}");
        assert!(log.contains("stopped") && !log.contains("did not take in time"), "{log}");
    }
}
