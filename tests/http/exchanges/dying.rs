//! A source that dies in mid-body: what there was comes at its pace, then the exchange is aborted, and
//! never looks complete.

use std::io::{Read, Write};
use std::sync::mpsc;
use std::time::Duration;

use sluicegate::http::server::Settings;

use testkit::backend::Backend;
use testkit::served::Served;
use testkit::wire::{Client, End, GUIDE, content};

/// Sends 30 000 bytes of more at once and goes away.
fn dying(framing: &str) -> Backend {
    let chunked = framing.starts_with("transfer-encoding");
    let mut answer = format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n").into_bytes();
    if chunked {
        answer.extend_from_slice(format!("{:x}\r\n", 40_000).as_bytes());
    }
    answer.extend_from_slice(&content(30_000));
    Backend::saying(answer)
}

#[test]
fn bytes_before_a_backends_death_come_at_their_pace_and_then_a_reset() {
    let requests = ["GET / HTTP/1.1\r\nHost: t\r\n\r\n", "GET / HTTP/1.0\r\n\r\n"];
    for framing in ["content-length: 40000", "transfer-encoding: chunked"] {
        for request in requests {
            let served = Served::new(vec![dying(framing).route(GUIDE)]);
            let mut client = Client::new(served.connect());
            client.send(request.as_bytes());
            let answer = client.answer();
            assert_eq!((answer.status(), answer.end), (200, End::Reset), "{framing} {request:?}");
            assert!(answer.body == content(30_000), "{} bytes", answer.body.len());
            // A failure is no end of stream: what is less than a chunk waits too.
            answer.assert_strictly_paced(GUIDE);
        }
    }
}

#[test]
fn a_death_without_a_word_before_it_resets_too() {
    let served = Served::new(vec![Backend::saying("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n").route(0)]);
    let mut client = Client::new(served.connect());
    let answer = client.get("/", "");
    // The head may have gone or not; an answer that is complete it must not be.
    assert_eq!((answer.body.len(), answer.end), (0, End::Reset), "{answer:?}");
}

// What was sent is with the client before the failure comes, so nothing is left to write for it.
#[test]
fn a_death_long_after_the_last_bytes_is_passed_on_at_once() {
    let (die, told) = mpsc::sync_channel::<()>(0);
    let told = std::sync::Mutex::new(told);
    let backend = Backend::new(move |stream, _| {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345").unwrap();
        told.lock().unwrap().recv().unwrap();
    });
    let served = Served::new(vec![backend.route(GUIDE)]);
    let mut client = Client::new(served.connect());
    client.send(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    let mut seen = Vec::new();
    while !seen.ends_with(b"12345") {
        let mut buf = [0; 100];
        let n = client.stream.read(&mut buf).unwrap();
        seen.extend_from_slice(&buf[..n]);
    }
    die.send(()).unwrap();
    let error = client.stream.read(&mut [0; 9]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

// A reader that takes nothing for a while is no reason to lose what was given before the failure.
#[test]
fn a_reader_that_lags_loses_no_byte_from_before_a_backends_death() {
    const SENT: usize = 12_000_000;
    let (died, dead) = mpsc::channel();
    let died = std::sync::Mutex::new(died);
    let backend = Backend::new(move |stream, _| {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", SENT + 1);
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&content(SENT)).unwrap();
        died.lock().unwrap().send(()).unwrap();
    });
    let served = Served::new(vec![backend.route(0)]);
    let mut client = Client::new(served.connect());
    // A small window: what the server has sent waits in the kernel on its side.
    socket2::SockRef::from(&client.stream).set_recv_buffer_size(16 * 1024).unwrap();
    client.send(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    // Reads at leisure, until the backend has given all; the rest lies in the buffers between.
    let mut seen = Vec::new();
    let mut buf = vec![0; 65_536];
    while dead.try_recv().is_err() {
        let n = client.stream.read(&mut buf).unwrap();
        seen.extend_from_slice(&buf[..n]);
    }
    let error = loop {
        match client.stream.read(&mut buf) {
            Ok(0) => panic!("a clean end"),
            Ok(n) => seen.extend_from_slice(&buf[..n]),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    let head = testkit::wire::find(&seen, b"\r\n\r\n").unwrap() + 4;
    assert_eq!(seen.len() - head, SENT, "bytes of the body");
}

#[test]
fn an_upstream_that_falls_silent_in_mid_body_ends_in_a_reset() {
    let backend = Backend::new(|stream, _| {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345").unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0, "the proxy hangs up");
    });
    let mut source = backend.source();
    source.read_timeout = Duration::from_millis(50);
    let served = Served::with(Settings::default(), vec![testkit::backend::routed("/", source, None)]);
    let answer = Client::new(served.connect()).get("/", "");
    assert_eq!((answer.body.as_slice(), answer.end), (&b"12345"[..], End::Reset));
}
