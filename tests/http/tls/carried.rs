//! What is carried inside TLS besides answers: event streams, uploads and changed protocols.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use sluicegate::config::EventSettings;
use sluicegate::events::{Draft, Events, Hub, StreamName};
use sluicegate::http::MaxBody;
use sluicegate::http::route::Route;
use sluicegate::limit::{Budget, Rate, Size};
use sluicegate::rt::{self, Connect};
use sluicegate::tls::ClientTls;
use testkit::backend::{Backend, taking};
use testkit::certificates::Certificates;
use testkit::h2::{Sender, WIDE, over};
use testkit::message::read_head;
use testkit::sse;
use testkit::tls::{TlsClient, TlsStream};
use testkit::wait::until;
use testkit::wire::{content, status};

use super::{Secured, settings};

const VERSIONS: [&rustls::SupportedProtocolVersion; 2] = [&rustls::version::TLS12, &rustls::version::TLS13];

fn secured(made: &Certificates, route: Route) -> Secured {
    Secured::new(&settings(made, &["server"]), vec![route])
}

/// A client of HTTP/2 on a connection of its own.
async fn http2(made: &Certificates, secured: &Secured) -> Sender<Full<Bytes>> {
    let tls = ClientTls::new(&made.at("ca.pem"), None).unwrap();
    let to = Connect { host: "127.0.0.1".to_owned(), port: secured.addr().port(), receive_buffer: None };
    let socket = rt::connect(&to).await.unwrap();
    over(tls.connect("127.0.0.1", socket).await.unwrap(), WIDE).await
}

/// The stream `s` below `/events/`.
fn stream() -> (Route, Arc<Hub>) {
    let settings = EventSettings { names: vec!["s".to_owned()], ..EventSettings::default() };
    let events = Events::new("/events/", settings.checked().unwrap(), None, rt::clock());
    let hub = Arc::clone(events.hub());
    (Route::events("/events/", events), hub)
}

fn publish(hub: &Hub, data: &[&str]) {
    let batch = data.iter().map(|data| Draft::new((*data).to_owned(), 1024).unwrap()).collect();
    rt::block_on(hub.publish(&StreamName::new("s").unwrap(), batch)).unwrap();
}

/// The data of the next `count` messages, and the last one's id.
fn messages(
    count: usize,
    mut answer: sse::Answer,
    mut read: impl FnMut() -> Vec<u8>,
) -> (Vec<String>, String) {
    let mut found = Vec::new();
    while found.len() < count {
        answer.push(&read());
        found.extend(answer.by_ref().filter(|event| event.kind == "message"));
    }
    let id = found.last().unwrap().id.clone().unwrap();
    (found.into_iter().map(|event| event.data).collect(), id)
}

fn read_some(stream: &mut TlsStream) -> Vec<u8> {
    let mut piece = vec![0; 4096];
    let len = stream.read(&mut piece).unwrap();
    assert!(len > 0, "an end");
    piece.truncate(len);
    piece
}

#[test]
fn an_event_stream_goes_on_behind_the_last_id() {
    for version in VERSIONS {
        let (made, (route, hub)) = (Certificates::make(), stream());
        let secured = secured(&made, route);
        let client = TlsClient::of(&made, &[version], None);
        let subscribe = |fields: &str| {
            let mut stream = client.connect(secured.addr(), "127.0.0.1").unwrap();
            write!(stream, "GET /events/s HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n").unwrap();
            stream
        };
        let mut first = subscribe("");
        until("the subscriber", || hub.gauges().subscribers == 1);
        publish(&hub, &["1", "2"]);
        let (data, id) = messages(2, sse::Answer::default(), || read_some(&mut first));
        assert_eq!(data, ["1", "2"]);
        drop(first);
        publish(&hub, &["3", "4", "5"]);
        let mut again = subscribe(&format!("Last-Event-ID: {id}\r\n"));
        let (data, _) = messages(3, sse::Answer::default(), || read_some(&mut again));
        assert_eq!(data, ["3", "4", "5"], "{version:?}");
    }
}

#[test]
fn an_event_stream_over_http2_goes_on_behind_the_last_id() {
    let (made, (route, hub)) = (Certificates::make(), stream());
    let secured = secured(&made, route);
    rt::block_on(async {
        let mut sender = http2(&made, &secured).await;
        let mut last = None;
        for expected in [["1", "2"], ["3", "4"], ["5", "6"]] {
            // Those of the later rounds are published while nobody is there.
            if last.is_some() {
                until("the stream has ended", || hub.gauges().subscribers == 0);
                publish(&hub, &expected);
            }
            let mut request = Request::builder().uri("https://localhost/events/s");
            if let Some(id) = &last {
                request = request.header("last-event-id", id);
            }
            let response = sender.send_request(request.body(Full::default()).unwrap()).await.unwrap();
            if last.is_none() {
                publish(&hub, &expected);
            }
            let mut body = response.into_body();
            let (data, id) = messages(2, sse::Answer::content(), || {
                let frame = futures_lite::future::block_on(body.frame()).unwrap().unwrap();
                frame.into_data().unwrap().to_vec()
            });
            assert_eq!(data, expected);
            last = Some(id);
        }
    });
}

