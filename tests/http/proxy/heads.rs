//! Heads of 32 KiB pass; one byte more does not, however it is cut.

use std::io::Write;

use sluicegate::limit::Rate;

use super::fixture::{Front, answering, field, status};

const HEAD_MAX: usize = 32 * 1024;

/// A response whose head has this length, with a body of two bytes.
fn response(head_len: usize) -> String {
    let (start, end) = ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-long: ", "\r\n\r\n");
    format!("{start}{}{end}ok", "x".repeat(head_len - start.len() - end.len()))
}

#[test]
fn a_response_head_passes_up_to_its_limit() {
    for (len, expected) in [(HEAD_MAX - 1, "200"), (HEAD_MAX, "200"), (HEAD_MAX + 1, "502")] {
        for piece in [usize::MAX, 5_000] {
            for pace in [None, Rate::or_unlimited(10_000_000)] {
                let response = response(len);
                let backend = answering(move |stream| {
                    for piece in response.as_bytes().chunks(piece) {
                        // The proxy may have left in the middle of a head that is too large.
                        let _ = stream.write_all(piece);
                    }
                });
                let (head, body) = Front::paced(backend.source(), pace).get();
                assert_eq!(status(&head), expected, "{len} bytes in pieces of {piece} at {pace:?}");
                if expected == "200" {
                    assert_eq!(body, "ok");
                } else {
                    assert_eq!(body, "The head of the upstream server's response is too large.\n");
                }
                backend.join();
            }
        }
    }
}

#[test]
fn a_source_sets_the_bounds_of_a_response_head() {
    const LARGER: usize = 64 * 1024;
    for (len, expected) in [(LARGER, "200"), (LARGER + 1, "502")] {
        let response = response(len);
        let backend = answering(move |stream| {
            let _ = stream.write_all(response.as_bytes());
        });
        let mut source = backend.source();
        source.max_response_head = LARGER;
        assert_eq!(status(&Front::new(source).get().0), expected, "{len} bytes");
        backend.join();
    }
    for (bound, fields, expected) in
        [(128, 128, "200"), (128, 129, "502"), (200, 200, "200"), (200, 201, "502")]
    {
        let lines = "a: b\r\n".repeat(fields - 1);
        let backend = answering(move |stream| {
            let _ =
                stream.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n{lines}\r\n").as_bytes());
        });
        let mut source = backend.source();
        source.max_response_fields = bound;
        assert_eq!(status(&Front::new(source).get().0), expected, "{fields} fields of {bound}");
        backend.join();
    }
}

#[test]
fn a_request_head_of_the_limit_passes() {
    let backend = answering(|stream| stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap());
    let (start, end) = ("GET / HTTP/1.1\r\nhost: f\r\nconnection: close\r\nx-long: ", "\r\n\r\n");
    let long = "x".repeat(HEAD_MAX - start.len() - end.len());
    let (head, _) = Front::new(backend.source()).ask(&format!("{start}{long}{end}"));
    assert_eq!(status(&head), "204");
    assert_eq!(field(&backend.join(), "x-long"), Some(long.as_str()));
}
