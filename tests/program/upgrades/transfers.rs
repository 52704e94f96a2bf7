//! SIGUSR2 in the middle of transfers inside TLS: the old program ends them whole.

use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::scope;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::body::{Frame, Incoming};
use rustix::process::Signal;
use sluicegate::rt::{self, Connect};
use sluicegate::tls::ClientTls;
use testkit::backend::Backend;
use testkit::certificates::Certificates;
use testkit::h2::{self, over};
use testkit::message::read_head;
use testkit::records::records;
use testkit::served::{connect, connect_narrow};
use testkit::tls::{TlsClient, TlsStream};
use testkit::wait::{PATIENCE, until};
use testkit::wire::{Client, content, read_all, status};

use super::{REPLACED, free, replaced, run};

const LENGTH: usize = 600_000;
const HALF: usize = LENGTH / 2;

/// What a transfer waits for in its middle.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    fn pass(&self) {
        drop(self.0.1.wait_while(self.0.0.lock().unwrap(), |is_open| !*is_open).unwrap());
    }
}

/// A backend whose content stops in its middle until `gate` is open, and that answers content with what it is.
fn backend(gate: &Gate, begun: &Sender<()>) -> Backend {
    let (gate, begun) = (gate.clone(), begun.clone());
    Backend::new(move |stream, head| {
        if head.starts_with("POST") {
            let mut got = vec![0; LENGTH];
            stream.read_exact(&mut got[..1000]).unwrap();
            begun.send(()).unwrap();
            stream.read_exact(&mut got[1000..]).unwrap();
            let what = if got == content(LENGTH) { "whole" } else { "wrong" };
            write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n{what}").unwrap();
            return;
        }
        let all = content(LENGTH);
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {LENGTH}\r\n\r\n").unwrap();
        stream.write_all(&all[..HALF]).unwrap();
        gate.pass();
        stream.write_all(&all[HALF..]).unwrap();
    })
}

type Content = BoxBody<Bytes, Infallible>;

/// Content whose second half comes when `gate` is open.
fn held(gate: Gate) -> Content {
    let halves = futures_lite::stream::unfold((0, gate), |(at, gate)| async move {
        if at == HALF {
            let gate = gate.clone();
            rt::blocking(move || gate.pass()).await;
        }
        let piece = (at < LENGTH).then(|| Bytes::from(content(LENGTH)).slice(at..at + HALF));
        piece.map(|piece| (Ok(Frame::data(piece)), (at + HALF, gate)))
    });
    BodyExt::boxed(StreamBody::new(halves))
}

/// The other end of a relay: says all, stopping in the middle until `gate` is open, closes its half, and sends `heard` what it
/// hears.
fn relayed(gate: &Gate, heard: &Sender<Vec<u8>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let (gate, heard) = (gate.clone(), heard.clone());
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let (gate, heard) = (gate.clone(), heard.clone());
            std::thread::spawn(move || {
                let all = content(LENGTH);
                stream.write_all(&all[..HALF]).unwrap();
                gate.pass();
                stream.write_all(&all[HALF..]).unwrap();
                stream.shutdown(Shutdown::Write).unwrap();
                heard.send(read_all(&mut stream)).unwrap();
            });
        }
    });
    addr
}

/// A relay in which the client says all when it has heard all.
fn relay(mut stream: TlsStream, gate: &Gate, begun: &Sender<()>) {
    let mut got = vec![0; 1000];
    stream.read_exact(&mut got).unwrap();
    begun.send(()).unwrap();
    gate.pass();
    stream.read_to_end(&mut got).unwrap();
    assert!(got == content(LENGTH));
    stream.write_all(&content(LENGTH)).unwrap();
    stream.conn.send_close_notify();
    stream.flush().unwrap();
}