#[test]
fn uploads_arrive_whole_at_their_pace() {
    let (made, (backend, bodies, count)) = (Certificates::make(), taking());
    let paced = backend.route(0).upload(Budget::of(Rate::or_unlimited(100_000)));
    let secured = secured(&made, paced);
    // Chunks of 20 000 bytes, the first at once, and never more than is due; what is less than a chunk at the end leaves
    // with the one before.
    let holds = |began: Instant, before: u64| {
        until("three chunks", || {
            let (got, lasted) = (count.load(Ordering::SeqCst) - before, began.elapsed());
            let end = if got > 70_000 { 20_000 } else { 0 };
            let most = 20_500 + end + (100_000.0 * lasted.as_secs_f64()) as u64;
            assert!(got <= most, "{got} bytes in {lasted:?}");
            got >= 60_000
        });
        assert!(began.elapsed() >= Duration::from_millis(400), "{:?}", began.elapsed());
    };
    for version in VERSIONS {
        let mut stream = TlsClient::of(&made, &[version], None).connect(secured.addr(), "127.0.0.1").unwrap();
        let (before, began) = (count.load(Ordering::SeqCst), Instant::now());
        stream.write_all(b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 90000\r\n\r\n").unwrap();
        stream.write_all(&content(90_000)).unwrap();
        holds(began, before);
        assert_eq!(status(&read_head(&mut stream).unwrap()), 200);
        assert!(bodies.recv().unwrap() == content(90_000), "{version:?}");
    }
    let (before, began) = (count.load(Ordering::SeqCst), Instant::now());
    let sending = std::thread::scope(|scope| {
        let sending = scope.spawn(|| {
            rt::block_on(async {
                let mut sender = http2(&made, &secured).await;
                let request = Request::post("https://localhost/").body(Full::from(content(90_000))).unwrap();
                sender.send_request(request).await.unwrap().status()
            })
        });
        holds(began, before);
        sending.join().unwrap()
    });
    assert_eq!(sending, 200);
    assert!(bodies.recv().unwrap() == content(90_000));
}

#[test]
fn an_upload_that_is_too_long_or_shorter_than_it_says_is_never_a_whole_request() {
    let (made, (backend, bodies, _)) = (Certificates::make(), taking());
    let secured = secured(&made, backend.route(0).max_body(MaxBody::new(Size::new(1_000))));
    let client = TlsClient::new(&made);
    let post = |length: usize| {
        let mut stream = client.connect(secured.addr(), "127.0.0.1").unwrap();
        write!(stream, "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\n").unwrap();
        stream
    };
    assert_eq!(status(&read_head(&mut post(1_001)).unwrap()), 413);
    // With an announced end, and with one that anybody on the way could have made.
    for is_announced in [true, false] {
        let mut stream = post(10);
        stream.write_all(b"five!").unwrap();
        if is_announced {
            stream.conn.send_close_notify();
            stream.flush().unwrap();
        }
        stream.sock.shutdown(std::net::Shutdown::Write).unwrap();
        if is_announced {
            assert_eq!(status(&read_head(&mut stream).unwrap()), 400);
        }
        assert_eq!(bodies.recv().unwrap(), b"five!", "{is_announced}");
    }
}

#[test]
fn protocols_change_inside_tls_and_each_way_ends_by_itself() {
    let backend = Backend::new(|stream, _| {
        let head = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n";
        stream.write_all(&[head.as_bytes(), &content(60_000)].concat()).unwrap();
        let mut got = Vec::new();
        // To the end of the client's bytes.
        stream.read_to_end(&mut got).unwrap();
        stream.write_all(&got).unwrap();
    });
    for version in VERSIONS {
        let made = Certificates::make();
        let secured = secured(&made, backend.route(100_000));
        let mut stream = TlsClient::of(&made, &[version], None).connect(secured.addr(), "127.0.0.1").unwrap();
        let request = b"GET /chat HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
        // What comes right behind the head is the new protocol's.
        stream.write_all(&[&request[..], b"first "].concat()).unwrap();
        let head = read_head(&mut stream).unwrap();
        assert_eq!(status(&head), 101, "{head}");
        let (began, mut down) = (Instant::now(), vec![0; 60_000]);
        stream.read_exact(&mut down).unwrap();
        assert!(down == content(60_000));
        // Chunks of 20 000 bytes, the first of which can have come before the clock was read.
        assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());
        stream.write_all(b"and last").unwrap();
        stream.conn.send_close_notify();
        stream.flush().unwrap();
        let mut back = String::new();
        // Without close_notify this is an error.
        stream.read_to_string(&mut back).unwrap();
        assert_eq!(back, "first and last", "{version:?}");
        until("its end", || secured.served.handle.connections() == 0);
    }
}
