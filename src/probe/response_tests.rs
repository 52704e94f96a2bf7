//! Every response is cut at every place: how bytes are read must not matter.

use super::*;

/// Reads the text in two pieces, whatever the cut; gives content, bytes used, whether it is whole, and kept.
fn read(text: &str) -> Result<(u64, usize, bool, bool), ResponseError> {
    let text = text.as_bytes();
    let mut seen = None;
    for cut in 0..=text.len() {
        let mut response = Response::default();
        let mut sum = Ok((0, 0));
        for piece in [&text[..cut], &text[cut..]] {
            sum = sum.and_then(|(content, used): (u64, usize)| {
                let taken = response.take(piece)?;
                Ok((content + taken.content, used + taken.used))
            });
        }
        let told =
            sum.map(|(content, used)| (content, used, response.is_whole(), response.keeps_connection()));
        assert_eq!(seen.get_or_insert(told.clone()), &told, "cut at {cut}");
    }
    seen.unwrap()
}

const OK: &str = "HTTP/1.1 200 OK\r\n";

#[test]
fn content_is_counted_and_framing_is_not() {
    for (rest, content, whole, keeps) in [
        ("Content-Length: 5\r\n\r\nhello", 5, true, true),
        ("content-length: 5\r\n\r\nhel", 3, false, true),
        ("Content-Length: 5, 5\r\nConnection: Close\r\n\r\nhello", 5, true, false),
        ("Content-Length: 0\r\n\r\n", 0, true, true),
        ("\r\nhello", 5, false, false),
        ("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n", 15, true, true),
        (
            "Transfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\nExpires: never\r\nA: b\r\n\r\n",
            5,
            true,
            true,
        ),
        ("Transfer-Encoding: gzip, chunked\r\n\r\n1\r\nh\r\n", 1, false, true),
        ("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n1\r\nh\r\n", 1, false, false),
        ("Transfer-Encoding: gzip\r\n\r\n1234", 4, false, false),
    ] {
        let text = format!("{OK}{rest}");
        assert_eq!(read(&text), Ok((content, text.len(), whole, keeps)), "{rest:?}");
    }
    let old = "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx";
    assert_eq!(read(old), Ok((1, old.len(), true, false)));
    let none = "HTTP/1.1 204 No Content\r\n\r\n";
    assert_eq!(read(none), Ok((0, none.len(), true, true)));
}

#[test]
fn interim_responses_are_skipped_and_the_next_response_is_left() {
    let text = format!("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n{OK}Content-Length: 2\r\n\r\nab");
    assert_eq!(read(&text), Ok((2, text.len(), true, true)));
    assert_eq!(read(&format!("{text}HTTP/1.1")), Ok((2, text.len(), true, true)));
}

#[test]
fn answers_that_are_not_the_content_are_reported() {
    let moved = "HTTP/1.1 301 Moved\r\nLocation: /there\r\n\r\n";
    let error = read(moved).unwrap_err();
    assert_eq!(
        error.to_string(),
        "it answers 301 Moved Permanently, to \"/there\"; redirects are not followed, ask for that"
    );
    assert_eq!(read("HTTP/1.1 404 Not Found\r\n\r\nno").unwrap_err().to_string(), "it answers 404 Not Found");
    assert_eq!(read("HTTP/1.1 799\r\n\r\n"), Err(ResponseError::Status(799, None)));
}

#[test]
fn malformed_responses_are_refused() {
    for rest in [
        "Content-Length: x\r\n\r\n",
        "Content-Length: +5\r\n\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "Content-Length: 99999999999999999999\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\nx",
        "Transfer-Encoding: chunked\r\n\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
        "Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n",
        "no field\r\n\r\n",
    ] {
        assert!(matches!(read(&format!("{OK}{rest}")), Err(ResponseError::Malformed(_))), "{rest:?}");
    }
    assert!(matches!(read("SSH-2.0-OpenSSH\r\n"), Err(ResponseError::Malformed(_))));
    let mut endless = Response::default();
    let line = format!("A: {}\r\n", "b".repeat(1000));
    let mut result = endless.take(OK.as_bytes()).map(drop);
    for _ in 0..100 {
        result = result.and_then(|()| endless.take(line.as_bytes()).map(drop));
    }
    assert_eq!(result, Err(ResponseError::Malformed("its head is larger than 64 KiB".to_owned())));
    assert!(endless.head.len() <= MAX_HEAD);
}

#[test]
fn the_end_of_the_connection_ends_only_a_body_without_framing() {
    for (rest, expected) in [
        ("\r\nhello", Ok(())),
        ("Content-Length: 2\r\n\r\nab", Ok(())),
        ("Content-Length: 3\r\n\r\nab", Err(ResponseError::Short)),
        ("Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n", Err(ResponseError::Short)),
        ("", Err(ResponseError::Short)),
    ] {
        let mut response = Response::default();
        assert!(response.is_untouched());
        response.take(format!("{OK}{rest}").as_bytes()).unwrap();
        assert_eq!(response.ended(), expected, "{rest:?}");
    }
}
