//! Bodies both ways: whole, in order, with their trailers, and never short without a word.

use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use bytes::Bytes;
use futures_lite::stream;
use http::{HeaderMap, Request};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use sluicegate::http::proxy::Proxy;
use sluicegate::limit::{Buffers, Rate};
use sluicegate::rt;

use super::fixture::{Backend, Front, accept, answer, answering, field, read_exact, read_head, status};

/// A request's body in the pieces given.
pub type Pieces = StreamBody<stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>>;

#[test]
fn a_request_and_its_answer_pass_with_their_bodies() {
    let backend = Backend::new(|listener| {
        let mut stream = accept(listener);
        let head = read_head(&mut stream);
        let body = read_exact(&mut stream, 11);
        // Odd pieces, cut in the middle of the head and of the body.
        for piece in [
            "HTTP/1.1 201 Crea",
            "ted\r\ncontent-len",
            "gth: 7\r\nx: y\r\nkeep-alive: 5\r\n\r\nab",
            "c",
            "defg",
        ] {
            stream.write_all(piece.as_bytes()).unwrap();
        }
        (head, body)
    });
    let front = Front::new(backend.source());
    let (head, body) = front.ask(
        "POST /a%20b?c=%2F HTTP/1.1\r\nhost: front.example\r\ncontent-length: 11\r\nconnection: close, x-hop\r\n\
         x-hop: 1\r\nx-forwarded-for: 6.6.6.6\r\n\r\nhello world",
    );
    assert_eq!((status(&head), body.as_str()), ("201", "abcdefg"));
    assert_eq!((field(&head, "x"), field(&head, "keep-alive")), (Some("y"), None));
    assert_eq!(field(&head, "via"), Some("1.1 sluicegate"));

    let addr = backend.addr.to_string();
    let (head, body) = backend.join();
    assert_eq!(body, "hello world");
    assert!(head.starts_with("POST /a%20b?c=%2F HTTP/1.1\r\n"), "{head}");
    assert_eq!(field(&head, "host"), Some(addr.as_str()));
    assert_eq!(field(&head, "content-length"), Some("11"));
    assert_eq!((field(&head, "connection"), field(&head, "x-hop")), (None, None));
    assert_eq!(field(&head, "x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(field(&head, "x-forwarded-host"), Some("front.example"));
    let forwarded = field(&head, "forwarded").unwrap();
    assert!(forwarded.starts_with("for=127.0.0.1;by=\"127.0.0.1:"), "{forwarded}");
    assert!(forwarded.ends_with(";host=front.example;proto=http"), "{forwarded}");
    assert_eq!(field(&head, "via"), Some("1.1 sluicegate"));
}

#[test]
fn chunks_and_trailers_pass_both_ways() {
    let request_body = "3\r\nabc\r\n2\r\nde\r\n0\r\nx-sum: 5\r\n\r\n";
    let backend = answering(move |stream| {
        assert_eq!(read_exact(stream, request_body.len()), request_body);
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-end\r\n\r\n4\r\nwxyz\r\n0\r\nx-end: 1\r\n\r\n")
            .unwrap();
    });
    let front = Front::new(backend.source());
    let (head, body) = front.ask(&format!(
        "PUT / HTTP/1.1\r\nhost: f\r\nte: trailers\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\
         connection: close, te\r\n\r\n{request_body}"
    ));
    assert_eq!(status(&head), "200");
    assert_eq!(body, "4\r\nwxyz\r\n0\r\nx-end: 1\r\n\r\n");
    let head = backend.join();
    assert_eq!((field(&head, "te"), field(&head, "connection")), (Some("trailers"), Some("te")));
}

#[test]
fn a_body_of_http2_passes_in_chunks_with_its_trailers() {
    let backend = answering(|stream| {
        let expected = "2\r\nab\r\n1\r\nc\r\n0\r\nx-sum: 3\r\n\r\n";
        assert_eq!(read_exact(stream, expected.len()), expected);
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-end\r\n\r\n2\r\nxy\r\n0\r\nx-end: 1\r\n\r\n")
            .unwrap();
    });
    let proxy = Proxy::new(backend.source(), None, rt::clock());
    rt::block_on(async {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", "3".parse().unwrap());
        let pieces = vec![
            Ok(Frame::data(Bytes::from_static(b"ab"))),
            Ok(Frame::data(Bytes::from_static(b"c"))),
            Ok(Frame::trailers(trailers)),
        ];
        let request = Request::post("http://front.example/x")
            .header("trailer", "x-sum")
            .header("cookie", "a=1")
            .header("cookie", "b=2")
            .body(StreamBody::new(stream::iter(pieces)))
            .unwrap();
        let response = super::fixture::http2(proxy).await.send_request(request).await.unwrap();
        assert_eq!(response.headers()["via"], "1.1 sluicegate");
        let body = response.into_body().collect().await.unwrap();
        assert_eq!(body.trailers().unwrap()["x-end"], "1");
        assert_eq!(body.to_bytes(), "xy");
    });
    let head = backend.join();
    assert_eq!((field(&head, "cookie"), field(&head, "via")), (Some("a=1; b=2"), Some("2.0 sluicegate")));
    assert_eq!(field(&head, "x-forwarded-host"), Some("front.example"));
}

#[test]
fn the_client_gets_100_once_an_upstream_takes_the_body() {
    let backend = answering(|stream| {
        assert_eq!(read_exact(stream, 4), "body");
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
    });
    let front = Front::new(backend.source());
    let mut stream = front.connect();
    let head = "POST / HTTP/1.1\r\nhost: f\r\ncontent-length: 4\r\nexpect: 100-continue\r\nconnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    assert_eq!(status(&read_head(&mut stream)), "100");
    stream.write_all(b"body").unwrap();
    assert_eq!(status(&answer(&mut stream).0), "204");
    assert_eq!(field(&backend.join(), "expect"), None);
}

#[test]
fn a_body_without_a_length_ends_with_its_connection() {
    let backend = answering(|stream| stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nall there is").unwrap());
    let (head, body) = Front::new(backend.source()).get();
    assert_eq!((status(&head), field(&head, "via")), ("200", Some("1.0 sluicegate")));
    assert_eq!(body, "C\r\nall there is\r\n0\r\n\r\n");
    backend.join();
}

#[test]
fn a_head_without_a_body_keeps_its_length() {
    let backend = answering(|stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\netag: \"x\"\r\n\r\n").unwrap();
    });
    let (head, body) =
        Front::new(backend.source()).ask("HEAD / HTTP/1.1\r\nhost: f\r\nconnection: close\r\n\r\n");
    assert_eq!((status(&head), field(&head, "content-length"), body.as_str()), ("200", Some("1000"), ""));
    assert!(backend.join().starts_with("HEAD / "));
}

#[test]
fn an_upstream_that_dies_in_mid_body_never_looks_complete() {
    let heads = ["content-length: 10", "transfer-encoding: chunked"];
    for (head, begun, seen) in [
        (heads[0], "12345", "12345"),
        (heads[1], "5\r\n12345\r\n", "5\r\n12345\r\n"),
        (heads[1], "5\r\n123", "3\r\n123\r\n"),
        (heads[1], "3\r\n123\r\nnonsense\r\n", "3\r\n123\r\n"),
        (heads[1], "3\r\n123\r\n0\r\n", "3\r\n123\r\n"),
    ] {
        let backend = answering(move |stream| {
            stream.write_all(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{begun}").as_bytes()).unwrap();
        });
        let (head, body) = Front::new(backend.source()).get();
        // The connection ended before the last byte or chunk: the client knows. (This front may lose
        // what hyper had not written yet when the body broke; the real server sees to that.)
        assert!(["200", "none"].contains(&status(&head)) && seen.starts_with(&body), "{begun:?}: {body:?}");
        backend.join();
    }
}

#[test]
fn a_reset_is_no_end_for_a_body_without_a_length() {
    let backend = answering(|stream| {
        stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nnot all there is").unwrap();
        socket2::SockRef::from(&*stream).set_linger(Some(Duration::ZERO)).unwrap();
    });
    let (head, body) = Front::new(backend.source()).get();
    // How much got through before the reset is the kernel's affair; even the head may not have.
    assert!(["200", "502", "none"].contains(&status(&head)), "{head}");
    assert!(status(&head) == "502" || !body.ends_with("0\r\n\r\n"), "{body}");
    backend.join();
}

#[test]
fn an_upload_that_breaks_off_never_looks_complete() {
    for (framing, begun) in
        [("content-length: 10", "12345"), ("transfer-encoding: chunked", "5\r\n12345\r\n")]
    {
        let backend = Backend::new(|listener| {
            let mut stream = accept(listener);
            read_head(&mut stream);
            let mut body = Vec::new();
            // An end or a reset, either will do.
            let _ = stream.read_to_end(&mut body);
            String::from_utf8(body).unwrap()
        });
        let front = Front::new(backend.source());
        let mut stream = front.connect();
        stream
            .write_all(format!("POST / HTTP/1.1\r\nhost: f\r\n{framing}\r\n\r\n{begun}").as_bytes())
            .unwrap();
        drop(stream);
        assert!(begun.starts_with(&backend.join()), "{framing}");
    }
}

#[test]
fn interim_responses_are_skipped_for_clients_that_take_none() {
    let backend = answering(|stream| {
        let hints = "HTTP/1.1 103 Early Hints\r\nlink: </x>; rel=preload\r\n\r\n";
        stream.write_all(format!("{hints}{hints}HTTP/1.1 204 No Content\r\n\r\n").as_bytes()).unwrap();
    });
    let (head, body) = Front::new(backend.source()).get();
    assert_eq!((status(&head), field(&head, "link"), body.as_str()), ("204", None, ""));
    backend.join();
}

#[test]
fn an_upstream_that_falls_silent_in_mid_body_is_given_up() {
    let backend = answering(|stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345").unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "the proxy hangs up");
    });
    let mut source = backend.source();
    source.read_timeout = Duration::from_millis(50);
    let (head, body) = Front::new(source).get();
    assert_eq!((status(&head), body.as_str()), ("200", "12345"));
    backend.join();
}

#[test]
fn the_head_is_there_before_the_body() {
    let backend = answering(|stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n").unwrap();
        // Nothing more before the client says that it has the head.
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    });
    let front = Front::new(backend.source());
    let mut stream = front.connect();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: f\r\n\r\n").unwrap();
    assert_eq!(status(&read_head(&mut stream)), "200");
    drop(stream);
    // And a client that hangs up is felt by the upstream, which read to the end.
    backend.join();
}

