//! Subscribers that come to another server while the store is away, has lost what it had, or has what nobody wrote.

use rustix::process::Signal;
use serde_json::json;
use testkit::wait::until;

use super::moving::{TOKEN, acknowledge, acknowledge_as, comes, comes_as, records, started};
use super::{Reader, body, is_ready, publish, publish_at_last};
use crate::redis::Redis;

#[test]
fn while_the_store_is_away_a_subscriber_stays_where_it_is_known_and_comes_again_elsewhere() {
    let mut redis = Redis::start();
    let [one, two] = started(&redis, &[]);
    let (mut first, _) = comes(&one, "&window=2", "");
    let ids = publish(&two, "s", &json!([{"data": "a"}, {"data": "b"}, {"data": "c"}]));
    assert_eq!(first.data(2), ["a", "b"]);
    redis.kill();
    assert_eq!(first.event().kind, "sluicegate.stalled");
    let refused = acknowledge(&one, &ids[0]);
    assert_eq!((refused.status(), body(&refused)["code"].as_str()), (503, Some("store_down")));
    assert_eq!(refused.field("retry-after"), Some("5"));
    let target = format!("/events/s?token={TOKEN}&window=2");
    assert_eq!(Reader::new(two.addr(), &target, "").event_or_end(), None, "nobody knows where it goes on");
    let (mut again, open) = comes(&one, "&window=2", "");
    assert_eq!(open["known"], true);
    drop(first);
    redis.begin();
    publish_at_last(one.addr(), &json!({"data": "d", "id": "d"}));
    until("the store", || acknowledge(&one, &ids[0]).status() == 204);
    assert_eq!([again.told().data, again.told().data], ["b", "c"]);
    until("the store", || is_ready(&two));
    let (mut second, open) = comes(&two, "&window=2", "");
    assert_eq!((&open["known"], &open["last_id"]), (&json!(true), &json!(ids[0])));
    assert_eq!(second.data(2), ["b", "c"]);
    while again.event_or_end().is_some() {}
}

#[test]
fn after_a_flush_it_is_a_new_subscriber_and_the_server_that_had_it_gives_way() {
    let redis = Redis::start();
    let [one, two] = started(&redis, &[]);
    let (mut first, _) = comes(&one, "&window=2", "");
    let ids = publish(&two, "s", &json!([{"data": "a"}, {"data": "b"}, {"data": "c"}]));
    assert_eq!(first.data(2), ["a", "b"]);
    // It cannot write again what it knows.
    one.signal(Signal::STOP);
    redis.says(&["FLUSHALL"]);
    let (mut second, open) = comes(&two, "&window=2", &format!("Last-Event-ID: {}\r\n", ids[0]));
    assert_eq!((&open["known"], &open["last_id"]), (&json!(false), &json!(ids[0])));
    assert_eq!(second.data(2), ["b", "c"]);
    one.signal(Signal::CONT);
    while first.event_or_end().is_some() {}
    publish_at_last(one.addr(), &json!({"data": "d", "id": "d"}));
    until("its acknowledgement", || acknowledge(&one, &ids[2]).status() == 204);
    assert_eq!(second.told().data, "d");
}

#[test]
fn a_store_that_has_nonsense_of_a_subscriber_makes_it_a_new_one() {
    let redis = Redis::start();
    let [one, two] = started(&redis, &[]);
    let ids = publish(&one, "s", &json!([{"data": "a"}, {"data": "b"}, {"data": "c"}]));
    let wrong_type = "redis.call('DEL', KEYS[1]) redis.call('SET', KEYS[1], 'x') return ''";
    let nonsense: [(&str, &[&str]); 7] = [
        ("HSET", &["acked", "nonsense"]),
        ("HSET", &["acked", "1e9"]),
        ("HSET", &["why", "because", "position", "-1"]),
        ("HSET", &["owner", "\r\n"]),
        ("HSET", &["window", "0"]),
        ("HDEL", &["id", "acked", "incarnation"]),
        ("EVAL", &[wrong_type, "1"]),
    ];
    for (nth, (command, args)) in nonsense.into_iter().enumerate() {
        let token = format!("{TOKEN}-{nth}");
        let before = records(&redis);
        let _there = comes_as(&token, &one, "&window=2", "");
        let key = records(&redis).into_iter().find(|key| !before.contains(key)).unwrap();
        match command {
            "EVAL" => redis.says(&[&[command], args, &[&*key]].concat()),
            _ => redis.says(&[&[command, &*key], args].concat()),
        };
        let (mut reader, open) =
            comes_as(&token, &two, "&window=2", &format!("Last-Event-ID: {}\r\n", ids[0]));
        assert_eq!((&open["known"], &open["last_id"]), (&json!(false), &json!(ids[0])), "{command} {args:?}");
        assert_eq!(reader.data(2), ["b", "c"]);
        // And it is one that can be acknowledged and come to another server.
        assert_eq!(redis.says(&["HGET", &key, "acked"]), "1");
        assert_eq!(acknowledge_as(&token, &one, &ids[0]).status(), 204);
        assert_eq!(acknowledge_as(&token, &two, &ids[1]).status(), 204);
        let (mut back, open) = comes_as(&token, &one, "&window=2", "");
        assert_eq!((&open["known"], &open["last_id"]), (&json!(true), &json!(ids[1])), "{command} {args:?}");
        assert_eq!(back.data(1), ["c"]);
        // A number that no event has is the end of the log.
        redis.says(&["HSET", &key, "acked", "18446744073709551615"]);
        let (_end, open) = comes_as(&token, &two, "&window=2", "");
        assert_eq!((&open["known"], &open["last_id"]), (&json!(true), &json!(ids[2])));
    }
}

#[test]
fn the_store_does_not_have_the_secret() {
    let redis = Redis::start();
    let [one, two] = started(&redis, &[]);
    let (mut first, _) = comes(&one, "&window=2", "");
    let ids = publish(&two, "s", &json!({"data": "a"}));
    assert_eq!(first.data(1), ["a"]);
    assert_eq!(acknowledge(&two, &ids[0]).status(), 204);
    let (_second, open) = comes(&two, "&window=2", "");
    assert_eq!(open["known"], true);
    let file = redis.copied();
    let mut bytes = Vec::new();
    for part in std::fs::read_dir(file.path()).unwrap() {
        bytes.extend(std::fs::read(part.unwrap().path()).unwrap());
    }
    let has = |text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(has(":sub:") && has("notices:") && !has(TOKEN));
}
