//! Uploads through the whole server: to backends, over HTTP/1 and HTTP/2, through tunnels and relays of raw TCP.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use serde_json::json;
use sluicegate::http::MaxBody;
use sluicegate::http::route::Route;
use sluicegate::http::server::Settings;
use sluicegate::limit::{Budget, Rate, Size};
use sluicegate::rt;
use sluicegate::tcp::Service;

use testkit::backend::{Backend, taking};
use testkit::h2::{WIDE, connect_with};
use testkit::message::read_head;
use testkit::served::Served;
use testkit::wait::until;
use testkit::watched::{Watched, metric};
use testkit::wire::{content, status};

fn rate(bytes_per_second: u64) -> Budget {
    Budget::of(Rate::or_unlimited(bytes_per_second))
}

fn post(target: &str, fields: &str) -> String {
    format!("POST {target} HTTP/1.1\r\nHost: t\r\n{fields}\r\n")
}

fn answered(stream: &mut TcpStream) -> u16 {
    status(&read_head(stream).unwrap())
}

#[test]
fn too_much_without_a_length_is_413_and_never_a_whole_request_to_the_backend() {
    let (backend, bodies, _) = taking();
    let served = Served::new(vec![backend.route(0).max_body(MaxBody::new(Size::new(100_000)))]);
    let chunks: Vec<u8> = [b"2710\r\n".to_vec(), content(10_000), b"\r\n".to_vec()].concat().repeat(11);
    let mut stream = served.send(post("/", "Transfer-Encoding: chunked\r\n"));
    stream.write_all(&[&chunks[..], b"0\r\n\r\n"].concat()).unwrap();
    assert_eq!(answered(&mut stream), 413);
    let body = bodies.recv().unwrap();
    assert!(!body.ends_with(b"0\r\n\r\n") && body.len() <= chunks.len(), "{} bytes", body.len());
    // The same over HTTP/2.
    rt::block_on(async {
        let mut sender = connect_with(served.addr, WIDE).await;
        let frames =
            (0..11).map(|_| Ok::<_, std::convert::Infallible>(Frame::data(Bytes::from(content(10_000)))));
        let body = StreamBody::new(futures_lite::stream::iter(frames.collect::<Vec<_>>()));
        let request = Request::post("http://t/").body(body).unwrap();
        assert_eq!(sender.send_request(request).await.unwrap().status(), 413);
        // The connection goes on.
        let frames = vec![Ok(Frame::data(Bytes::from(content(10_000))))];
        let body = StreamBody::new(futures_lite::stream::iter(frames));
        let request = Request::post("http://t/").body(body).unwrap();
        assert_eq!(sender.send_request(request).await.unwrap().status(), 200);
    });
    // They come from threads of their own, in either order.
    let mut whole = [(); 2].map(|()| bodies.recv().unwrap().ends_with(b"0\r\n\r\n"));
    whole.sort_unstable();
    assert_eq!(whole, [false, true]);
}

#[test]
fn too_much_by_its_length_never_reaches_the_backend() {
    let (backend, bodies, _) = taking();
    let served = Served::new(vec![backend.route(0).max_body(MaxBody::new(Size::new(100_000)))]);
    let mut stream = served.send(post("/", "Content-Length: 100001\r\nExpect: 100-continue\r\n"));
    assert_eq!(answered(&mut stream), 413);
    rt::block_on(async {
        let mut sender = connect_with(served.addr, WIDE).await;
        for (len, status) in [(100_001, 413), (100_000, 200)] {
            let request = Request::post("http://t/").header("content-length", len);
            let request = request.body(Full::new(Bytes::from(content(len)))).unwrap();
            assert_eq!(sender.send_request(request).await.unwrap().status(), status);
        }
    });
    assert_eq!(bodies.recv().unwrap(), content(100_000));
    assert!(bodies.try_recv().is_none());
}

#[test]
fn a_slow_stream_leaves_the_others_of_its_connection_their_window() {
    let (slow, _, count) = taking();
    let (fast, bodies, _) = taking();
    let route = |path, backend: &Backend| testkit::backend::routed(path, backend.source(), None);
    let served = Served::new(vec![route("/slow/", &slow).upload(rate(1_000)), route("/fast/", &fast)]);
    rt::block_on(async {
        let mut sender = connect_with(served.addr, WIDE).await;
        let body = || Full::new(Bytes::from(content(2_000_000)));
        let held = sender.send_request(Request::post("http://t/slow/").body(body()).unwrap());
        rt::spawn(async move {
            let _ = held.await;
        });
        until("the slow one begins", || count.load(Ordering::SeqCst) > 0);
        for _ in 0..3 {
            let request = Request::post("http://t/fast/").body(body()).unwrap();
            let response = sender.send_request(request).await.unwrap();
            assert_eq!(response.status(), 200);
            response.into_body().collect().await.unwrap();
        }
    });
    for _ in 0..3 {
        assert!(bodies.recv().unwrap() == content(2_000_000));
    }
    assert!(count.load(Ordering::SeqCst) < 100_000);
}

