//! What a backend may say about the pace of one response.

use std::io::Write;
use std::sync::mpsc;
use std::time::Duration;

use testkit::backend::{Backend, routed};
use testkit::served::Served;
use testkit::wire::{CHUNK, Client, End, GUIDE, content};

/// Answers `len` bytes, with further header lines (each with its CRLF).
fn answering(len: usize, fields: &str) -> Backend {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {len}\r\n{fields}\r\n");
    Backend::saying([head.as_bytes(), &content(len)].concat())
}

#[test]
fn a_backend_sets_the_pace_of_its_response_and_the_field_is_removed() {
    // Route, wish, and what holds then; 0 is unlimited.
    for (route, wish, holds) in
        [(20_000, "100000", 100_000), (1_000_000, "40000", 40_000), (0, "100000", 100_000), (10_000, "0", 0)]
    {
        let backend = answering(60_000, &format!("X-Accel-Limit-Rate: {wish}\r\nX-Accel-Buffering: no\r\n"));
        let served = Served::new(vec![backend.route(route)]);
        let answer = Client::new(served.connect()).get("/", "");
        assert_eq!((answer.status(), answer.end), (200, End::Complete));
        assert!(answer.body == content(60_000));
        assert!(!answer.head.to_lowercase().contains("x-accel"), "{}", answer.head);
        if holds > 0 {
            answer.assert_paced(holds, 0);
        }
        if holds == 0 || holds > route {
            // The route's own pace would take (60 000 − two chunks) / rate: two seconds, or five.
            assert!(route == 0 || answer.lasted() < Duration::from_millis(1_800), "{:?}", answer.lasted());
        }
    }
}

#[test]
fn a_route_may_refuse_a_backends_wishes_and_keeps_them_to_itself() {
    let backend = answering(40_000, "X-Accel-Limit-Rate: 0\r\nX-Accel-Buffering: no\r\n");
    let mut source = backend.source();
    source.honour_accel = false;
    let served = Served::new(vec![routed("/", source, sluicegate::limit::Rate::or_unlimited(GUIDE))]);
    let answer = Client::new(served.connect()).get("/", "");
    assert!(answer.body == content(40_000) && !answer.head.to_lowercase().contains("x-accel"));
    answer.assert_paced(GUIDE, 0);
}

#[test]
fn a_wish_holds_for_one_response_only() {
    let backend = Backend::new(|stream, head| {
        let wish = if head.contains("/fast") { "X-Accel-Limit-Rate: 0\r\n" } else { "" };
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: 30000\r\n{wish}connection: close\r\n\r\n");
        let _ = stream.write_all(&[head.as_bytes(), &content(30_000)].concat());
    });
    let served = Served::new(vec![backend.route(GUIDE)]);
    let mut client = Client::new(served.connect());
    assert_eq!(client.get("/fast", "").body.len(), 30_000);
    let answer = client.get("/slow", "");
    answer.assert_paced(GUIDE, 0);
}

// nginx drops its own limit on unbuffered responses (proxy_buffering off).
#[test]
fn an_unbuffered_response_goes_on_piece_by_piece_and_is_paced_all_the_same() {
    let (seen, may_go_on) = mpsc::sync_channel::<()>(0);
    let may_go_on = std::sync::Mutex::new(may_go_on);
    let backend = Backend::new(move |stream, _| {
        let head = "HTTP/1.1 200 OK\r\nX-Accel-Buffering: no\r\ntransfer-encoding: chunked\r\n\r\n";
        stream.write_all(format!("{head}5\r\nfirst\r\n").as_bytes()).unwrap();
        // Not before the client has the first piece.
        may_go_on.lock().unwrap().recv().unwrap();
        stream.write_all(format!("{:x}\r\n", 3 * CHUNK).as_bytes()).unwrap();
        stream.write_all(&content(3 * CHUNK)).unwrap();
        stream.write_all(b"\r\n0\r\n\r\n").unwrap();
    });
    let served = Served::new(vec![backend.route(GUIDE)]);
    let mut stream = served.send(b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
    let head = testkit::message::read_head(&mut stream).unwrap();
    assert!(!head.to_lowercase().contains("x-accel"), "{head}");
    let mut first = [0; 10];
    std::io::Read::read_exact(&mut stream, &mut first).unwrap();
    assert_eq!(&first, b"5\r\nfirst\r\n");
    let began = std::time::Instant::now();
    seen.send(()).unwrap();
    let mut rest = Vec::new();
    std::io::Read::read_to_end(&mut stream, &mut rest).unwrap();
    assert!(rest.ends_with(b"\r\n0\r\n\r\n") && rest.len() > 3 * CHUNK);
    // Three chunks: one may be there, one leaves on credit, one is waited for.
    assert!(began.elapsed() >= Duration::from_millis(190), "{:?}", began.elapsed());
}
