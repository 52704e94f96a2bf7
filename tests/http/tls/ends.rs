//! Bytes inside TLS: whole, at their pace, and never cut without a sign.

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use sluicegate::http::server::Server;
use sluicegate::http::server::Settings;
use sluicegate::sink::{HeldAs, SinkSettings};
use sluicegate::tcp::Service;
use sluicegate::tls::ServerTls;
use testkit::certificates::Certificates;
use testkit::folder::folder;
use testkit::served::{Served, connect_narrow, files};
use testkit::tls::TlsClient;
use testkit::wait::until;
use testkit::wire;

use super::{Secured, bind, settings};

fn content(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}

const GET: &[u8] = b"GET /f HTTP/1.1\r\nHost: t\r\n\r\n";
const GET_AND_CLOSE: &[u8] = b"GET /f HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n";

#[test]
fn answers_come_whole_one_after_the_other_and_the_end_is_announced() {
    let (made, site) = (Certificates::make(), folder(&[("f", &content(300_000))]));
    let secured = Secured::new(&settings(&made, &["server"]), vec![files(&site, 0)]);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let mut stream = TlsClient::of(&made, &[version], None).connect(secured.addr(), "127.0.0.1").unwrap();
        for _ in 0..3 {
            stream.write_all(GET).unwrap();
            let answer = wire::answer(&mut stream);
            assert_eq!((answer.status(), answer.body == content(300_000)), (200, true));
        }
        stream.write_all(GET_AND_CLOSE).unwrap();
        let mut rest = Vec::new();
        // Without close_notify this is an error.
        stream.read_to_end(&mut rest).unwrap();
        assert!(rest.ends_with(&content(300_000)));
    }
    assert_eq!(secured.tls.counts().done(), 2);
}

#[test]
fn a_reader_of_a_shut_window_gets_every_byte_once_and_in_order() {
    let (made, site) = (Certificates::make(), folder(&[("f", &content(400_000))]));
    let secured = Secured::new(&settings(&made, &["server"]), vec![files(&site, 0)]);
    let socket = connect_narrow(secured.addr());
    let mut stream = TlsClient::new(&made).over(socket, "127.0.0.1").unwrap();
    stream.write_all(GET).unwrap();
    until("the socket is full", || secured.served.handle.egress().would_block() > 0);
    let answer = wire::answer(&mut stream);
    assert!(answer.body == content(400_000));
}

/// A read and a write that wait for the same socket woke each other without end.
#[test]
fn a_connection_whose_reader_takes_nothing_rests() {
    let (made, site) = (Certificates::make(), folder(&[("f", &content(8_000_000))]));
    let secured = Secured::new(&settings(&made, &["server"]), vec![files(&site, 0)]);
    let mut stream = TlsClient::new(&made).over(connect_narrow(secured.addr()), "127.0.0.1").unwrap();
    stream.write_all(GET).unwrap();
    let egress = secured.served.handle.egress();
    let full = SinkSettings::default().buffer as u64;
    until("its buffer is full", || egress.buffered() == full);
    // The beginning of the next request.
    stream.write_all(b"G").unwrap();
    let heard = GET.len() as u64 + 1;
    until("the byte is read", || egress.bytes_read() == heard);
    let before = egress.would_block();
    std::thread::sleep(Duration::from_millis(300));
    let tries = egress.would_block() - before;
    assert!(tries < 20, "{tries} writes were tried");
}

#[test]
fn what_is_encrypted_for_a_slow_reader_is_on_the_account_until_it_has_gone() {
    let (made, site) = (Certificates::make(), folder(&[("f", &content(8_000_000))]));
    let secured = Secured::new(&settings(&made, &["server"]), vec![files(&site, 0)]);
    let mut stream = TlsClient::new(&made).over(connect_narrow(secured.addr()), "127.0.0.1").unwrap();
    stream.write_all(GET).unwrap();
    let held = || secured.served.handle.egress().held().of(HeldAs::Tls);
    until("bytes are encrypted and not sent", || held() > 0);
    let full = SinkSettings::default().buffer as u64;
    until("its buffer is full", || secured.served.handle.egress().buffered() == full);
    assert!((1..33 * 1024).contains(&held()), "{}", held());
    assert!(wire::answer(&mut stream).body == content(8_000_000));
    until("nothing is left", || held() == 0);
}

