//! Relays: both directions, their paces, and their ends.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use sluicegate::filter::EndOfStream;
use sluicegate::http::server::Settings;
use sluicegate::limit::Rate;
use sluicegate::tcp::Service;

use super::fixture::{Ported, bytes, relay_to, reset, upstream};
use testkit::wait::{PATIENCE, until};
use testkit::wire::{read_all, read_to_reset};

const LEN: usize = 12 << 20;

#[test]
fn both_directions_are_exact_and_either_side_may_close_its_half_first() {
    // Says all when it has heard all.
    let after = upstream(|mut stream| {
        let heard = read_all(&mut stream);
        stream.write_all(&heard).unwrap();
    });
    // Says all and closes its half; hears the rest, and counts it.
    let (heard, hears) = mpsc::channel();
    let before = upstream(move |mut stream| {
        stream.write_all(&bytes(LEN)).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        heard.send(read_all(&mut stream)).unwrap();
    });
    let content = bytes(LEN);
    let ported = Ported::new(relay_to(after));
    let mut stream = ported.connect();
    stream.write_all(&content).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert!(read_all(&mut stream) == content);
    drop(stream);
    ported.quiet();
    assert_eq!(ported.counted(), (LEN as u64, 1, 0));

    let ported = Ported::new(relay_to(before));
    let mut stream = ported.connect();
    assert!(read_all(&mut stream) == content);
    stream.write_all(&content).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert!(hears.recv_timeout(PATIENCE).unwrap() == content);
    ported.quiet();
    assert_eq!(ported.counted(), (LEN as u64, 1, 0));
}

#[test]
fn bytes_go_on_both_ways_at_once() {
    let echo = upstream(|mut stream| {
        let mut buf = [0; 100];
        while let Ok(n @ 1..) = stream.read(&mut buf) {
            stream.write_all(&buf[..n]).unwrap();
        }
    });
    let ported = Ported::new(Service::relay("localhost", echo.port()));
    let mut stream = ported.connect();
    for round in 0..50_u8 {
        stream.write_all(&[round; 10]).unwrap();
        let mut back = [0; 10];
        stream.read_exact(&mut back).unwrap();
        assert_eq!(back, [round; 10]);
    }
}

/// Real time for what must not come; the bounds only grow on a late machine.
#[test]
fn an_upload_above_its_pace_is_pushed_back_on_the_sender() {
    let heard = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&heard);
    let sink = upstream(move |mut stream| {
        let mut buf = [0; 65_536];
        while let Ok(n @ 1..) = stream.read(&mut buf) {
            counted.fetch_add(n as u64, Ordering::Relaxed);
        }
    });
    const RATE: u64 = 100_000;
    let ported = Ported::new(relay_to(sink).upload_rate(Rate::or_unlimited(RATE)));
    let began = Instant::now();
    let mut stream = ported.connect();
    stream.set_write_timeout(Some(Duration::from_millis(600))).unwrap();
    let mut sent = 0;
    let error = loop {
        match stream.write(&[0; 65_536]) {
            Ok(n) => sent += n,
            Err(error) => break error,
        }
        assert!(sent < 64 << 20, "nothing pushes back");
    };
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    let passed = heard.load(Ordering::Relaxed);
    let allowed = RATE / 5 + (RATE as f64 * began.elapsed().as_secs_f64()) as u64;
    assert!((1..=allowed).contains(&passed), "{passed} of at most {allowed} bytes");
    // Live, and the only limit on the way.
    ported.served.handle.ports()[0].service().upload().set_rate(None);
    until("the rest comes", || heard.load(Ordering::Relaxed) == sent as u64);
}

#[test]
fn bytes_to_the_client_have_a_pace_of_their_own() {
    let source = upstream(|mut stream| drop(stream.write_all(&[7; 600])));
    // Paced to its end: the other rule may let the last bytes out an interval sooner.
    let ported =
        Ported::new(relay_to(source).rate(Rate::or_unlimited(1_000)).end_of_stream(EndOfStream::Paced));
    let began = Instant::now();
    assert_eq!(read_all(&mut ported.connect()), [7; 600]);
    assert!(began.elapsed() >= Duration::from_millis(390), "{:?}", began.elapsed());
}

#[test]
fn an_upstream_that_is_not_there_is_a_reset() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ported = Ported::new(relay_to(gone));
    assert_eq!(read_to_reset(&mut ported.connect()), b"");
    // A listener whose queue is full answers nobody.
    let full = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    full.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    full.listen(0).unwrap();
    let addr = full.local_addr().unwrap().as_socket().unwrap();
    let _queued = [(); 4].map(|()| {
        let queued = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        queued.set_nonblocking(true).unwrap();
        let _ = queued.connect(&addr.into());
        queued
    });
    let ported = Ported::new(relay_to(addr).connect_timeout(Duration::from_millis(300)));
    let began = Instant::now();
    assert_eq!(read_to_reset(&mut ported.connect()), b"");
    assert!(began.elapsed() >= Duration::from_millis(290), "{:?}", began.elapsed());
}

#[test]
fn a_reset_on_one_side_is_one_on_the_other_behind_the_bytes_before_it() {
    let cutting = upstream(|mut stream| {
        stream.write_all(&bytes(100_000)).unwrap();
        // Only when it is read: a reset overtakes what is on its way.
        stream.read_exact(&mut [0]).unwrap();
        reset(stream);
    });
    let ported = Ported::new(relay_to(cutting));
    let mut stream = ported.connect();
    let mut got = vec![0; 100_000];
    stream.read_exact(&mut got).unwrap();
    assert_eq!(got, bytes(100_000));
    stream.write_all(b"x").unwrap();
    assert_eq!(read_to_reset(&mut stream), b"");
    until("it is counted", || ported.counted() == (100_000, 1, 1));

    let (ended, ends) = mpsc::channel();
    let listening = upstream(move |mut stream| {
        stream.write_all(b"y").unwrap();
        ended.send(stream.read_to_end(&mut Vec::new()).map_err(|error| error.kind())).unwrap();
    });
    let ported = Ported::new(relay_to(listening));
    let mut stream = ported.connect();
    // Or it might have left before it was accepted.
    stream.read_exact(&mut [0]).unwrap();
    reset(stream);
    assert_eq!(ends.recv_timeout(PATIENCE).unwrap(), Err(ErrorKind::ConnectionReset));
}

#[test]
fn a_relay_in_which_nothing_moves_is_cut() {
    let (ended, ends) = mpsc::channel();
    let silent = upstream(move |mut stream| {
        ended.send(stream.read_to_end(&mut Vec::new()).map_err(|error| error.kind())).unwrap();
    });
    let settings = Settings { idle_timeout: Duration::from_millis(200), ..Settings::default() };
    let ported = Ported::with(settings, relay_to(silent), Vec::new());
    assert_eq!(read_to_reset(&mut ported.connect()), b"");
    assert_eq!(ends.recv_timeout(PATIENCE).unwrap(), Err(ErrorKind::ConnectionReset));
}
