//! Subscribers that stop reading, are paused, poll, and come back, hundreds of times: every event reaches each
//! of them once, and nothing stays behind, neither here nor in nginx.
//!
//! `cargo test --features peers --test peers -- --ignored cycles`: a minute or so.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use crate::nginx::Nginx;
use crate::pace::get;
use crate::sluicegate::Sluicegate;
use testkit::served::{connect_narrow, post};
use testkit::sse::Answer;
use testkit::wait::until;

/// Side by side, and so often each: three hundred cycles.
const READERS: usize = 20;
const ROUNDS: usize = 15;

/// Bytes of an event.
const SIZE: usize = 20_000;

/// What the process may have grown by between the fifth round and the last, beside its log: what the allocator keeps of the busiest moment of each
/// thread, of which there are eleven with an arena each. It is no leak: over 90 rounds on a busy machine memory grew by 2.1 MB up to the 27th and by
/// nothing in the next 55, and what glibc's `malloc_info` had in use stayed at 5.0 MB, 4 of them the log. Three events left behind by each cycle are more.
const GROWTH: u64 = 8 << 20;

struct Scene {
    server: Sluicegate,
    /// Where subscribers come to.
    front: SocketAddr,
    published: usize,
    _folder: tempfile::TempDir,
}

/// One that stops reading.
struct Reader {
    token: String,
    /// The number of the next event that it is to have.
    next: usize,
    /// The last one's id.
    last: String,
    missed: u64,
}

#[test]
#[ignore = "takes a while; .ci/run runs it"]
fn three_hundred_cycles_leave_nothing_behind() {
    let mut scene = Scene::new();
    scene.cycle(None);
}

#[test]
#[ignore = "takes a while; .ci/run runs it"]
fn three_hundred_cycles_through_nginx_that_buffers_leave_nothing_behind() {
    through_nginx("on");
}

#[test]
#[ignore = "takes a while; .ci/run runs it"]
fn three_hundred_cycles_through_nginx_that_does_not_buffer_leave_nothing_behind() {
    through_nginx("off");
}

fn through_nginx(buffering: &str) {
    let mut scene = Scene::new();
    // Without a file to hide in; and it is told not to heed what we say of buffering.
    let server = format!(
        "location / {{ proxy_pass http://{}; proxy_http_version 1.1; proxy_buffering {buffering}; \
         proxy_ignore_headers X-Accel-Buffering; proxy_max_temp_file_size 0; \
         send_timeout 600s; proxy_read_timeout 600s; }}",
        scene.server.addr
    );
    // Small kernel buffers, so that a reader that stops is felt after kilobytes and not megabytes.
    let nginx = Nginx::start_with("sndbuf=16k", &server);
    scene.front = nginx.addr;
    // It has opened what it keeps.
    get(nginx.addr, "/events/s/poll", "");
    scene.cycle(Some(&nginx));
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("gate.toml");
        // Whoever left is forgotten 20 s later, so that it can be seen that all is.
        let text = "admin = \"127.0.0.1:0\"\nlog_level = \"warn\"\n[[route]]\npath = \"/events/\"\n[route.events]\n\
                    names = \"s\"\nqueue = 20\nbatch = 20\nttl = \"10s\"\nsuspend_retry = \"5s\"\n\
                    log_bytes = \"4m\"\n[sink]\nsend_buffer = \"16k\"\nstall_timeout = \"10m\"\n";
        std::fs::write(&config, text).unwrap();
        let server = Sluicegate::run(&config);
        Self { front: server.addr, server, published: 0, _folder: folder }
    }

    fn cycle(&mut self, nginx: Option<&Nginx>) {
        let readers = |number| Reader {
            token: format!("reader-of-many-cycles-{number:02}"),
            next: 0,
            last: String::new(),
            missed: 0,
        };
        let mut readers: Vec<Reader> = (0..READERS).map(readers).collect();
        // What is alive: descriptors here and there, tasks, timers.
        let alive = |scene: &Self| {
            let here = scene.server.descriptors() as u64;
            let there = nginx.map_or(0, Nginx::descriptors) as u64;
            [here, there, scene.server.metric("sluicegate_tasks"), scene.server.metric("sluicegate_timers")]
        };
        let (mut memory, mut before) = (0, [0; 4]);
        for round in 0..ROUNDS {
            let streams: Vec<TcpStream> = readers.iter().map(|reader| self.subscribe(reader)).collect();
            until("all to be subscribed", || self.gauge("subscribers") == READERS as u64);
            until("all to be suspended", || {
                self.publish();
                self.gauge("suspended") == READERS as u64
            });
            for (reader, stream) in readers.iter_mut().zip(streams) {
                reader.read_to_the_pause(stream, round);
                reader.poll_to_the_head(self.front);
                assert_eq!(reader.next, self.published, "it has each event, or the name of the gap");
            }
            if round == 0 {
                // What it opens once it has opened by now.
                self.no_connections();
                before = alive(self);
            }
            if round == 4 {
                memory = self.memory();
            }
        }
        let counted = |name: &str| self.counter(name);
        let cycles = (READERS * ROUNDS) as u64;
        assert_eq!((counted("suspensions"), counted("resumes")), (cycles, cycles - READERS as u64));
        let missed: u64 = readers.iter().map(|reader| reader.missed).sum();
        assert_eq!(counted("dropped") + counted("expired"), missed);

        // Nothing is left: neither of subscribers nor of connections nor of what was held for them.
        for name in ["subscribers", "suspended", "away", "queue_depth", "sink_buffered_bytes"] {
            until(&format!("no {name}"), || self.gauge(name) == 0);
        }
        self.no_connections();
        assert_eq!(self.server.metric("sluicegate_egress_buffered_bytes"), 0);
        // The connection that asked before may have been among them.
        until(&format!("no more alive than {before:?}"), || {
            alive(self).iter().zip(before).all(|(now, before)| *now <= before)
        });
        for addr in [Some(self.server.addr), nginx.map(|nginx| nginx.addr)].into_iter().flatten() {
            until("no sockets", || sockets(addr) == 0);
        }
        let now = self.memory();
        println!(
            "{cycles} cycles, {} events, {missed} missed; {memory} bytes after 100, {now} at the end",
            self.published
        );
        assert!(now < memory + GROWTH, "{memory} bytes after a third, {now} in the end");
    }

    /// Bytes of the server's memory, without what its log has yet to be filled with.
    fn memory(&self) -> u64 {
        self.server.memory() - self.gauge("log_size_bytes")
    }

    fn no_connections(&self) {
        until("no connections", || self.server.metric("sluicegate_connections") == 0);
    }

    /// Subscribes, and reads nothing.
    fn subscribe(&self, reader: &Reader) -> TcpStream {
        let mut stream = connect_narrow(self.front);
        write!(stream, "GET /events/s?token={} HTTP/1.1\r\nHost: localhost\r\n\r\n", reader.token).unwrap();
        stream
    }

    fn publish(&mut self) {
        let padding = "x".repeat(SIZE);
        let batch: Vec<Value> = (self.published..self.published + 5)
            .map(|number| serde_json::json!({"data": format!("{number} {padding}")}))
            .collect();
        let body = Value::from(batch).to_string();
        let answer = post(self.server.addr, "/events/s", "Content-Type: application/json\r\n", &body);
        assert_eq!(answer.status(), 200, "{answer:?}");
        self.published += 5;
    }

    fn gauge(&self, name: &str) -> u64 {
        self.server.metric(&format!("sluicegate_events_{name}{{route=\"/events/\"}}"))
    }

    fn counter(&self, name: &str) -> u64 {
        self.gauge(&format!("{name}_total"))
    }
}

