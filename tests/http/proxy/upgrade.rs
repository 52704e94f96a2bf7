//! Changes of protocol, and what is a tunnel afterwards.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use sluicegate::limit::Rate;

use super::fixture::{Backend, Front, accept, answering, field, read_exact, read_head, status};

const UPGRADE: &[u8] =
    b"GET /chat HTTP/1.1\r\nhost: f\r\nconnection: keep-alive, Upgrade\r\nupgrade: websocket\r\n\
    sec-websocket-key: x\r\n\r\n";
const SWITCHING: &str =
    "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n";

#[test]
fn a_tunnel_carries_both_ways_and_closes_one_way_at_a_time() {
    let backend = Backend::new(|listener| {
        let mut stream = accept(listener);
        let head = read_head(&mut stream);
        // The first bytes of the new protocol come with the head.
        stream.write_all(format!("{SWITCHING}hello").as_bytes()).unwrap();
        assert_eq!(read_exact(&mut stream, 4), "ping");
        stream.write_all(b"pong").unwrap();
        let mut rest = String::new();
        stream.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "over");
        // The client has closed its half and still hears.
        stream.write_all(b"and out").unwrap();
        head
    });
    let front = Front::new(backend.source());
    let mut stream = front.connect();
    stream.write_all(UPGRADE).unwrap();
    let head = read_head(&mut stream);
    assert_eq!((status(&head), field(&head, "upgrade")), ("101", Some("websocket")));
    assert_eq!(field(&head, "connection"), Some("upgrade"));
    assert_eq!(read_exact(&mut stream, 5), "hello");
    stream.write_all(b"ping").unwrap();
    assert_eq!(read_exact(&mut stream, 4), "pong");
    stream.write_all(b"over").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "and out");

    let head = backend.join();
    assert_eq!((field(&head, "connection"), field(&head, "upgrade")), (Some("upgrade"), Some("websocket")));
    assert_eq!(field(&head, "sec-websocket-key"), Some("x"));
}

#[test]
fn an_upgrade_that_is_declined_is_a_plain_answer() {
    let backend = answering(|stream| {
        stream.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno").unwrap();
    });
    let front = Front::new(backend.source());
    let mut stream = front.connect();
    stream.write_all(UPGRADE).unwrap();
    assert_eq!(status(&read_head(&mut stream)), "403");
    assert_eq!(read_exact(&mut stream, 2), "no");
    backend.join();
}

#[test]
fn a_tunnel_is_paced_towards_the_client() {
    const RATE: u64 = 50_000;
    let backend = answering(|stream| {
        stream.write_all(SWITCHING.as_bytes()).unwrap();
        stream.write_all(&[b'x'; 30_000]).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    });
    let front = Front::paced(backend.source(), Rate::or_unlimited(RATE));
    let mut stream = front.connect();
    stream.write_all(UPGRADE).unwrap();
    read_head(&mut stream);
    let began = Instant::now();
    read_exact(&mut stream, 30_000);
    // Real time: chunks of 10 000 bytes at 0, 200 and 400 ms; less the little that the first was early.
    assert!(began.elapsed() > Duration::from_millis(350), "{:?}", began.elapsed());
    drop(stream);
    backend.join();
}

#[test]
fn a_client_that_goes_ends_the_tunnel() {
    let backend = answering(|stream| {
        stream.write_all(SWITCHING.as_bytes()).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    });
    let front = Front::new(backend.source());
    let mut stream = front.connect();
    stream.write_all(UPGRADE).unwrap();
    assert_eq!(status(&read_head(&mut stream)), "101");
    drop(stream);
    backend.join();
}
