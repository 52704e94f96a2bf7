//! Relays of raw TCP inside TLS: both ways, their paces, and ends that are announced or not.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use rustls::version::{TLS12, TLS13};
use sluicegate::filter::EndOfStream;
use sluicegate::http::server::{Server, Settings};
use sluicegate::limit::Rate;
use sluicegate::tcp::Service;
use sluicegate::tls::ServerTls;
use testkit::certificates::Certificates;
use testkit::tls::{TlsClient, TlsStream};
use testkit::wait::{PATIENCE, until};
use testkit::wire::read_all;

use super::{bind, settings};
use crate::tcp::fixture::{Ported, bytes, relay_to, reset, upstream};

const LEN: usize = 3 << 20;

/// A port inside TLS, with a client of one version.
struct Secured {
    ported: Ported,
    client: TlsClient,
}

impl Secured {
    fn connect(&self) -> TlsStream {
        self.client.connect(self.ported.port, "127.0.0.1").unwrap()
    }
}

/// Runs `test` on a port of its own for each version of TLS.
fn each_version(service: impl Fn() -> Service, test: impl Fn(Secured)) {
    for version in [&TLS12, &TLS13] {
        let made = Certificates::make();
        let tls = ServerTls::from_settings("raw", &settings(&made, &["server"])).unwrap();
        let server = Server::new(Settings::default(), vec![bind()], vec![]);
        let ported = Ported::of(server.with_tls_port(bind(), Some(tls), service()));
        test(Secured { ported, client: TlsClient::of(&made, &[version], None) });
    }
}

/// Announces the end of what the client sends. Its socket stays as it is.
fn close_half(stream: &mut TlsStream) {
    stream.conn.send_close_notify();
    stream.flush().unwrap();
}

#[test]
fn the_client_may_close_its_half_first_and_hears_all_that_follows() {
    // Says all when it has heard all.
    let after = upstream(|mut stream| {
        let heard = read_all(&mut stream);
        stream.write_all(&heard).unwrap();
    });
    each_version(
        || relay_to(after),
        |secured| {
            let mut stream = secured.connect();
            stream.write_all(&bytes(LEN)).unwrap();
            close_half(&mut stream);
            // Without close_notify this is an error.
            assert!(read_all(&mut stream) == bytes(LEN));
            drop(stream);
            secured.ported.quiet();
            assert_eq!(secured.ported.counted(), (LEN as u64, 1, 0));
        },
    );
}

#[test]
fn the_upstream_may_close_its_half_first_and_hears_all_that_follows() {
    let (heard, hears) = channel();
    let before = upstream(move |mut stream| {
        stream.write_all(&bytes(LEN)).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        heard.send(read_all(&mut stream)).unwrap();
    });
    each_version(
        || relay_to(before),
        |secured| {
            let mut stream = secured.connect();
            assert!(read_all(&mut stream) == bytes(LEN), "an announced end");
            stream.write_all(&bytes(LEN)).unwrap();
            close_half(&mut stream);
            assert!(hears.recv_timeout(PATIENCE).unwrap() == bytes(LEN));
            secured.ported.quiet();
            assert_eq!(secured.ported.counted(), (LEN as u64, 1, 0));
        },
    );
}

#[test]
fn bytes_go_both_ways_at_once_in_pieces_of_all_sizes() {
    let echo = upstream(|mut stream| {
        let mut buf = [0; 20_000];
        while let Ok(n @ 1..) = stream.read(&mut buf) {
            stream.write_all(&buf[..n]).unwrap();
        }
    });
    each_version(
        || relay_to(echo),
        |secured| {
            let mut stream = secured.connect();
            // Around a record of TLS, which has at most 16 KiB.
            for len in [1, 10, 1_400, 16_383, 16_384, 16_385, 40_000] {
                stream.write_all(&bytes(len)).unwrap();
                let mut back = vec![0; len];
                stream.read_exact(&mut back).unwrap();
                assert!(back == bytes(len), "{len}");
            }
        },
    );
}

