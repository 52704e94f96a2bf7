//! Certificates that are replaced while transfers are under way.

use std::io::{Read, Write};
use std::net::SocketAddr;

use rustix::process::Signal;
use testkit::certificates::Certificates;
use testkit::message::read_head;
use testkit::program::{Program, log_until};
use testkit::tls::{TlsClient, TlsStream};
use testkit::wait::{soon, until};
use testkit::wire::{content, status};

const TRANSFERS: usize = 200;
const LENGTH: usize = 200_000;

/// A download that has begun, on a connection of its own.
fn begun(client: &TlsClient, addr: SocketAddr) -> TlsStream {
    let mut stream = client.connect(addr, "127.0.0.1").unwrap();
    stream.write_all(b"GET /f HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    assert_eq!(status(&read_head(&mut stream).unwrap()), 200);
    stream
}

/// What follows its head, all of which must come.
fn assert_whole(mut stream: TlsStream) {
    let mut body = vec![0; LENGTH];
    stream.read_exact(&mut body).unwrap();
    assert!(body == content(LENGTH));
}

#[test]
fn two_hundred_transfers_go_on_to_their_ends_while_certificates_are_swapped() {
    let made = Certificates::make();
    std::fs::write(made.at("f"), content(LENGTH)).unwrap();
    let write = |identity: &str, rate: &str| {
        let tls = format!("[tls.default]\ncert = '{identity}.pem'\nkey = '{identity}.key'\n");
        let route = format!("[[route]]\npath = '/'\nfiles = '.'\nrate = '{rate}'\n");
        made.write("all.toml", &format!("{tls}{route}"));
    };
    // At 1000 bytes a second they would take longer than all of this.
    write("server", "1000B");
    let mut program = Program::start(&["run", &made.path("all.toml"), "--log-level", "info"]);
    let line = program.started.iter().find_map(|line| line.strip_prefix("listening on https://"));
    let addr: SocketAddr = line.unwrap().parse().unwrap();
    let [older, newer] = [&rustls::version::TLS12, &rustls::version::TLS13]
        .map(|version| TlsClient::of(&made, &[version], None));
    let client = TlsClient::new(&made);
    let shows = |name: &str| client.connect(addr, name).is_ok();
    let transfers: Vec<_> = (0..TRANSFERS).map(|number| begun([&older, &newer][number % 2], addr)).collect();

    // By changed files.
    made.issue("server", &["renewed.test"]);
    soon("the files are read again", || client.connect(addr, "renewed.test").ok());
    assert!(!shows("127.0.0.1"));
    made.write("server.pem", "nothing");
    until("the wrong file is logged", || {
        assert!(shows("renewed.test"), "the one before stays");
        log_until(&mut program, "\n").contains("cannot be loaded")
    });
    assert!(shows("renewed.test"));

    // By a hang-up.
    made.issue("next", &["next.test"]);
    write("next", "1000B");
    program.signal(Signal::HUP);
    log_until(&mut program, "certificates of tls default replaced");
    assert!(shows("next.test") && !shows("renewed.test"));
    made.issue("wrong", &["wrong.test"]);
    made.write("wrong.key", &std::fs::read_to_string(made.at("next.key")).unwrap());
    write("wrong", "1000B");
    program.signal(Signal::HUP);
    let log = log_until(&mut program, "wrong.key");
    assert!(
        log.contains("not reloaded") && log.contains("the key is not that of the certificate in"),
        "{log}"
    );
    assert!(shows("next.test") && !shows("wrong.test"));

    // None has ended meanwhile, and each ends well.
    write("next", "off");
    program.signal(Signal::HUP);
    transfers.into_iter().for_each(assert_whole);
    assert!(shows("next.test"));
    program.end();
}
