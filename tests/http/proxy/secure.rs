//! Backends over TLS.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use sluicegate::config::ProxySource;
use sluicegate::proxy_protocol::{ProxyVersion, header};
use sluicegate::tls::Identity;
use testkit::certificates::Certificates;

use super::fixture::{Backend, Front, answer, field, patient, read_exact, read_head, status};

type Secured = StreamOwned<ServerConnection, TcpStream>;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A backend that does `script` with each connection, once its handshake is done, on a thread of its own. It has the
/// certificate `name`, and asks clients for one if `asks`.
fn backend(
    made: &Certificates,
    name: &str,
    asks: bool,
    script: impl Fn(&mut Secured) + Send + Sync + 'static,
) -> SocketAddr {
    backend_after(|_| {}, made, name, asks, script)
}

/// The same that does `first` with each connection before its handshake.
fn backend_after(
    first: impl Fn(&mut TcpStream) + Send + Sync + 'static,
    made: &Certificates,
    name: &str,
    asks: bool,
    script: impl Fn(&mut Secured) + Send + Sync + 'static,
) -> SocketAddr {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let builder = if asks {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(made.at("ca.pem")).unwrap()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
        builder.with_client_cert_verifier(verifier.unwrap())
    } else {
        builder.with_no_client_auth()
    };
    let chain = CertificateDer::from_pem_file(made.at(&format!("{name}.pem"))).unwrap();
    let key = PrivateKeyDer::from_pem_file(made.at(&format!("{name}.key"))).unwrap();
    let mut config = builder.with_single_cert(vec![chain], key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let (config, both) = (Arc::new(config), Arc::new((first, script)));
    Backend::new(move |listener: &TcpListener| {
        // Ends with the test process.
        while let Ok((socket, _)) = listener.accept() {
            let (config, both) = (Arc::clone(&config), Arc::clone(&both));
            std::thread::spawn(move || {
                let (first, script) = &*both;
                let session = ServerConnection::new(config).unwrap();
                let mut socket = patient(socket);
                first(&mut socket);
                let mut stream = StreamOwned::new(session, socket);
                while stream.conn.is_handshaking() {
                    if stream.conn.complete_io(&mut stream.sock).is_err() {
                        // A close with bytes unread would be a reset, which can overtake the alert.
                        let _ = stream.sock.shutdown(std::net::Shutdown::Write);
                        while stream.sock.read(&mut [0; 1024]).is_ok_and(|len| len > 0) {}
                        return;
                    }
                }
                script(&mut stream);
            });
        }
    })
    .addr
}

/// The backend at `host` and the port of `addr`, which the authority of `made` vouches for.
fn source(made: &Certificates, host: &str, addr: SocketAddr) -> ProxySource {
    let mut source = ProxySource::new(format!("https://{host}:{}", addr.port()).parse().unwrap());
    source.tls.ca = Some(made.at("ca.pem"));
    source
}

fn announce_end(stream: &mut Secured) {
    stream.conn.send_close_notify();
    while stream.conn.wants_write() {
        stream.conn.write_tls(&mut stream.sock).unwrap();
    }
}

/// Answers each request on a connection.
fn answering(stream: &mut Secured) {
    while !read_head(stream).is_empty() {
        stream.write_all(OK).unwrap();
    }
}

#[test]
fn a_backend_is_asked_by_name_over_http11_and_its_connections_are_kept() {
    let made = Certificates::make();
    made.issue("named", &["localhost"]);
    let addr = backend(&made, "named", false, |stream| {
        for count in 1.. {
            let head = read_head(stream);
            let Some(host) = field(&head, "host") else { return };
            let (name, protocol) = (stream.conn.server_name(), stream.conn.alpn_protocol());
            let protocol = String::from_utf8_lossy(protocol.unwrap());
            let body = format!("{count} {} {protocol} {host}", name.unwrap());
            let length = body.len();
            write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}").unwrap();
        }
    });
    let front = Front::new(source(&made, "localhost", addr));
    let expected = |count| format!("{count} localhost http/1.1 localhost:{}", addr.port());
    assert_eq!(front.get().1, expected(1));
    for _ in 0..1000 {
        let (_, body) = front.get();
        if body == expected(2) {
            return;
        }
        assert_eq!(body, expected(1));
    }
    panic!("no connection was ever used twice");
}

