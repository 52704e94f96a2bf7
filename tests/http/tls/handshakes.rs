//! Handshakes: protocols, clients' certificates, and clients that do not get through.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sluicegate::http::server::{Server, Settings};
use sluicegate::tls::{Reason, ServerTls, TlsSettings};
use testkit::certificates::Certificates;
use testkit::folder::folder;
use testkit::served::{Served, connect, connect_from, files};
use testkit::tls::TlsClient;
use testkit::wait::until;
use testkit::wire;

use super::{Secured, bind, settings};

#[test]
fn the_protocol_is_agreed_on_in_the_handshake() {
    let (made, site) = (Certificates::make(), folder(&[("f", b"x")]));
    let secured = Secured::new(&settings(&made, &["server"]), vec![files(&site, 0)]);
    for (offered, expected) in [
        (&["h2", "http/1.1"][..], Some("h2")),
        (&["http/1.1", "h2"], Some("h2")),
        (&["http/1.1"], Some("http/1.1")),
        (&[], None),
    ] {
        let stream = TlsClient::new(&made).alpn(offered).connect(secured.addr(), "127.0.0.1").unwrap();
        let agreed = stream.conn.alpn_protocol().map(|name| std::str::from_utf8(name).unwrap());
        assert_eq!(agreed, expected, "{offered:?}");
    }
    let error = TlsClient::new(&made).alpn(&["spdy"]).connect(secured.addr(), "127.0.0.1").unwrap_err();
    assert!(error.to_string().contains("NoApplicationProtocol"), "{error}");
    until("it is counted", || secured.tls.counts().failed(Reason::NothingShared) == 1);
}

