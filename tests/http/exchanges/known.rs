//! Faults that other servers have had, one test each.

use std::io::{Read, Write};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use sluicegate::http::route::Route;
use sluicegate::limit::Rate;

use testkit::backend::Backend;
use testkit::served::Served;
use testkit::wait::PATIENCE;
use testkit::wire::{CHUNK, Client, End, GUIDE, content};

/// Answers in pieces of odd sizes, as fast as they are taken, then closes.
fn in_odd_pieces(head: &'static str, body: Vec<u8>, chunked: bool) -> Backend {
    Backend::new(move |stream, _| {
        let _ = stream.write_all(head.as_bytes());
        let mut rest = body.as_slice();
        for size in [1, 7, 1_000, 13, 4_097, 300].into_iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, behind) = rest.split_at(size.min(rest.len()));
            rest = behind;
            let framed = [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
            let _ = stream.write_all(if chunked { &framed } else { piece });
        }
        if chunked {
            let _ = stream.write_all(b"0\r\n\r\n");
        }
    })
}

// Apache httpd: mod_ratelimit let proxied content through unpaced for years (bug 53555 and its like), as
// it slept for whole brigades and a proxy sends many small ones.
#[test]
fn proxied_content_in_small_pieces_is_paced() {
    let backend = in_odd_pieces("HTTP/1.1 200 OK\r\ncontent-length: 38400\r\n\r\n", content(38_400), false);
    let served = Served::new(vec![backend.route(GUIDE)]);
    let answer = Client::new(served.connect()).get("/", "");
    assert!(answer.end == End::Complete && answer.body == content(38_400));
    answer.assert_paced(GUIDE, 0);
    // 38 400 bytes less two chunks, one that was there and one on credit: 225 ms, if pieces trickle.
    assert!(answer.lasted() >= Duration::from_millis(225), "{:?}", answer.arrivals);
}

// Apache httpd: mod_ratelimit held the head back with the first bytes, behind the filter that frames
// chunks, so that the head came out inside the body and the framing broke.
#[test]
fn the_framing_of_chunks_is_whole_however_head_and_body_come() {
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let close = "HTTP/1.1 200 OK\r\n\r\n";
    for (head, is_chunked, len) in
        [(chunked, true, 30_000), (close, false, 30_000), (chunked, true, 0), (chunked, true, CHUNK)]
    {
        let served = Served::new(vec![in_odd_pieces(head, content(len), is_chunked).route(GUIDE)]);
        let mut client = Client::new(served.connect());
        for _ in 0..2 {
            // The client reads the framing to the letter and panics if a byte of it is wrong.
            let answer = client.get("/", "");
            assert_eq!((answer.status(), answer.field("transfer-encoding")), (200, Some("chunked")));
            assert!(answer.end == End::Complete && answer.body == content(len), "{len} of {head:?}");
        }
    }
}

// Apache httpd 2.4.33 to 2.4.37: with a rate limit the answer to HEAD was empty, without even a head, since
// it has no bytes to wait for.
#[test]
fn the_answer_to_head_is_there_at_once_and_the_connection_goes_on() {
    let folder = testkit::folder::folder(&[("a.bin", &content(100_000))]);
    let backend = Backend::saying("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\nx-from: backend\r\n\r\n");
    let routes = vec![
        Route::files("/files/", folder.path()).unwrap().rate(Rate::or_unlimited(1)),
        testkit::backend::routed("/", backend.source(), Rate::or_unlimited(1)),
    ];
    let served = Served::new(routes);
    let mut client = Client::new(served.connect());
    for _ in 0..3 {
        for target in ["/files/a.bin", "/proxied"] {
            let head = client.head(target, "");
            assert_eq!((head.status(), head.field("content-length")), (200, Some("100000")), "{target}");
            assert_eq!((head.body.len(), head.end), (0, End::Complete), "{target}");
        }
        // What is no route's has a body that HEAD must not get either.
        let head = client.head("/files", "");
        assert_eq!((head.status(), head.body.len()), (301, 0));
        assert!(head.field("content-length").is_some_and(|length| length != "0"));
    }
}

// HAProxy (bwlim) and Apache httpd (bug 62568) forwarded the end of the stream while paced bytes were still
// held: the connection closed over them.
#[test]
fn the_end_comes_behind_the_last_paced_byte() {
    let len = 3 * CHUNK + 1;
    for (head, chunked) in [
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", true),
        ("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n", false),
    ] {
        for request in ["GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n"] {
            // The backend is done and gone long before the last chunk leaves.
            let served = Served::new(vec![in_odd_pieces(head, content(len), chunked).route(GUIDE)]);
            let mut client = Client::new(served.connect());
            client.send(request.as_bytes());
            let answer = client.answer();
            assert!(answer.end == End::Complete && answer.body == content(len), "{request:?}");
            answer.assert_paced(GUIDE, 0);
            assert!(client.is_closed(), "with nothing behind it");
        }
    }
}

// Apache httpd and HAProxy: a head that comes before its body takes an interval of its own, and the first
// byte waits 200 ms for nothing. Here the interval is a second long, so that nobody mistakes it.
#[test]
fn the_first_byte_of_a_proxied_body_does_not_wait() {
    let (send, told) = mpsc::sync_channel::<()>(0);
    let told = std::sync::Mutex::new(told);
    let backend = Backend::new(move |stream, _| {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n").unwrap();
        told.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        stream.write_all(b"x").unwrap();
        // Held open: the byte is not let go for the sake of an end.
        let _ = stream.read(&mut [0]);
    });
    let served = Served::new(vec![backend.route(1)]);
    let mut stream = served.begin("/");
    testkit::message::read_head(&mut stream).unwrap();
    let began = Instant::now();
    send.send(()).unwrap();
    stream.read_exact(&mut [0]).unwrap();
    assert!(began.elapsed() < Duration::from_millis(900), "{:?}", began.elapsed());
}
