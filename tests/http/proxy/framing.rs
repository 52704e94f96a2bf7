//! Where a request's content ends is told by us, whatever the client said; and what a backend says beyond the
//! end of an answer is nobody's.

use std::io::Write;

use super::fixture::{Front, answering, field, read_exact, read_head, status};

// `Connection` names what goes no further. A length named there went no further either, and the content
// behind it went out in chunks that no field told of: for the backend they were the next request.
#[test]
fn a_length_that_the_client_calls_hop_by_hop_is_no_way_to_hide_content() {
    const SMUGGLED: &str = "GET /admin HTTP/1.1\r\nhost: f\r\n\r\n";
    for named in ["content-length", "Content-Length, x", "transfer-encoding, content-length"] {
        let backend = answering(|stream| {
            assert_eq!(read_exact(stream, SMUGGLED.len()), SMUGGLED);
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
        });
        let front = Front::new(backend.source());
        let mut stream = front.connect();
        let length = SMUGGLED.len();
        let head =
            format!("POST / HTTP/1.1\r\nhost: f\r\nconnection: {named}\r\ncontent-length: {length}\r\n\r\n");
        stream.write_all(format!("{head}{SMUGGLED}").as_bytes()).unwrap();
        assert_eq!(status(&read_head(&mut stream)), "204", "{named}");
        let head = backend.join();
        assert_eq!(field(&head, "content-length"), Some(length.to_string().as_str()), "{named}");
        assert_eq!(field(&head, "transfer-encoding"), None);
    }
}

#[test]
fn a_repeated_length_counts_once() {
    for told in ["2\r\ncontent-length: 2", "2, 2", "2\r\nconnection: content-length", "02"] {
        let backend = answering(move |stream| {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {told}\r\n\r\nok");
            stream.write_all(head.as_bytes()).unwrap();
        });
        let (head, body) = Front::new(backend.source()).get();
        let lengths = head.lines().filter(|line| line.starts_with("content-length: ")).collect::<Vec<_>>();
        assert_eq!(
            (status(&head), lengths, body.as_str()),
            ("200", vec!["content-length: 2"], "ok"),
            "{told:?}"
        );
        backend.join();
    }
}
