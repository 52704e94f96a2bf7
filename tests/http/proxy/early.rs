//! Answers that come before the request is over, or say more than was asked for.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use super::fixture::{Backend, Front, accept, answering, read_exact, read_head, status};

/// More than all buffers between the client and a backend that does not read.
const LARGE: usize = 32 * 1024 * 1024;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Answers the next request, which must come on a connection of its own; tells its target.
fn answer_anew(listener: &TcpListener) -> String {
    let mut stream = accept(listener);
    let head = read_head(&mut stream);
    stream.write_all(OK.as_bytes()).unwrap();
    head.split(' ').nth(1).unwrap_or_default().to_owned()
}

fn get(stream: &mut TcpStream, path: &str) -> String {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: f\r\n\r\n").as_bytes()).unwrap();
    let head = read_head(stream);
    assert_eq!(read_exact(stream, 2), "ok", "{path}");
    head
}

#[test]
fn an_upload_goes_on_while_its_answer_comes() {
    const PIECE: &str = "0123456789abcdef";
    let backend = answering(|stream| {
        read_exact(stream, PIECE.len());
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 102\r\n\r\n").unwrap();
        // Each piece is answered before the next is sent: neither way waits for the other's end.
        for piece in 0..50 {
            stream.write_all(format!("{piece:02}").as_bytes()).unwrap();
            assert_eq!(read_exact(stream, PIECE.len()), PIECE, "{piece}");
        }
        stream.write_all(b"ok").unwrap();
    });
    let front = Front::new(backend.source());
    let mut stream = front.connect();
    let length = PIECE.len() * 51;
    let head = format!("POST / HTTP/1.1\r\nhost: f\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(format!("{head}{PIECE}").as_bytes()).unwrap();
    assert_eq!(status(&read_head(&mut stream)), "200");
    for piece in 0..50 {
        assert_eq!(read_exact(&mut stream, 2), format!("{piece:02}"));
        stream.write_all(PIECE.as_bytes()).unwrap();
    }
    assert_eq!(read_exact(&mut stream, 2), "ok");
    backend.join();
}

#[test]
fn an_upload_that_is_answered_early_ends_there_and_its_connection_with_it() {
    let backend = Backend::new(|listener| {
        let mut stream = accept(listener);
        read_head(&mut stream);
        read_exact(&mut stream, 1000);
        stream.write_all(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 3\r\n\r\nbig").unwrap();
        // What is still sent comes to an end before the content does.
        let (mut taken, mut piece) = (1000, vec![0; 64 * 1024]);
        while let Ok(len @ 1..) = stream.read(&mut piece) {
            taken += len;
        }
        assert!(taken < LARGE, "the upload went on");
        answer_anew(listener)
    });
    let front = Front::new(backend.source());
    let mut stream = front.connect();
    stream
        .write_all(format!("POST / HTTP/1.1\r\nhost: f\r\ncontent-length: {LARGE}\r\n\r\n").as_bytes())
        .unwrap();
    stream.write_all(&vec![b'x'; 1000]).unwrap();
    assert_eq!(status(&read_head(&mut stream)), "413");
    assert_eq!(read_exact(&mut stream, 3), "big");
    drop(stream);
    assert_eq!(status(&get(&mut front.connect(), "/last")), "200");
    assert_eq!(backend.join(), "/last");
}

#[test]
fn bytes_behind_an_answer_belong_to_no_request() {
    // In the same piece as the answer, and in one of its own that is there before the client has the answer.
    for behind in ["HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil", "\r\n", "0"] {
        for (answer, method) in [
            (OK, "GET"),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "GET"),
            ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n", "HEAD"),
            ("HTTP/1.1 304 Not Modified\r\ncontent-length: 2\r\n\r\n", "GET"),
        ] {
            let backend = Backend::new(move |listener| {
                let mut stream = accept(listener);
                read_head(&mut stream);
                stream.write_all(format!("{answer}{behind}").as_bytes()).unwrap();
                assert_eq!(read_head(&mut stream), "", "it is not asked again");
                answer_anew(listener)
            });
            let front = Front::new(backend.source());
            let first = format!("{method} / HTTP/1.1\r\nhost: f\r\nconnection: close\r\n\r\n");
            let (head, body) = front.ask(&first);
            assert!(["200", "304"].contains(&status(&head)), "{head}");
            assert!(!body.contains("evil") && !body.ends_with(behind) || behind == "\r\n", "{body}");
            assert_eq!(status(&get(&mut front.connect(), "/last")), "200");
            assert_eq!(backend.join(), "/last", "{answer:?} {behind:?}");
        }
    }
}

#[test]
fn a_request_that_got_an_interim_answer_is_not_sent_again() {
    let backend = Backend::new(|listener| {
        let mut stream = accept(listener);
        read_head(&mut stream);
        stream.write_all(OK.as_bytes()).unwrap();
        // An answer of known length has given its connection back before its last byte is handed on.
        assert!(read_head(&mut stream).starts_with("GET /again "));
        stream.write_all(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n").unwrap();
        drop(stream);
        answer_anew(listener)
    });
    let front = Front::new(backend.source());
    get(&mut front.connect(), "/");
    let (head, _) = front.ask("GET /again HTTP/1.1\r\nhost: f\r\nconnection: close\r\n\r\n");
    assert_eq!(status(&head), "502");
    assert_eq!(status(&get(&mut front.connect(), "/last")), "200");
    assert_eq!(backend.join(), "/last");
}
