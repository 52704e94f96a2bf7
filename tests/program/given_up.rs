//! What the log says of readers that were given up: enough, and not more.

use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};

use crate::fixture::{Program, site, soon, text};
use crate::logs::records;

/// One that asks and does not read, from an address of this machine.
fn deaf(from: [u8; 4], addr: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&addr.into()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.write_all(b"GET /a.bin HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    stream
}

#[test]
fn some_lines_of_single_connections_and_one_of_each_client() {
    let site = site(1_000_000);
    let flags = ["--send-buffer", "4k", "--stall-timeout", "300ms", "--max-connections", "100"];
    let program = Program::start(&[&["serve", text(site.path())], &flags[..]].concat());
    let (one, other) = ([127, 0, 0, 1], [127, 0, 0, 2]);
    let readers: Vec<_> = (0..30).map(|n| deaf(if n < 25 { one } else { other }, program.addr())).collect();
    for reader in &readers {
        let error = soon("it is reset", || reader.take_error().unwrap());
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
    let log = program.end();

    let value = |record: &[(String, String)], name: &str| {
        let found = record.iter().find(|(field, _)| field == name);
        found.unwrap_or_else(|| panic!("{name} in {record:?}")).1.clone()
    };
    let number = |record: &[(String, String)], name: &str| value(record, name).parse::<u64>().unwrap();
    let single = records(&log, "the reader takes nothing, or too little: connection reset");
    assert_eq!(single.len(), 20, "{log}");
    for record in &single {
        assert_eq!((value(record, "route").as_str(), number(record, "buffered")), ("/", 65_536));
        assert!(number(record, "bytes_dropped") >= 65_536 && number(record, "bytes_written") > 0);
        assert!(number(record, "age_ms") >= 300 && number(record, "fd") > 2);
        assert!((1..=30).contains(&number(record, "connection")));
        assert!(value(record, "client").parse::<SocketAddr>().is_ok());
    }
    let clients = records(&log, "readers given up");
    let told: Vec<_> =
        clients.iter().map(|record| (value(record, "client"), number(record, "connections"))).collect();
    assert_eq!(told, [("127.0.0.1".to_owned(), 25), ("127.0.0.2".to_owned(), 5)]);
    assert!(clients.iter().all(|record| number(record, "bytes_dropped") >= 5 * 65_536), "{clients:?}");
}
