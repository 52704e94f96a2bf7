//! How many writes an answer takes.

use std::io::Write;

use super::pipe::Road;
use super::{GET, World, content};
use crate::http::proxy::{Proxy, ProxySource};
use crate::http::route::Route;
use crate::http::server::Settings;
use crate::rt;
use testkit::backend::Backend;

/// Bytes of a small answer's content.
const SMALL: usize = 1024;

/// A folder with one page, and a route to it.
fn folder() -> (tempfile::TempDir, Route) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("page"), content(SMALL)).unwrap();
    let route = Route::files("/", folder.path()).unwrap();
    (folder, route)
}

/// A route to a backend whose answers come in one piece each.
fn backend() -> Route {
    let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {SMALL}\r\n\r\n").into_bytes();
    answer.extend_from_slice(&content(SMALL));
    let backend = Backend::saying(answer);
    let source = ProxySource::new(format!("http://{}", backend.addr).parse().unwrap());
    Route::proxy("/", Proxy::new(source, None, rt::clock()))
}

/// A route to a backend that sends the content when the head is with the client, in two pieces.
fn slow_backend() -> Route {
    let backend = Backend::new(|stream, _| {
        let (first, second) = (content(SMALL).slice(..1), content(SMALL).slice(1..));
        for piece in
            [format!("HTTP/1.1 200 OK\r\nContent-Length: {SMALL}\r\n\r\n").as_bytes(), &first, &second]
        {
            std::thread::park_timeout(std::time::Duration::from_millis(20));
            let _ = stream.write_all(piece);
        }
    });
    let source = ProxySource::new(format!("http://{}", backend.addr).parse().unwrap());
    Route::proxy("/", Proxy::new(source, None, rt::clock()))
}

/// The writes of the second of two answers, when files and connections are known.
fn writes(route: Route) -> u64 {
    let mut world = World::on(Settings::default(), route);
    let client = world.connect(Road::WIDE);
    let mut before = 0;
    for _ in 0..2 {
        before = client.writes();
        client.send(GET);
        world.until("the answer", |_| client.unread() > SMALL);
        let answer = client.read(usize::MAX);
        assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n") && answer.ends_with(&content(SMALL)));
    }
    client.writes() - before
}

#[test]
fn head_and_content_of_a_small_file_leave_in_one_write() {
    let (_folder, route) = folder();
    assert_eq!(writes(route), 1);
}

#[test]
fn head_and_content_of_a_small_proxied_answer_leave_in_one_write() {
    assert_eq!(writes(backend()), 1);
}

#[test]
fn what_a_slow_backend_sends_does_not_wait_for_the_rest() {
    assert_eq!(writes(slow_backend()), 3);
}