/// In real time, since a socket's sender is what is held back. What must not come early is asserted without tolerance.
#[test]
fn a_pace_holds_and_a_change_of_it_reaches_uploads_under_way() {
    let (backend, bodies, count) = taking();
    let watched = Watched::new(vec![backend.route(0).upload(rate(100_000))]);
    let began = Instant::now();
    let mut stream = watched.served.send(post("/", "Content-Length: 4000000\r\n"));
    let mut sender = stream.try_clone().unwrap();
    let sending = std::thread::spawn(move || sender.write_all(&content(4_000_000)).unwrap());
    until("three chunks", || {
        let (got, lasted) = (count.load(Ordering::SeqCst), began.elapsed());
        let most = 20_000 + (100_000.0 * lasted.as_secs_f64()) as u64;
        assert!(got <= most + 500, "{got} bytes in {lasted:?}");
        got >= 60_000
    });
    assert!(began.elapsed() >= Duration::from_millis(400));
    let listed: serde_json::Value = serde_json::from_slice(&watched.get("/v1/connections", "").body).unwrap();
    let upload = &listed["connections"][0]["transfers"][0]["upload"];
    assert_eq!((&upload["length"], &upload["rate_set"]), (&json!(4_000_000), &json!(100_000)));
    assert_eq!(upload["ended"], false);
    let ask = |path: &str, change: &str| {
        let head = format!("PATCH {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n");
        watched.ask(&format!("{head}Content-Length: {}\r\n\r\n{change}", change.len())).status()
    };
    // One limit takes over from the other.
    assert_eq!(ask("/v1/limits/uploads/client", "{\"rate\": 1}"), 200);
    assert_eq!(ask("/v1/limits/routes/%2F/upload", "{\"rate\": \"off\"}"), 200);
    until("held by the shared limit", || {
        let listed: serde_json::Value =
            serde_json::from_slice(&watched.get("/v1/connections", "").body).unwrap();
        let upload = &listed["connections"][0]["transfers"][0]["upload"];
        (&upload["held_by"], &upload["limit"])
            == (&json!("upload_client"), &json!("/v1/limits/uploads/client"))
    });
    let before = count.load(Ordering::SeqCst);
    assert!(before < 1_000_000, "{before}");
    assert_eq!(ask("/v1/limits/uploads/client", "{\"rate\": null}"), 200);
    assert_eq!(answered(&mut stream), 200);
    sending.join().unwrap();
    assert!(bodies.recv().unwrap() == content(4_000_000));
    let received = "sluicegate_http_request_body_bytes_total{route=\"/\"}";
    assert_eq!(metric(watched.admin, received), Some(4_000_000));
}

/// A connection that is sent `sent` on a thread of its own, as far as it is taken.
fn pushing(mut stream: TcpStream, sent: Vec<u8>) {
    std::thread::spawn(move || {
        let _ = stream.write_all(&sent);
        // Until the other side is done.
        let _ = stream.read(&mut [0]);
    });
}

#[test]
fn requests_tunnels_and_relays_of_one_client_share_its_limit() {
    let count = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&count);
    let backend = Backend::new(move |stream, head| {
        if head.contains("upgrade") {
            let head = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: x\r\n\r\n";
            stream.write_all(head.as_bytes()).unwrap();
        }
        let mut buf = [0; 65_536];
        while let Ok(n @ 1..) = stream.read(&mut buf) {
            counted.fetch_add(n as u64, Ordering::SeqCst);
        }
    });
    let mut settings = Settings::default();
    settings.limits.upload.client = rate(1);
    let bind = || rt::Listener::bind_tcp(([127, 0, 0, 1], 0).into()).unwrap();
    let service = Service::relay("127.0.0.1", backend.addr.port());
    let server = sluicegate::http::server::Server::new(settings, vec![bind()], vec![backend.route(0)]);
    let server = server.with_port(bind(), service);
    let port = server.handle().ports()[0].addr();
    let served = Served::running(server);
    let began = Instant::now();
    // The head of a relay is what the backend takes for one, and counts among what the client sends.
    let relay = testkit::served::connect(port);
    pushing(relay, [post("/", "").into_bytes(), vec![b'x'; 100_000]].concat());
    let upload = served.send(post("/", "Content-Length: 100000\r\n"));
    pushing(upload, vec![b'x'; 100_000]);
    let mut tunnel = served.send(b"GET / HTTP/1.1\r\nHost: t\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
    assert_eq!(answered(&mut tunnel), 101);
    pushing(tunnel, vec![b'x'; 100_000]);
    until("a byte of one of them", || served.handle.budgets().uploads().parent().passed_below().bytes > 0);
    let passed = served.handle.budgets().uploads().parent().passed_below().bytes;
    assert!(passed <= 2 + began.elapsed().as_secs(), "{passed} bytes");
    served.handle.budgets().uploads().set(Budget::default());
    until("all of them", || count.load(Ordering::SeqCst) >= 300_000);
}