/// Real time for what must not come; the bounds only grow on a late machine.
#[test]
fn an_upload_above_its_pace_is_pushed_back_on_the_sender_and_comes_whole() {
    const RATE: u64 = 100_000;
    const ALL: usize = 16 << 20;
    let heard = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&heard);
    let (ended, ends) = channel();
    let sink = upstream(move |mut stream| {
        let (mut buf, mut is_right, mut at) = (vec![0; 65_536], true, 0);
        let expected = bytes(ALL);
        while let Ok(n @ 1..) = stream.read(&mut buf) {
            is_right &= buf[..n] == expected[at..at + n];
            at += n;
            counted.fetch_add(n as u64, Ordering::SeqCst);
        }
        ended.send((at, is_right)).unwrap();
    });
    each_version(
        || relay_to(sink).upload_rate(Rate::or_unlimited(RATE)),
        |secured| {
            heard.store(0, Ordering::SeqCst);
            let (began, mut stream) = (Instant::now(), secured.connect());
            let all = bytes(ALL);
            std::thread::scope(|scope| {
                let sending = scope.spawn(|| {
                    stream.write_all(&all).unwrap();
                    close_half(&mut stream);
                });
                until("some chunks", || heard.load(Ordering::SeqCst) > RATE * 4 / 5);
                let passed = heard.load(Ordering::SeqCst);
                let most = RATE / 5 + (RATE as f64 * began.elapsed().as_secs_f64()) as u64;
                assert!(passed <= most, "{passed} of at most {most} bytes");
                assert!(began.elapsed() >= Duration::from_millis(590), "{:?}", began.elapsed());
                assert!(!sending.is_finished(), "nothing pushes back");
                secured.ported.served.handle.ports()[0].service().upload().set_rate(None);
                sending.join().unwrap();
            });
            assert_eq!(ends.recv_timeout(PATIENCE).unwrap(), (ALL, true));
        },
    );
}

#[test]
fn bytes_to_the_client_have_the_pace_of_the_port() {
    let source = upstream(|mut stream| drop(stream.write_all(&bytes(60_000))));
    let service = || relay_to(source).rate(Rate::or_unlimited(100_000)).end_of_stream(EndOfStream::Paced);
    each_version(service, |secured| {
        let (began, mut stream) = (Instant::now(), secured.connect());
        let (mut got, mut piece) = (Vec::new(), [0; 4096]);
        loop {
            let n = stream.read(&mut piece).unwrap();
            got.extend_from_slice(&piece[..n]);
            let most = 20_000 + (100_000.0 * began.elapsed().as_secs_f64()) as usize;
            assert!(got.len() <= most, "{} of at most {most} bytes", got.len());
            if n == 0 {
                break;
            }
        }
        assert!(got == bytes(60_000));
        assert!(began.elapsed() >= Duration::from_millis(390), "{:?}", began.elapsed());
    });
}

/// Anybody on the way can end a connection without `close_notify`: bytes may be missing.
#[test]
fn what_ends_without_being_announced_is_never_a_whole_stream_on_the_other_side() {
    let (ended, ends) = channel();
    let listening = upstream(move |mut stream| {
        stream.write_all(b"y").unwrap();
        let mut got = Vec::new();
        let end = stream.read_to_end(&mut got).map_err(|error| error.kind());
        ended.send((got, end)).unwrap();
    });
    each_version(
        || relay_to(listening),
        |secured| {
            let mut stream = secured.connect();
            stream.read_exact(&mut [0]).unwrap();
            stream.write_all(b"half").unwrap();
            stream.sock.shutdown(Shutdown::Write).unwrap();
            let (got, end) = ends.recv_timeout(PATIENCE).unwrap();
            assert_eq!((end, b"half".starts_with(&got)), (Err(ErrorKind::ConnectionReset), true));
            until("it is counted", || secured.ported.counted() == (1, 1, 1));
        },
    );
    // And in the other direction.
    let cutting = upstream(|mut stream| {
        stream.write_all(&bytes(100_000)).unwrap();
        // Only when it is read: a reset overtakes what is on its way.
        stream.read_exact(&mut [0]).unwrap();
        reset(stream);
    });
    each_version(
        || relay_to(cutting),
        |secured| {
            let mut stream = secured.connect();
            let mut got = vec![0; 100_000];
            stream.read_exact(&mut got).unwrap();
            assert!(got == bytes(100_000));
            stream.write_all(b"x").unwrap();
            let error = stream.read_to_end(&mut Vec::new()).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof), "{error}");
            until("it is counted", || secured.ported.counted() == (100_000, 1, 1));
        },
    );
}
