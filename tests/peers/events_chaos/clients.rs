//! Clients that others wrote read one stream at different servers, through HAProxy and directly, while servers are killed: `eventsource` of npm, httpx-sse and
//! redis-cli.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::json;
use testkit::wait::until;

use super::event_server::{EventServer, posted};
use super::{Fronts, beginning};
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

#[test]
fn clients_of_others_have_one_stream_at_two_servers_also_when_these_are_killed() {
    let redis = Redis::start();
    let mut servers: Vec<_> = (0..3).map(|nth| EventServer::start(&redis.store(), nth)).collect();
    let addrs = [servers[0].addr, servers[1].addr, servers[2].addr];
    let fronts = Fronts::of(addrs);
    let begin = beginning(addrs[0]);
    let incarnation = begin.strip_suffix("-0").unwrap().to_owned();

    let folder = installed("node");
    let script = Script(folder.join(format!("shared-{}.mjs", std::process::id())));
    std::fs::write(&script.0, NODE).unwrap();
    let url = |addr| format!("http://{addr}/events/s?after={begin}");
    let mut node = Command::new(program("node"));
    node.current_dir(&folder).arg(&script.0).arg(url(fronts.haproxy));
    let mut python = Command::new(installed("bin/python"));
    python.args(["-I", "-c", PYTHON, &url(addrs[0]), &url(addrs[1])]);
    let mut clients = [node, python].map(|mut command| {
        let mut client = Running(command.stdout(Stdio::piped()).spawn().unwrap());
        let said = lines(client.0.stdout.take().unwrap());
        (client, said)
    });

    let mut published = 0;
    let mut publish = |count: usize, names: &[&str]| {
        for name in names {
            for nth in 0..count {
                published += 1;
                let data = format!("{published}");
                // Every other one has an id of the server's; what has none of its own is not repeated unless it was refused.
                let event = if nth % 2 == 0 {
                    json!({"data": data})
                } else {
                    json!({"data": data, "id": format!("own-{data}")})
                };
                let at: std::net::SocketAddr = name.parse().unwrap();
                until("an answer", || {
                    let (status, answer) =
                        posted(at, &event.to_string()).expect("nobody is killed meanwhile");
                    assert!(
                        status == 200 || answer["code"] == "store_down" || status == 503 && nth % 2 == 1,
                        "{status} {answer}"
                    );
                    status == 200
                });
            }
        }
    };
    let names = addrs.map(|addr| addr.to_string());
    let both = [names[0].as_str(), names[1].as_str()];
    let mut seen = [Vec::new(), Vec::new()];
    let read = |clients: &[(Running, std::sync::mpsc::Receiver<String>); 2],
                seen: &mut [Vec<String>; 2],
                count: usize| {
        for ((_, said), seen) in clients.iter().zip(seen) {
            let event = || said.recv_timeout(PATIENCE).unwrap_or_else(|error| panic!("an event: {error}"));
            seen.extend(std::iter::repeat_with(event).take(count));
        }
    };
    publish(10, &both);
    read(&clients, &mut seen, 20);
    for killed in [0, 1, 2] {
        servers[killed].dies();
        let others: Vec<&str> = (0..3).filter(|at| *at != killed).map(|at| names[at].as_str()).collect();
        publish(5, &others);
        read(&clients, &mut seen, 10);
        servers[killed].begins();
    }
    until("the end to be taken", || {
        posted(addrs[2], &json!({"data": "end", "id": "end"}).to_string())
            .is_some_and(|(status, _)| status == 200)
    });
    read(&clients, &mut seen, 1);
    for (client, _) in &mut clients {
        assert!(client.0.wait().unwrap().success());
    }
    let data: Vec<String> =
        (1..=published).map(|number| number.to_string()).chain(["end".to_owned()]).collect();
    let of = |seen: &[String]| -> Vec<String> {
        seen.iter().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect()
    };
    assert_eq!(of(&seen[0]), data);
    assert_eq!(seen[0], seen[1], "ids too");
    assert_eq!(seen[0], of_redis(&redis, &incarnation));
}