/// An HTTP/2 request by hand: POST / with this length in its head, and data, which is the end.
fn lying(length: &str, data: &[u8]) -> Vec<u8> {
    let frame = |kind: u8, flags: u8, stream: u8, payload: &[u8]| {
        let len = (payload.len() as u32).to_be_bytes();
        [&len[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
    };
    // POST, http, /, :authority t, and content-length by its number in HPACK's table, each value as it is.
    let mut head = vec![0x83, 0x86, 0x84, 0x01, 0x01, b't', 0x0f, 0x0d, length.len() as u8];
    head.extend(length.as_bytes());
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        frame(4, 0, 0, &[]),
        frame(1, 4, 1, &head),
        frame(0, 1, 1, data),
    ]
    .concat()
}

#[test]
fn content_that_is_not_as_long_as_its_head_says_is_never_a_whole_request() {
    let (backend, bodies, _) = taking();
    let served = Served::new(vec![backend.route(0)]);
    // HTTP/1: shorter.
    let mut stream = served.send(post("/", "Content-Length: 10\r\n"));
    stream.write_all(b"five!").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(answered(&mut stream), 400);
    assert_eq!(bodies.recv().unwrap(), b"five!");
    // HTTP/2: shorter and longer reset the stream with PROTOCOL_ERROR.
    for (length, data) in [("10", &b"five!"[..]), ("3", b"five!")] {
        let mut stream = served.send(lying(length, data));
        let mut came = Vec::new();
        let reset = [0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 1];
        while testkit::wire::find(&came, &reset).is_none() {
            let mut buf = [0; 1_000];
            let n = stream.read(&mut buf).unwrap();
            assert!(n > 0, "{came:?}");
            came.extend_from_slice(&buf[..n]);
        }
        if let Ok(body) = bodies.recv_within(Duration::from_secs(5)) {
            assert!(body.len() < length.parse().unwrap(), "{body:?}");
        }
    }
    // A true one is one.
    let mut stream = served.send(post("/", "Content-Length: 5\r\n") + "fives");
    assert_eq!(answered(&mut stream), 200);
}

/// The library's routes take limits too.
#[test]
fn a_route_tells_its_limits_of_uploads() {
    let folder = testkit::folder::folder(&[("a", b"x")]);
    let route = Route::files("/", folder.path()).unwrap();
    let route = route.upload(rate(1_000).with_burst(7)).upload_total(rate(2)).upload_per_client(rate(3));
    assert_eq!(route.upload_limit().budget(), rate(1_000).with_burst(7));
    assert_eq!(route.upload_clients().parent().budget(), rate(2));
    assert_eq!(route.upload_clients().budget(), rate(3));
}

/// In real time, since a relay's patience is.
#[test]
fn a_relay_that_a_limit_holds_is_not_idle() {
    let (got, bytes) = channel();
    let backend = Backend::new(move |stream, _| {
        let mut byte = [0];
        while let Ok(1) = stream.read(&mut byte) {
            let _ = got.send(Instant::now());
        }
    });
    let bind = || rt::Listener::bind_tcp(([127, 0, 0, 1], 0).into()).unwrap();
    let service = Service::relay("127.0.0.1", backend.addr.port()).upload_per_client(rate(1));
    let settings = Settings { idle_timeout: Duration::from_millis(300), ..Settings::default() };
    let server = sluicegate::http::server::Server::new(settings, vec![bind()], Vec::new());
    let server = server.with_port(bind(), service);
    let port = server.handle().ports()[0].addr();
    let served = Served::running(server);
    let mut client = testkit::served::connect(port);
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    // A byte each second; the backend reads the head by itself.
    std::thread::sleep(Duration::from_millis(2_200));
    assert_eq!(served.handle.connections(), 1);
    served.handle.ports()[0].service().upload_clients().set(Budget::default());
    client.write_all(b"x").unwrap();
    assert!(bytes.recv_timeout(Duration::from_secs(20)).is_ok());
    // Then it is.
    until("the cut of an idle relay", || served.handle.connections() == 0);
}
