//! Listening elsewhere than on IPv4.

use std::os::unix::net::UnixStream;

use sluicegate::http::server::{Server, Settings};
use sluicegate::rt::{self, Listener};

use testkit::backend::{Backend, routed};
use testkit::wait::PATIENCE;
use testkit::wire::{Client, End, GUIDE, content, field};

fn folder() -> tempfile::TempDir {
    testkit::folder::folder(&[("a.bin", &content(20_000))])
}

/// Serves a folder at a pace, and the head of what a backend was asked, on `listener` while `asks` runs.
fn serve(listener: Listener, asks: impl FnOnce(&str)) {
    let folder = folder();
    // Answers with the request's own head.
    let echo = Backend::new(|stream, head| {
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{head}", head.len());
        let _ = std::io::Write::write_all(stream, answer.as_bytes());
    });
    let upstream = echo.addr.to_string();
    let routes = vec![testkit::served::files(&folder, GUIDE), routed("/echo/", echo.source(), None)];
    let server = Server::new(Settings::default(), vec![listener], routes);
    let handle = server.handle();
    let thread = std::thread::spawn(move || rt::block_on(server.run()));
    asks(&upstream);
    handle.stop();
    thread.join().unwrap();
    assert_eq!(handle.connections(), 0);
}

#[test]
fn a_unix_socket_is_as_good_as_any() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("s");
    serve(Listener::bind_unix(&path).unwrap(), |upstream| {
        let stream = UnixStream::connect(&path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut client = Client::new(stream);
        let answer = client.get("/a.bin", "");
        assert!(answer.end == End::Complete && answer.body == content(20_000));
        answer.assert_paced(GUIDE, 0);
        let told = String::from_utf8(client.get("/echo/x", "").body).unwrap();
        assert_eq!(field(&told, "x-forwarded-for"), Some("unknown"));
        assert_eq!(field(&told, "forwarded"), Some("for=unknown;host=t;proto=http"));
        assert_eq!(field(&told, "host"), Some(upstream));
    });
    assert!(!path.exists(), "the socket went with its listener");
}

#[test]
fn ipv6_is_as_good_as_any() {
    let Ok(listener) = Listener::bind_tcp("[::1]:0".parse().unwrap()) else {
        // A machine without IPv6 has nothing to prove here.
        return;
    };
    let addr = listener.local_addr().unwrap();
    assert!(addr.is_ipv6() && addr.port() != 0);
    serve(listener, |_| {
        let mut client = Client::new(testkit::served::connect(addr));
        let answer = client.get("/a.bin", "");
        assert!(answer.end == End::Complete && answer.body == content(20_000));
        let told = String::from_utf8(client.get("/echo/x", "").body).unwrap();
        assert_eq!(field(&told, "x-forwarded-for"), Some("::1"));
        let forwarded = field(&told, "forwarded").unwrap();
        assert!(forwarded.starts_with(&format!("for=\"[::1]\";by=\"{addr}\"")), "{forwarded}");
    });
}
