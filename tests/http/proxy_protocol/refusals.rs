//! Connections that get no further than their header.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use sluicegate::http::server::Settings;
use sluicegate::proxy_protocol::{HeaderReason, ProxyVersion};
use testkit::folder::folder;
use testkit::served::{Served, connect, files};
use testkit::wait::until;
use testkit::wire;

use super::{announcing, behind_proxies, connect_announcing, echo, trusting};

/// Whether the connection ends without a byte, by a close or a reset.
fn is_over(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0]) {
        Ok(read) => read == 0,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

fn refused(served: &Served, reason: HeaderReason) -> u64 {
    served.handle.proxy_headers().failed(reason)
}

#[test]
fn a_stranger_is_refused_whatever_it_sends() {
    let served = behind_proxies(trusting(&["10.0.0.0/8", "127.0.0.2"]), None, vec![echo()]);
    let header = announcing(ProxyVersion::V2, "10.0.0.1:5");
    for (n, bytes) in [&header[..], b"GET / HTTP/1.1\r\nHost: t\r\n\r\n", b""].into_iter().enumerate() {
        let mut stream = connect(served.addr);
        // It may be closed by then.
        let _ = stream.write_all(bytes);
        assert!(is_over(&mut stream), "{n}");
        until("it is counted", || refused(&served, HeaderReason::Untrusted) == n as u64 + 1);
    }
    let mut trusted = testkit::served::connect_from([127, 0, 0, 2], served.addr);
    trusted.write_all(&[&header[..], b"GET / HTTP/1.1\r\nHost: t\r\n\r\n"].concat()).unwrap();
    assert_eq!(wire::answer(trusted).status(), 200);
    assert_eq!(served.handle.telemetry().connections_accepted(), 1);
}

#[test]
fn what_is_no_header_closes_the_connection_and_is_counted_by_its_reason() {
    use HeaderReason::{Closed, Malformed, Missing, TooLong, Truncated};
    let served = behind_proxies(trusting(&["127.0.0.1"]), None, vec![echo()]);
    let v2 = announcing(ProxyVersion::V2, "192.0.2.1:5");
    let v1 = announcing(ProxyVersion::V1, "192.0.2.1:5");
    let mut unknown_family = v2.clone();
    unknown_family[13] = 0x41;
    let mut too_short = v2.clone();
    too_short[15] = 11;
    let mut too_long = v2.clone();
    too_long[14] = 0xff;
    for (bytes, reason) in [
        (&b"GET / HTTP/1.1\r\nHost: t\r\n\r\n"[..], Missing),
        (&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, 0, 0, 0, 0, 0], Missing),
        (b"", Closed),
        (b"PROXY", Truncated),
        (&v1[..v1.len() - 1], Truncated),
        (&v2[..12], Truncated),
        (&v2[..v2.len() - 1], Truncated),
        (&unknown_family, Malformed),
        (&too_short, Malformed),
        (b"PROXY TCP4 192.0.2.1 198.51.100.7 5 x\r\n", Malformed),
        (&too_long, TooLong),
        (&[b"PROXY UNKNOWN ", &[b'x'; 200][..]].concat(), TooLong),
    ] {
        let before = refused(&served, reason);
        let mut stream = connect(served.addr);
        stream.write_all(bytes).unwrap();
        let _ = stream.shutdown(Shutdown::Write);
        assert!(is_over(&mut stream), "{:?}", bytes.escape_ascii());
        until("it is counted", || refused(&served, reason) == before + 1);
    }
    until("no connection is left", || served.handle.connections() == 0);
    assert_eq!(served.handle.proxy_headers().done(), 0);
}

#[test]
fn a_header_that_does_not_come_is_waited_for_in_its_bounds_and_delays_nobody() {
    let site = folder(&[("f", b"x")]);
    let settings = Settings { header_timeout: Duration::from_millis(300), ..trusting(&["127.0.0.1"]) };
    let served = behind_proxies(settings, None, vec![files(&site, 0)]);
    let mut silent: Vec<_> = (0..20).map(|_| connect(served.addr)).collect();
    silent[0].write_all(b"PROXY TCP4 192.0.2.1").unwrap();
    silent[1].write_all(&announcing(ProxyVersion::V2, "192.0.2.1:5")[..20]).unwrap();
    let mut stream = connect_announcing(served.addr, ProxyVersion::V1, "192.0.2.1:5");
    stream.write_all(b"GET /f HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    assert_eq!(wire::answer(stream).body, b"x");
    for mut stream in silent {
        assert!(is_over(&mut stream));
    }
    until("all are counted", || refused(&served, HeaderReason::Timeout) == 20);
}

/// More than may be read at a time, all of one proxy.
#[test]
fn silent_connections_keep_their_turns_for_a_second_while_others_wait() {
    let site = folder(&[("f", b"x")]);
    let served = behind_proxies(trusting(&["127.0.0.1"]), None, vec![files(&site, 0)]);
    let silent: Vec<_> = (0..600).map(|_| connect(served.addr)).collect();
    until("all are counted as connections", || {
        served.handle.connections() as u64 + refused(&served, HeaderReason::Crowded) == 600
    });
    let mut stream = connect_announcing(served.addr, ProxyVersion::V2, "192.0.2.1:5");
    stream.write_all(b"GET /f HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    assert_eq!(wire::answer(stream).body, b"x");
    assert_eq!(refused(&served, HeaderReason::Timeout), 0, "nobody had to wait that long");
    drop(silent);
}

#[test]
fn a_header_that_does_not_come_holds_up_no_drain() {
    let served = behind_proxies(trusting(&["127.0.0.1"]), None, vec![echo()]);
    let mut silent = connect(served.addr);
    until("it is accepted", || served.handle.connections() == 1);
    let began = Instant::now();
    served.handle.drain();
    assert!(is_over(&mut silent));
    served.join();
    assert!(began.elapsed() < Duration::from_secs(15), "header_timeout and drain are 30 s");
}
