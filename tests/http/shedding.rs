//! When slow readers hold too much in all: who is turned away, for how long, and who is not.

use std::io::Write;
use std::net::TcpStream;

use http_body_util::BodyExt;
use sluicegate::http::server::Settings;
use sluicegate::rt;
use sluicegate::sink::{HeldAs, SinkSettings};
use testkit::folder::folder;
use testkit::h2;
use testkit::served::Served;
use testkit::wait::until;
use testkit::wire;

/// Bytes held for each of the readers here.
const BUFFER: usize = 20_000;

/// The most bytes behind a full buffer: a piece of a file, and what the framing has gathered before it.
const PIECE: usize = 128 * 1024;

/// What four readers hold at most, which is not too much.
const TOTAL: u64 = 4 * (BUFFER + PIECE) as u64;

fn serving() -> Served {
    let folder = folder(&[("small", &[b'x'; 1000]), ("large", &[b'y'; 1_000_000])]);
    let sink = SinkSettings { buffer: BUFFER, send_buffer: Some(4096), ..SinkSettings::default() };
    Served::folder(Settings { sink, egress_total: Some(TOTAL), ..Settings::default() }, folder, 0)
}

/// One that asked for a million bytes and reads none; comes back when its buffer is full.
fn slow_reader(served: &Served, others: usize) -> TcpStream {
    let stream = served.begin("/large");
    let full = (others + 1) as u64 * BUFFER as u64;
    until("a full buffer", || served.handle.egress().buffered() == full);
    stream
}

/// Adds readers until new requests are turned away: how much a kernel takes of each differs.
fn crowd(served: &Served, readers: &mut Vec<TcpStream>) {
    while !served.handle.is_shedding() {
        assert!(readers.len() as u64 * BUFFER as u64 <= TOTAL, "{:?}", served.handle.egress());
        readers.push(slow_reader(served, readers.len()));
    }
}

#[test]
fn new_requests_are_turned_away_until_less_than_four_fifths_are_held() {
    let served = serving();
    let mut kept = served.connect();
    let mut ask_again = || {
        kept.write_all(b"GET /small HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
        wire::answer(&mut kept)
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
        until("the end of one", || served.handle.connections() == left);
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
        assert_eq!(wire::answer(&mut reader).body.len(), 1_000_000);
    }
    assert_eq!(served.handle.egress().bytes_dropped(), 0);
}

#[test]
fn over_http2_it_is_the_same() {
    let served = serving();
    let mut readers = Vec::new();
    crowd(&served, &mut readers);
    rt::block_on(async {
        let refused = h2::get(&mut h2::connect(served.addr, h2::WIDE).await, "/small").await;
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
    let served = serving();
    let head = [b"GET /small HTTP/1.1\r\nHost: t\r\nX: ".as_slice(), &vec![b'x'; PART]].concat();
    let egress = || served.handle.egress();
    let held = || egress().held().of(HeldAs::Request);
    let mut writers: Vec<TcpStream> = Vec::new();
    while (writers.len() * PART) as u64 <= 2 * TOTAL {
        let stream = served.send(&head);
        writers.push(stream);
        let read = (writers.len() * head.len()) as u64;
        until("the head", || egress().bytes_read() >= read);
        // What one asks to end may still be there while the next is read.
        assert!(held() <= TOTAL + 4 * PART as u64, "{:?}", egress());
    }
    until("the end of the oldest", || served.handle.connections() < writers.len());
    until("the end of shedding", || !served.handle.is_shedding());
    assert!(held() * 2 > TOTAL, "no more were ended than had to be: {:?}", egress());
    // One that ends is answered as any other, and no longer held.
    let mut whole = writers.pop().unwrap();
    whole.write_all(b"\r\n\r\n").unwrap();
    assert_eq!(wire::answer(&mut whole).status(), 200);
    drop((writers, whole));
    until("their end", || held() == 0);
    assert_eq!(served.get("/small", "").status(), 200);
}
