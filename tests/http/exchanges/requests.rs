//! Requests that break the rules, and those that only look as if they did, for files and for a backend alike.

use std::io::Write;
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver};

use sluicegate::http::route::Route;

use testkit::backend::{Backend, routed};
use testkit::served::Served;
use testkit::wire::Client;

/// Files at `/files/`, a backend at `/proxied/`, and the heads that the backend gets.
fn served() -> (tempfile::TempDir, Served, Receiver<String>) {
    let folder = testkit::folder::folder(&[("x", b"ok")]);
    let (sender, heads) = mpsc::channel();
    let sender = Mutex::new(sender);
    let backend = Backend::new(move |stream, head| {
        sender.lock().unwrap().send(head.to_owned()).unwrap();
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
    });
    let routes =
        vec![Route::files("/files/", folder.path()).unwrap(), routed("/proxied/", backend.source(), None)];
    (folder, Served::new(routes), heads)
}

fn ask(served: &Served, request: &[u8], method: &str) -> u16 {
    let mut client = Client::new(served.connect());
    client.send(request);
    client.answer_to(method).status()
}

#[test]
fn a_head_that_breaks_the_rules_is_answered_and_goes_nowhere() {
    let (_folder, served, heads) = served();
    for path in ["/files/x", "/proxied/x"] {
        for (version, fields, status) in [
            ("1.1", &b"Host: t\r\n"[..], 200),
            ("1.1", b"Host: t:80\r\n", 200),
            ("1.0", b"", 200),
            ("1.1", b"", 400),
            ("1.1", b"Host: t\r\nHost: t\r\n", 400),
            ("1.1", b"Host: a b/\"\r\n", 400),
            ("1.1", b"Host: u@t\r\n", 400),
            ("1.0", b"Host: t\r\nHost: u\r\n", 400),
            ("1.1", b"Host: t\r\nTransfer-Encoding: gzip\xff\r\nTransfer-Encoding: chunked\r\n", 400),
            ("1.1", b"Host: t\r\nTransfer-Encoding: gzip\xff, chunked\r\n", 400),
            ("1.1", b"Host: t\r\nConnection: x-hop, \xff\r\nX-Hop: 1\r\n", 400),
            ("1.1", b"Host: t\r\nContent-Length: 0\xff\r\n", 400),
            ("1.1", b"Host: t\r\nKeep-Alive: \xff\r\n", 400),
            ("1.1", b"Host: t\r\nUpgrade: \xff\r\n", 400),
            ("1.1", b"Host: t\r\nX: \xc3\xa9\r\n", 200),
            ("1.1", b"Host: t\r\nExpect: 100-continue\r\nExpect: 100-continue\r\n", 200),
            ("1.1", b"Host: t\r\nExpect: 100-continue\r\nExpect: x\r\n", 417),
            ("1.1", b"Host: t\r\nExpect: x, 100-continue\r\n", 417),
        ] {
            let request = [format!("GET {path} HTTP/{version}\r\n").as_bytes(), fields, b"\r\n"].concat();
            let shown = String::from_utf8_lossy(&request).into_owned();
            assert_eq!(ask(&served, &request, "GET"), status, "{shown}");
            let went = path.starts_with("/proxied/") && status == 200;
            assert_eq!(heads.try_recv().is_ok(), went, "{shown}");
        }
    }
}

#[test]
fn a_target_that_no_uri_is_goes_on_percent_encoded() {
    let (_folder, served, heads) = served();
    let request = b"GET /proxied/a\"<>`?q={x=\"y\"}&z=\xff HTTP/1.1\r\nHost: t\r\n\r\n";
    assert_eq!(ask(&served, request, "GET"), 200);
    let head = heads.recv().unwrap();
    assert!(head.starts_with("GET /proxied/a%22%3C%3E%60?q={x=%22y%22}&z=%FF HTTP/1.1\r\n"), "{head}");
}

#[test]
fn an_options_or_a_trace_goes_as_far_as_it_says() {
    let (_folder, served, heads) = served();
    for (method, most, status, passed) in [
        ("OPTIONS", "0", 204, None),
        ("TRACE", "0", 200, None),
        ("OPTIONS", "3", 200, Some("max-forwards: 2")),
        ("TRACE", "1", 200, Some("max-forwards: 0")),
        ("GET", "0", 200, Some("max-forwards: 0")),
        ("TRACE", "x", 400, None),
    ] {
        let request = format!("{method} /proxied/x HTTP/1.1\r\nHost: t\r\nMax-Forwards: {most}\r\n\r\n");
        assert_eq!(ask(&served, request.as_bytes(), method), status, "{method} {most}");
        let head = heads.try_recv().ok();
        let field =
            head.as_deref().and_then(|head| head.lines().find(|line| line.starts_with("max-forwards")));
        assert_eq!(field, passed, "{method} {most}");
    }
}

#[test]
fn a_target_that_is_no_path_is_answered_without_a_redirect() {
    let (_folder, served, _heads) = served();
    for (line, status) in
        [("CONNECT a:80", 501), ("CONNECT a", 400), ("GET index.html", 400), ("OPTIONS *", 204)]
    {
        let mut client = Client::new(served.connect());
        client.send(format!("{line} HTTP/1.1\r\nHost: t\r\n\r\n").as_bytes());
        let answer = client.answer();
        assert_eq!((answer.status(), answer.field("location")), (status, None), "{line}");
    }
}
