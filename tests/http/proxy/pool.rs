//! Kept connections, and those that were closed under a request.
//!
//! When a connection is back in the pool is the pool's secret, so these tests ask until it was used.

use std::io::Write;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use super::fixture::{Backend, Front, accept, read_head, status};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A request a backend got: its first line, and whether it was the first on its connection.
type Log = Arc<Mutex<Vec<(String, bool)>>>;

/// A backend that answers the first request on each connection, as long as `answers` lasts, and closes
/// the connection on the second without a word.
fn forgetful(log: &Log, answers: usize) -> Backend<()> {
    let log = Arc::clone(log);
    Backend::new(move |listener: &TcpListener| {
        // Ends with the test process, or with the last test connection.
        for connection in 0.. {
            let mut stream = accept(listener);
            let log = Arc::clone(&log);
            std::thread::spawn(move || {
                for first in [true, false] {
                    let head = read_head(&mut stream);
                    let Some(line) = head.lines().next() else { return };
                    log.lock().unwrap().push((line.to_owned(), first));
                    if first && connection < answers {
                        stream.write_all(OK).unwrap();
                    } else {
                        return;
                    }
                }
            });
        }
    })
}

fn count(log: &Log, line: &str, first: bool) -> usize {
    log.lock().unwrap().iter().filter(|seen| **seen == (format!("{line} HTTP/1.1"), first)).count()
}

/// A backend that answers every request, on as many connections as are made.
fn faithful(log: &Log) -> Backend<()> {
    let log = Arc::clone(log);
    Backend::new(move |listener: &TcpListener| {
        loop {
            let mut stream = accept(listener);
            let log = Arc::clone(&log);
            std::thread::spawn(move || {
                for request in 0.. {
                    let head = read_head(&mut stream);
                    let Some(line) = head.lines().next() else { return };
                    log.lock().unwrap().push((line.to_owned(), request == 0));
                    stream.write_all(OK).unwrap();
                }
            });
        }
    })
}

#[test]
fn connections_are_kept_and_used_again() {
    let log = Log::default();
    let front = Front::new(faithful(&log).source());
    for _ in 0..1000 {
        let (head, body) = front.get();
        assert_eq!((status(&head), body.as_str()), ("200", "ok"));
        if count(&log, "GET /", false) > 0 {
            return;
        }
    }
    panic!("no connection was ever used twice");
}

#[test]
fn an_idempotent_request_on_a_stale_connection_is_sent_once_more() {
    let log = Log::default();
    let front = Front::new(forgetful(&log, usize::MAX).source());
    for _ in 0..1000 {
        let (head, body) = front.get();
        assert_eq!((status(&head), body.as_str()), ("200", "ok"), "the client never notices");
        if count(&log, "GET /", false) > 0 {
            return;
        }
    }
    panic!("no connection was ever used twice");
}

#[test]
fn post_is_never_sent_twice() {
    let log = Log::default();
    let front = Front::new(forgetful(&log, usize::MAX).source());
    for sent in 1..1000 {
        let (head, _) =
            front.ask("POST / HTTP/1.1\r\nhost: f\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        assert_eq!(count(&log, "POST /", true) + count(&log, "POST /", false), sent);
        if count(&log, "POST /", false) > 0 {
            assert_eq!(status(&head), "502");
            return;
        }
        assert_eq!(status(&head), "200");
    }
    panic!("no connection was ever used twice");
}

#[test]
fn no_request_is_sent_more_than_twice() {
    for _ in 0..1000 {
        let log = Log::default();
        let front = Front::new(forgetful(&log, 1).source());
        assert_eq!(status(&front.get().0), "200");
        assert_eq!(
            status(&front.ask("GET /again HTTP/1.1\r\nhost: f\r\nconnection: close\r\n\r\n").0),
            "502"
        );
        // On the kept connection, then on a new one; or on a new one alone, if none was kept yet.
        assert_eq!(count(&log, "GET /again", true), 1);
        if count(&log, "GET /again", false) == 1 {
            return;
        }
    }
    panic!("no connection was ever used twice");
}
