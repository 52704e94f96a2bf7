//! Who the client of a connection is, for everything that asks.

use std::io::Write;
use std::net::SocketAddr;

use sluicegate::http::server::Settings;
use sluicegate::proxy_protocol::{ProxyVersion, header};
use sluicegate::rt;
use sluicegate::tls::{Identity, ServerTls, TlsSettings};
use testkit::certificates::Certificates;
use testkit::folder::folder;
use testkit::served::{Served, connect, files};
use testkit::tls::TlsClient;
use testkit::wait::until;
use testkit::wire::{self, Client, content, field};

use super::{VERSIONS, announcing, behind_proxies, bind, connect_announcing, echo, trusting};

/// `X-Forwarded-For` and `Forwarded` as a backend is sent them.
fn told(stream: impl std::io::Read + Write, fields: &str) -> (String, String) {
    let mut stream = stream;
    write!(stream, "GET / HTTP/1.1\r\nHost: t\r\n{fields}\r\n").unwrap();
    let head = String::from_utf8(wire::answer(stream).body).unwrap();
    let forwarded = field(&head, "forwarded").unwrap().to_owned();
    (field(&head, "x-forwarded-for").unwrap().to_owned(), forwarded)
}

#[test]
fn a_backend_is_told_of_the_announced_client_and_not_of_what_that_claims() {
    let served = behind_proxies(trusting(&["127.0.0.1", "203.0.113.0/24"]), None, vec![echo()]);
    let spoofed = "X-Forwarded-For: 6.6.6.6\r\n";
    for version in VERSIONS {
        let ask = |client: &str| told(connect_announcing(served.addr, version, client), spoofed).0;
        assert_eq!(ask("192.0.2.1:5"), "192.0.2.1");
        assert_eq!(ask("[2001:db8::1]:5"), "2001:db8::1");
        assert_eq!(ask("[::ffff:192.0.2.1]:5"), "192.0.2.1");
        // A proxy in front of the proxy.
        assert_eq!(ask("203.0.113.4:5"), "6.6.6.6, 203.0.113.4");
        // Nobody knows whose it is: the proxy's own, or of any client that its header does not name.
        let mut stream = connect(served.addr);
        stream.write_all(&header(version, None, None)).unwrap();
        assert_eq!(
            told(
                stream,
                "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nForwarded: for=6.6.6.6\r\n"
            ),
            ("127.0.0.1".to_owned(), format!("for=127.0.0.1;by=\"{}\";host=t;proto=http", served.addr))
        );
        let (_, forwarded) = told(connect_announcing(served.addr, version, "192.0.2.1:5"), "");
        assert_eq!(forwarded, format!("for=192.0.2.1;by=\"{}\";host=t;proto=http", served.addr));
    }
    assert_eq!(served.handle.proxy_headers().done(), 12);
}

#[test]
fn a_header_that_comes_byte_by_byte_or_with_the_request_loses_none_of_it() {
    let body = content(100_000);
    let site = folder(&[("f", &body)]);
    let served = behind_proxies(trusting(&["127.0.0.1"]), None, vec![files(&site, 0)]);
    let request = b"GET /f HTTP/1.1\r\nHost: t\r\n\r\nGET /f HTTP/1.1\r\nHost: t\r\n\r\n";
    for version in VERSIONS {
        let all = [&announcing(version, "[2001:db8::1]:65535")[..], request].concat();
        for piece in [1, 13, all.len()] {
            let mut stream = connect(served.addr);
            for piece in all.chunks(piece) {
                stream.write_all(piece).unwrap();
            }
            let mut client = Client::new(stream);
            for _ in 0..2 {
                assert!(client.answer().body == body, "{version} in pieces of {piece}");
            }
        }
    }
}

#[test]
fn a_header_comes_before_the_tls_handshake_of_each_protocol() {
    let made = Certificates::make();
    let identity = Identity { certificate: made.at("server.pem"), key: made.at("server.key") };
    let tls = ServerTls::from_settings("main", &TlsSettings::of(vec![identity])).unwrap();
    let served = behind_proxies(trusting(&["127.0.0.1"]), Some(tls.clone()), vec![echo()]);
    for version in VERSIONS {
        let socket = connect_announcing(served.addr, version, "192.0.2.1:5");
        let stream = TlsClient::new(&made).over(socket, "127.0.0.1").unwrap();
        let (_, forwarded) = told(stream, "");
        assert_eq!(forwarded, format!("for=192.0.2.1;by=\"{}\";host=t;proto=https", served.addr));
    }
    assert_eq!((tls.counts().done(), served.handle.proxy_headers().done()), (2, 2));
}