#[test]
fn a_backend_faster_than_the_pace_is_held_back() {
    const SEND_BUFFER: usize = 16 * 1024;
    let backend = Backend::new(|listener| {
        let mut stream = accept(listener);
        read_head(&mut stream);
        socket2::SockRef::from(&stream).set_send_buffer_size(SEND_BUFFER).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n").unwrap();
        // Real time: how long a write must be stuck to be called held back.
        stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
        written_until_stuck(&mut stream)
    });
    let pace = Rate::or_unlimited(10_000);
    let kernel = 2 * (Buffers::from(pace).receive.unwrap() + SEND_BUFFER);
    let front = Front::paced(backend.source(), pace);
    let mut stream = front.connect();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: f\r\n\r\n").unwrap();
    assert_eq!(status(&read_head(&mut stream)), "200");
    let written = backend.join();
    // The kernel's buffers, which it doubles; three pieces of 4 KiB and the first chunks of the pace.
    assert!(written < kernel + 24 * 1024, "{written} bytes went into buffers of {kernel}");
}

#[test]
fn content_in_thousands_of_tiny_chunks_is_whole_at_a_slow_pace() {
    const LEN: usize = 30_000;
    let text = |at: usize| char::from(b'a' + (at % 23) as u8);
    let backend = answering(move |stream| {
        let chunks: String = (0..LEN).map(|at| format!("1\r\n{}\r\n", text(at))).collect();
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        stream.write_all(format!("{head}{chunks}0\r\n\r\n").as_bytes()).unwrap();
    });
    // Three chunks of the pace, of which the first is there at once: 400 ms of real time.
    let front = Front::paced(backend.source(), Rate::or_unlimited(50_000));
    // To a client of HTTP/1.0 content goes as it is.
    let (head, body) = front.ask("GET / HTTP/1.0\r\nhost: f\r\n\r\n");
    assert_eq!(status(&head), "200");
    let expected: String = (0..LEN).map(text).collect();
    assert!(body == expected, "{} bytes", body.len());
    backend.join();
}

fn written_until_stuck(stream: &mut TcpStream) -> usize {
    let piece = [b'x'; 1000];
    let mut written = 0;
    while let Ok(len @ 1..) = stream.write(&piece) {
        written += len;
        assert!(written < 50_000_000, "never held back");
    }
    let _ = stream.shutdown(Shutdown::Both);
    written
}
