//! Event servers that share their streams in one redis-server.

mod away;
mod lost;
mod moving;
mod moving_store;
mod own_ids;
mod sentinel;
mod sharing;

use std::io::Read;
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;
use testkit::program::Program;
use testkit::served::{connect, post};
use testkit::sse::{Answer, Event};
use testkit::wait::until;
use testkit::wire::Client;

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