#[test]
fn streams_of_http2_are_the_announced_clients() {
    let served = behind_proxies(trusting(&["127.0.0.1"]), None, vec![echo()]);
    rt::block_on(async {
        let to = rt::Connect { host: "127.0.0.1".to_owned(), port: served.addr.port(), receive_buffer: None };
        let mut socket = rt::connect(&to).await.unwrap();
        let header = announcing(ProxyVersion::V2, "192.0.2.1:5");
        futures_lite::AsyncWriteExt::write_all(&mut socket, &header).await.unwrap();
        let mut sender = testkit::h2::over(socket, testkit::h2::WIDE).await;
        let answer = testkit::h2::get(&mut sender, "/").await;
        let body = http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes();
        let head = std::str::from_utf8(&body).unwrap().to_owned();
        assert_eq!(field(&head, "x-forwarded-for"), Some("192.0.2.1"));
    });
}

#[test]
fn connections_are_counted_for_announced_clients() {
    let site = folder(&[("f", &content(1 << 20))]);
    let settings = Settings { client_connections: Some(1), ..trusting(&["127.0.0.1"]) };
    let served = behind_proxies(settings, None, vec![files(&site, 100_000)]);
    let begin = |client: &str| {
        let mut stream = connect_announcing(served.addr, ProxyVersion::V2, client);
        stream.write_all(b"GET /f HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
        Client::new(stream)
    };
    let status = |client: &mut Client| {
        let mut byte = [0; 12];
        std::io::Read::read_exact(&mut client.stream, &mut byte).unwrap();
        String::from_utf8(byte[9..].to_vec()).unwrap()
    };
    let mut first = begin("192.0.2.1:5");
    assert_eq!(status(&mut first), "200");
    assert_eq!(status(&mut begin("192.0.2.1:6")), "429", "one address has one connection");
    let mut other = begin("192.0.2.2:5");
    assert_eq!(status(&mut other), "200");
    // As the admin API lists them.
    let reports = served.handle.connections_after(0, 10, 10);
    let ends: Vec<_> = reports.iter().map(|report| (report.client.to_string(), report.peer.ip())).collect();
    let proxy = Some([127, 0, 0, 1].into());
    assert_eq!(ends, [("192.0.2.1:5".to_owned(), proxy), ("192.0.2.2:5".to_owned(), proxy)]);
    assert_eq!(reports[0].transfers[0].client.to_string(), "192.0.2.1");
    drop(first);
    until("its place is free", || status(&mut begin("192.0.2.1:7")) == "200");
}

#[test]
fn a_peer_of_a_unix_socket_is_trusted_with_its_header() {
    use sluicegate::http::server::Server;
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("s");
    let listener = rt::Listener::bind_unix(&path).unwrap();
    let server = Server::new(Settings::default(), vec![bind()], vec![echo()]);
    let _served = Served::running(server.with_listener(listener, None).with_proxy_protocol());
    let mut stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
    stream.write_all(&announcing(ProxyVersion::V1, "192.0.2.1:5")).unwrap();
    assert_eq!(told(stream, ""), ("192.0.2.1".to_owned(), "for=192.0.2.1;host=t;proto=http".to_owned()));
}

#[test]
fn a_redirect_and_a_full_server_answer_behind_a_header() {
    use sluicegate::http::server::Server;
    let server = Server::new(trusting(&["127.0.0.1"]), vec![bind()], vec![echo()]);
    let server = server.with_redirect(bind(), 443).with_proxy_protocol();
    let addr: SocketAddr = server.redirect_addrs()[0];
    let _served = Served::running(server);
    let mut stream = connect_announcing(addr, ProxyVersion::V2, "192.0.2.1:5");
    stream.write_all(b"GET /a HTTP/1.1\r\nHost: files.test\r\n\r\n").unwrap();
    let answer = wire::answer(stream);
    assert_eq!((answer.status(), answer.field("location")), (308, Some("https://files.test/a")));

    let site = folder(&[("f", &content(1 << 20))]);
    let settings = Settings { max_connections: 1, ..trusting(&["127.0.0.1"]) };
    let served = behind_proxies(settings, None, vec![files(&site, 100_000)]);
    let mut busy = connect_announcing(served.addr, ProxyVersion::V2, "192.0.2.1:5");
    busy.write_all(b"GET /f HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    std::io::Read::read_exact(&mut busy, &mut [0; 12]).unwrap();
    let mut refused = connect_announcing(served.addr, ProxyVersion::V2, "192.0.2.2:5");
    refused.write_all(b"GET /f HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    assert_eq!(wire::answer(refused).status(), 503);
}