#[test]
fn what_is_not_yet_a_whole_record_is_on_the_account() {
    let (made, site) = (Certificates::make(), folder(&[("f", &content(1_000_000))]));
    let secured = Secured::new(&settings(&made, &["server"]), vec![files(&site, 1)]);
    let mut stream = TlsClient::new(&made).connect(secured.addr(), "127.0.0.1").unwrap();
    let held = || secured.served.handle.egress().held().of(HeldAs::Tls);
    stream.write_all(GET).unwrap();
    stream.read_exact(&mut [0; 16]).unwrap();
    // The head of a record of 16 KiB, and most of it.
    stream.sock.write_all(&[23, 3, 3, 0x40, 0]).unwrap();
    stream.sock.write_all(&[0; 10_000]).unwrap();
    until("it is charged", || held() == 10_005);
    drop(stream);
    until("it is not any more", || held() == 0 && secured.served.handle.connections() == 0);
}

#[test]
fn the_pace_inside_tls_is_that_without_it() {
    let (made, site) = (Certificates::make(), folder(&[("f", &content(38_400))]));
    let secured = Secured::new(&settings(&made, &["server"]), vec![files(&site, 61_440)]);
    let mut stream = TlsClient::new(&made).connect(secured.addr(), "127.0.0.1").unwrap();
    let asked = Instant::now();
    stream.write_all(GET).unwrap();
    let answer = wire::answer(&mut stream);
    // Since before the request: the head can be read late.
    let lasted = asked.elapsed();
    // The timeline of `server.rs` without TLS: 12 288, 12 288, and the rest with the last full chunk.
    let timeline = answer.timeline();
    let before =
        |millis| timeline.iter().filter(|(at, _)| *at < Duration::from_millis(millis)).map(|(_, n)| *n).max();
    assert_eq!((before(150), before(350)), (Some(12_288), Some(24_576)), "{timeline:?}");
    assert_eq!(timeline.last().unwrap().1, 38_400);
    assert!(lasted >= Duration::from_millis(400), "{lasted:?}: {timeline:?}");
    let expected = (answer.head.len() + 38_400) as u64;
    until("bytes before encryption are counted", || {
        secured.served.handle.egress().bytes_written() == expected
    });
}

#[test]
fn a_body_that_is_cut_ends_without_an_announced_end() {
    let (made, site) = (Certificates::make(), folder(&[("f", &content(1_000_000))]));
    let secured = Secured::new(&settings(&made, &["server"]), vec![files(&site, 61_440)]);
    // HTTP/1.0 is sent the end of the body by the end of the connection.
    let mut stream = TlsClient::new(&made).connect(secured.addr(), "127.0.0.1").unwrap();
    stream.write_all(b"GET /f HTTP/1.0\r\n\r\n").unwrap();
    let mut start = [0; 1000];
    stream.read_exact(&mut start).unwrap();
    secured.served.handle.stop();
    let error = stream.read_to_end(&mut Vec::new()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof), "{error}");
}

#[test]
fn an_idle_connection_that_ends_says_so() {
    let (made, site) = (Certificates::make(), folder(&[("f", b"x")]));
    let secured = Secured::new(&settings(&made, &["server"]), vec![files(&site, 0)]);
    let mut stream = TlsClient::new(&made).connect(secured.addr(), "127.0.0.1").unwrap();
    stream.write_all(GET).unwrap();
    assert_eq!(wire::answer(&mut stream).body, b"x");
    secured.served.handle.drain();
    assert_eq!(stream.read_to_end(&mut Vec::new()).unwrap(), 0, "an announced end");
}

#[test]
fn a_client_that_vanishes_is_noticed_while_its_answer_waits() {
    let (made, site) = (Certificates::make(), folder(&[("f", &content(1_000_000))]));
    let secured = Secured::new(&settings(&made, &["server"]), vec![files(&site, 1)]);
    let mut stream = TlsClient::new(&made).connect(secured.addr(), "127.0.0.1").unwrap();
    stream.write_all(GET).unwrap();
    until("the request is there", || secured.served.handle.telemetry().routes().iter().any(|_| true));
    drop(stream);
    until("the connection ends", || secured.served.handle.connections() == 0);
}

#[test]
fn raw_tcp_is_carried_inside_tls() {
    let (made, site) = (Certificates::make(), folder(&[("f", &content(100_000))]));
    let tls = ServerTls::from_settings("raw", &settings(&made, &["server"])).unwrap();
    let server = Server::new(Settings::default(), vec![bind()], vec![]);
    let server = server.with_tls_port(bind(), Some(tls), Service::file(site.path().join("f")));
    let port = server.handle().ports()[0].addr();
    let _served = Served::running(server);
    let mut stream = TlsClient::new(&made).alpn(&["x"]).connect(port, "127.0.0.1").unwrap();
    let mut got = Vec::new();
    stream.read_to_end(&mut got).unwrap();
    assert!(got == content(100_000));
}
