//! Chromium over https, which for it is HTTP/2.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use sluicegate::config::EventSettings;
use sluicegate::http::route::Route;
use sluicegate::limit::Rate;
use sluicegate::tls::TlsSettings;
use testkit::wait::until;

use super::carried::serve;
use crate::backend;
use crate::browser::dump_with;
use crate::program::{PATIENCE, Running, loud, program};
use crate::streams::{EMPTY, numbers, proxied, publish, signal, stream};

/// Takes a paced file, reads an event stream and speaks through a WebSocket, all at a time. It counts as loading until
/// the picture has its answer, and that waits until all is done.
const PAGE: &str = r#"<!doctype html>
<p>waiting</p>
<script>
const download = async () => {
    const began = performance.now();
    const bytes = new Uint8Array(await (await fetch("/paced/f")).arrayBuffer());
    const is_whole = bytes.length == 100000 && bytes.every((value, at) => value == at % 251);
    return `${is_whole ? "whole" : "cut"} ${performance.now() - began > 1200 ? "paced" : "early"}`;
};
const listen = () => new Promise((resolve, reject) => {
    const seen = [];
    const events = new EventSource("/events/s");
    events.onmessage = event => {
        if (event.data != "end") return seen.push(event.data);
        events.close();
        resolve(seen.join(" "));
    };
});
const talk = () => new Promise((resolve, reject) => {
    const socket = new WebSocket(`wss://${location.host}/socket`);
    socket.onopen = () => socket.send("hello");
    socket.onmessage = event => { resolve(event.data); socket.close(); };
    socket.onerror = () => resolve("no WebSocket");
});
Promise.all([download(), listen(), talk()]).then(said => {
    const protocols = ["navigation", "resource"].flatMap(kind => performance.getEntriesByType(kind))
        .filter(entry => !entry.name.includes("wait")).map(entry => entry.nextHopProtocol);
    said.push([...new Set(protocols)].join(" "), String(isSecureContext));
    document.querySelector("p").textContent = said.join("; ");
    fetch("/done");
});
</script>
<img src="/wait">
"#;

/// Takes one connection, answers its upgrade and gives back its first message (RFC 6455).
const ECHO: &str = r#"
import base64, hashlib, socket
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
while True:
    stream = listener.accept()[0].makefile("rwb")
    key = None
    while (line := stream.readline().strip()):
        if line.lower().startswith(b"sec-websocket-key:"):
            key = line.split(b":")[1].strip()
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    stream.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
    stream.flush()
    _, length = stream.read(2)
    mask = stream.read(4)
    text = bytes(byte ^ mask[at % 4] for at, byte in enumerate(stream.read(length & 127)))
    stream.write(bytes([0x81, len(text)]) + text)
    stream.flush()
    stream.read()
"#;

#[test]
fn a_page_a_paced_file_an_event_source_and_a_websocket_work_with_a_self_signed_certificate() {
    let _machine = loud();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("index.html"), PAGE).unwrap();
    std::fs::write(folder.path().join("f"), testkit::wire::content(100_000)).unwrap();
    let mut echo = Command::new(program("python3"));
    let mut echo =
        Running(echo.args(["-c", ECHO]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap());
    let mut port = Vec::new();
    let mut printed = echo.0.stdout.take().unwrap();
    while !port.ends_with(b"\n") {
        let mut byte = [0];
        printed.read_exact(&mut byte).unwrap();
        port.extend(byte);
    }
    let port: u16 = String::from_utf8(port).unwrap().trim().parse().unwrap();
    let (done, is_done) = signal("/done");
    let is_done = Arc::new(Mutex::new(is_done));
    let wait = backend::backend(move |stream| {
        let _ = is_done.lock().unwrap().recv_timeout(PATIENCE);
        stream.write_all(EMPTY)
    });
    let (events, hub) = stream(EventSettings::default());
    let routes = vec![
        Route::files("/", folder.path()).unwrap(),
        Route::files("/paced/", folder.path()).unwrap().rate(Rate::or_unlimited(61_440)),
        events,
        proxied("/socket", ([127, 0, 0, 1], port).into()),
        proxied("/wait", wait),
        done,
    ];
    let served = serve(&TlsSettings::self_signed(), routes);
    let url = format!("https://{}/", served.addr);
    let browser = std::thread::spawn(move || dump_with(&["--ignore-certificate-errors"], &url));
    until("the event source", || hub.gauges().subscribers == 1 || browser.is_finished());
    publish(&hub, &numbers(1..=20));
    publish(&hub, &["end".to_owned()]);
    let dom = browser.join().unwrap();
    let said = dom.split_once("<p>").and_then(|(_, rest)| rest.split_once("</p>")).unwrap().0;
    assert_eq!(said, format!("whole paced; {}; hello; h2; true", numbers(1..=20).join(" ")));
}