impl Reader {
    /// Reads what was on its way, and why its stream ends.
    fn read_to_the_pause(&mut self, mut stream: TcpStream, round: usize) {
        let mut answer = Answer::default();
        let mut piece = vec![0; 65_536];
        let mut kinds = Vec::new();
        while !answer.ended {
            let len = stream.read(&mut piece).unwrap();
            assert!(len > 0, "{}: cut", self.token);
            answer.push(&piece[..len]);
            for event in answer.by_ref() {
                match event.kind.as_str() {
                    "message" => {
                        self.take(&event.data);
                        self.last = event.id.unwrap();
                        continue;
                    }
                    "sluicegate.gap" => self.miss(&event.json()),
                    "sluicegate.pause" => {
                        let pause = event.json();
                        assert_eq!(pause["last_id"], self.last.as_str());
                    }
                    _ => self.last = event.id.expect("where its stream begins"),
                }
                kinds.push(event.kind);
            }
        }
        kinds.retain(|kind| kind != "sluicegate.gap");
        assert_eq!(
            kinds,
            [if round == 0 { "sluicegate.open" } else { "sluicegate.resume" }, "sluicegate.pause"]
        );
    }

    fn poll_to_the_head(&mut self, front: SocketAddr) {
        loop {
            let target = format!("/events/s/poll?token={}&max=1000&after={}", self.token, self.last);
            let answer: Value = serde_json::from_slice(&get(front, &target, "").body).unwrap();
            if answer["gap"].is_object() {
                self.miss(&answer["gap"]);
            }
            let events = answer["events"].as_array().unwrap();
            for event in events {
                self.take(event["data"].as_str().unwrap());
            }
            if let Some(last) = answer["last_id"].as_str() {
                self.last = last.to_owned();
            }
            assert_eq!(answer["suspended"], true);
            if answer["may_resume"] == true && events.is_empty() {
                return;
            }
        }
    }

    fn take(&mut self, data: &str) {
        let number = data.split(' ').next().unwrap();
        assert_eq!(number, self.next.to_string(), "{}", self.token);
        self.next += 1;
    }

    fn miss(&mut self, gap: &Value) {
        let missing = gap["missing"].as_u64().unwrap_or_else(|| panic!("{gap}"));
        self.next += missing as usize;
        self.missed += missing;
    }
}

/// Sockets that hold something at this address: open, or half of them.
fn sockets(addr: SocketAddr) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let port = format!(":{:04X}", addr.port());
    let ends = |line: &str| line.split_whitespace().skip(1).take(2).any(|end| end.ends_with(&port));
    // 06 is TIME_WAIT, which is the kernel's own affair, and 0A listens.
    let state = |line: &str| line.split_whitespace().nth(3).unwrap_or_default().to_owned();
    table.lines().filter(|line| ends(line) && !matches!(state(line).as_str(), "06" | "0A")).count()
}
