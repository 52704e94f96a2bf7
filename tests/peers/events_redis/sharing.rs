//! One order, the same ids and bounds, and resuming at another server.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::scope;

use serde_json::{Value, json};
use testkit::program::Program;
use testkit::served::{connect, post};
use testkit::sse::Answer;
use testkit::wait::until;
use testkit::wire::Client;

use super::{JSON, Reader, body, is_ready, polled, publish, publish_at_last, start, start_with};
use crate::haproxy::blocks;
use crate::redis::Redis;

#[test]
fn servers_share_streams_their_order_their_ids_and_what_was_published_once() {
    let redis = Redis::start();
    let servers = [start(&redis), start(&redis)];
    until("the store", || servers.iter().all(is_ready));
    let (mut one, first) = Reader::opened(&servers[0], "");
    let (mut two, same) = Reader::opened(&servers[1], "");
    assert_eq!(first, same, "one stream, also before its first event");
    let a = publish(&servers[0], "s", &json!([{"data": "a"}, {"data": "own", "id": "mine", "type": "k"}]));
    let b = publish(&servers[1], "s", &json!({"data": "b\nc"}));
    assert_eq!([&*a[0], &a[1], &b[0]], [&*first.replace("-0", "-1"), "mine", &first.replace("-0", "-3")]);
    let seen = |reader: &mut Reader| [reader.event(), reader.event(), reader.event()];
    let seen = [seen(&mut one), seen(&mut two)];
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0].each_ref().map(|event| event.data.as_str()), ["a", "own", "b\nc"]);
    // An id is known at each server, with its content.
    assert_eq!(publish(&servers[1], "s", &json!({"data": "own", "id": "mine", "type": "k"})), ["mine"]);
    for (event, status, code) in [
        (json!({"data": "other", "id": "mine", "type": "k"}), 409, "conflict"),
        (json!([{"data": "1", "id": "x"}, {"data": "2", "id": "x"}]), 409, "conflict"),
        (json!({"data": "x", "id": first.replace("-0", "-9")}), 422, "reserved_id"),
    ] {
        let answer = post(servers[1].addr(), "/events/s", JSON, &event.to_string());
        assert_eq!((answer.status(), body(&answer)["code"].as_str()), (status, Some(code)));
    }
    // From one server to the other, by Last-Event-ID and by poll.
    let (mut resumed, _) = Reader::opened(&servers[1], "Last-Event-ID: mine\r\n");
    assert_eq!(resumed.data(1), ["b\nc"]);
    let poll = polled(&servers[0], "s", &a[0]);
    assert_eq!((poll["events"].as_array().unwrap().len(), &poll["gap"]), (2, &Value::Null));
    // A stream that began at the other server, and one that nobody began.
    publish(&servers[0], "new", &json!({"data": "n"}));
    assert_eq!(polled(&servers[1], "new", "x")["events"][0]["data"], "n");
    assert_eq!(Client::new(connect(servers[1].addr())).get("/events/none", "").status(), 404);
    // All servers start anew.
    drop(servers);
    let server = start(&redis);
    let (mut resumed, _) = Reader::opened(&server, "Last-Event-ID: mine\r\n");
    assert_eq!(resumed.data(1), ["b\nc"]);
    assert_eq!(publish(&server, "s", &json!({"data": "d"})), [first.replace("-0", "-4")]);
    assert_eq!(resumed.data(1), ["d"]);
}

#[test]
fn bounds_hold_in_the_store() {
    let redis = Redis::start();
    let server = start_with(&redis, &["--queue", "500", "--log", "500"]);
    let (_, first) = Reader::opened(&server, "");
    for n in 0..30 {
        let batch: Vec<_> =
            (0..100).map(|k| json!({"data": "x".repeat(100), "id": format!("{n}-{k}")})).collect();
        // All have ids of their own: what took too long on a busy machine is repeated.
        publish_at_last(server.addr(), &json!(batch));
    }
    let key = |of| format!("{{sluicegate:events:/events/}}:s:{of}");
    assert_eq!(redis.says(&["XLEN", &key("log")]), "500");
    assert_eq!(redis.says(&["HLEN", &key("ids")]), "500");
    until("all to be read", || polled(&server, "s", &first)["gap"]["missing"] == 2500);
    assert_eq!(polled(&server, "s", &first)["gap"]["reason"], "evicted");
    publish(&server, "s", &json!({"data": "short", "ttl": "1ms"}));
    let left: i64 = redis.says(&["PTTL", &key("log")]).parse().unwrap();
    assert!((1..=302_000).contains(&left), "what nobody publishes on goes by itself: {left}");
}

