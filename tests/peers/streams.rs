//! Our own streams of events with other people's clients: Chromium's `EventSource`, the `eventsource` package
//! for Node, `httpx-sse` for Python, and nginx in between.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, mpsc};

use sluicegate::config::{EventSettings, SinkSettings};
use sluicegate::events::{Draft, Events, Hub, StreamName};
use sluicegate::http::route::Route;
use sluicegate::http::server::Settings;
use sluicegate::rt;

use crate::backend;
use crate::browser::dump;
use crate::nginx::Nginx;
use crate::program::{PATIENCE, Running, loud, program};
use testkit::served::Served;
use testkit::wait::until;

pub const TOKEN: &str = "0123456789abcdef0123456789abcdef";

pub const EMPTY: &[u8] = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";

fn name() -> StreamName {
    StreamName::new("s").unwrap()
}

/// A server of the stream `s`, with other routes beside it.
pub fn serve(settings: EventSettings, others: Vec<Route>) -> (Served, Arc<Hub>) {
    let sink = SinkSettings { send_buffer: Some(16 * 1024), ..SinkSettings::default() };
    let (events, hub) = stream(settings);
    let routes = std::iter::once(events).chain(others).collect();
    (Served::with(Settings { sink, ..Settings::default() }, routes), hub)
}

/// A route with the stream `s`.
pub fn stream(settings: EventSettings) -> (Route, Arc<Hub>) {
    let settings = EventSettings { names: vec!["s".to_owned()], ..settings }.checked().unwrap();
    let events = Events::new("/events/", settings, None, rt::clock());
    let hub = Arc::clone(events.hub());
    (Route::events("/events/", events), hub)
}

pub fn publish(hub: &Hub, data: &[String]) -> Vec<String> {
    let batch = data.iter().map(|data| Draft::new(data.clone(), 64 * 1024).unwrap()).collect();
    rt::block_on(hub.publish(&name(), batch)).unwrap().ids
}

pub fn numbers(numbers: std::ops::RangeInclusive<u32>) -> Vec<String> {
    numbers.map(|number| number.to_string()).collect()
}

/// A route that tells when it was asked.
pub fn signal(path: &str) -> (Route, mpsc::Receiver<()>) {
    let (sender, receiver) = mpsc::channel();
    let addr = backend::backend(move |stream| {
        // Nobody waits any more when the test has failed already.
        let _ = sender.send(());
        stream.write_all(EMPTY)
    });
    (proxied(path, addr), receiver)
}

pub fn proxied(path: &str, addr: SocketAddr) -> Route {
    let source = sluicegate::config::ProxySource::new(format!("http://{addr}").parse().unwrap());
    Route::proxy(path, sluicegate::http::proxy::Proxy::new(source, None, rt::clock()))
}

/// Loses its stream, is paused, polls from the second pause on, and comes back by itself: all of it the
/// browser's own reader's doing but for the polls.
const PAGE: &str = r#"<!doctype html>
<p>waiting</p>
<script>
const token = "TOKEN";
const seen = [], kinds = [];
const events = new EventSource(`/events/s?window=4&token=${token}`);
const note = kind => events.addEventListener(`sluicegate.${kind}`, () => kinds.push(kind));
["open", "pause", "resume", "gap"].forEach(note);
events.addEventListener("sluicegate.open", () => fetch("/opened"));
events.addEventListener("sluicegate.resume", () => fetch("/resumed"));
// Said by the browser alone.
events.onopen = event => "data" in event && kinds.push("said");
events.onmessage = event => {
    if (event.data == "end") {
        events.close();
        document.querySelector("p").textContent = `${seen.join(" ")}; ${kinds.join(" ")}`;
        fetch("/done");
    } else {
        seen.push(event.data);
        if (seen.length <= 4) {
            const body = JSON.stringify({ token, id: event.lastEventId });
            fetch("/events/s/ack", { method: "POST", body }).then(() => fetch("/acked"));
        }
    }
};
let pauses = 0;
events.addEventListener("sluicegate.pause", async event => {
    if (++pauses != 2) return;
    let at = JSON.parse(event.data).poll;
    for (;;) {
        const answer = await (await fetch(at)).json();
        // What was sent and not acknowledged is there again.
        answer.events.filter(event => !seen.includes(event.data)).forEach(event => seen.push(event.data));
        at = `/events/s/poll?token=${token}&after=${encodeURIComponent(answer.last_id)}`;
        if (answer.may_resume && !answer.events.length) break;
    }
});
</script>
<img src="/wait">
"#;

/// Comes again with the id of an event behind which others have left the log.
const LATE_PAGE: &str = r#"<!doctype html>
<p>waiting</p>
<script>
const said = [];
const events = new EventSource("/events/s?after=LAST");
events.addEventListener("sluicegate.gap", event => {
    const { after, before, missing, reason } = JSON.parse(event.data);
    said.push(`gap of ${missing} between ${after} and ${before}: ${reason}`);
});
events.onmessage = event => {
    said.push(event.data);
    if (event.data == "end") {
        events.close();
        document.querySelector("p").textContent = said.join("; ");
        fetch("/done");
    }
};
</script>
<img src="/wait">
"#;

