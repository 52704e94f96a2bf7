//! Clients that are told apart by the certificates that they show.

use std::io::{Read, Write};

use sluicegate::budget::ClientKey;
use sluicegate::http::SharedLimits;
use sluicegate::http::UploadLimits;
use sluicegate::http::server::{Server, Settings};
use sluicegate::limit::{Budget, Rate};
use sluicegate::rt;
use sluicegate::tcp::Service;
use sluicegate::tls::{ClientTls, Identity, ServerTls, TlsSettings};
use testkit::backend::Backend;
use testkit::certificates::Certificates;
use testkit::folder::folder;
use testkit::served::{Served, connect, files};
use testkit::tls::TlsClient;
use testkit::wait::{soon, until};
use testkit::wire;

use super::{Secured, bind, settings};

const V13: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13];
const GET: &[u8] = b"GET /f HTTP/1.1\r\nHost: t\r\n\r\n";

/// The SHA-256 of `client`, as `printf client | sha256sum` prints it.
const CLIENT: &str = "948fe603f61dc036b5c596dc09fe3ce3f3d30dc90f024c85f3c82db2ccab679d";

/// Settings whose clients are told apart by `key`, with limits that nobody reaches.
fn keyed(key: &str) -> Settings {
    let ample = Budget::of(Rate::or_unlimited(1 << 30));
    let upload = UploadLimits { client: ample, ..UploadLimits::default() };
    let limits = SharedLimits { key: key.parse().unwrap(), client: ample, upload, ..SharedLimits::default() };
    Settings { limits, ..Settings::default() }
}

/// TLS that asks for certificates of the authority.
fn asking(made: &Certificates) -> TlsSettings {
    settings(made, &["server"]).client_ca(Some(&made.at("ca.pem")))
}

/// The key of the certificate `NAME.pem`.
fn key_of(made: &Certificates, name: &str) -> ClientKey {
    let tls = ServerTls::from_settings("", &settings(made, &[name])).unwrap();
    ClientKey::certificate(&tls.certificates()[0].fingerprint).unwrap()
}

/// Who is charged for the only transfer under way.
fn charged(served: &Served) -> ClientKey {
    soon("one transfer", || {
        let reports = served.handle.connections_after(0, 10, 10);
        let mut transfers: Vec<_> = reports.into_iter().flat_map(|report| report.transfers).collect();
        transfers.pop().filter(|transfer| transfers.is_empty() && transfer.status.is_some())
    })
    .client
}

/// Ends a transfer: the next one is the only one then.
fn end(stream: impl Sized, served: &Served) {
    drop(stream);
    until("there is no transfer", || {
        let reports = served.handle.connections_after(0, 10, 10);
        reports.iter().all(|report| report.transfers.is_empty())
    });
}

#[test]
fn requests_are_charged_to_the_certificate_of_their_connection_or_to_its_name() {
    let (made, site) = (Certificates::make(), folder(&[("f", &[b'x'; 100_000])]));
    let [first, other] = ["client", "other"].map(|name| {
        made.issue(name, &["client.test"]);
        (name, key_of(&made, name))
    });
    let name = ClientKey::certificate(CLIENT).unwrap();
    for (key, expected) in [("certificate", first.1.clone()), ("certificate_name", name.clone())] {
        let secured = Secured::with(keyed(key), &asking(&made), vec![files(&site, 10_000)]);
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let client = TlsClient::of(&made, &[version], Some("client"));
            for kind in [rustls::HandshakeKind::Full, rustls::HandshakeKind::Resumed] {
                let mut stream = client.connect(secured.addr(), "127.0.0.1").unwrap();
                stream.write_all(GET).unwrap();
                stream.read_exact(&mut [0; 100]).unwrap();
                assert_eq!(stream.conn.handshake_kind(), Some(kind), "{version:?}");
                assert_eq!(charged(&secured.served), expected, "{key} {version:?} {kind:?}");
                end(stream, &secured.served);
            }
        }
        rt::block_on(async {
            let identity = Identity { certificate: made.at("client.pem"), key: made.at("client.key") };
            let tls = ClientTls::new(&made.at("ca.pem"), Some(&identity)).unwrap();
            let port = secured.addr().port();
            let to = rt::Connect { host: "127.0.0.1".to_owned(), port, receive_buffer: None };
            let stream = tls.connect("127.0.0.1", rt::connect(&to).await.unwrap()).await.unwrap();
            let mut sender = testkit::h2::over(stream, testkit::h2::WIDE).await;
            let _answer = testkit::h2::get(&mut sender, "/f").await;
            assert_eq!(charged(&secured.served), expected, "{key}");
        });
        end((), &secured.served);
        let mut stream =
            TlsClient::of(&made, V13, Some(other.0)).connect(secured.addr(), "127.0.0.1").unwrap();
        stream.write_all(GET).unwrap();
        stream.read_exact(&mut [0; 100]).unwrap();
        let charged = charged(&secured.served);
        assert!(charged != expected && (charged == other.1) == (key == "certificate"), "{key}");
    }
    // A renewed certificate is another, of the same name.
    made.issue("client", &["client.test"]);
    assert_ne!(key_of(&made, "client"), first.1);
    let by_name = Secured::with(keyed("certificate_name"), &asking(&made), vec![files(&site, 10_000)]);
    let client = TlsClient::of(&made, V13, Some("client"));
    let mut stream = client.connect(by_name.addr(), "127.0.0.1").unwrap();
    stream.write_all(GET).unwrap();
    assert_eq!(charged(&by_name.served), name);
}

