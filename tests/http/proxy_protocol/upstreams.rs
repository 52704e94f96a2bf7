//! Headers towards the backends of a route.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::sync::mpsc;

use sluicegate::config::ProxySource;
use sluicegate::http::server::{Server, Settings};
use sluicegate::proxy_protocol::{ProxyVersion, header};
use sluicegate::rt;
use testkit::backend::routed;
use testkit::message::read_head;
use testkit::served::{Served, connect};
use testkit::wait::PATIENCE;
use testkit::wire::{self, Client, field};

use super::{VERSIONS, announcing, behind_proxies, bind, connect_announcing, trusting};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A connection of a backend: the PROXY header that it began with, and the head after it.
type Begun = (Vec<u8>, String);

/// Reads the PROXY header that a connection begins with, and no byte more.
fn read_header(stream: &mut impl Read) -> Vec<u8> {
    let mut header = vec![0; 16];
    stream.read_exact(&mut header).unwrap();
    let mut byte = [0];
    if header.starts_with(b"PROXY ") {
        while !header.ends_with(b"\r\n") {
            stream.read_exact(&mut byte).unwrap();
            header.push(byte[0]);
        }
    } else {
        let mut rest = vec![0; usize::from(header[15])];
        stream.read_exact(&mut rest).unwrap();
        header.extend(rest);
    }
    header
}

/// Reads what a connection begins with, answers if `answers`, and returns when the other end has closed it.
fn serve(stream: &mut (impl Read + Write), begun: &mpsc::Sender<Begun>, answers: bool) {
    let header = read_header(stream);
    let head = read_head(stream).unwrap();
    begun.send((header, head)).unwrap();
    if answers {
        stream.write_all(OK).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "no other request comes");
    }
}

/// A backend that answers one request on each connection, or closes it instead.
fn backend(answers: bool) -> (String, mpsc::Receiver<Begun>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (begun, begins) = mpsc::channel();
    // Ends with the test process.
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let begun = begun.clone();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            std::thread::spawn(move || serve(&mut stream, &begun, answers));
        }
    });
    (url, begins)
}

/// A source that sends headers of `version` to backends at `urls`.
fn source(version: ProxyVersion, urls: &[&str]) -> ProxySource {
    let mut urls = urls.iter().map(|url| url.parse().unwrap());
    let source = ProxySource::new(urls.next().unwrap());
    ProxySource { send_proxy: Some(version), others: urls.collect(), ..source }
}

fn served(settings: Settings, source: ProxySource) -> Served {
    Served::running(Server::new(settings, vec![bind()], vec![routed("/", source, None)]))
}

/// Asks with `fields`, and gives the header that the backend's connection began with.
fn ask(mut stream: impl Read + Write, fields: &str, begins: &mpsc::Receiver<Begun>) -> Vec<u8> {
    write!(stream, "GET / HTTP/1.1\r\nHost: t\r\n{fields}\r\n").unwrap();
    assert_eq!(wire::answer(stream).body, b"ok");
    begins.recv_timeout(PATIENCE).unwrap().0
}

#[test]
fn each_request_has_a_connection_that_begins_with_its_clients_address() {
    for version in VERSIONS {
        let (url, begins) = backend(true);
        let served = served(Settings::default(), source(version, &[&url]));
        for _ in 0..2 {
            let stream = connect(served.addr);
            let client = stream.local_addr().unwrap();
            let mut asking = Client::new(stream);
            for _ in 0..2 {
                asking.stream.write_all(b"GET /a HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
                assert_eq!(asking.answer().body, b"ok");
                let (sent, head) = begins.recv_timeout(PATIENCE).unwrap();
                assert_eq!(sent, header(version, Some(client), Some(served.addr)), "{version}");
                assert_eq!(head.lines().next(), Some("GET /a HTTP/1.1"));
                assert_eq!(field(&head, "connection"), Some("close"));
                assert_eq!(field(&head, "x-forwarded-for"), Some("127.0.0.1"));
            }
        }
        assert!(begins.try_recv().is_err());
    }
}

#[test]
fn a_unix_socket_is_sent_it_too_and_clients_of_one_have_no_address() {
    let place = tempfile::tempdir().unwrap();
    let (app, front) = (place.path().join("app"), place.path().join("front"));
    let (begun, begins) = mpsc::channel();
    let listener = UnixListener::bind(&app).unwrap();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            serve(&mut stream, &begun, true);
        }
    });
    let source = source(ProxyVersion::V2, &[&format!("unix:{}", app.display())]);
    let server = Server::new(Settings::default(), vec![bind()], vec![routed("/", source, None)]);
    let served = Served::running(server.with_listener(rt::Listener::bind_unix(&front).unwrap(), None));
    let stream = connect(served.addr);
    let client = stream.local_addr().ok();
    assert_eq!(ask(stream, "", &begins), header(ProxyVersion::V2, client, Some(served.addr)));
    let stream = std::os::unix::net::UnixStream::connect(&front).unwrap();
    assert_eq!(ask(stream, "", &begins), header(ProxyVersion::V2, None, None));
}

