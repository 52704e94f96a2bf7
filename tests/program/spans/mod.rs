//! Spans of traced events as a collector gets them, and what a bad collector does to events: nothing.
//!
//! The program is the real one. What must come is waited for; that it waits no longer than it may at its end is
//! asserted with room for a busy machine, far below what it would take without that bound.

mod collector;
mod failing;
mod whole;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use serde_json::Value;
use testkit::program::Program;

/// A trace whose publisher records it, and its parts.
const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const TRACE: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;
const PARENT: u64 = 0x00f0_67aa_0ba9_02b7;
const UNSAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

/// Publishes a text on the stream `news`, and gives its id.
fn publish(program: &Program, data: &str, trace: Option<&str>) -> String {
    let trace = trace.map_or(String::new(), |trace| format!("traceparent: {trace}\r\n"));
    let answer = post(program, "/events/news", &format!("Content-Type: text/plain\r\n{trace}"), data);
    answer["ids"][0].as_str().unwrap().to_owned()
}

fn post(program: &Program, target: &str, fields: &str, body: &str) -> Value {
    let answer = testkit::served::post(program.addr(), target, fields, body);
    assert!([200, 204].contains(&answer.status()), "{answer:?}");
    serde_json::from_slice(&answer.body).unwrap_or(Value::Null)
}

/// A subscriber of the stream `news`, over HTTP/1.0 so that lines are all there is.
struct Subscriber {
    lines: BufReader<TcpStream>,
    /// What it is called, and proves itself with.
    id: String,
    token: String,
}

impl Subscriber {
    fn new(program: &Program, query: &str) -> Self {
        let mut stream = program.connect();
        stream.write_all(format!("GET /events/news{query} HTTP/1.0\r\n\r\n").as_bytes()).unwrap();
        let mut subscriber = Self { lines: BufReader::new(stream), id: String::new(), token: String::new() };
        let opening: Value = serde_json::from_str(&subscriber.data()).unwrap();
        subscriber.id = opening["subscriber"].as_str().unwrap().to_owned();
        subscriber.token = opening["token"].as_str().unwrap().to_owned();
        subscriber
    }

    /// The data of the next event.
    fn data(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert!(self.lines.read_line(&mut line).unwrap() > 0, "the stream ended");
            if let Some(data) = line.strip_prefix("data: ") {
                return data.trim_end().to_owned();
            }
        }
    }

    fn ack(&self, program: &Program, id: &str) {
        let body = serde_json::json!({ "token": self.token, "id": id }).to_string();
        post(program, "/events/news/ack", "Content-Type: application/json\r\n", &body);
    }
}

/// A figure of /metrics.
fn metric(program: &Program, name: &str) -> Option<u64> {
    testkit::watched::metric(program.admin(), name)
}

/// Whether the program has the thread that exports.
fn has_thread(program: &Program) -> bool {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", program.id())).unwrap();
    // One that ended meanwhile has no name.
    let name =
        |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
    tasks.map(|task| name(task.unwrap())).any(|name| name == "spans\n")
}
