//! Event servers that share their streams in one redis-server: one order, the same ids, resuming at another one, and what becomes of it
//! when redis-server is killed, full, flushed or has lost its end.

use std::collections::HashSet;
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::scope;

use rustix::process::Signal;
use serde_json::{Value, json};
use testkit::program::Program;
use testkit::served::{connect, post};
use testkit::sse::{Answer, Event};
use testkit::wait::until;
use testkit::wire::Client;

use crate::haproxy::blocks;
use crate::redis::Redis;

const JSON: &str = "Content-Type: application/json\r\n";

fn start(redis: &Redis) -> Program {
    start_with(redis, &[])
}

fn start_with(redis: &Redis, more: &[&str]) -> Program {
    let store = redis.store();
    let args = ["events", "s", "--server-name", "t", "--admin", "127.0.0.1:0", "--store", &store];
    Program::start(&[&args[..], more].concat())
}

fn body(answer: &testkit::wire::Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("{}", answer.text()))
}

/// Publishes; gives the ids.
#[track_caller]
fn publish(at: &Program, name: &str, batch: &Value) -> Vec<String> {
    let answer = post(at.addr(), &format!("/events/{name}"), JSON, &batch.to_string());
    assert_eq!(answer.status(), 200, "{}", answer.text());
    serde_json::from_value(body(&answer)["ids"].clone()).unwrap()
}

/// Publishes again and again until it is taken.
fn publish_at_last(at: SocketAddr, event: &Value) {
    until("the store to take it", || post(at, "/events/s", JSON, &event.to_string()).status() == 200);
}

/// A subscriber.
struct Reader {
    stream: TcpStream,
    answer: Answer,
}

impl Reader {
    fn new(addr: SocketAddr, target: &str, fields: &str) -> Self {
        let mut stream = connect(addr);
        // The store is away for a while, and nothing comes meanwhile.
        stream.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
        let request = format!("GET {target} HTTP/1.1\r\nHost: t\r\n{fields}\r\n");
        std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
        let mut reader = Self { stream, answer: Answer::default() };
        let mut byte = [0];
        while reader.answer.head.is_empty() {
            reader.stream.read_exact(&mut byte).unwrap();
            reader.answer.push(&byte);
        }
        assert!(reader.answer.head.starts_with("HTTP/1.1 200 "), "{}", reader.answer.head);
        reader
    }

    /// One that has its opening, and the id in it.
    fn opened(at: &Program, fields: &str) -> (Self, String) {
        let mut reader = Self::new(at.addr(), "/events/s", fields);
        let open = reader.event();
        assert_eq!(open.kind, "sluicegate.open");
        (reader, open.id.unwrap())
    }

    fn event(&mut self) -> Event {
        self.event_or_end().expect("the stream ended")
    }

    /// The next event; `None` if the server ended the stream, as it does when it cannot say where that goes on while the store is away.
    fn event_or_end(&mut self) -> Option<Event> {
        let mut piece = [0; 65_536];
        loop {
            if let Some(event) = self.answer.next() {
                return Some(event);
            }
            if self.answer.ended {
                return None;
            }
            let len = self.stream.read(&mut piece).unwrap();
            assert!(len > 0, "the connection ended");
            self.answer.push(&piece[..len]);
        }
    }

    /// The next event, whether or not the store was away meanwhile.
    fn told(&mut self) -> Event {
        loop {
            let event = self.event();
            if !["sluicegate.stalled", "sluicegate.flowing"].contains(&&*event.kind) {
                return event;
            }
        }
    }

    /// The data of the next so many events, which must be ordinary.
    #[track_caller]
    fn data(&mut self, count: usize) -> Vec<String> {
        let of = |_| {
            let event = self.event();
            assert_eq!(event.kind, "message", "{event:?}");
            event.data
        };
        (0..count).map(of).collect()
    }
}

fn polled(at: &Program, name: &str, after: &str) -> Value {
    let target = format!("/events/{name}/poll?max=1000&after={after}");
    body(&Client::new(connect(at.addr())).get(&target, ""))
}

fn ready(at: &Program) -> testkit::wire::Answer {
    let mut admin = Client::new(connect(at.admin()));
    admin.send(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    admin.answer()
}

fn is_ready(at: &Program) -> bool {
    ready(at).status() == 200
}

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
                                "message" => seen.push(event.data),
                                "sluicegate.open" | "sluicegate.stalled" | "sluicegate.flowing" => {}
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
    let page = include_str!("../../docs/events.md");
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
