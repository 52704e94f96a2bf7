//! Subscribers that come to another server: their windows, acknowledgements, suspension and polls.

use std::io::{ErrorKind, Read};

use rustix::process::Signal;
use serde_json::{Value, json};
use testkit::program::Program;
use testkit::served::{connect, post};
use testkit::wait::until;
use testkit::wire::{Answer, Client};

use super::{JSON, Reader, body, is_ready, publish, start_with};
use crate::redis::Redis;

pub const TOKEN: &str = "a-secret-of-the-subscriber-s-own";

pub fn started<const N: usize>(redis: &Redis, more: &[&str]) -> [Program; N] {
    let servers = std::array::from_fn(|_| start_with(redis, more));
    until("the store", || servers.iter().all(is_ready));
    servers
}

/// The subscriber's connection to a server, and its first event.
#[track_caller]
pub fn comes(at: &Program, query: &str, fields: &str) -> (Reader, Value) {
    comes_as(TOKEN, at, query, fields)
}

#[track_caller]
pub fn comes_as(token: &str, at: &Program, query: &str, fields: &str) -> (Reader, Value) {
    let mut reader = Reader::new(at.addr(), &format!("/events/s?token={token}{query}"), fields);
    let open = reader.event();
    assert!(["sluicegate.open", "sluicegate.resume"].contains(&&*open.kind), "{open:?}");
    let mut said = open.json();
    said["kind"] = open.kind.into();
    (reader, said)
}

pub fn acknowledge(at: &Program, id: &str) -> Answer {
    acknowledge_as(TOKEN, at, id)
}

pub fn acknowledge_as(token: &str, at: &Program, id: &str) -> Answer {
    let ack = json!({"token": token, "id": id}).to_string();
    post(at.addr(), "/events/s/ack", JSON, &ack)
}

#[track_caller]
fn acknowledged(at: &Program, id: &str) {
    let answer = acknowledge(at, id);
    assert_eq!(answer.status(), 204, "{}", answer.text());
}

#[track_caller]
fn polls(at: &Program, query: &str) -> Value {
    let answer = Client::new(connect(at.addr())).get(&format!("/events/s/poll?token={TOKEN}{query}"), "");
    assert_eq!(answer.status(), 200, "{}", answer.text());
    body(&answer)
}

/// Whether nothing more has come by now.
fn has_nothing(reader: &mut Reader) -> bool {
    let mut piece = [0; 65_536];
    reader.stream.set_nonblocking(true).unwrap();
    let end = loop {
        match reader.stream.read(&mut piece) {
            Ok(0) => panic!("the connection ended"),
            Ok(len) => reader.answer.push(&piece[..len]),
            Err(error) => break error,
        }
    };
    reader.stream.set_nonblocking(false).unwrap();
    assert_eq!(end.kind(), ErrorKind::WouldBlock);
    reader.answer.next().is_none()
}

/// The records of subscribers.
pub fn records(redis: &Redis) -> Vec<String> {
    let keys = redis.says(&["KEYS", "*:sub:*"]);
    keys.lines().filter(|key| !key.is_empty()).map(str::to_owned).collect()
}

#[test]
fn a_window_goes_with_its_subscriber_to_any_server() {
    let redis = Redis::start();
    // What servers say to each other is to be what does it, not what they write again each half `ttl`.
    let [one, two, three] = started(&redis, &["--ttl", "10m"]);
    let (mut first, open) = comes(&one, "&window=3", "");
    assert_eq!((&open["known"], &open["window"]), (&json!(false), &json!(3)));
    let mut plain = [&one, &two, &three].map(|at| Reader::opened(at, "").0);
    let data: Vec<String> = (0..10).map(|n| n.to_string()).collect();
    let batch: Vec<Value> = data.iter().map(|data| json!({"data": data})).collect();
    let ids = publish(&two, "s", &json!(batch));
    plain.iter_mut().for_each(|reader| assert_eq!(reader.data(10), data));
    assert_eq!(first.data(3), ["0", "1", "2"]);
    assert!(has_nothing(&mut first), "no more than its window");
    // By a balancer it acknowledges at a server that does not have it.
    acknowledged(&three, &ids[1]);
    assert_eq!(first.data(2), ["3", "4"]);
    assert!(has_nothing(&mut first));

    let (mut second, open) = comes(&two, "&window=3", &format!("Last-Event-ID: {}\r\n", ids[4]));
    assert_eq!((&open["known"], &open["last_id"]), (&json!(true), &json!(ids[1])));
    assert_eq!(second.data(3), ["2", "3", "4"], "what was not acknowledged comes again");
    assert!(has_nothing(&mut second));
    assert_eq!(first.event_or_end(), None, "the connection that it had ends");
    acknowledged(&one, &ids[4]);
    assert_eq!(second.data(3), ["5", "6", "7"]);
    acknowledged(&two, &ids[5]);
    assert_eq!(second.data(1), ["8"]);
    // It dies at once after its answer: that is not lost.
    two.signal(Signal::KILL);
    let (mut third, open) = comes(&three, "&window=3", "");
    assert_eq!((&open["known"], &open["last_id"]), (&json!(true), &json!(ids[5])));
    assert_eq!(third.data(3), ["6", "7", "8"]);
    acknowledged(&three, &ids[8]);
    assert_eq!(third.data(1), ["9"]);
    assert_eq!(records(&redis).len(), 1);
}

