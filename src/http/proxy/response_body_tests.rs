//! Input is passed as already read, so that no test depends on how a socket delivers.

use std::future::poll_fn;
use std::net::TcpListener;

use super::super::link::Link;
use super::*;
use crate::rt;

/// Content of which `read` was read already. The upstream has closed its end.
fn response_body(framing: Framing, read: impl Into<Bytes>) -> ResponseBody {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = upstream.local_addr().unwrap().port();
    let to = rt::Connect { host: "127.0.0.1".into(), port, receive_buffer: None };
    let mut connection = Connection::new(Link::Plain(rt::block_on(rt::connect(&to)).unwrap()));
    *connection.unread() = read.into();
    ResponseBody::new(connection, framing, None, None)
}

fn next(response_body: &mut ResponseBody, want: usize) -> Option<io::Result<Bytes>> {
    let frame = rt::block_on(poll_fn(|cx| response_body.poll_piece(cx, want)));
    frame.map(|frame| frame.map(|frame| frame.into_data().unwrap()))
}

fn data(response_body: &mut ResponseBody, want: usize) -> Bytes {
    next(response_body, want).unwrap().unwrap()
}

// A slow pace held a bucket for each byte of such content, and all the buffers it was read into.
#[test]
fn tiny_chunks_are_put_together() {
    let text = format!("{}0\r\n\r\n", "1;x=y\r\na\r\n".repeat(4000));
    let mut content = response_body(Framing::chunked(), text);
    for _ in 0..3 {
        assert_eq!(data(&mut content, 1200), "a".repeat(1200));
    }
    assert_eq!(data(&mut content, 1200), "a".repeat(400));
    assert!(next(&mut content, 1200).is_none());
}

#[test]
fn a_chunk_that_is_not_small_is_not_copied() {
    let large = "b".repeat(SMALL);
    let text = Bytes::from(format!("1\r\na\r\n1\r\na\r\n{SMALL:x}\r\n{large}\r\n1\r\nc\r\n0\r\n\r\n"));
    let mut content = response_body(Framing::chunked(), text.clone());
    assert_eq!(data(&mut content, 10_000), "aa");
    let piece = data(&mut content, 10_000);
    assert_eq!(piece, large);
    assert!(text.as_ptr_range().contains(&piece.as_ptr()));
    assert_eq!(data(&mut content, 10_000), "c");
    assert!(next(&mut content, 10_000).is_none());
    // And what is wanted in small pieces is no small chunk.
    let mut content = response_body(Framing::Length(10), text.slice(..10));
    let piece = data(&mut content, 4);
    assert!(piece.len() == 4 && text.as_ptr_range().contains(&piece.as_ptr()));
}

#[test]
fn an_error_of_framing_comes_after_the_data_before_it() {
    let mut broken = response_body(Framing::chunked(), "1\r\na\r\n1\r\nb\r\nno chunk");
    assert_eq!(data(&mut broken, 100), "ab");
    assert_eq!(next(&mut broken, 100).unwrap().unwrap_err().kind(), io::ErrorKind::InvalidData);
    let mut broken = response_body(Framing::chunked(), "1\r\na\r\n0\r\nno field\r\n\r\n");
    assert_eq!(data(&mut broken, 100), "a");
    assert_eq!(next(&mut broken, 100).unwrap().unwrap_err().kind(), io::ErrorKind::InvalidData);
    let mut short = response_body(Framing::chunked(), "1\r\na\r\n1\r\nb\r\n0\r\n");
    assert_eq!(data(&mut short, 100), "ab");
    assert!(next(&mut short, 100).unwrap().is_err());
}

#[test]
fn trailers_come_behind_content_and_are_asked_for() {
    let text = "1\r\na\r\n1\r\nb\r\n0\r\nx-sum: 3\r\n\r\n";
    let mut content = response_body(Framing::chunked(), text);
    assert_eq!(data(&mut content, 100), "ab");
    assert!(!content.is_over());
    let frame = rt::block_on(poll_fn(|cx| content.poll_piece(cx, 100))).unwrap().unwrap();
    assert_eq!(frame.into_trailers().unwrap()["x-sum"], "3");
    assert!(next(&mut content, 100).is_none());
}

#[test]
fn bytes_without_framing_are_read_behind_those_before_them() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = upstream.local_addr().unwrap().port();
    let to = rt::Connect { host: "127.0.0.1".into(), port, receive_buffer: None };
    let connection = Connection::new(Link::Plain(rt::block_on(rt::connect(&to)).unwrap()));
    let mut body = ResponseBody::new(connection, Framing::Length(5), None, None);
    let (mut end, _) = upstream.accept().unwrap();
    // The last is not of this content.
    std::io::Write::write_all(&mut end, b"helloX").unwrap();
    let mut before = Bytes::from_static(b"> ");
    let frame = rt::block_on(poll_fn(|cx| body.poll_piece_behind(cx, &mut before, 4))).unwrap().unwrap();
    assert_eq!((frame.into_data().unwrap(), before.len(), body.min_remaining()), ("> hell".into(), 0, 1));
    assert_eq!(data(&mut body, 4), "o");
    assert!(body.is_over() && next(&mut body, 4).is_none());
    // Framing would be between them.
    let mut body = response_body(Framing::chunked(), "1\r\na\r\n0\r\n\r\n");
    let mut before = Bytes::from_static(b"> ");
    let frame = rt::block_on(poll_fn(|cx| body.poll_piece_behind(cx, &mut before, 4))).unwrap().unwrap();
    assert_eq!((frame.into_data().unwrap(), before), ("a".into(), "> ".into()));
}

#[test]
fn content_that_came_with_the_head_is_taken_at_once_and_no_other() {
    let whole = |framing, read: &'static str| response_body(framing, read).take_whole();
    for (framing, read, taken) in [
        (Framing::Length(5), "hello", Some("hello")),
        // The last is not of this content.
        (Framing::Length(5), "helloX", Some("hello")),
        (Framing::Length(5), "hell", None),
        (Framing::Length(5), "", None),
        (Framing::Length(u64::MAX), "hello", None),
        (Framing::chunked(), "1\r\na\r\n0\r\n\r\n", None),
        (Framing::UntilClose, "hello", None),
    ] {
        assert_eq!(whole(framing, read).as_deref(), taken.map(str::as_bytes), "{read}");
    }
    let mut body = response_body(Framing::Length(5), "hello");
    assert!(body.take_whole().is_some() && body.is_over() && next(&mut body, 5).is_none());
    let mut body = response_body(Framing::Length(5), "hell");
    assert!(body.take_whole().is_none());
    assert_eq!(data(&mut body, 5), "hell");
}
