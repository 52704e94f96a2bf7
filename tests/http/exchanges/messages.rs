//! What messages are made of, beside their bytes: trailers, uploads, answers without content, methods.

use std::io::{Read, Write};
use std::sync::mpsc;

use sluicegate::http::route::Route;

use super::hints::HINTS;
use testkit::backend::{Backend, routed};
use testkit::served::Served;
use testkit::wire::{CHUNK, Client, End, GUIDE, content};

#[test]
fn trailers_come_behind_paced_bytes() {
    let body = content(2 * CHUNK);
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n";
    let size = format!("{:x}\r\n", body.len());
    let answer =
        [head.as_bytes(), size.as_bytes(), &body, b"\r\n0\r\nx-sum: 42\r\nx-not-announced: 1\r\n\r\n"]
            .concat();
    let served = Served::new(vec![Backend::saying(answer).route(GUIDE)]);
    let mut client = Client::new(served.connect());
    let answer = client.get("/", "TE: trailers\r\nConnection: te\r\n");
    assert_eq!((answer.end, answer.trailers.as_str()), (End::Complete, "x-sum: 42"));
    assert!(answer.body == body);
    answer.assert_paced(GUIDE, 0);
    // A client that did not ask for trailers gets the same without them.
    let answer = client.get("/", "");
    assert_eq!((answer.end, answer.trailers.as_str(), answer.body.len()), (End::Complete, "", body.len()));
}

#[test]
fn an_upload_streams_to_the_backend_as_it_comes_and_continue_comes_first() {
    let (seen, sees) = mpsc::channel();
    let seen = std::sync::Mutex::new(seen);
    let backend = Backend::new(move |stream, head| {
        assert!(!head.to_lowercase().contains("expect"), "{head}");
        for expected in ["5\r\nfirst\r\n", "6\r\nsecond\r\n", "0\r\n\r\n"] {
            let mut piece = vec![0; expected.len()];
            stream.read_exact(&mut piece).unwrap();
            assert_eq!(piece, expected.as_bytes());
            seen.lock().unwrap().send(()).unwrap();
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nthx!").unwrap();
    });
    let served = Served::new(vec![backend.route(GUIDE)]);
    let mut client = Client::new(served.connect());
    client.send(b"POST / HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(client.answer().status(), 100);
    for piece in ["5\r\nfirst\r\n", "6\r\nsecond\r\n", "0\r\n\r\n"] {
        client.send(piece.as_bytes());
        // The backend has this piece before the next one is sent.
        sees.recv_timeout(testkit::wait::PATIENCE).unwrap();
    }
    let answer = client.answer();
    assert_eq!((answer.status(), answer.body.as_slice()), (200, &b"thx!"[..]));
    // And the connection is still one: it is of use for another request, here one that fails at once.
    assert_eq!(client.get("/../x", "").status(), 400);
}

#[test]
fn a_client_of_http_1_0_gets_a_streamed_body_to_the_end_of_its_connection() {
    let answer = [b"HTTP/1.1 200 OK\r\n\r\n", content(2 * CHUNK).as_slice()].concat();
    let served = Served::new(vec![Backend::saying(answer).route(GUIDE)]);
    let mut client = Client::new(served.connect());
    client.send(b"GET / HTTP/1.0\r\n\r\n");
    let answer = client.answer();
    assert_eq!((answer.status(), answer.field("transfer-encoding"), answer.end), (200, None, End::Complete));
    assert!(answer.body == content(2 * CHUNK));
    answer.assert_paced(GUIDE, 0);
}

#[test]
fn files_answer_get_and_head_and_say_so_to_others() {
    let folder = testkit::folder::folder(&[("a.txt", b"hello")]);
    let served = Served::new(vec![testkit::served::files(&folder, GUIDE)]);
    let mut client = Client::new(served.connect());
    for (method, status) in [("POST", 405), ("DELETE", 405), ("PUT", 405), ("BREW", 405)] {
        client.send(format!("{method} /a.txt HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n").as_bytes());
        let answer = client.answer();
        assert_eq!((answer.status(), answer.field("allow").is_some()), (status, true), "{}", answer.head);
        let allow = answer.field("allow").unwrap();
        assert!(allow.contains("GET") && allow.contains("HEAD"), "{allow}");
    }
    client.send(b"OPTIONS /a.txt HTTP/1.1\r\nHost: t\r\n\r\n");
    let answer = client.answer();
    assert!(answer.field("allow").is_some_and(|allow| allow.contains("GET")), "{}", answer.head);
    assert_eq!(client.get("/a.txt", "").body, b"hello", "the connection is still of use");
}

// A POST whose body nobody reads must not be taken for the next request.
#[test]
fn a_refused_upload_does_not_become_a_request() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::new(vec![Route::files("/", folder.path()).unwrap()]);
    let mut stream = served.connect();
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: t\r\n\r\n";
    let request =
        format!("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n\r\n{smuggled}", smuggled.len());
    stream.write_all(request.as_bytes()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all);
    let all = String::from_utf8(all).unwrap();
    assert_eq!(all.matches("HTTP/1.1 ").count(), 1, "{all}");
    assert!(all.starts_with("HTTP/1.1 405 "), "{all}");
}

#[test]
fn a_backends_own_address_leads_back_through_its_route() {
    for (at, base, location, own) in [
        ("/api/", "", "/api/x?y#z", "/api/x?y#z"),
        ("/api/", "/inner/", "/inner/x", "/api/x"),
        ("/api/", "/inner/", "/other/x", "http://ADDR/other/x"),
    ] {
        let backend = Backend::new(move |stream, head| {
            let addr = stream.local_addr().unwrap();
            let made = if head.starts_with("POST") {
                "201 Created\r\nContent-Location"
            } else {
                "302 Found\r\nLocation"
            };
            let end = "connection: close\r\ncontent-length: 0\r\n\r\n";
            let answer = format!("HTTP/1.1 {made}: http://{addr}{location}\r\n{end}");
            let _ = stream.write_all(answer.as_bytes());
        });
        let mut source = backend.source();
        source.upstream = format!("http://{}{base}", backend.addr).parse().unwrap();
        let own = own.replace("ADDR", &backend.addr.to_string());
        let served = Served::new(vec![routed(at, source, None)]);
        let answer = Client::new(served.connect()).get("/api/", "");
        assert_eq!((answer.status(), answer.field("location")), (302, Some(own.as_str())));
        let mut client = Client::new(served.connect());
        client.send(b"POST /api/ HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n");
        let answer = client.answer();
        assert_eq!((answer.status(), answer.field("content-location")), (201, Some(own.as_str())));
    }
}

#[test]
fn hints_that_come_with_the_answer_precede_it_for_clients_that_take_them() {
    let backend = Backend::saying(format!("{HINTS}{HINTS}HTTP/1.1 204 No Content\r\n\r\n"));
    let served = Served::new(vec![backend.route(0)]);
    let mut client = Client::new(served.connect());
    assert_eq!(client.get("/", "").status(), 103);
    assert_eq!(client.answer().status(), 103);
    assert_eq!(client.answer().status(), 204);
    assert_eq!(client.get("/", "").status(), 103, "the connection goes on");
    // HTTP/1.0 knows of none.
    let mut client = Client::new(served.connect());
    client.send(b"GET / HTTP/1.0\r\nHost: t\r\n\r\n");
    assert_eq!(client.answer().status(), 204);
}