#[test]
fn an_acknowledgement_counts_once_for_whom_it_is_and_for_nothing_that_is_not_there() {
    let redis = Redis::start();
    let [one, two] = started(&redis, &["--ttl", "10m"]);
    let (mut reader, _) = comes(&one, "&window=2", "");
    let ids = publish(&two, "s", &json!([{"data": "a"}, {"data": "b"}, {"data": "c"}]));
    assert_eq!(reader.data(2), ["a", "b"]);
    for at in [&one, &two] {
        let code = |answer: Answer| (answer.status(), body(&answer)["code"].as_str().unwrap().to_owned());
        assert_eq!(code(acknowledge(at, "nothing")), (409, "never_sent".into()));
        let other = json!({"token": "somebody-else-s-very-secret-token", "id": ids[0]}).to_string();
        assert_eq!(code(post(at.addr(), "/events/s/ack", JSON, &other)), (403, "stranger".into()));
        let poll = "/events/s/poll?token=somebody-else-s-very-secret-token";
        assert_eq!(code(Client::new(connect(at.addr())).get(poll, "")), (403, "stranger".into()));
    }
    assert_eq!(acknowledge(&one, &ids[2]).status(), 409, "its server did not send it yet");
    for _ in 0..2 {
        acknowledged(&two, &ids[1]);
        acknowledged(&two, &ids[0]);
    }
    assert_eq!(reader.data(1), ["c"]);
    acknowledged(&one, &ids[2]);
    let (mut back, open) = comes(&two, "&window=2", "");
    assert_eq!((&open["known"], &open["last_id"]), (&json!(true), &json!(ids[2])));
    assert!(has_nothing(&mut back));
}

#[test]
fn without_a_window_it_goes_on_after_what_it_says_or_else_after_what_it_was_sent() {
    let redis = Redis::start();
    let [one, two] = started(&redis, &[]);
    let (mut first, _) = comes(&one, "", "");
    let mut ids = publish(&two, "s", &json!([{"data": "a"}, {"data": "b"}, {"data": "c"}]));
    assert_eq!(first.data(3), ["a", "b", "c"]);
    let (mut second, open) = comes(&two, "", &format!("Last-Event-ID: {}\r\n", ids[0]));
    assert_eq!(open["known"], true);
    assert_eq!(second.data(2), ["b", "c"]);
    assert_eq!(first.event_or_end(), None);
    // It leaves, which its server notices by the next bytes for it, and says nothing when it comes.
    drop(second);
    let key = records(&redis).remove(0);
    let acked = || redis.says(&["HGET", &key, "acked"]).parse::<usize>().unwrap();
    until("its server to notice", || {
        ids.extend(publish(&two, "s", &json!({"data": "more"})));
        acked() >= 3
    });
    let written = acked();
    let (mut third, open) = comes(&one, "", "");
    assert_eq!(open["known"], true);
    let begins = ids.iter().position(|id| *id == open["last_id"]).unwrap() + 1;
    assert!(begins >= written && begins >= 3, "{begins} {written}");
    ids.extend(publish(&two, "s", &json!({"data": "last"})));
    assert_eq!(third.event().id.as_ref(), Some(&ids[begins]));
}