#[test]
fn a_client_that_showed_none_is_charged_by_its_address() {
    let (made, site) = (Certificates::make(), folder(&[("f", &[b'x'; 100_000])]));
    for key in ["certificate", "certificate_name"] {
        let secured = Secured::with(keyed(key), &settings(&made, &["server"]), vec![files(&site, 10_000)]);
        // It has one, and is not asked for it.
        let client = TlsClient::of(&made, V13, Some("client"));
        let mut stream = client.connect(secured.addr(), "127.0.0.1").unwrap();
        stream.write_all(GET).unwrap();
        assert_eq!(charged(&secured.served), ClientKey::V4([127, 0, 0, 1].into()), "{key}");
        let plain = Served::with(keyed(key), vec![files(&site, 10_000)]);
        let mut stream = connect(plain.addr);
        stream.write_all(GET).unwrap();
        assert_eq!(charged(&plain), ClientKey::V4([127, 0, 0, 1].into()), "{key}");
    }
}

#[test]
fn a_proxys_certificate_is_not_that_of_the_clients_it_names() {
    let (made, site) = (Certificates::make(), folder(&[("f", &[b'x'; 100_000])]));
    let trusted = ["127.0.0.1".parse().unwrap()].into_iter().collect();
    let behind = Settings { trusted, ..keyed("certificate") };
    let secured = Secured::with(behind, &asking(&made), vec![files(&site, 10_000)]);
    for (fields, expected) in [
        ("X-Forwarded-For: 192.0.2.1\r\n", ClientKey::V4([192, 0, 2, 1].into())),
        ("", key_of(&made, "client")),
    ] {
        let client = TlsClient::of(&made, V13, Some("client"));
        let mut stream = client.connect(secured.addr(), "127.0.0.1").unwrap();
        write!(stream, "GET /f HTTP/1.1\r\nHost: t\r\n{fields}\r\n").unwrap();
        assert_eq!(charged(&secured.served), expected, "{fields}");
        end(stream, &secured.served);
    }
}

#[test]
fn uploads_and_streams_of_raw_tcp_are_charged_to_it_too() {
    let (made, site) = (Certificates::make(), folder(&[("f", &[b'x'; 100_000])]));
    let client = TlsClient::of(&made, V13, Some("client"));
    let expected = key_of(&made, "client");
    let known = |clients: &sluicegate::budget::Clients| -> Vec<ClientKey> {
        clients.known(10).into_iter().map(|(key, _)| key).collect()
    };

    let backend = Backend::new(|stream, _| {
        stream.read_exact(&mut [0; 1000]).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
    });
    let mut limits = keyed("certificate");
    // A client is forgotten once its burst is whole again, here in ten seconds.
    limits.limits.upload.client = Budget { burst: 10_000, ..Budget::of(Rate::or_unlimited(100)) };
    let secured = Secured::with(limits, &asking(&made), vec![backend.route(0)]);
    let mut stream = client.connect(secured.addr(), "127.0.0.1").unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1000\r\n\r\n").unwrap();
    stream.write_all(&[0; 1000]).unwrap();
    assert_eq!(wire::answer(&mut stream).body, b"ok");
    let budgets = secured.served.handle.budgets();
    assert_eq!(
        [known(budgets.uploads()), known(budgets.clients())],
        [[expected.clone()], [expected.clone()]]
    );

    let tls = ServerTls::from_settings("raw", &asking(&made)).unwrap();
    let server = Server::new(keyed("certificate"), vec![bind()], vec![]);
    let server = server.with_tls_port(bind(), Some(tls), Service::file(site.path().join("f")));
    let port = server.handle().ports()[0].addr();
    let served = Served::running(server);
    let mut got = Vec::new();
    client.connect(port, "127.0.0.1").unwrap().read_to_end(&mut got).unwrap();
    assert_eq!(got.len(), 100_000);
    assert_eq!(known(served.handle.budgets().clients()), [expected]);
}
