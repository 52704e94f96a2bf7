//! Who may read: addresses, names, tokens, and how many at a time.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use sluicegate::admin::{Admin, AdminError, Token};
use sluicegate::http::server::{Server, Settings};
use sluicegate::rt::{self, Listener};

use crate::fixture::{TOKEN, Watched, ask, text};
use crate::served::{PATIENCE, connect};

#[test]
fn a_page_on_another_name_cannot_read_through_a_browser() {
    let watched = Watched::new(Vec::new());
    let port = watched.admin.port();
    for (host, status) in [
        (format!("127.0.0.1:{port}"), 200),
        (format!("localhost:{port}"), 200),
        ("LOCALHOST".to_owned(), 200),
        ("127.0.0.1:1".to_owned(), 200),
        ("[::1]:9180".to_owned(), 200),
        (format!("rebound.example:{port}"), 421),
        ("rebound.example".to_owned(), 421),
        (format!("0.0.0.0:{port}"), 421),
        ("192.168.1.1".to_owned(), 421),
        (String::new(), 421),
    ] {
        for path in ["/", "/metrics", "/healthz", "/readyz"] {
            let answer = watched.ask(&format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
            assert_eq!(answer.status(), status, "{host} {path}");
            if status == 421 {
                assert!(String::from_utf8(answer.body).unwrap().contains("localhost"), "says what to do");
            }
        }
    }
    for (request, status) in [
        ("GET /metrics HTTP/1.0\r\n\r\n", 200),
        ("GET /metrics HTTP/1.0\r\nHost: rebound.example\r\n\r\n", 421),
        ("GET /metrics HTTP/1.1\r\n\r\n", 400),
        ("GET /metrics HTTP/1.1\r\nHost: localhost\r\nHost: rebound.example\r\n\r\n", 400),
        ("GET http://rebound.example/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", 421),
        ("GET http://localhost/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", 200),
    ] {
        assert_eq!(watched.ask(request).status(), status, "{request}");
    }
}

#[test]
fn with_a_token_all_but_the_probes_ask_for_it() {
    let watched = Watched::with_token(Vec::new());
    let right = format!("Authorization: Bearer {TOKEN}\r\n");
    let lower = format!("authorization: bearer {TOKEN}\r\n");
    let longer = format!("Authorization: Bearer {TOKEN}0\r\n");
    let shorter = format!("Authorization: Bearer {}\r\n", &TOKEN[1..]);
    let basic = format!("Authorization: Basic {TOKEN}\r\n");
    for (field, status) in
        [(&right, 200), (&lower, 200), (&longer, 401), (&shorter, 401), (&basic, 401), (&String::new(), 401)]
    {
        for path in ["/", "/metrics"] {
            let answer = watched.get(path, field);
            assert_eq!(answer.status(), status, "{path} {field}");
            let challenged =
                answer.field("www-authenticate").is_some_and(|value| value.starts_with("Bearer"));
            assert_eq!(challenged, status == 401, "{path} {field}");
        }
        for path in ["/healthz", "/readyz"] {
            assert_eq!(watched.get(path, field).status(), 200, "{path} {field}");
        }
    }
    assert_eq!(watched.get("/none", "").status(), 401, "what there is, is not told");
    let by_any_name = format!("GET /metrics HTTP/1.1\r\nHost: metrics.example\r\n{right}\r\n");
    assert_eq!(watched.ask(&by_any_name).status(), 200);
    assert_eq!(watched.ask("GET /healthz HTTP/1.1\r\nHost: 10.1.2.3:9180\r\n\r\n").status(), 200);
}

#[test]
fn an_address_that_other_machines_reach_is_refused_without_a_token() {
    let server = Server::new(Settings::default(), Vec::new(), Vec::new());
    let everywhere = || Listener::bind_tcp(([0, 0, 0, 0], 0).into()).unwrap();
    let listener = everywhere();
    let addr = listener.local_addr().unwrap();
    let here = Listener::bind_tcp(([127, 0, 0, 1], 0).into()).unwrap();
    let refused = Admin::new(vec![here, listener], None, server.handle()).err();
    assert_eq!(refused, Some(AdminError::Unprotected(addr)));
    assert!(std::net::TcpStream::connect(("127.0.0.1", addr.port())).is_err(), "nobody listens");

    let token = Token::new(TOKEN).unwrap();
    let admin = Admin::new(vec![everywhere()], Some(token), server.handle()).unwrap();
    let port = admin.local_addrs()[0].port();
    let thread = std::thread::spawn(move || rt::block_on(admin.run()));
    let request = format!("GET / HTTP/1.1\r\nHost: any.example\r\nAuthorization: Bearer {TOKEN}\r\n\r\n");
    text(ask(([127, 0, 0, 1], port).into(), &request));
    server.handle().stop();
    thread.join().unwrap();
}

#[test]
fn a_unix_socket_needs_neither_name_nor_token() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin");
    let server = Server::new(Settings::default(), Vec::new(), Vec::new());
    let admin = Admin::new(vec![Listener::bind_unix(&path).unwrap()], None, server.handle()).unwrap();
    let thread = std::thread::spawn(move || rt::block_on(admin.run()));
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: any.example\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nok\n"), "{answer}");
    server.handle().stop();
    thread.join().unwrap();
    assert!(!path.exists());
}

#[test]
fn scrapers_that_hang_are_bounded_and_keep_nobody_else_waiting() {
    let watched = Watched::new(Vec::new());
    // One that asks again and again and never reads: more than the sockets' buffers hold.
    let mut deaf = connect(watched.admin);
    deaf.set_nonblocking(true).unwrap();
    let request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(1000);
    let _ = deaf.write(&request);
    assert_eq!(watched.get("/healthz", "").status(), 200);

    let mut silent: Vec<_> = (0..63).map(|_| connect(watched.admin)).collect();
    let mut one_more = connect(watched.admin);
    assert!(!matches!(one_more.read(&mut [0; 1]), Ok(n) if n > 0), "closed at once");
    silent.clear();
    let began = std::time::Instant::now();
    loop {
        let mut stream = connect(watched.admin);
        let _ = stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n");
        let mut answer = Vec::new();
        if stream.read_to_end(&mut answer).is_ok() && answer.starts_with(b"HTTP/1.0 200") {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "no room was found again");
    }
}
