//! What the client is told when the upstream fails.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use super::fixture::{Front, answer, answering, field, source, status};

/// An address where nobody listens.
fn closed() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn a_refused_connection_is_a_bad_gateway_without_details() {
    let addr = closed();
    let front = Front::new(source(addr));
    let (head, body) = front.get();
    assert_eq!((status(&head), body.as_str()), ("502", "The upstream server cannot be reached.\n"));
    assert_eq!(field(&head, "content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(field(&head, "x-content-type-options"), Some("nosniff"));

    let (head, body) = front.ask("HEAD / HTTP/1.1\r\nhost: f\r\nconnection: close\r\n\r\n");
    assert_eq!((status(&head), field(&head, "content-length"), body.as_str()), ("502", Some("39"), ""));
}

#[test]
fn a_name_that_does_not_resolve_is_a_bad_gateway() {
    let mut source = source(closed());
    source.upstream = "http://no-such-host.invalid:1".parse().unwrap();
    assert_eq!(status(&Front::new(source).get().0), "502");
}

#[test]
fn a_client_with_a_refused_upstream_gets_no_100() {
    let front = Front::new(source(closed()));
    let (head, _) = front.ask(
        "POST / HTTP/1.1\r\nhost: f\r\ncontent-length: 4\r\nexpect: 100-continue\r\nconnection: close\r\n\r\n",
    );
    assert_eq!(status(&head), "502");
}

#[test]
fn a_head_that_does_not_come_is_a_gateway_timeout_and_the_upstream_is_left() {
    let backend = answering(|stream| assert_eq!(stream.read(&mut [0]).unwrap(), 0, "the proxy hangs up"));
    let mut source = backend.source();
    source.response_timeout = Duration::from_millis(50);
    let (head, body) = Front::new(source).get();
    assert_eq!((status(&head), body.as_str()), ("504", "The upstream server did not respond in time.\n"));
    backend.join();
}

#[test]
fn a_connection_that_is_not_made_is_a_gateway_timeout() {
    // A listener whose queue is full: the kernel passes over further attempts to connect.
    let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    listener.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    listener.listen(0).unwrap();
    let addr = listener.local_addr().unwrap().as_socket().unwrap();
    let mut queue = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&addr, Duration::from_millis(50)) {
        queue.push(stream);
    }
    let mut source = source(addr);
    source.connect_timeout = Duration::from_millis(50);
    assert_eq!(status(&Front::new(source).get().0), "504");
}

#[test]
fn a_body_that_does_not_come_is_the_clients_timeout() {
    let backend = answering(|stream| {
        let mut rest = String::new();
        stream.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "ab", "what came of the body went on");
    });
    let mut source = backend.source();
    source.response_timeout = Duration::from_millis(50);
    let front = Front::new(source);
    let (head, _) = front.ask("POST / HTTP/1.1\r\nhost: f\r\ncontent-length: 4\r\n\r\nab");
    assert_eq!((status(&head), field(&head, "connection")), ("408", Some("close")));
    backend.join();
}

#[test]
fn an_upload_that_goes_on_is_not_late() {
    let backend = answering(|stream| {
        let mut body = [0; 5];
        stream.read_exact(&mut body).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
    });
    let mut source = backend.source();
    source.response_timeout = Duration::from_millis(200);
    let front = Front::new(source);
    let mut stream = front.connect();
    stream
        .write_all(b"POST / HTTP/1.1\r\nhost: f\r\ncontent-length: 5\r\nconnection: close\r\n\r\n")
        .unwrap();
    // The pace of this upload is what is tested: all of it takes longer than the timeout, no piece does.
    for byte in b"12345" {
        std::thread::sleep(Duration::from_millis(60));
        stream.write_all(&[*byte]).unwrap();
    }
    assert_eq!(status(&answer(&mut stream).0), "200");
    backend.join();
}

#[test]
fn nonsense_is_a_bad_gateway() {
    for nonsense in [
        &b""[..],
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: unasked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nhalf: a he",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, chunked\r\n\r\n3\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: \r\n\r\n0\r\n\r\n",
        // One byte that is not ASCII made the whole line vanish: the framing of the chunks was content then, and
        // fields of one hop went on.
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\xff, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\ntransfer-encoding: \xff\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\xff\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nconnection: x-hop, \xff\r\nx-hop: 1\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nupgrade: \xff\r\ncontent-length: 0\r\n\r\n",
    ] {
        let backend = answering(move |stream| stream.write_all(nonsense).unwrap());
        let (head, body) = Front::new(backend.source()).get();
        assert_eq!(
            (status(&head), body.as_str()),
            ("502", "The upstream server sent an invalid response.\n"),
            "{:?}",
            nonsense.escape_ascii().to_string()
        );
        backend.join();
    }
}

// Such a backend was listened to for as long as it went on, and by a thread that had no time for others.
#[test]
fn interim_responses_without_end_are_no_answer() {
    let backend = answering(|stream| {
        let hints = "HTTP/1.1 103 Early Hints\r\nlink: </x>; rel=preload\r\n\r\n".repeat(100);
        while stream.write_all(hints.as_bytes()).is_ok() {}
    });
    let (head, body) = Front::new(backend.source()).get();
    assert_eq!(status(&head), "502");
    assert_eq!(body, "The head of the upstream server's response is too large.\n");
    backend.join();
}

#[test]
fn a_path_that_climbs_is_refused_before_the_upstream_hears_of_it() {
    let front = Front::new(source(closed()));
    let (head, _) = front.ask("GET /x/%2e./y HTTP/1.1\r\nhost: f\r\nconnection: close\r\n\r\n");
    assert_eq!(status(&head), "400");
}