#[test]
fn the_client_is_the_one_that_a_trusted_proxy_names() {
    for version in VERSIONS {
        let (url, begins) = backend(true);
        let source = || source(version, &[&url]);
        let one = served(trusting(&["127.0.0.1"]), source());
        let named = |ip: &str| header(version, format!("{ip}:0").parse().ok(), Some(one.addr));
        assert_eq!(ask(connect(one.addr), "X-Forwarded-For: 192.0.2.1\r\n", &begins), named("192.0.2.1"));
        assert_eq!(ask(connect(one.addr), "Forwarded: for=192.0.2.1\r\n", &begins), named("192.0.2.1"));
        let v6 = "X-Forwarded-For: 6.6.6.6, 2001:db8::1\r\n";
        assert_eq!(ask(connect(one.addr), v6, &begins), named("[2001:db8::1]"));
        // Neither is believed, nor is a stranger.
        for (server, fields) in [
            (&one, "X-Forwarded-For: 192.0.2.1\r\nForwarded: for=192.0.2.2\r\n"),
            (&served(Settings::default(), source()), "X-Forwarded-For: 192.0.2.1\r\n"),
        ] {
            let stream = connect(server.addr);
            let client = stream.local_addr().ok();
            assert_eq!(ask(stream, fields, &begins), header(version, client, Some(server.addr)));
        }
        let behind =
            behind_proxies(trusting(&["127.0.0.1", "203.0.113.4"]), None, vec![routed("/", source(), None)]);
        for client in ["192.0.2.1:5", "[2001:db8::1]:65535"] {
            let stream = connect_announcing(behind.addr, ProxyVersion::V2, client);
            assert_eq!(
                ask(stream, "X-Forwarded-For: 6.6.6.6\r\n", &begins),
                announcing(version, client),
                "as it came, destination and all"
            );
        }
        let through: SocketAddr = "198.51.100.7:443".parse().unwrap();
        let stream = connect_announcing(behind.addr, ProxyVersion::V2, "203.0.113.4:5");
        let named = header(version, "192.0.2.1:0".parse().ok(), Some(through));
        assert_eq!(ask(stream, "X-Forwarded-For: 192.0.2.1\r\n", &begins), named, "a proxy before the proxy");
    }
}

#[test]
fn streams_of_http2_have_connections_of_their_own() {
    let (url, begins) = backend(true);
    let served = served(Settings::default(), source(ProxyVersion::V1, &[&url]));
    rt::block_on(async {
        let to = rt::Connect { host: "127.0.0.1".to_owned(), port: served.addr.port(), receive_buffer: None };
        let socket = rt::connect(&to).await.unwrap();
        let expected = header(ProxyVersion::V1, socket.local(), Some(served.addr));
        let mut sender = testkit::h2::over(socket, testkit::h2::WIDE).await;
        for _ in 0..2 {
            assert_eq!(testkit::h2::get(&mut sender, "/").await.status(), 200);
            assert_eq!(begins.recv_timeout(PATIENCE).unwrap().0, expected);
        }
    });
}

#[test]
fn a_request_that_goes_to_the_next_backend_has_its_header_there_too() {
    let (closing, closed) = backend(false);
    let (answering, begins) = backend(true);
    // Nobody listens here any more.
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let source = source(ProxyVersion::V2, &[&closing, &format!("http://{gone}"), &answering]);
    let served = served(Settings::default(), source);
    for _ in 0..3 {
        let stream = connect(served.addr);
        let expected = header(ProxyVersion::V2, stream.local_addr().ok(), Some(served.addr));
        assert_eq!(ask(stream, "", &begins), expected);
        while let Ok((sent, _)) = closed.try_recv() {
            assert_eq!(sent, expected);
        }
    }
}

#[test]
fn a_change_of_protocols_is_offered_behind_the_header() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let upgraded = std::thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let begun = (read_header(&mut stream), read_head(&mut stream).unwrap());
        stream
            .write_all(
                b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\nhello",
            )
            .unwrap();
        begun
    });
    let served = served(Settings::default(), source(ProxyVersion::V1, &[&url]));
    let mut stream = connect(served.addr);
    let client = stream.local_addr().ok();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: t\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n").unwrap();
    let head = read_head(&mut stream).unwrap();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let mut hello = [0; 5];
    stream.read_exact(&mut hello).unwrap();
    assert_eq!(&hello, b"hello");
    let (sent, head) = upgraded.join().unwrap();
    assert_eq!(sent, header(ProxyVersion::V1, client, Some(served.addr)));
    assert_eq!(field(&head, "connection"), Some("upgrade"));
}