#[test]
fn chromiums_event_source_gets_a_gap_event() {
    let _machine = loud();
    let folder = tempfile::tempdir().unwrap();
    let (done, is_done) = signal("/done");
    let is_done = Arc::new(std::sync::Mutex::new(is_done));
    let wait = backend::backend(move |stream| {
        let _ = is_done.lock().unwrap().recv_timeout(PATIENCE);
        stream.write_all(EMPTY)
    });
    let page = Route::files("/", folder.path()).unwrap();
    let settings = EventSettings { queue: 4, batch: 4, log: 4, ..EventSettings::default() };
    let (served, hub) = serve(settings, vec![page, done, proxied("/wait", wait)]);
    let first = publish(&hub, &numbers(1..=1)).remove(0);
    publish(&hub, &numbers(2..=5));
    let last = publish(&hub, &["6", "7", "8", "end"].map(str::to_owned));
    std::fs::write(folder.path().join("index.html"), LATE_PAGE.replace("LAST", &first)).unwrap();
    let dom = dump(&format!("http://{}/", served.addr));
    let said = dom.split_once("<p>").and_then(|(_, rest)| rest.split_once("</p>")).unwrap().0;
    assert_eq!(said, format!("gap of 4 between {first} and {}: evicted; 6; 7; 8; end", last[0]));
}

#[test]
fn chromiums_event_source_is_dropped_paused_polls_and_comes_back() {
    let _machine = loud();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("index.html"), PAGE.replace("TOKEN", TOKEN)).unwrap();
    let millis = std::time::Duration::from_millis;
    let settings = EventSettings {
        queue: 5,
        batch: 5,
        retry: millis(100),
        suspend_retry: millis(300),
        ..EventSettings::default()
    };
    let (opened, was_opened) = signal("/opened");
    let (acked, was_acked) = signal("/acked");
    let (resumed, was_resumed) = signal("/resumed");
    let (done, is_done) = signal("/done");
    let is_done = std::sync::Mutex::new(is_done);
    let is_done = Arc::new(is_done);
    let wait = backend::backend(move |stream| {
        let _ = is_done.lock().unwrap().recv_timeout(PATIENCE);
        stream.write_all(EMPTY)
    });
    let page = Route::files("/", folder.path()).unwrap();
    let (served, hub) = serve(settings, vec![page, opened, acked, resumed, done, proxied("/wait", wait)]);
    let url = format!("http://{}/", served.addr);
    let browser = std::thread::spawn(move || dump(&url));
    was_opened.recv_timeout(PATIENCE).unwrap();
    publish(&hub, &numbers(1..=4));
    for _ in 0..4 {
        was_acked.recv_timeout(PATIENCE).unwrap();
    }
    // Somebody takes its stream and leaves: the browser comes again, and gets what came meanwhile.
    let mut thief = testkit::served::connect(served.addr);
    write!(thief, "GET /events/s?window=4&token={TOKEN} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut piece = [0; 4096];
    assert!(thief.read(&mut piece).unwrap() > 0);
    drop(thief);
    was_opened.recv_timeout(PATIENCE).unwrap();
    // From now on it acknowledges nothing: the window fills, then the queue.
    let mut last = 4;
    until("the suspension", || {
        last += 1;
        publish(&hub, &numbers(last..=last));
        hub.counts().suspensions() == 1
    });
    was_resumed.recv_timeout(PATIENCE).unwrap();
    publish(&hub, &["end".to_owned()]);
    let dom = browser.join().unwrap();
    let said = dom.split_once("<p>").and_then(|(_, rest)| rest.split_once("</p>")).unwrap().0;
    let (seen, kinds) = said.split_once("; ").unwrap_or_else(|| panic!("{said}"));
    assert_eq!(seen, numbers(1..=last).join(" "));
    // On a slow machine it comes again, and is told to wait, more than once before it has polled.
    let kinds = kinds.replace(" pause", "");
    assert_eq!(kinds, "open open resume");
}

/// What `.ci/run` installs for other people's clients.
pub fn installed(path: &str) -> PathBuf {
    let folder = std::env::var_os("PEER_CLIENTS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/peers"), PathBuf::from);
    let path = folder.join(path);
    assert!(path.exists(), "{} is not there; .ci/run installs it", path.display());
    path
}