/// The client's own first is AES-256.
#[test]
fn the_servers_order_of_ciphers_counts_and_aes_128_is_its_first() {
    use rustls::CipherSuite as Suite;
    let (made, site) = (Certificates::make(), folder(&[("f", b"x")]));
    let secured = Secured::new(&settings(&made, &["server"]), vec![files(&site, 0)]);
    for (version, expected) in [
        (&rustls::version::TLS12, Suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
        (&rustls::version::TLS13, Suite::TLS13_AES_128_GCM_SHA256),
    ] {
        let stream = TlsClient::of(&made, &[version], None).connect(secured.addr(), "127.0.0.1").unwrap();
        assert_eq!(stream.conn.negotiated_cipher_suite().unwrap().suite(), expected);
    }
}

#[test]
fn sessions_resume_with_tickets() {
    let (made, site) = (Certificates::make(), folder(&[("f", b"x")]));
    let secured = Secured::new(&settings(&made, &["server"]), vec![files(&site, 0)]);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let client = TlsClient::of(&made, &[version], None);
        let kinds: Vec<_> = (0..2)
            .map(|_| {
                let mut stream = client.connect(secured.addr(), "127.0.0.1").unwrap();
                stream.write_all(b"GET /f HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
                assert_eq!(wire::answer(&mut stream).body, b"x");
                stream.conn.handshake_kind().unwrap()
            })
            .collect();
        assert_eq!(kinds, [rustls::HandshakeKind::Full, rustls::HandshakeKind::Resumed], "{version:?}");
    }
}

#[test]
fn clients_need_a_certificate_of_the_authority_if_one_is_set() {
    let (made, foreign, site) = (Certificates::make(), Certificates::make(), folder(&[("f", b"x")]));
    let asking = settings(&made, &["server"]).client_ca(Some(&made.at("ca.pem")));
    let secured = Secured::new(&asking, vec![files(&site, 0)]);
    let ask = |client: TlsClient| {
        let mut stream = client.connect(secured.addr(), "127.0.0.1")?;
        stream.write_all(b"GET /f HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        std::io::Result::Ok(answer)
    };
    let versions = [&rustls::version::TLS13];
    assert!(ask(TlsClient::of(&made, &versions, Some("client"))).unwrap().ends_with("\r\n\r\nx"));
    let without = ask(TlsClient::new(&made)).unwrap_err().to_string();
    assert!(without.contains("CertificateRequired"), "{without}");
    made.write("foreign.pem", &std::fs::read_to_string(foreign.at("client.pem")).unwrap());
    made.write("foreign.key", &std::fs::read_to_string(foreign.at("client.key")).unwrap());
    assert!(ask(TlsClient::of(&made, &versions, Some("foreign"))).is_err());
    until("both are counted", || secured.tls.counts().failed(Reason::ClientCertificate) == 2);
    assert_eq!(secured.tls.counts().done(), 1);
}

#[test]
fn a_session_that_began_without_a_certificate_resumes_nowhere_that_one_is_needed() {
    let (made, site) = (Certificates::make(), folder(&[("f", b"x")]));
    let open = settings(&made, &["server"]);
    let guarded = open.clone().client_ca(Some(&made.at("ca.pem")));
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let [free, needing] = [&open, &guarded].map(|of| Secured::new(of, vec![files(&site, 0)]));
        let client = TlsClient::of(&made, &[version], None);
        let ask = |addr, name: &str| {
            let mut stream = client.connect(addr, name)?;
            write!(stream, "GET /f HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            std::io::Result::Ok(stream.conn.handshake_kind().unwrap())
        };
        use rustls::HandshakeKind::{Full, Resumed};
        let kinds = [(); 2].map(|()| ask(free.addr(), "127.0.0.1").unwrap());
        assert_eq!(kinds, [Full, Resumed], "{version:?}");
        assert!(ask(needing.addr(), "127.0.0.1").is_err(), "{version:?}");
        until("it is counted", || needing.tls.counts().failed(Reason::ClientCertificate) == 1);
        // Nor on the same listener, once one is needed there.
        free.tls.adopt(&free.tls.renewed(&guarded).unwrap());
        assert!(ask(free.addr(), "127.0.0.1").is_err(), "{version:?}");
        assert_eq!((needing.tls.counts().done(), free.tls.counts().done()), (0, 2), "{version:?}");
    }
}

#[test]
fn a_client_that_sends_nothing_is_closed_in_time_and_delays_nobody() {
    let (made, site) = (Certificates::make(), folder(&[("f", b"x")]));
    let patient =
        TlsSettings { handshake_timeout: Duration::from_millis(300), ..settings(&made, &["server"]) };
    let secured = Secured::new(&patient, vec![files(&site, 0)]);
    let mut silent: Vec<_> = (0..20).map(|_| connect(secured.addr())).collect();
    // A part of a handshake's head.
    silent[0].write_all(&[0x16, 3, 1]).unwrap();
    let mut stream = TlsClient::new(&made).connect(secured.addr(), "127.0.0.1").unwrap();
    stream.write_all(b"GET /f HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    assert_eq!(wire::answer(&mut stream).body, b"x");
    for mut socket in silent {
        assert_eq!(socket.read(&mut [0; 16]).unwrap(), 0);
    }
    assert_eq!(secured.tls.counts().failed(Reason::Timeout), 20, "counted before they are closed");
}

/// The first message of a client that asks for nothing in particular, by the byte.
fn hello() -> Vec<u8> {
    let versions = [&rustls::version::TLS12, &rustls::version::TLS13];
    let builder =
        rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let builder = builder.with_protocol_versions(&versions).unwrap();
    let config = builder.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
    let name = "127.0.0.1".try_into().unwrap();
    let mut bytes = Vec::new();
    rustls::ClientConnection::new(Arc::new(config), name).unwrap().write_tls(&mut bytes).unwrap();
    bytes
}

/// Each byte comes soon behind the one before, and the whole never.
#[test]
fn a_handshake_that_drips_is_closed_in_time_and_delays_nobody() {
    let (made, site) = (Certificates::make(), folder(&[("f", b"x")]));
    let patient =
        TlsSettings { handshake_timeout: Duration::from_millis(500), ..settings(&made, &["server"]) };
    let secured = Secured::new(&patient, vec![files(&site, 0)]);
    let hello = hello();
    let began = Instant::now();
    let mut dripping: Vec<_> = (0..50).map(|_| connect(secured.addr())).collect();
    let failed = || secured.tls.counts().failed(Reason::Timeout);
    // All but the last bytes, the whole of which takes longer than a handshake may.
    for byte in &hello[..hello.len() - 20] {
        for socket in &mut dripping {
            // It may be closed by then.
            let _ = socket.write_all(&[*byte]);
        }
        std::thread::sleep(Duration::from_millis(10));
        if failed() > 0 {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(10), "none was closed");
    }
    assert!(began.elapsed() >= Duration::from_millis(500), "{:?}", began.elapsed());
    let mut stream = TlsClient::new(&made).connect(secured.addr(), "127.0.0.1").unwrap();
    stream.write_all(b"GET /f HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    assert_eq!(wire::answer(&mut stream).body, b"x");
    until("all are closed", || failed() == 50);
    assert_eq!(secured.tls.counts().done(), 1);
    drop(stream);
    until("no connection is left", || secured.served.handle.connections() == 0);
}

#[test]
fn failures_are_counted_by_their_reason() {
    let (made, foreign, site) = (Certificates::make(), Certificates::make(), folder(&[("f", b"x")]));
    let secured = Secured::new(&settings(&made, &["server"]), vec![files(&site, 0)]);
    let failed = |reason| secured.tls.counts().failed(reason);
    let mut plain = connect(secured.addr());
    plain.write_all(b"GET /f HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    plain.read_to_end(&mut answer).unwrap();
    until("plain HTTP is counted", || failed(Reason::NotTls) == 1);
    drop(connect(secured.addr()));
    until("a client that left is counted", || failed(Reason::Closed) == 1);
    // It does not trust the server's authority, and says so.
    assert!(TlsClient::new(&foreign).connect(secured.addr(), "127.0.0.1").is_err());
    until("an alert is counted", || failed(Reason::Refused) == 1);
    assert_eq!(secured.tls.counts().done(), 0);
}

#[test]
fn a_client_without_a_place_is_told_so_inside_tls() {
    let (made, site) = (Certificates::make(), folder(&[("f", b"x")]));
    let server = Settings { client_connections: Some(1), ..Settings::default() };
    let secured = Secured::with(server, &settings(&made, &["server"]), vec![files(&site, 0)]);
    let client = TlsClient::new(&made);
    let ask = || {
        let mut stream = client.connect(secured.addr(), "127.0.0.1").unwrap();
        stream.write_all(b"GET /f HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
        let status = wire::answer(&mut stream).status();
        (stream, status)
    };
    let (_first, served) = ask();
    assert_eq!((served, ask().1), (200, 429));
}

#[test]
fn clients_that_send_nothing_keep_their_turns_for_a_second_while_others_wait() {
    let (made, site) = (Certificates::make(), folder(&[("f", b"x")]));
    let secured = Secured::new(&settings(&made, &["server"]), vec![files(&site, 0)]);
    // More than there may be handshakes at a time.
    let silent: Vec<_> = (0..600).map(|_| connect(secured.addr())).collect();
    until("the first lose their turns", || secured.tls.counts().failed(Reason::Crowded) > 0);
    let mut stream = TlsClient::new(&made).connect(secured.addr(), "127.0.0.1").unwrap();
    stream.write_all(b"GET /f HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    assert_eq!(wire::answer(&mut stream).body, b"x");
    assert_eq!(secured.tls.counts().failed(Reason::Timeout), 0, "nobody had to wait that long");
    drop(silent);
}

/// Those of one address came first, and in line they would take longer than a handshake may.
#[test]
fn a_crowd_of_one_address_delays_another_by_a_second_at_most() {
    let (made, site) = (Certificates::make(), folder(&[("f", b"x")]));
    let quick = TlsSettings { handshake_timeout: Duration::from_secs(4), ..settings(&made, &["server"]) };
    let secured = Secured::new(&quick, vec![files(&site, 0)]);
    let silent: Vec<_> = (0..3_500).map(|_| connect(secured.addr())).collect();
    let socket = connect_from([127, 0, 0, 2], secured.addr());
    let mut stream = TlsClient::new(&made).over(socket, "127.0.0.1").unwrap();
    stream.write_all(b"GET /f HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    assert_eq!(wire::answer(&mut stream).body, b"x");
    until("others lose their turns", || secured.tls.counts().failed(Reason::Crowded) > 0);
    drop(silent);
}

/// What each sends keeps it from being idle, and not in its place.
#[test]
fn a_crowd_that_drips_keeps_its_turns_for_a_second_while_others_wait() {
    let (made, site) = (Certificates::make(), folder(&[("f", b"x")]));
    let secured = Secured::new(&settings(&made, &["server"]), vec![files(&site, 0)]);
    let (hello, is_over) = (hello(), AtomicBool::new(false));
    // More than there may be handshakes at a time.
    let mut crowd: Vec<_> = (0..700).map(|_| connect(secured.addr())).collect();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for byte in hello[..hello.len() - 20].iter().take_while(|_| !is_over.load(Ordering::Relaxed)) {
                for socket in &mut crowd {
                    let _ = socket.write_all(&[*byte]);
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        until("the first lose their turns", || secured.tls.counts().failed(Reason::Crowded) > 0);
        for _ in 0..5 {
            let socket = connect_from([127, 0, 0, 2], secured.addr());
            let mut stream = TlsClient::new(&made).over(socket, "127.0.0.1").unwrap();
            stream.write_all(b"GET /f HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
            assert_eq!(wire::answer(&mut stream).body, b"x");
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert_eq!(secured.tls.counts().done(), 5);
}

#[test]
fn a_crowd_before_one_listener_takes_no_turn_of_another() {
    let (made, site) = (Certificates::make(), folder(&[("f", b"x")]));
    let tls = ServerTls::from_settings("main", &settings(&made, &["server"])).unwrap();
    let server = Server::new(Settings::default(), vec![], vec![files(&site, 0)]);
    let server = server.with_listener(bind(), Some(tls.clone())).with_listener(bind(), Some(tls.clone()));
    let [crowded, other] = server.local_addrs()[..] else { panic!() };
    let served = Served::running(server);
    // As many as there may be at a time.
    let silent: Vec<_> = (0..512).map(|_| connect(crowded)).collect();
    until("all are accepted", || served.handle.connections() == 512);
    let mut stream = TlsClient::new(&made).connect(other, "127.0.0.1").unwrap();
    stream.write_all(b"GET /f HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    assert_eq!(wire::answer(&mut stream).body, b"x");
    assert_eq!(tls.counts().failed(Reason::Crowded), 0);
    drop(silent);
}

/// With TLS 1.2 the client's request comes only when the end of the handshake has reached it.
#[test]
fn a_request_behind_a_handshake_that_ends_while_the_server_drains_is_served() {
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let (made, site) = (Certificates::make(), folder(&[("f", b"x")]));
        let secured = Secured::new(&settings(&made, &["server"]), vec![files(&site, 0)]);
        let client = TlsClient::of(&made, &[version], None);
        let mut stream = client.begin(connect(secured.addr()), "127.0.0.1").unwrap();
        stream.sock.peek(&mut [0]).unwrap();
        secured.served.handle.drain();
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).unwrap();
        }
        until("the server's end is there", || secured.tls.counts().done() == 1);
        // What the way takes.
        std::thread::sleep(Duration::from_millis(100));
        stream.write_all(b"GET /f HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
        assert_eq!(wire::answer(&mut stream).body, b"x", "{version:?}");
    }
}

#[test]
fn a_client_whose_handshake_ended_and_that_asks_nothing_holds_up_no_drain() {
    let (made, site) = (Certificates::make(), folder(&[("f", b"x")]));
    let secured = Secured::new(&settings(&made, &["server"]), vec![files(&site, 0)]);
    let mut stream = TlsClient::new(&made).connect(secured.addr(), "127.0.0.1").unwrap();
    until("the handshake has ended", || secured.tls.counts().done() == 1);
    secured.served.handle.drain();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "an announced end");
}
