//! Who may read: addresses, names, tokens, and how many at a time.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use sluicegate::admin::Admin;
use sluicegate::http::server::{Server, Settings};
use sluicegate::rt::{self, Listener};
use sluicegate::token::Token;

use testkit::served::connect;
use testkit::token_file::assert_replaced;
use testkit::wait::{PATIENCE, until};
use testkit::watched::{TOKEN, Watched, ask, text};
use testkit::wire;

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
fn a_token_that_is_replaced_in_its_file_needs_no_restart() {
    assert_replaced(
        |token| {
            Watched::made(Settings::default(), Vec::new(), |listener, handle| {
                Admin::new(vec![listener], Some(token), handle).unwrap()
            })
        },
        |watched, token| watched.get("/metrics", &format!("Authorization: Bearer {token}\r\n")).status(),
    );
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
    let refused = Admin::new(vec![here, listener], None, server.handle()).err().unwrap().to_string();
    assert!(
        refused.contains(&format!("does not go to {addr}")) && refused.contains("token file"),
        "{refused}"
    );
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

/// Connections at a time.
const MOST: usize = 64;

/// Sends `request` on a connection that stays, and reads the answer if there is to be one.
fn keep(addr: std::net::SocketAddr, request: &str, is_answered: bool) -> std::net::TcpStream {
    let mut stream = connect(addr);
    // It may have been given up for another already.
    let _ = stream.write_all(request.as_bytes());
    if is_answered {
        assert_eq!(wire::answer(&mut stream).status(), 200);
    }
    stream
}

#[test]
fn neither_silent_connections_nor_requests_without_the_token_keep_anybody_out() {
    let watched = Watched::with_token(Vec::new());
    let scrape = format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n");
    let mut scraper = keep(watched.admin, &scrape, true);
    let mut held = Vec::new();
    for (request, is_answered) in
        [("", false), ("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", true), ("GET /hea", false)]
    {
        held.extend((0..2 * MOST).map(|_| keep(watched.admin, request, is_answered)));
        for path in ["/healthz", "/readyz"] {
            assert_eq!(watched.get(path, "").status(), 200, "{path} beside {request:?}");
        }
        assert_eq!(watched.ask(&scrape).status(), 200, "beside {request:?}");
        scraper.write_all(scrape.as_bytes()).unwrap();
        assert_eq!(wire::answer(&mut scraper).status(), 200, "on the connection that it keeps");
    }
    // All but those that have a place are closed.
    until("the end of the others", || {
        held.retain_mut(|stream| {
            stream.set_nonblocking(true).unwrap();
            let read = stream.read(&mut [0; 1]);
            matches!(read, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
        });
        held.len() < MOST
    });
}

#[test]
fn without_a_token_requests_that_do_not_end_keep_nobody_out_either() {
    let watched = Watched::new(Vec::new());
    let slow = "PUT /v1/limits/server HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                Content-Length: 100\r\n\r\n{";
    let _slow: Vec<_> = (0..2 * MOST).map(|_| keep(watched.admin, slow, false)).collect();
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(watched.get(path, "").status(), 200, "{path}");
    }
}

#[test]
fn scrapers_that_hang_keep_nobody_else_waiting() {
    let watched = Watched::new(Vec::new());
    // One that asks again and again and never reads: more than the sockets' buffers hold.
    let mut deaf = connect(watched.admin);
    deaf.set_nonblocking(true).unwrap();
    let request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(1000);
    let _ = deaf.write(&request);
    assert_eq!(watched.get("/healthz", "").status(), 200);
}