/// Has a client read 1 to 60 while its connections are cut after each twenty. It prints each event once it would
/// come back with that event's id; without an id it would be sent only what comes.
fn reads_through_cuts(client: &mut Command) {
    let (served, hub) = serve(
        EventSettings { retry: std::time::Duration::from_millis(50), ..EventSettings::default() },
        Vec::new(),
    );
    client.arg(format!("http://{}/events/s?token={TOKEN}", served.addr)).stdout(Stdio::piped());
    let mut client = Running(client.spawn().unwrap());
    let printed = lines(client.0.stdout.take().unwrap());
    let mut seen = Vec::new();
    let mut read = |count: usize| {
        let event = || printed.recv_timeout(PATIENCE).unwrap_or_else(|error| panic!("an event: {error}"));
        seen.extend(std::iter::repeat_with(event).take(count));
        seen.join(" ")
    };
    until("the client", || hub.gauges().subscribers == 1);
    for cut in 0..3 {
        publish(&hub, &numbers(cut * 20 + 1..=cut * 20 + 20));
        read(1);
        let mut thief = TcpStream::connect(served.addr).unwrap();
        write!(thief, "GET /events/s?token={TOKEN} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        assert!(thief.read(&mut [0; 4096]).unwrap() > 0);
        drop(thief);
        let last = cut * 20 + 20;
        assert_eq!(read(19), numbers(1..=last).join(" "));
    }
    publish(&hub, &["end".to_owned()]);
    assert_eq!(read(1), numbers(1..=60).join(" ") + " end");
    assert!(client.0.wait().unwrap().success());
}

/// What a program prints, line by line as it comes.
pub fn lines(from: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines() {
            // Nobody waits any more when the test has failed already.
            let _ = sender.send(line.unwrap());
        }
    });
    receiver
}

#[test]
fn nodes_event_source_reads_through_cuts() {
    let script = r#"
import { EventSource } from "eventsource";
import { writeSync } from "node:fs";
const events = new EventSource(process.argv[2]);
events.onmessage = event => {
    writeSync(1, `${event.data}\n`);
    if (event.data == "end") events.close();
};
"#;
    let folder = installed("node");
    let file = folder.join(format!("cuts-{}.mjs", std::process::id()));
    std::fs::write(&file, script).unwrap();
    reads_through_cuts(Command::new(program("node")).current_dir(&folder).arg(&file));
    std::fs::remove_file(file).unwrap();
}

#[test]
fn pythons_httpx_sse_reads_through_cuts() {
    let script = r#"
import sys, time
import httpx
from httpx_sse import connect_sse

last = None
with httpx.Client(timeout=20) as client:
    while True:
        headers = {"Last-Event-ID": last} if last else {}
        with connect_sse(client, "GET", sys.argv[1], headers=headers) as source:
            for event in source.iter_sse():
                if event.event == "sluicegate.open":
                    assert event.json()["token"], event
                    continue
                assert event.event == "message", event
                last = event.id
                print(event.data, flush=True)
                if event.data == "end":
                    sys.exit(0)
        time.sleep(0.05)
"#;
    reads_through_cuts(Command::new(installed("bin/python")).args(["-I", "-c", script]));
}

#[test]
fn curl_reads_a_stream_and_nginx_passes_each_event_on() {
    let (served, hub) = serve(EventSettings::default(), Vec::new());
    // As nginx comes: buffering, HTTP/1.0 to what is behind it.
    let nginx = Nginx::start(&format!("location / {{ proxy_pass http://{}; }}", served.addr));
    let mut stream = testkit::served::connect(nginx.addr);
    write!(stream, "GET /events/s HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut seen = String::new();
    let mut piece = [0; 4096];
    for data in ["", "first", "second"] {
        if !data.is_empty() {
            publish(&hub, &[data.to_owned()]);
        }
        let wanted =
            if data.is_empty() { "event: sluicegate.open\n".to_owned() } else { format!("data: {data}\n\n") };
        while !seen.contains(&wanted) {
            let len = stream.read(&mut piece).unwrap();
            assert!(len > 0, "{seen}");
            seen.push_str(std::str::from_utf8(&piece[..len]).unwrap());
        }
    }
    publish(&hub, &["third".to_owned()]);
    let curl = Command::new(program("curl"))
        .args(["-sSN", "--max-time", "1", "-H", "Last-Event-ID: none", &nginx.url("/events/s")])
        .output()
        .unwrap();
    let text = String::from_utf8(curl.stdout).unwrap();
    assert!(text.contains("event: sluicegate.gap\n") && text.contains("data: third\n\n"), "{text}");
}

#[test]
fn a_stalled_client_is_felt_through_nginx() {
    for buffering in ["on", "off"] {
        let (served, hub) =
            serve(EventSettings { queue: 20, batch: 20, ..EventSettings::default() }, Vec::new());
        // Without a file to hide in; and it is told not to heed what we say of buffering.
        let nginx = Nginx::start(&format!(
            "location / {{ proxy_pass http://{}; proxy_http_version 1.1; proxy_buffering {buffering}; \
             proxy_ignore_headers X-Accel-Buffering; proxy_max_temp_file_size 0; }}",
            served.addr
        ));
        let mut stalled = testkit::served::connect(nginx.addr);
        write!(stalled, "GET /events/s HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        until("the stalled client", || hub.gauges().subscribers == 1);
        until(&format!("the pressure, buffering {buffering}"), || {
            publish(&hub, &vec!["x".repeat(60_000); 5]);
            hub.gauges().suspended == 1
        });
        // It reads again: what was on its way, and why it ends.
        let mut rest = Vec::new();
        let mut piece = [0; 65_536];
        while !rest.windows(23).any(|window| window == b"event: sluicegate.pause") {
            let len = stalled.read(&mut piece).unwrap();
            assert!(len > 0, "buffering {buffering}: no pause");
            rest.extend_from_slice(&piece[..len]);
        }
    }
}