#[test]
fn a_suspended_subscriber_is_so_at_each_server_polls_at_each_and_resumes_at_any() {
    let redis = Redis::start();
    // It is sent an event a second, and more is published.
    let [one, two, three] = started(&redis, &["--event-rate", "1", "--event-burst", "1", "--queue", "5"]);
    let (mut slow, _) = comes(&one, "", "");
    let mut ids = publish(&two, "s", &json!({"data": "first"}));
    assert_eq!(slow.data(1), ["first"]);
    for _ in 0..4 {
        ids.extend(publish(&two, "s", &json!(vec![json!({"data": "x"}); 5])));
    }
    let mut had = 1;
    let pause = loop {
        let event = slow.event();
        match &*event.kind {
            "message" => had += 1,
            _ => break event,
        }
    };
    assert_eq!(pause.kind, "sluicegate.pause");
    assert_eq!(slow.event_or_end(), None);
    until("it to be written", || redis.says(&["HGET", &records(&redis)[0], "why"]) == "queue_full");

    let query = format!("/events/s?token={TOKEN}");
    let mut paused = Reader::new(two.addr(), &query, &format!("Last-Event-ID: {}\r\n", ids[had - 1]));
    let again = paused.event();
    assert_eq!((&*again.kind, &again.json()["last_id"]), ("sluicegate.pause", &json!(ids[had - 1])));
    assert_eq!(again.json()["subscriber"], pause.json()["subscriber"]);
    assert_eq!(paused.event_or_end(), None);

    let part = polls(&two, "&max=4");
    assert_eq!((&part["suspended"], &part["may_resume"]), (&json!(true), &json!(false)));
    let last = part["last_id"].as_str().unwrap().to_owned();
    // What it says to have is written before it is answered.
    let rest = polls(&two, &format!("&max=1&after={last}"));
    assert_eq!(rest["events"].as_array().unwrap().len(), 1);
    two.signal(Signal::KILL);
    assert_eq!(Reader::new(three.addr(), &query, "").event().json()["last_id"], last);
    let rest = polls(&three, "&max=1000");
    let of = |id: &Value| ids.iter().position(|other| other == id).unwrap();
    assert_eq!(of(&rest["events"][0]["id"]), of(&json!(last)) + 1);
    assert_eq!((&rest["last_id"], &rest["may_resume"]), (&json!(ids[20]), &json!(true)));

    let (mut back, open) = comes(&one, "", &format!("Last-Event-ID: {}\r\n", ids[20]));
    assert_eq!((&open["kind"], &open["known"]), (&json!("sluicegate.resume"), &json!(true)));
    publish(&three, "s", &json!({"data": "after"}));
    assert_eq!(back.data(1), ["after"]);
    // One that has a stream elsewhere polls as anybody does.
    let poll = polls(&three, &format!("&after={}", ids[20]));
    assert_eq!((&poll["events"][0]["data"], &poll["suspended"]), (&json!("after"), &json!(false)));
    publish(&three, "s", &json!({"data": "and it has it still"}));
    assert_eq!(back.data(1), ["and it has it still"]);
}

#[test]
fn a_plain_subscriber_has_no_record_until_it_leaves_and_none_outlives_its_time() {
    let redis = Redis::start();
    let [one, two] = started(&redis, &["--ttl", "1s"]);
    let (mut reader, _) = Reader::opened(&one, "");
    publish(&two, "s", &json!({"data": "a"}));
    assert_eq!(reader.data(1), ["a"]);
    assert_eq!(records(&redis), [""; 0]);
    drop(reader);
    // Its server notices by the next bytes for it.
    until("it to be written", || {
        publish(&two, "s", &json!({"data": "b"}));
        records(&redis).len() == 1
    });
    until("its time to be over", || records(&redis).is_empty());
    // One that is connected is written again and again, until its server dies.
    let (kept, _) = comes(&one, "&window=1", "");
    let key = records(&redis).remove(0);
    let left = || redis.says(&["PTTL", &key]).parse::<i64>().unwrap();
    assert!(left() <= 2_000);
    until("some of its time to pass", || left() < 1_200);
    until("it to be written again", || left() > 1_500);
    one.signal(Signal::KILL);
    until("its time to be over", || records(&redis).is_empty());
    drop(kept);
}
