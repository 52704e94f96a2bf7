//! A source of one event each 50 ms: every event comes at once, not in lumps of an interval.
//!
//! Apache's mod_ratelimit adds 200 to 400 ms to each, and nginx sends such a stream unpaced or late.

use std::io::Read;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::time::Instant;

use crate::backend::{self, EVENTS};
use crate::nginx::Nginx;
use crate::pace::{Delays, ask};
use crate::program::timed;
use crate::sluicegate::Sluicegate;

/// 1 KiB/s; the events are some 700 bytes/s. The chunk of 204 bytes holds six of them, and whoever
/// waits for a full one waits for 300 ms.
const FLAGS: &[&str] = &["--rate", "1"];

#[test]
fn events_come_at_once_through_a_rate() {
    timed(|| {
        let (backend, sent) = backend::events();
        let front = Sluicegate::proxy(backend, FLAGS);
        delays(front.addr, &sent).assert_at_once();
    });
}

#[test]
fn events_come_at_once_through_nginx_and_a_rate() {
    timed(|| {
        let (backend, sent) = backend::events();
        let nginx = Nginx::start(&format!(
            "location / {{ proxy_pass http://{backend}; proxy_http_version 1.1; proxy_buffering off; }}"
        ));
        let front = Sluicegate::proxy(nginx.addr, FLAGS);
        delays(front.addr, &sent).assert_at_once();
    });
}

#[test]
fn events_come_at_once_through_a_rate_and_nginx() {
    timed(|| {
        let (backend, sent) = backend::events();
        let paced = Sluicegate::proxy(backend, FLAGS);
        let nginx = Nginx::start(&format!(
            "location / {{ proxy_pass http://{}; proxy_http_version 1.1; proxy_buffering off; }}",
            paced.addr
        ));
        delays(nginx.addr, &sent).assert_at_once();
    });
}

/// Reads the stream at `addr` to its end.
fn delays(addr: SocketAddr, sent: &mpsc::Receiver<Instant>) -> Delays {
    let mut stream = ask(addr, "/", "Accept: text/event-stream\r\n");
    let mut seen = Vec::new();
    let mut came = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let len = stream.read(&mut piece).unwrap();
        let now = Instant::now();
        if len == 0 {
            break;
        }
        seen.extend_from_slice(&piece[..len]);
        // A line feed at an empty line ends an event; chunk framing has carriage returns before its.
        let events = seen.windows(2).filter(|pair| pair == b"\n\n").count();
        came.resize(events, now);
    }
    let text = String::from_utf8(seen).unwrap();
    assert!(text.starts_with("HTTP/1.1 200") && text.ends_with("\r\n0\r\n\r\n"), "{text}");
    assert_eq!(came.len(), EVENTS, "{text}");
    Delays::between(&sent.try_iter().collect::<Vec<_>>(), &came)
}
