//! Headers on both sides of raw TCP.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::mpsc;

use sluicegate::http::server::{Server, Settings};
use sluicegate::proxy_protocol::{ProxyVersion, header};
use testkit::served::connect;
use testkit::wait::PATIENCE;
use testkit::wire::{content, read_all};

use super::{VERSIONS, announcing, bind, trusting};
use crate::tcp::fixture::{Ported, relay_to, upstream};

/// A target that gives all that it hears, and sends `says`.
fn target(says: Vec<u8>) -> (SocketAddr, mpsc::Receiver<Vec<u8>>) {
    let (heard, hears) = mpsc::channel();
    let addr = upstream(move |mut stream| {
        stream.write_all(&says).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        heard.send(read_all(&mut stream)).unwrap();
    });
    (addr, hears)
}

#[test]
fn a_target_is_sent_the_clients_address_before_its_bytes() {
    let (down, up) = (content(300_000), content(200_000));
    for version in VERSIONS {
        let (addr, hears) = target(down.clone());
        let ported = Ported::new(relay_to(addr).send_proxy(version));
        let mut stream = ported.connect();
        let client = stream.local_addr().unwrap();
        stream.write_all(&up).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert!(read_all(&mut stream) == down);
        let expected = [header(version, Some(client), Some(ported.port)), up.clone()].concat();
        assert!(hears.recv_timeout(PATIENCE).unwrap() == expected, "{version}");
        drop(stream);
        ported.quiet();
        assert_eq!(ported.counted(), (down.len() as u64, 1, 0), "the header is not counted");
    }
}

#[test]
fn what_a_proxy_announces_is_passed_on_and_no_byte_is_lost() {
    let (down, up) = (content(300_000), content(200_000));
    for client in ["192.0.2.1:5", "[2001:db8::1]:65535"] {
        let (addr, hears) = target(down.clone());
        let server = Server::new(trusting(&["127.0.0.1"]), vec![bind()], Vec::new());
        let service = relay_to(addr).send_proxy(ProxyVersion::V2);
        let ported = Ported::of(server.with_port(bind(), service).with_proxy_protocol());
        let mut stream = ported.connect();
        stream.write_all(&[announcing(ProxyVersion::V1, client), up.clone()].concat()).unwrap();
        let report = testkit::wait::soon("the stream", || {
            ported.served.handle.connections_after(0, 1, 1).pop().filter(|report| report.protocol.is_some())
        });
        assert_eq!(report.client.to_string(), client);
        stream.shutdown(Shutdown::Write).unwrap();
        assert!(read_all(&mut stream) == down);
        let expected = [announcing(ProxyVersion::V2, client), up.clone()].concat();
        assert!(hears.recv_timeout(PATIENCE).unwrap() == expected, "{client}");
    }
}

#[test]
fn a_stranger_to_a_port_of_raw_tcp_is_refused() {
    let (addr, _hears) = target(b"never".to_vec());
    let server = Server::new(Settings::default(), vec![bind()], Vec::new());
    let ported = Ported::of(server.with_port(bind(), relay_to(addr)).with_proxy_protocol());
    let mut stream = connect(ported.port);
    assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0);
    ported.quiet();
    assert_eq!(ported.counted(), (0, 0, 0));
}