/// Publishers at two servers, subscribers that go from one to the other, and a store that is killed now and then.
#[test]
fn each_subscriber_has_each_event_once_and_in_one_order_wherever_it_goes() {
    let mut redis = Redis::start();
    let servers = [start(&redis), start(&redis)];
    until("the store", || servers.iter().all(is_ready));
    let addrs = [servers[0].addr(), servers[1].addr()];
    let (_, first) = Reader::opened(&servers[0], "");
    let (done, published) = (AtomicBool::new(false), AtomicUsize::new(0));
    let seen: Vec<Vec<String>> = scope(|scope| {
        let publishing: Vec<_> = (0..2)
            .map(|at| {
                let (done, published) = (&done, &published);
                scope.spawn(move || {
                    let mut n = 0;
                    while !done.load(Ordering::SeqCst) {
                        publish_at_last(
                            addrs[at],
                            &json!({"data": format!("{at}-{n}"), "id": format!("{at}-{n}")}),
                        );
                        published.fetch_add(1, Ordering::SeqCst);
                        n += 1;
                    }
                })
            })
            .collect();
        let reading: Vec<_> = (0..2)
            .map(|nth| {
                let first = first.clone();
                scope.spawn(move || {
                    let (mut last, mut seen, mut at) = (first, Vec::new(), nth);
                    while seen.last().is_none_or(|data| data != "end") {
                        let fields = format!("Last-Event-ID: {last}\r\n");
                        let mut reader = Reader::new(addrs[at % 2], "/events/s", &fields);
                        // A few events, then at the other server.
                        let most = seen.len() + 25;
                        while seen.len() < most && seen.last().is_none_or(|data| data != "end") {
                            let Some(event) = reader.event_or_end() else { break };
                            match &*event.kind {
                                // It left before it had the position behind the last one, whose id was in doubt.
                                "message" if seen.contains(&event.data) => {}
                                "message" => seen.push(event.data),
                                "sluicegate.open"
                                | "sluicegate.stalled"
                                | "sluicegate.flowing"
                                | "sluicegate.position" => {}
                                _ => panic!("{event:?}"),
                            }
                            last = event.id.unwrap_or(last);
                        }
                        at += 1;
                    }
                    seen
                })
            })
            .collect();
        for _ in 0..3 {
            let before = published.load(Ordering::SeqCst);
            until("events", || published.load(Ordering::SeqCst) > before + 50);
            redis.kill();
            redis.begin();
        }
        done.store(true, Ordering::SeqCst);
        publishing.into_iter().for_each(|publisher| publisher.join().unwrap());
        publish_at_last(addrs[0], &json!({"data": "end", "id": "end"}));
        reading.into_iter().map(|reader| reader.join().unwrap()).collect()
    });
    assert_eq!(seen[0], seen[1], "one order");
    let each: HashSet<&String> = seen[0].iter().collect();
    assert_eq!(each.len(), seen[0].len(), "each once");
    assert_eq!(seen[0].len(), published.load(Ordering::SeqCst) + 1, "and all of them");
}

#[test]
fn the_documented_servers_share_a_stream() {
    let redis = Redis::start();
    let page = include_str!("../../../docs/events.md");
    let block = blocks(page, "Several servers", "text")[0];
    let servers: Vec<Program> = block
        .lines()
        .map(|line| {
            let store = redis.store();
            let words: Vec<&str> = line.split_whitespace().collect();
            assert_eq!((words[0], words[3]), ("sluicegate", "--listen"), "{line}");
            let args = words[1..3].iter().chain(&words[5..]).map(|arg| match *arg {
                "redis://127.0.0.1:6379/0" => store.as_str(),
                arg => arg,
            });
            Program::start(&args.collect::<Vec<_>>())
        })
        .collect();
    assert_eq!(servers.len(), 3);
    let subscribe = |at: &Program| {
        let mut stream = connect(at.addr());
        let request = "GET /events/news HTTP/1.1\r\nHost: localhost\r\n\r\n";
        std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
        Reader { stream, answer: Answer::default() }
    };
    let mut readers: Vec<Reader> = servers.iter().map(subscribe).collect();
    readers.iter_mut().for_each(|reader| assert_eq!(reader.event().kind, "sluicegate.open"));
    for (n, server) in servers.iter().enumerate() {
        let data = json!({"data": n.to_string()}).to_string();
        until("the store", || post(server.addr(), "/events/news", JSON, &data).status() == 200);
    }
    let seen: Vec<Vec<String>> = readers.iter_mut().map(|reader| reader.data(3)).collect();
    assert_eq!(seen, [["0", "1", "2"]; 3]);
}