/// A GET whose answer has begun, read to its end when `gate` is open.
fn download(mut stream: TlsStream, target: &str, gate: &Gate, begun: &Sender<()>) {
    write!(stream, "GET {target} HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    let head = read_head(&mut stream).unwrap();
    assert_eq!(status(&head), 200, "{head}");
    let mut got = vec![0; LENGTH];
    stream.read_exact(&mut got[..1000]).unwrap();
    begun.send(()).unwrap();
    gate.pass();
    stream.read_exact(&mut got[1000..]).unwrap();
    assert!(got == content(LENGTH), "{target}");
    // It was begun before, and leaves the connection for one more.
    let mut client = Client::new(stream);
    let answer = client.get("/all.toml", "");
    assert_eq!((answer.status(), answer.field("connection")), (200, Some("close")));
    assert!(client.is_closed());
}

/// A POST whose second half is sent when `gate` is open.
fn upload(mut stream: TlsStream, gate: &Gate) {
    write!(stream, "POST /held/ HTTP/1.1\r\nHost: t\r\nContent-Length: {LENGTH}\r\n\r\n").unwrap();
    let all = content(LENGTH);
    stream.write_all(&all[..HALF]).unwrap();
    gate.pass();
    stream.write_all(&all[HALF..]).unwrap();
    let mut client = Client::new(stream);
    let answer = client.answer();
    assert_eq!((answer.status(), answer.text(), answer.field("connection")), (200, "whole", Some("close")));
    assert!(client.is_closed());
}

/// Two downloads and an upload as streams of one connection.
async fn streams(made: &Certificates, addr: SocketAddr, gate: &Gate, begun: &Sender<()>) {
    let tls = ClientTls::new(&made.at("ca.pem"), None).unwrap();
    let to = Connect { host: "127.0.0.1".to_owned(), port: addr.port(), receive_buffer: None };
    let socket = rt::connect(&to).await.unwrap();
    // What is not read stays at the server.
    let mut sender = over(tls.connect("127.0.0.1", socket).await.unwrap(), 65_535).await;
    let (file, proxied) = (get(&mut sender, "/f").await, get(&mut sender, "/held/").await);
    begun.send(()).unwrap();
    begun.send(()).unwrap();
    let request = Request::post("https://t/held/").header("content-length", LENGTH);
    let taken = sender.send_request(request.body(held(gate.clone())).unwrap());
    let reading = async {
        let gate = gate.clone();
        rt::blocking(move || gate.pass()).await;
        for response in [file, proxied] {
            assert!(response.collect().await.unwrap().to_bytes() == content(LENGTH));
        }
    };
    let (taken, ()) = futures_lite::future::zip(taken, reading).await;
    assert_eq!(taken.unwrap().collect().await.unwrap().to_bytes(), "whole");
}

async fn get(sender: &mut h2::Sender<Content>, target: &str) -> Response<Incoming> {
    let request = Request::get(format!("https://t{target}")).body(Empty::new().boxed()).unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    response
}

#[test]
fn transfers_inside_tls_under_way_end_whole_in_the_old_program() {
    let (made, [addr, raw], gate) = (Certificates::make(), free(), Gate::default());
    let (heard, hears) = channel();
    let (begun, begins) = channel();
    let backend = backend(&gate, &begun);
    std::fs::write(made.at("f"), content(LENGTH)).unwrap();
    let keys = format!(
        "listen = {{ address = '{addr}', tls = 'main' }}
        drain = '1h'
        access_log = 'stderr'
        [tls.main]
        cert = 'server.pem'
        key = 'server.key'
        [[route]]
        path = '/'
        files = '.'
        rate = '200k'
        [[route]]
        path = '/held/'
        proxy = 'http://{}'
        rate = '200k'
        upload.rate = '200k'
        [[tcp]]
        listen = '{raw}'
        tls = 'main'
        to = '{}'
        rate = '200k'\n",
        backend.addr,
        relayed(&gate, &heard)
    );
    made.write("all.toml", &keys);
    let mut old = run(&made.at("all.toml"));
    let [older, newer] = [&rustls::version::TLS12, &rustls::version::TLS13]
        .map(|version| TlsClient::of(&made, &[version], None));
    let open = |tls: &TlsClient| tls.over(connect(addr), "127.0.0.1").unwrap();
    let (new, log) = scope(|scope| {
        let (gate, made) = (&gate, &made);
        for tls in [&older, &newer] {
            let [begun, narrow, relayed] = [(); 3].map(|()| begun.clone());
            scope.spawn(move || download(open(tls), "/held/", gate, &begun));
            // What is not read stays at the server.
            let file = tls.over(connect_narrow(addr), "127.0.0.1").unwrap();
            scope.spawn(move || download(file, "/f", gate, &narrow));
            scope.spawn(move || upload(open(tls), gate));
            let stream = tls.connect(raw, "127.0.0.1").unwrap();
            scope.spawn(move || relay(stream, gate, &relayed));
        }
        let begun = begun.clone();
        scope.spawn(move || rt::block_on(streams(made, addr, gate, &begun)));
        // A failure in one of them fails the test.
        let _opening = Opening(gate);
        // Four with each version of TLS, and three streams of HTTP/2.
        for _ in 0..11 {
            begins.recv_timeout(PATIENCE).unwrap();
        }
        old.signal(Signal::USR2);
        replaced(&mut old)
    });
    records(&log, REPLACED)[0].assert_says(&[("connections", "9")]);
    assert_eq!(records(&log, "response").len(), 0, "none has ended before: {log}");
    assert_eq!(super::get(open(&newer), "/all.toml", "").1, keys.as_bytes(), "the new one answers");
    until("the old one ends", || !old.runs());
    new.signal(Signal::TERM);
    let (status, log, error) = old.wait();
    assert_eq!((status.code(), error.as_str()), (Some(0), ""), "{log}");
    assert!(!log.contains("cut"), "{log}");
    let (length, responses) = (LENGTH.to_string(), records(&log, "response"));
    let said = |bytes, up: Option<&str>| {
        let fits = |record: &&testkit::records::Record| {
            record.says(("bytes", bytes)) && up.is_none_or(|up| record.says(("bytes_up", up)))
        };
        let ended = responses.iter().filter(fits);
        ended.inspect(|record| record.assert_says(&[("outcome", "complete"), ("status", "200")])).count()
    };
    let streams = records(&log, "stream");
    for stream in &streams {
        stream.assert_says(&[("bytes", &length), ("bytes_up", &length), ("outcome", "complete")]);
        assert!(hears.recv_timeout(PATIENCE).unwrap() == content(LENGTH));
    }
    let mut versions: Vec<_> = streams.iter().map(|stream| stream.value("tls")).collect();
    versions.sort_unstable();
    assert_eq!(versions, ["TLSv1.2", "TLSv1.3"]);
    let further = keys.len().to_string();
    let counts = [said(&length, None), said("5", Some(&length)), said(&further, None), responses.len()];
    assert_eq!(counts, [6, 3, 5, 14], "{log}");
}

/// Opens the gate in the end, whatever happens.
struct Opening<'a>(&'a Gate);

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        self.0.open();
    }
}
