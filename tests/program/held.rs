//! What the access log says held a response longest.
//!
//! Real time: each case has one thing that holds it for some tenths of a second, and nothing else.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use sluicegate::rt;

use crate::logs::record;
use testkit::backend::once;
use testkit::h2::{connect, get as get_stream};
use testkit::message::read_head;
use testkit::program::{Program, get, site, text};
use testkit::served::connect_narrow;
use testkit::wait::soon;

/// How long each is held, at least.
const HELD: Duration = Duration::from_millis(300);

/// What the one line about a response says when `args` serve it and `act` asks for it.
fn held_by(args: &[&str], act: impl FnOnce(SocketAddr)) -> (String, u64) {
    let program = Program::start(&[args, &["--access-log", "stderr"]].concat());
    act(program.addr());
    let log = program.end();
    let record = record(&log);
    assert_eq!(record.value("outcome"), "complete", "{log}");
    (record.value("held_by").to_owned(), record.number("duration_ms"))
}

fn whole(addr: SocketAddr, len: usize) {
    assert_eq!(get(TcpStream::connect(addr).unwrap(), "/a.bin", "").1.len(), len);
}

#[test]
fn nothing_or_the_pace_or_the_connections_rate() {
    let site = site(100_000);
    let serve = |flags: &[&str]| {
        held_by(&[&["serve", text(site.path())], flags].concat(), |addr| whole(addr, 100_000))
    };
    assert_eq!(serve(&[]).0, "nothing");
    assert_eq!(serve(&["--rate", "200k"]).0, "pace");
    assert_eq!(serve(&["--connection-rate", "200k", "--connection-burst", "1k"]).0, "connection_rate");
    // Both, and the stricter one is what holds it.
    let both = |pace, connection| {
        serve(&["--rate", pace, "--connection-rate", connection, "--connection-burst", "1k"]).0
    };
    assert_eq!(both("200k", "2m"), "pace");
    assert_eq!(both("2m", "200k"), "connection_rate");
}

#[test]
fn the_source() {
    let (url, answering) = once(|stream| {
        read_head(stream).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345").unwrap();
        std::thread::sleep(HELD);
        stream.write_all(b"67890").unwrap();
    });
    let (held_by, lasted) = held_by(&["proxy", &url], |addr| whole(addr, 10));
    answering.join().unwrap();
    assert_eq!(held_by, "source");
    assert!(lasted >= HELD.as_millis() as u64);
}

#[test]
fn the_pace_of_an_upload_and_not_the_backend_that_waits_for_it() {
    let (url, answering) = once(|stream| {
        read_head(stream).unwrap();
        stream.read_exact(&mut [0; 60_000]).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
    });
    let (held_by, lasted) = held_by(&["proxy", &url, "--upload-rate", "100000B"], |addr| {
        let mut stream = TcpStream::connect(addr).unwrap();
        stream.write_all(b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 60000\r\n\r\n").unwrap();
        stream.write_all(&[7; 60_000]).unwrap();
        assert_eq!(testkit::wire::answer(stream).body, b"ok");
    });
    answering.join().unwrap();
    assert_eq!(held_by, "upload");
    // Three chunks, the first at once.
    assert!(lasted >= 190, "{lasted}");
}

// It never takes all that there is, so it is waited for from the first byte to the last.
#[test]
fn a_reader_that_is_always_behind() {
    let len = 600_000;
    let site = site(len);
    let (held_by, lasted) = held_by(&["serve", text(site.path()), "--send-buffer", "4k"], |addr| {
        let mut stream = connect_narrow(addr);
        stream.write_all(b"GET /a.bin HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").unwrap();
        let (mut step, mut came) = ([0; 20_000], 0);
        loop {
            let n = stream.read(&mut step).unwrap();
            if n == 0 {
                break;
            }
            came += n;
            std::thread::sleep(HELD / 100);
        }
        assert!(came > len);
    });
    assert_eq!(held_by, "reader", "in {lasted} ms");
}

// The connection's socket takes everything; it is the stream's window that is shut.
#[test]
fn a_reader_that_keeps_its_window_shut() {
    let site = site(50_000);
    let (held_by, lasted) = held_by(&["serve", text(site.path())], |addr| {
        rt::block_on(async {
            let mut sender = connect(addr, 1024).await;
            let response = get_stream(&mut sender, "/a.bin").await;
            std::thread::sleep(HELD);
            assert_eq!(response.into_body().collect().await.unwrap().to_bytes().len(), 50_000);
        });
    });
    assert_eq!(held_by, "reader");
    assert!(lasted >= HELD.as_millis() as u64);
}

// The other end of the tunnel says nothing until it has all: that wait is the limit's too. On a late machine it may be more than
// that, which is no matter of limits.
#[test]
fn the_pace_of_what_a_client_sends_through_a_tunnel() {
    const LEN: usize = 120_000;
    let held_by = soon("a tunnel that only its limit holds", || {
        let (url, answering) = once(|stream| {
            read_head(stream).unwrap();
            let head = b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: x\r\n\r\n";
            stream.write_all(head).unwrap();
            stream.read_exact(&mut vec![0; LEN]).unwrap();
            stream.write_all(b"done").unwrap();
        });
        let mut lasted = Duration::ZERO;
        let (held_by, _) = held_by(&["proxy", &url, "--upload-rate", "100000B"], |addr| {
            let mut stream = TcpStream::connect(addr).unwrap();
            stream
                .write_all(b"GET / HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
                .unwrap();
            assert!(read_head(&mut stream).unwrap().starts_with("HTTP/1.1 101 "));
            let began = Instant::now();
            stream.write_all(&vec![b'x'; LEN]).unwrap();
            let mut said = Vec::new();
            stream.read_to_end(&mut said).unwrap();
            lasted = began.elapsed();
            assert_eq!(said, b"done");
        });
        answering.join().unwrap();
        // At the start and behind a pause a chunk of 200 ms may leave sooner.
        assert!(lasted >= Duration::from_millis(600), "{lasted:?}");
        (lasted < Duration::from_millis(1_250)).then_some(held_by)
    });
    assert_eq!(held_by, "upload");
}
