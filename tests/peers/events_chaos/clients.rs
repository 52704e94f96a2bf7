//! Clients that others wrote read one stream at different servers, through HAProxy and directly, while servers are killed: `eventsource` of npm, httpx-sse and
//! redis-cli.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::Receiver;

use serde_json::json;
use testkit::wait::until;

use super::event_server::{EventServer, posted};
use super::{Fronts, beginning, publish_at_last};
use crate::program::{PATIENCE, Running, program};
use crate::redis::Redis;
use crate::streams::{installed, lines};

const NODE: &str = r#"
import { EventSource } from "eventsource";
import { writeSync } from "node:fs";
const events = new EventSource(process.argv[2]);
events.addEventListener("sluicegate.gap", event => writeSync(1, `gap ${event.data}\n`));
events.onmessage = event => {
    writeSync(1, `${event.lastEventId} ${event.data}\n`);
    if (event.data == "end") events.close();
};
"#;

/// Goes from one server to the other when its connection ends.
const PYTHON: &str = r#"
import sys, time
import httpx
from httpx_sse import connect_sse

last = None
with httpx.Client(timeout=60) as client:
    for turn in range(100_000):
        headers = {"Last-Event-ID": last} if last else {}
        try:
            with connect_sse(client, "GET", sys.argv[1 + turn % 2], headers=headers) as source:
                source.response.raise_for_status()
                for event in source.iter_sse():
                    if event.id:
                        last = event.id
                    if event.event == "message":
                        print(event.id, event.data, flush=True)
                        if event.data == "end":
                            sys.exit(0)
                    elif event.event == "sluicegate.gap":
                        print("gap", event.data, flush=True)
        except httpx.HTTPError:
            pass
        time.sleep(0.05)
"#;

struct Script(PathBuf);

impl Drop for Script {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// What redis-cli says is in the log: ids and data.
fn of_redis(redis: &Redis, incarnation: &str) -> Vec<String> {
    let said = redis.says(&["XRANGE", "{sluicegate:events:/events/}:s:log", "-", "+"]);
    let lines: Vec<&str> = said.lines().collect();
    // The number of the entry, then its eight fields.
    let entries = lines.chunks(17).map(|entry| {
        let field = |name: &str| {
            let at = entry[1..].iter().step_by(2).position(|field| *field == name).unwrap();
            // What is empty at the very end is no line.
            entry.get(1 + 2 * at + 1).copied().unwrap_or_default()
        };
        let number = entry[0].split('-').next().unwrap();
        let id = match (field("i"), field("g")) {
            ("", "") => format!("{incarnation}-{number}"),
            ("", tag) => format!("{incarnation}-{number}.{tag}"),
            (own, _) => own.to_owned(),
        };
        format!("{id} {}", field("d"))
    });
    entries.collect()
}

/// A client, and what it prints.
type Client = (Running, Receiver<String>);

/// npm's client through HAProxy, and Python's at one server and the other by turns; both behind the event `begin`.
fn clients(script: &Path, haproxy: SocketAddr, servers: [SocketAddr; 2], begin: &str) -> [Client; 2] {
    let url = |addr| format!("http://{addr}/events/s?after={begin}");
    let mut node = Command::new(program("node"));
    node.current_dir(script.parent().unwrap()).arg(script).arg(url(haproxy));
    let mut python = Command::new(installed("bin/python"));
    python.args(["-I", "-c", PYTHON, &url(servers[0]), &url(servers[1])]);
    [node, python].map(|mut command| {
        let mut client = Running(command.stdout(Stdio::piped()).spawn().unwrap());
        let said = lines(client.0.stdout.take().unwrap());
        (client, said)
    })
}

/// Publishes so many more at a server, of which nobody is killed meanwhile. Every other one has an id of its own and is repeated; what has none is
/// not, unless it was refused.
fn publish(at: SocketAddr, published: &mut u32, count: u32) {
    for _ in 0..count {
        *published += 1;
        let is_own = published.is_multiple_of(2);
        let mut event = json!({"data": published.to_string()});
        if is_own {
            event["id"] = json!(format!("own-{published}"));
        }
        until("an answer", || {
            let (status, answer) = posted(at, &event.to_string()).expect("a server that lives");
            let is_refused = status == 503 && (is_own || answer["code"] == "store_down");
            assert!(status == 200 || is_refused, "{status} {answer}");
            status == 200
        });
    }
}

/// Adds the next so many lines of each client to what it said.
fn read(clients: &[Client; 2], seen: &mut [Vec<String>; 2], count: usize) {
    for ((_, said), seen) in clients.iter().zip(seen) {
        let event = || said.recv_timeout(PATIENCE).unwrap_or_else(|error| panic!("an event: {error}"));
        seen.extend(std::iter::repeat_with(event).take(count));
    }
}

#[test]
fn clients_of_others_have_one_stream_at_two_servers_also_when_these_are_killed() {
    let redis = Redis::start();
    let mut servers: Vec<_> = (0..3).map(|nth| EventServer::start(&redis.store(), nth)).collect();
    let addrs = [servers[0].addr, servers[1].addr, servers[2].addr];
    let fronts = Fronts::of(addrs);
    let begin = beginning(addrs[0]);
    let script = Script(installed("node").join(format!("shared-{}.mjs", std::process::id())));
    std::fs::write(&script.0, NODE).unwrap();
    let mut clients = clients(&script.0, fronts.haproxy, [addrs[0], addrs[1]], &begin);
    let (mut seen, mut published) = ([Vec::new(), Vec::new()], 0);
    for at in &addrs[..2] {
        publish(*at, &mut published, 10);
    }
    read(&clients, &mut seen, 20);
    for killed in [0, 1, 2] {
        servers[killed].dies();
        for (_, at) in addrs.iter().enumerate().filter(|(at, _)| *at != killed) {
            publish(*at, &mut published, 5);
        }
        read(&clients, &mut seen, 10);
        servers[killed].begins();
    }
    publish_at_last(addrs[2], "end");
    read(&clients, &mut seen, 1);
    for (client, _) in &mut clients {
        assert!(client.0.wait().unwrap().success());
    }
    let data: Vec<String> =
        (1..=published).map(|number| number.to_string()).chain(["end".to_owned()]).collect();
    let of = |line: &String| line.split_once(' ').unwrap().1.to_owned();
    assert_eq!(seen[0].iter().map(of).collect::<Vec<_>>(), data);
    assert_eq!(seen[0], seen[1], "ids too");
    assert_eq!(seen[0], of_redis(&redis, begin.strip_suffix("-0").unwrap()));
}