#[test]
fn a_proxy_header_comes_before_the_handshake_and_its_connection_serves_one_request() {
    let made = Certificates::make();
    let (begun, begins) = mpsc::channel();
    let read = move |stream: &mut TcpStream| {
        let mut header = [0; 28];
        stream.read_exact(&mut header).unwrap();
        begun.send(header).unwrap();
    };
    let addr = backend_after(read, &made, "server", false, |stream| {
        assert_eq!(field(&read_head(stream), "connection"), Some("close"));
        stream.write_all(OK).unwrap();
        assert_eq!(read_head(stream), "");
    });
    let front =
        Front::new(ProxySource { send_proxy: Some(ProxyVersion::V2), ..source(&made, "127.0.0.1", addr) });
    for _ in 0..2 {
        let mut stream = front.connect();
        let client = stream.local_addr().ok();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: front\r\nconnection: close\r\n\r\n").unwrap();
        let (head, body) = answer(&mut stream);
        assert_eq!((status(&head), body.as_str()), ("200", "ok"));
        let sent = begins.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(sent[..], header(ProxyVersion::V2, client, Some(front.addr)));
    }
}

#[test]
fn the_name_can_be_another_than_the_urls() {
    let made = Certificates::make();
    made.issue("named", &["app.test"]);
    let addr = backend(&made, "named", false, |stream| {
        assert_eq!(stream.conn.server_name(), Some("app.test"));
        answering(stream);
    });
    let mut source = source(&made, "127.0.0.1", addr);
    source.tls.name = Some("app.test".to_owned());
    assert_eq!(front_says(source), ("200".to_owned(), "ok".to_owned()));
}

fn front_says(source: ProxySource) -> (String, String) {
    let (head, body) = Front::new(source).get();
    (status(&head).to_owned(), body)
}

#[test]
fn a_certificate_that_is_not_valid_is_a_bad_gateway_and_the_log_says_why() {
    let (made, other) = (Certificates::make(), Certificates::make());
    made.issue("wrong", &["app.test", "www.test"]);
    made.issue_until("ended", &["127.0.0.1"], 2001);
    for (certificates, name, expected) in [
        (&other, "server", "unknown issuer: no trusted authority signed its certificate; set ca"),
        (
            &made,
            "wrong",
            "wrong name: its certificate is for app.test, www.test, not for 127.0.0.1; \
             set tls_name",
        ),
        (&made, "ended", "expired: its certificate has ended"),
    ] {
        let addr = backend(certificates, name, false, |_| panic!("it is sent nothing"));
        let front = Front::new(source(&made, "127.0.0.1", addr));
        let (head, body) = front.get();
        let text = "No secure connection to the upstream server can be made.\n";
        assert_eq!((status(&head), body.as_str()), ("502", text), "{name}");
        let error = front.errors().remove(0).unwrap();
        assert!(error.starts_with(&format!("TLS handshake failed: {expected}")), "{error}");
    }
}

#[test]
fn a_backend_without_tls_is_told_apart() {
    let plain = Backend::new(|listener: &TcpListener| {
        let mut stream = patient(listener.accept().unwrap().0);
        let _ = stream.read(&mut [0; 1024]);
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    });
    let made = Certificates::make();
    let front = Front::new(source(&made, "127.0.0.1", plain.addr));
    assert_eq!(status(&front.get().0), "502");
    let error = front.errors().remove(0).unwrap();
    assert!(error.contains("what it sent is not TLS; write http://"), "{error}");
}

