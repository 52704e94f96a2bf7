//! Which certificate a client is shown, and which files are refused.

use std::io::Write;

use sluicegate::tls::{Reason, ServerTls, UnknownName};
use testkit::certificates::Certificates;
use testkit::folder::folder;
use testkit::served::files;
use testkit::tls::{TlsClient, TlsStream};
use testkit::wait::until;
use testkit::wire;

use super::{Secured, settings};

/// The certificate that the server showed.
fn shown(stream: &TlsStream) -> Vec<u8> {
    stream.conn.peer_certificates().unwrap()[0].to_vec()
}

#[test]
fn the_name_asked_for_chooses_the_certificate_and_the_first_is_for_addresses() {
    let (made, site) = (Certificates::make(), folder(&[("f", b"x")]));
    made.issue("a", &["a.test"]);
    made.issue("b", &["*.b.test"]);
    let names = settings(&made, &["server", "a", "b"]);
    let secured = Secured::new(&names, vec![files(&site, 0)]);
    let client = TlsClient::new(&made);
    let shown = |name| client.connect(secured.addr(), name).map(|stream| shown(&stream));
    let [server, a, b] = ["127.0.0.1", "a.test", "x.b.test"].map(|name| shown(name).unwrap());
    assert!(server != a && a != b && server != b);
    // The client refuses what it is shown by default.
    let error = shown("c.test").unwrap_err().to_string();
    assert!(error.contains("not valid for name"), "{error}");
}

#[test]
fn a_name_without_a_certificate_can_be_refused() {
    let (made, site) = (Certificates::make(), folder(&[("f", b"x")]));
    made.issue("a", &["a.test"]);
    let mut strict = settings(&made, &["a"]);
    strict.unknown_name = UnknownName::Refuse;
    let secured = Secured::new(&strict, vec![files(&site, 0)]);
    let client = TlsClient::new(&made);
    assert!(client.connect(secured.addr(), "a.test").is_ok());
    let error = client.connect(secured.addr(), "c.test").unwrap_err().to_string();
    // RFC 6066 section 3.
    assert!(error.contains("UnrecognisedName"), "{error}");
    until("it is counted", || secured.tls.counts().failed(Reason::UnknownName) == 1);
}

#[test]
fn files_that_do_not_fit_are_refused_with_their_names() {
    let made = Certificates::make();
    let refused = |change: &dyn Fn(&Certificates)| {
        made.issue("x", &["x.test"]);
        change(&made);
        ServerTls::from_settings("x", &settings(&made, &["x"])).unwrap_err().to_string()
    };
    let [certificate, key] = ["x.pem", "x.key"].map(|name| made.path(name));
    let other = std::fs::read_to_string(made.at("client.key")).unwrap();
    assert_eq!(
        refused(&|made| made.write("x.key", &other)),
        format!("TLS file {key}: the key is not that of the certificate in {certificate}")
    );
    assert_eq!(
        refused(&|made| made.set_mode("x.key", 0o644)),
        format!(
            "TLS file {key}: its mode 644 lets everyone on this machine read or write the key; run chmod o-rw {key}"
        )
    );
    assert_eq!(
        refused(&|made| made.write("x.pem", "nothing")),
        format!("TLS file {certificate}: it holds no certificate in PEM")
    );
    assert_eq!(
        refused(&|made| made.write("x.key", "nothing")),
        format!("TLS file {key}: it holds no private key in PEM")
    );
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let text = refused(&|made| made.write("x.pem", broken));
    assert!(
        text.starts_with(&format!("TLS file {certificate}: its first certificate cannot be read")),
        "{text}"
    );
}

#[test]
fn transfers_go_on_while_certificates_are_swapped() {
    let content: Vec<u8> = (0..40_000).map(|at| (at % 251) as u8).collect();
    let (made, site) = (Certificates::make(), folder(&[("f", &content)]));
    let names = settings(&made, &["server"]);
    let secured = Secured::new(&names, vec![files(&site, 20_000)]);
    let client = TlsClient::new(&made);
    let mut streams: Vec<_> = (0..50)
        .map(|_| {
            let mut stream = client.connect(secured.addr(), "127.0.0.1").unwrap();
            stream.write_all(b"GET /f HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
            stream
        })
        .collect();
    let before = secured.tls.certificates();
    for _ in 0..5 {
        made.issue("server", &["127.0.0.1"]);
        let next = ServerTls::from_settings("next", &names).unwrap();
        assert!(secured.tls.differs(&next));
        secured.tls.adopt(&next);
        assert!(client.connect(secured.addr(), "127.0.0.1").is_ok());
    }
    assert_ne!(secured.tls.certificates(), before);
    assert!(streams.iter_mut().all(|stream| wire::answer(stream).body == content));
}
