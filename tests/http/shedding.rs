//! When slow readers hold too much in all: who is turned away, for how long, and who is not.

use std::io::Write;
use std::net::TcpStream;
use std::time::Instant;

use http::Request;
use http_body_util::{BodyExt, Empty};
use sluicegate::http::route::Route;
use sluicegate::http::server::Settings;
use sluicegate::rt::{self, Connect, Executor};
use sluicegate::sink::{HeldAs, SinkSettings};
use testkit::served::{Response, Served};
use testkit::wait::PATIENCE;

/// Bytes held for each of the readers here.
const BUFFER: usize = 20_000;

/// The most bytes behind a full buffer: a piece of a file, and what the framing has gathered before it.
const PIECE: usize = 128 * 1024;

/// What four readers hold at most, which is not too much.
const TOTAL: u64 = 4 * (BUFFER + PIECE) as u64;

fn serving() -> (tempfile::TempDir, Served) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("small"), [b'x'; 1000]).unwrap();
    std::fs::write(folder.path().join("large"), vec![b'y'; 1_000_000]).unwrap();
    let sink = SinkSettings { buffer: BUFFER, send_buffer: Some(4096), ..SinkSettings::default() };
    let settings = Settings { sink, egress_total: Some(TOTAL), ..Settings::default() };
    let served = Served::with(settings, vec![Route::files("/", folder.path()).unwrap()]);
    (folder, served)
}

/// One that asked for a million bytes and reads none; comes back when its buffer is full.
fn slow_reader(served: &Served, others: usize) -> TcpStream {
    let mut stream = served.connect();
    stream.write_all(b"GET /large HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    let full = (others + 1) as u64 * BUFFER as u64;
    wait_until("a full buffer", || served.handle.egress().buffered() == full, served);
    stream
}

/// Adds readers until new requests are turned away: how much a kernel takes of each differs.
fn crowd(served: &Served, readers: &mut Vec<TcpStream>) {
    while !served.handle.is_shedding() {
        assert!(readers.len() as u64 * BUFFER as u64 <= TOTAL, "{:?}", served.handle.egress());
        readers.push(slow_reader(served, readers.len()));
    }
}

fn wait_until(what: &str, is_there: impl Fn() -> bool, served: &Served) {
    let began = Instant::now();
    while !is_there() {
        assert!(began.elapsed() < PATIENCE, "{what}: {:?}", served.handle.egress());
        std::thread::yield_now();
    }
}

#[test]
fn new_requests_are_turned_away_until_less_than_four_fifths_are_held() {
    let (_folder, served) = serving();
    let mut kept = served.connect();
    let mut ask_again = || {
        kept.write_all(b"GET /small HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
        Response::read(&mut kept).unwrap()
    };
    assert_eq!(ask_again().status(), 200);
    let mut readers: Vec<_> = (0..4).map(|others| slow_reader(&served, others)).collect();
    assert!(!served.handle.is_shedding(), "as much as may be held is not too much");
    assert_eq!(served.get("/small", "").status(), 200);

    crowd(&served, &mut readers);
    for refused in [served.get("/small", ""), served.get("/none", ""), ask_again()] {
        assert_eq!((refused.status(), refused.field("retry-after")), (503, Some("5")), "{}", refused.head);
        assert!(refused.body.ends_with(b"Try again in some seconds.\n"));
    }

    // Down to the bound, which is above 80 % of it, and on: still none. Below that: all again.
    loop {
        drop(readers.pop());
        let left = readers.len() + 1;
        wait_until("the end of one", || served.handle.connections() == left, &served);
        let held = served.handle.egress().held().total();
        if held * 5 < TOTAL * 4 {
            break;
        }
        assert_eq!(ask_again().status(), 503, "the connection is kept, with {held} held");
    }
    assert_eq!((ask_again().status(), served.get("/small", "").status()), (200, 200));
    assert!(!served.handle.is_shedding());
    // Those that were there before lost nothing.
    for mut reader in readers {
        assert_eq!(Response::read(&mut reader).unwrap().body.len(), 1_000_000);
    }
    assert_eq!(served.handle.egress().bytes_dropped(), 0);
}

#[test]
fn over_http2_it_is_the_same() {
    let (_folder, served) = serving();
    let mut readers = Vec::new();
    crowd(&served, &mut readers);
    rt::block_on(async {
        let to = Connect { host: "127.0.0.1".into(), port: served.addr.port(), receive_buffer: None };
        let socket = rt::connect(&to).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http2::handshake(Executor, socket).await.unwrap();
        rt::spawn(async {
            let _ = connection.await;
        });
        let request = Request::get("http://t/small").body(Empty::<bytes::Bytes>::new()).unwrap();
        let refused = sender.send_request(request).await.unwrap();
        assert_eq!(
            (refused.status().as_u16(), &refused.headers()["retry-after"]),
            (503, &"5".parse().unwrap())
        );
        assert!(refused.into_body().collect().await.is_ok());
    });
    drop(readers);
}

#[test]
fn heads_that_never_end_are_held_too_and_the_oldest_make_room() {
    const PART: usize = 30_000;
    let (_folder, served) = serving();
    let head = [b"GET /small HTTP/1.1\r\nHost: t\r\nX: ".as_slice(), &vec![b'x'; PART]].concat();
    let egress = || served.handle.egress();
    let held = || egress().held().of(HeldAs::Request);
    let mut writers: Vec<TcpStream> = Vec::new();
    while (writers.len() * PART) as u64 <= 2 * TOTAL {
        let mut stream = served.connect();
        stream.write_all(&head).unwrap();
        writers.push(stream);
        let read = (writers.len() * head.len()) as u64;
        wait_until("the head", || egress().bytes_read() >= read, &served);
        // What one asks to end may still be there while the next is read.
        assert!(held() <= TOTAL + 4 * PART as u64, "{:?}", egress());
    }
    wait_until("the end of the oldest", || served.handle.connections() < writers.len(), &served);
    wait_until("the end of shedding", || !served.handle.is_shedding(), &served);
    assert!(held() * 2 > TOTAL, "no more were ended than had to be: {:?}", egress());
    // One that ends is answered as any other, and no longer held.
    let mut whole = writers.pop().unwrap();
    whole.write_all(b"\r\n\r\n").unwrap();
    assert_eq!(Response::read(&mut whole).unwrap().status(), 200);
    drop((writers, whole));
    wait_until("their end", || held() == 0, &served);
    assert_eq!(served.get("/small", "").status(), 200);
}