#[test]
fn the_handshake_is_within_the_connect_timeout() {
    let silent = Backend::new(|listener: &TcpListener| {
        let mut stream = patient(listener.accept().unwrap().0);
        while stream.read(&mut [0; 1024]).is_ok_and(|len| len > 0) {}
    });
    let made = Certificates::make();
    let mut source = source(&made, "127.0.0.1", silent.addr);
    source.connect_timeout = Duration::from_millis(100);
    assert_eq!(front_says(source).0, "504");
    silent.join();
}

#[test]
fn a_backend_that_asks_is_shown_the_clients_certificate() {
    let made = Certificates::make();
    let addr = backend(&made, "server", true, |stream| {
        let shown = stream.conn.peer_certificates().unwrap()[0].to_vec();
        let _ = read_head(stream);
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", shown.len()).unwrap();
        stream.write_all(&shown).unwrap();
    });
    let mut with = source(&made, "127.0.0.1", addr);
    assert_eq!(front_says(with.clone()).0, "502");
    with.tls.identity = Some(Identity { certificate: made.at("client.pem"), key: made.at("client.key") });
    let front = Front::new(with);
    let (head, _) = front.get();
    let certificate = CertificateDer::from_pem_file(made.at("client.pem")).unwrap();
    assert_eq!(field(&head, "content-length"), Some(certificate.len().to_string().as_str()));
}

// In TLS 1.3 the client's handshake is over before the backend has looked at its certificate.
#[test]
fn a_backend_that_refuses_the_clients_certificate_is_left_out_and_the_next_is_asked() {
    let made = Certificates::make();
    for (request, expected) in [
        ("GET / HTTP/1.1\r\nhost: f\r\nconnection: close\r\n\r\n", "200"),
        // Nothing of it was looked at.
        ("POST / HTTP/1.1\r\nhost: f\r\nconnection: close\r\ncontent-length: 0\r\n\r\n", "200"),
        // Its body cannot be had again.
        ("PUT / HTTP/1.1\r\nhost: f\r\nconnection: close\r\ncontent-length: 4\r\n\r\nbody", "502"),
    ] {
        let refusing = backend(&made, "server", true, |_| panic!("no certificate is shown"));
        let good = backend(&made, "server", false, |stream| {
            read_head(stream);
            stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok").unwrap();
            while stream.read(&mut [0; 1024]).is_ok_and(|len| len > 0) {}
        });
        let mut source = source(&made, "127.0.0.1", refusing);
        source.others = vec![format!("https://{good}").parse().unwrap()];
        let front = Front::new(source);
        let (head, _) = front.ask(request);
        assert_eq!(status(&head), expected, "{request}");
        let statuses: Vec<_> = front.proxy.upstreams().collect();
        let [first, second] = &statuses[..] else { panic!() };
        assert!(first.is_out && !second.is_out, "{statuses:?}");
        assert_eq!((first.failed_connects, second.failed_connects), (1, 0));
        let error = first.last_error.as_deref().unwrap();
        assert!(error.starts_with("TLS handshake failed: "), "{error}");
        assert_eq!(status(&front.ask(request).0), "200");
        assert_eq!(front.proxy.upstreams().next().unwrap().requests, 1, "it is not asked again");
    }
}

#[test]
fn content_up_to_a_close_is_whole_only_if_the_close_was_announced() {
    const CONTENT: &str = "11\r\nall that there is\r\n";
    for announced in [true, false] {
        let made = Certificates::make();
        let (close, closes) = std::sync::mpsc::channel::<()>();
        let closes = std::sync::Mutex::new(closes);
        let addr = backend(&made, "server", false, move |stream| {
            let _ = read_head(stream);
            stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nall that there is").unwrap();
            closes.lock().unwrap().recv().unwrap();
            if announced {
                announce_end(stream);
            }
        });
        let front = Front::new(source(&made, "127.0.0.1", addr));
        let mut client = front.connect();
        client.write_all(b"GET / HTTP/1.1\r\nhost: front\r\nconnection: close\r\n\r\n").unwrap();
        assert_eq!(status(&read_head(&mut client)), "200");
        assert_eq!(read_exact(&mut client, CONTENT.len()), CONTENT);
        close.send(()).unwrap();
        let mut rest = Vec::new();
        // What is cut short may end in a reset.
        let _ = client.read_to_end(&mut rest);
        assert_eq!(rest, if announced { &b"0\r\n\r\n"[..] } else { b"" });
    }
}

