//! Backends on Unix sockets.

use std::io::Write;
use std::os::unix::net::UnixListener;

use sluicegate::config::ProxySource;

use super::fixture::{Front, field, read_head, status};

#[test]
fn a_backend_on_a_unix_socket_is_asked_for_localhost_and_its_path_replaces_the_routes() {
    let folder = tempfile::tempdir().unwrap();
    for (name, base, expected) in [("plain", "", "/x?y=1"), ("based", ":/base/", "/base/x?y=1")] {
        let path = folder.path().join(name);
        let listener = UnixListener::bind(&path).unwrap();
        let backend = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let head = read_head(&mut stream);
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
            head
        });
        let source = ProxySource::new(format!("unix:{}{base}", path.display()).parse().unwrap());
        let front = Front::new(source);
        let (head, body) = front.ask("GET /x?y=1 HTTP/1.1\r\nhost: front\r\nconnection: close\r\n\r\n");
        assert_eq!((status(&head), body.as_str()), ("200", "ok"));
        let head = backend.join().unwrap();
        assert_eq!(head.lines().next(), Some(format!("GET {expected} HTTP/1.1").as_str()));
        assert_eq!(
            (field(&head, "host"), field(&head, "x-forwarded-host")),
            (Some("localhost"), Some("front"))
        );
    }
}

#[test]
fn a_socket_that_is_not_there_is_a_bad_gateway() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let url = format!("unix:{}", path.display());
    let front = Front::new(ProxySource::new(url.parse().unwrap()));
    assert_eq!(status(&front.get().0), "502");
    assert_eq!(front.errors(), [Some("cannot connect: No such file or directory (os error 2)".to_owned())]);
}
