//! What the log says of readers that were given up: enough, and not more.

use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};

use testkit::backend::once;
use testkit::message::read_head;
use testkit::program::{Program, get, site, text};
use testkit::records::records;
use testkit::served::connect_narrow_from;
use testkit::wait::soon;

/// One that asks with further header lines and does not read, from an address of this machine.
fn deaf(from: [u8; 4], addr: SocketAddr, fields: &str) -> TcpStream {
    let mut stream = connect_narrow_from(from, addr);
    write!(stream, "GET /a.bin HTTP/1.1\r\nHost: t\r\n{fields}\r\n").unwrap();
    stream
}

#[test]
fn some_lines_of_single_connections_and_one_of_each_client() {
    let site = site(1_000_000);
    let flags = ["--send-buffer", "4k", "--stall-timeout", "300ms", "--max-connections", "100"];
    let program = Program::start(&[&["serve", text(site.path())], &flags[..]].concat());
    let (one, other) = ([127, 0, 0, 1], [127, 0, 0, 2]);
    let readers: Vec<_> =
        (0..30).map(|n| deaf(if n < 25 { one } else { other }, program.addr(), "")).collect();
    for reader in &readers {
        let error = soon("it is reset", || reader.take_error().unwrap());
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
    let log = program.end();

    let single = records(&log, "the reader takes nothing, or too little: connection reset");
    assert_eq!(single.len(), 20, "{log}");
    for record in &single {
        assert_eq!((record.value("route"), record.number("buffered")), ("/", 65_536));
        assert!(record.number("bytes_dropped") >= 65_536 && record.number("bytes_written") > 0);
        assert!(record.number("age_ms") >= 300 && record.number("fd") > 2);
        assert!((1..=30).contains(&record.number("connection")));
        assert!(record.value("client").parse::<SocketAddr>().is_ok());
    }
    let clients = records(&log, "readers given up");
    let told: Vec<_> =
        clients.iter().map(|record| (record.value("client"), record.number("connections"))).collect();
    assert_eq!(told, [("127.0.0.1", 25), ("127.0.0.2", 5)]);
    assert!(clients.iter().all(|record| record.number("bytes_dropped") >= 5 * 65_536), "{clients:?}");
}

// Its task outlives the one that served the request.
#[test]
fn a_tunnel_whose_reader_is_given_up_is_reported_too() {
    let (url, flooding) = once(|stream| {
        read_head(stream).unwrap();
        stream
            .write_all(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n")
            .unwrap();
        while stream.write_all(&[b'x'; 10_000]).is_ok() {}
    });
    let program = Program::start(&["proxy", &url, "--send-buffer", "4k", "--stall-timeout", "300ms"]);
    let fields = "Connection: upgrade\r\nUpgrade: x\r\n";
    let reader = deaf([127, 0, 0, 1], program.addr(), fields);
    let error = soon("it is reset", || reader.take_error().unwrap());
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    flooding.join().unwrap();
    let log = program.end();
    assert_eq!(records(&log, "the reader takes nothing, or too little: connection reset").len(), 1, "{log}");
    assert_eq!(records(&log, "readers given up").len(), 1, "{log}");
}

#[test]
fn each_connection_has_its_figures_at_debug() {
    let site = site(1_000_000);
    let flags = ["--log-level", "debug", "--send-buffer", "4k", "--stall-timeout", "300ms", "--rate", "off"];
    let program = Program::start(&[&["serve", text(site.path())], &flags[..]].concat());
    assert_eq!(get(program.connect(), "/a.txt", "").1.len(), 1600);
    let reader = deaf([127, 0, 0, 2], program.addr(), "");
    soon("it is reset", || reader.take_error().unwrap());
    let log = program.end();

    let ended = records(&log, "connection ended");
    let of = |client: &str| ended.iter().find(|record| record.value("client").starts_with(client)).unwrap();
    assert_eq!(ended.len(), 2, "{log}");
    let quick = of("127.0.0.1:");
    for (name, expected) in [
        ("requests", 1),
        ("bytes_read", "GET /a.txt HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n".len() as u64),
        ("bytes_dropped", 0),
        ("overflow_closes", 0),
        ("stall_closes", 0),
        ("token_wait_ms", 0),
    ] {
        assert_eq!(quick.number(name), expected, "{name}");
    }
    assert!(quick.number("bytes_written") > 1600);
    let slow = of("127.0.0.2:");
    for (name, expected) in [("requests", 1), ("stall_closes", 1), ("buffer_high_water", 65_536)] {
        assert_eq!(slow.number(name), expected, "{name}");
    }
    assert!(slow.number("would_block") > 0 && slow.number("bytes_dropped") >= 65_536);
    assert!(slow.number("reader_wait_ms") >= 300 && slow.number("age_ms") >= 300);
}