#[test]
fn both_bodies_stream_at_once_and_every_byte_arrives() {
    const SIZE: usize = 3 << 20;
    let made = Certificates::make();
    let addr = backend(&made, "server", false, |stream| {
        let _ = read_head(stream);
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {SIZE}\r\n\r\n").unwrap();
        // The answer is under way while the request is: each piece goes back when it has come.
        let (mut piece, mut left) = ([0; 8192], SIZE);
        while left > 0 {
            let len = stream.read(&mut piece).unwrap();
            assert!(len > 0, "{left} bytes are missing");
            stream.write_all(&piece[..len]).unwrap();
            left -= len;
        }
    });
    let front = Front::new(source(&made, "127.0.0.1", addr));
    let sent: Vec<u8> = (0..SIZE).map(|at| (at * 31 / 7) as u8).collect();
    let mut up = front.connect();
    write!(up, "POST / HTTP/1.1\r\nhost: f\r\nconnection: close\r\ncontent-length: {SIZE}\r\n\r\n").unwrap();
    let mut down = up.try_clone().unwrap();
    let content = sent.clone();
    let sending = std::thread::spawn(move || up.write_all(&content).unwrap());
    assert_eq!(status(&read_head(&mut down)), "200");
    let mut back = vec![0; SIZE];
    down.read_exact(&mut back).unwrap();
    sending.join().unwrap();
    assert!(back == sent);
}

#[test]
fn protocols_change_inside_tls() {
    let made = Certificates::make();
    let addr = backend(&made, "server", false, |stream| {
        let head = read_head(stream);
        assert_eq!(field(&head, "upgrade"), Some("echo"));
        stream
            .write_all(
                b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\nfirst ",
            )
            .unwrap();
        let mut text = [0; 4];
        stream.read_exact(&mut text).unwrap();
        stream.write_all(&text).unwrap();
        announce_end(stream);
    });
    let front = Front::new(source(&made, "127.0.0.1", addr));
    let mut client = front.connect();
    client
        .write_all(b"GET / HTTP/1.1\r\nhost: f\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\necho")
        .unwrap();
    let (head, body) = answer(&mut client);
    assert_eq!((status(&head), body.as_str()), ("101", "first echo"));
}

#[test]
fn what_cannot_be_used_is_refused_at_the_start_with_the_files_name() {
    let made = Certificates::make();
    let start = |change: &dyn Fn(&mut ProxySource)| {
        let mut source = source(&made, "127.0.0.1", ([127, 0, 0, 1], 1).into());
        change(&mut source);
        let made = sluicegate::http::proxy::Proxy::try_new(source, None, sluicegate::rt::clock());
        made.err().map(|error| error.to_string())
    };
    assert_eq!(start(&|_| {}), None);
    let identity = |certificate, key| Some(Identity { certificate: made.at(certificate), key: made.at(key) });
    made.write("empty.pem", "");
    let error = start(&|source| source.tls.ca = Some(made.at("empty.pem"))).unwrap();
    assert_eq!(error, format!("TLS file {}: it holds no certificate in PEM", made.path("empty.pem")));
    let error = start(&|source| source.tls.identity = identity("client.pem", "server.key")).unwrap();
    assert!(error.starts_with(&format!("TLS file {}: ", made.path("client.pem"))), "{error}");
    made.set_mode("client.key", 0o644);
    let error = start(&|source| source.tls.identity = identity("client.pem", "client.key")).unwrap();
    assert!(error.ends_with(&format!("run chmod o-rw {}", made.path("client.key"))), "{error}");
}
