//! Client certificates out of their time: each is refused with an alert and a line, and nobody else notices.

use std::io::{Read, Write};
use std::net::SocketAddr;

use rustls::version::{TLS12, TLS13};
use testkit::certificates::Certificates;
use testkit::program::{Program, command, log_until};
use testkit::records::records;
use testkit::served::connect;
use testkit::tls::TlsClient;
use testkit::wire::{self, Client};

fn said(program: &Program, words: &str) -> SocketAddr {
    let line = program.started.iter().find_map(|line| line.strip_prefix(words));
    line.unwrap_or_else(|| panic!("no {words}")).split(' ').next().unwrap().parse().unwrap()
}

/// What the client is told, and its address.
fn refused(client: &TlsClient, addr: SocketAddr) -> (String, SocketAddr) {
    let socket = connect(addr);
    let from = socket.local_addr().unwrap();
    // With TLS 1.3 a client is done before it is refused.
    let read = client.over(socket, "127.0.0.1").and_then(|mut stream| stream.read(&mut [0]));
    (read.unwrap_err().to_string(), from)
}

#[test]
fn a_client_certificate_that_has_ended_or_not_begun_is_refused_and_harms_nobody_else() {
    let made = Certificates::make();
    made.issue_until("ended", &["client.test"], 2020);
    made.issue_with("early", &["client.test"], |params| {
        params.not_before = rcgen::date_time_ymd(4000, 1, 1);
    });
    let keys = "listen = { address = '127.0.0.1:0', tls = 'main' }
        admin = '127.0.0.1:0'
        access_log = 'stderr'
        [tls.main]
        cert = 'server.pem'
        key = 'server.key'
        client_ca = 'ca.pem'
        [[route]]
        path = '/'
        files = '.'
        [[tcp]]
        listen = '127.0.0.1:0'
        tls = 'main'
        file = 'ca.pem'\n";
    made.write("all.toml", keys);
    let mut program = Program::start_where_told(command(&["run", &made.path("all.toml")]));
    let addrs = [said(&program, "listening on https://"), said(&program, "listening on tcp:")];
    let good = TlsClient::of(&made, &[&TLS12, &TLS13], Some("client"));
    let mut kept = Client::new(good.connect(addrs[0], "127.0.0.1").unwrap());
    assert_eq!(kept.get("/ca.pem", "").status(), 200);
    log_until(&mut program, "\"response\"");
    let mut count = 0;
    for (name, error) in [("ended", "certificate expired"), ("early", "certificate not valid yet")] {
        for version in [&TLS12, &TLS13] {
            let client = TlsClient::of(&made, &[version], Some(name));
            for addr in addrs {
                let (alert, from) = refused(&client, addr);
                // RFC 8446 section 6.2 has one alert for both.
                assert!(alert.ends_with("received fatal alert: CertificateExpired"), "{name}: {alert}");
                let log = log_until(&mut program, "TLS handshake failed");
                let [line] = &records(&log, "TLS handshake failed")[..] else { panic!("{log}") };
                line.assert_says(&[
                    ("level", "info"),
                    ("peer", &from.to_string()),
                    ("tls", "main"),
                    ("reason", "client_certificate"),
                ]);
                let expected = format!("invalid peer certificate: {error}");
                assert!(line.value("error").starts_with(&expected), "{line:?}");
                assert!(records(&log, "response").is_empty() && records(&log, "stream").is_empty(), "{log}");
                count += 1;
                let metric =
                    "sluicegate_tls_handshakes_failed_total{tls=\"main\",reason=\"client_certificate\"}";
                assert_eq!(program.metric(metric), count);
            }
        }
    }
    // Whoever was there before goes on, and others come in.
    assert_eq!(kept.get("/ca.pem", "").status(), 200);
    let mut new = good.connect(addrs[0], "127.0.0.1").unwrap();
    write!(new, "GET /ca.pem HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    assert_eq!(wire::answer(new).status(), 200);
    let mut raw = Vec::new();
    good.connect(addrs[1], "127.0.0.1").unwrap().read_to_end(&mut raw).unwrap();
    assert_eq!(raw, std::fs::read(made.at("ca.pem")).unwrap());
    let log = program.end();
    assert_eq!((records(&log, "response").len(), records(&log, "stream").len()), (2, 1), "{log}");
}
