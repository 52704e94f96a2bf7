//! How requests of HTTP/1 are read, and what is said to those that are none.

use std::time::Duration;

use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body;

use super::pipe::{Client, End, Road};
use super::{From, GET, GET_2, Page, World, content};
use crate::http::body::RequestBody;
use crate::http::content::Content;
use crate::http::interim::Interim;
use crate::http::route::{Answer, Handler};
use crate::http::server::Settings;
use testkit::recorder::{self, Record};

const SECOND: Duration = Duration::from_secs(1);

fn logged() -> Settings {
    Settings { access_log: true, ..Settings::default() }
}

fn page(len: usize) -> Page {
    Page { status: 200, bytes: content(len), sized: true }
}

fn lines() -> Vec<Record> {
    recorder::taken().into_iter().filter(|record| record.text == "response").collect()
}

fn text(client: &Client) -> String {
    String::from_utf8_lossy(&client.read(usize::MAX)).into_owned()
}

#[test]
fn a_request_that_is_refused_leaves_a_line_and_its_connection_ends() {
    let large = format!("GET /page HTTP/1.1\r\nA: {}\r\n\r\n", "x".repeat(32 * 1024));
    let long = format!("GET /{}", "x".repeat(32 * 1024));
    let many = format!("GET /page HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(129));
    for (request, status, method, target) in [
        ("what is this\r\n\r\n", 400, "-", "-"),
        ("\x16\x03\x01", 400, "-", "-"),
        ("GET /page HTTP/3.0\r\n\r\n", 505, "-", "-"),
        ("GET /page HTTP/1.1\r\nno field\r\n\r\n", 400, "GET", "/page"),
        ("GET index.html HTTP/1.1\r\nHost: t\r\n\r\n", 400, "-", "-"),
        ("POST /page HTTP/1.1\r\nHost: t\r\nContent-Length: x\r\n\r\n", 400, "POST", "/page"),
        ("POST /page HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501, "POST", "/page"),
        ("HEAD /page HTTP/1.1\r\nConnection: x, \u{ff}\r\n\r\n", 400, "HEAD", "/page"),
        (&large, 431, "-", "-"),
        (&long, 414, "-", "-"),
        (&many, 431, "GET", "/page"),
    ] {
        let what = &request[..request.len().min(40)];
        let mut world = World::of(logged(), page(10), 0);
        let client = world.connect(Road::WIDE);
        client.send(request.as_bytes());
        world.settle();
        let answer = text(&client);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{what:?}: {answer}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
        assert_eq!(answer.ends_with("\r\n\r\n"), method == "HEAD", "{answer}");
        let [line] = &lines()[..] else { panic!("{what:?}") };
        let told = (line.number("status"), line.field("method"), line.field("target"), line.field("outcome"));
        assert_eq!(told, (status, method, target, "complete"), "{what:?}");
        // What it still sends is not answered; it ends when the client does, or some seconds later.
        client.send(GET);
        world.pass(4 * SECOND);
        assert_eq!((client.end(), client.unread(), client.untaken()), (Some(End::Clean), 0, 0), "{what:?}");
        assert!(world.lives(1));
        world.pass(SECOND);
        assert!(!world.lives(1));
        assert_eq!(lines(), []);
    }
}

#[test]
fn a_head_that_does_not_come_in_time_is_answered_and_told_of_and_silence_is_not() {
    for (sent, status) in
        [(&b""[..], None), (b"GET /pa", Some(408)), (b"GET /page HTTP/1.1\r\nHost:", Some(408))]
    {
        let mut world = World::of(logged(), page(10), 0);
        let client = world.connect(Road::WIDE);
        client.send(sent);
        world.settle();
        world.pass(30 * SECOND - Duration::from_nanos(1));
        assert!(world.lives(1) && client.unread() == 0);
        world.pass(Duration::from_nanos(1));
        assert_eq!((world.lives(1), client.end()), (false, Some(End::Clean)), "{sent:?}");
        let told: Vec<u64> = lines().iter().map(|line| line.number("status")).collect();
        assert_eq!(
            (text(&client).starts_with("HTTP/1.1 408 "), told),
            (status.is_some(), Vec::from_iter(status))
        );
    }
}

#[test]
fn http_1_0_is_told_that_its_connection_is_kept_only_if_it_is() {
    for (sized, field, kept) in [(true, "connection: keep-alive", true), (false, "connection: close", false)]
    {
        let mut world = World::of(logged(), Page { sized, ..page(10) }, 0);
        let client = world.connect(Road::WIDE);
        client.send(b"GET /page HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        world.settle();
        let answer = client.read(usize::MAX);
        let head = String::from_utf8_lossy(&answer[..answer.len() - 10]).into_owned();
        assert!(head.starts_with("HTTP/1.0 200 OK\r\n") && answer.ends_with(&content(10)), "{head}");
        let said: Vec<&str> = head.lines().filter(|line| line.starts_with("connection:")).collect();
        assert_eq!((said, world.lives(1)), (vec![field], kept), "sized: {sized}");
        world.cut(1);
    }
}

/// A GET of `/page` over HTTP/2 with an authority, and `Host` if there is one.
fn get_2(authority: Option<&str>, host: Option<&str>) -> Vec<u8> {
    let literal = |name: &[u8], value: &str| [name, &[value.len() as u8], value.as_bytes()].concat();
    let mut block = [&b"\x82\x86"[..], &literal(b"\x04", "/page")].concat();
    block.extend(authority.iter().flat_map(|authority| literal(b"\x01", authority)));
    block.extend(host.iter().flat_map(|host| literal(b"\x0f\x17", host)));
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    [&preface[..], &[0, 0, block.len() as u8], b"\x01\x05\0\0\0\x01", &block].concat()
}

#[test]
fn over_http2_the_authority_is_the_host_and_there_is_one() {
    // In HPACK's static table, what the head of an answer begins with.
    const OK: u8 = 0x88;
    const BAD_REQUEST: u8 = 0x8c;
    for (authority, host, status) in [
        (Some("t"), None, OK),
        (Some("t"), Some("T:80"), OK),
        (None, Some("t"), OK),
        (Some("t"), Some("u"), BAD_REQUEST),
        (Some("t"), Some("a b"), BAD_REQUEST),
        (None, None, BAD_REQUEST),
    ] {
        let mut world = World::of(logged(), page(10), 0);
        let client = world.connect(Road::WIDE);
        client.send(&get_2(authority, host));
        let head = |mut frames: &[u8]| {
            while let Some((head, rest)) = frames.split_first_chunk::<9>() {
                let len = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
                let (payload, rest) = rest.split_at_checked(len)?;
                if head[3] == 1 {
                    return Some(payload[0]);
                }
                frames = rest;
            }
            None
        };
        let came = world.read_until("a head", &client, |came| head(came).is_some());
        assert_eq!(head(&came), Some(status), "{authority:?} {host:?}");
        client.half_close();
        world.until("its end", |world| (world.lives(1), world.handle.connections()) == (false, 0));
    }
}

/// Answers with the content of the request, when all of it has come; or without asking for it.
struct Echo {
    asks: bool,
}

impl Handler for Echo {
    fn respond<'a>(&'a self, request: Request<RequestBody>, _: &'a From) -> Answer<'a> {
        Box::pin(async move {
            let mut body = request.into_body();
            let mut all = Vec::new();
            while self.asks
                && let Some(frame) =
                    std::future::poll_fn(|cx| std::pin::Pin::new(&mut body).poll_frame(cx)).await
            {
                match frame.map(http_body::Frame::into_data) {
                    Ok(Ok(data)) => all.extend_from_slice(&data),
                    Ok(Err(trailers)) => {
                        all.extend(format!("{:?}", trailers.into_trailers().unwrap()).bytes())
                    }
                    Err(error) => return Response::new(Content::text(format!("{error}!"))),
                }
            }
            Response::new(Content::text(all))
        })
    }
}

#[test]
fn content_comes_to_its_source_in_whatever_framing_and_pieces() {
    for (fields, sent, echoed) in [
        ("Content-Length: 5", "hello", "hello"),
        ("Transfer-Encoding: chunked", "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", "hello"),
        ("Transfer-Encoding: chunked", "1\r\na\r\n0\r\nX: y\r\n\r\n", "a{\"x\": \"y\"}"),
        ("Transfer-Encoding: chunked", "0\r\n\r\n", ""),
        ("Content-Length: 0", "", ""),
        ("Transfer-Encoding: chunked", "nonsense", "the request's content broke off!"),
    ] {
        for step in [1, 2, 1000] {
            let mut world = World::of(logged(), Echo { asks: true }, 0);
            let client = world.connect(Road { step, ..Road::WIDE });
            client.send(format!("POST / HTTP/1.1\r\nHost: t\r\n{fields}\r\n\r\n{sent}").as_bytes());
            world.settle();
            let answer = text(&client);
            let body: String = answer.split_once("\r\n\r\n").unwrap().1.to_owned();
            assert_eq!(body, echoed, "{sent:?} by {step}");
            // And the next request is read where the content ended.
            client.send(b"POST / HTTP/1.1\r\nHost: t\r\n\r\n");
            world.settle();
            assert_eq!(text(&client).starts_with("HTTP/1.1 200 "), sent != "nonsense", "{sent:?} by {step}");
            world.cut(1);
        }
    }
}

#[test]
fn a_client_is_told_to_go_on_when_its_content_is_asked_for() {
    let post = b"POST / HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    let mut world = World::of(logged(), Echo { asks: true }, 0);
    let client = world.connect(Road::WIDE);
    client.send(post);
    world.settle();
    assert_eq!(text(&client), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send(b"hello");
    world.settle();
    assert!(text(&client).ends_with("\r\n\r\nhello"));
    // One that does not wait is not told.
    client.send(&[&post[..], b"hello"].concat());
    world.settle();
    assert!(text(&client).starts_with("HTTP/1.1 200 "));
    world.cut(1);

    // Without being asked for, it may come or not: so nothing follows.
    let mut world = World::of(logged(), Echo { asks: false }, 0);
    let client = world.connect(Road::WIDE);
    client.send(post);
    world.settle();
    let answer = text(&client);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\r\nconnection: close\r\n"), "{answer}");
    assert_eq!(client.end(), Some(End::Clean));
    client.half_close();
    world.settle();
    assert!(!world.lives(1));
}

#[test]
fn content_that_nobody_asked_for_is_passed_over_or_ends_the_connection_behind_the_answer() {
    for (len, kept) in [(1, true), (64 * 1024, true), (64 * 1024 + 1, false)] {
        for chunked in [false, true] {
            let mut world = World::of(logged(), Echo { asks: false }, 0);
            let client = world.connect(Road::WIDE);
            let body = vec![b'x'; len];
            let (field, body) = if chunked {
                let chunk = [format!("{len:x}\r\n").as_bytes(), &body, b"\r\n0\r\n\r\n"].concat();
                ("Transfer-Encoding: chunked".to_owned(), chunk)
            } else {
                (format!("Content-Length: {len}"), body)
            };
            client.send(format!("POST / HTTP/1.1\r\nHost: t\r\n{field}\r\n\r\n").as_bytes());
            client.send(&body);
            client.send(b"POST / HTTP/1.1\r\nHost: t\r\n\r\n");
            world.settle();
            let answers = text(&client).matches("HTTP/1.1 200 ").count();
            assert_eq!((answers, client.end().is_none()), (1 + usize::from(kept), kept), "{len} {chunked}");
            // All of it was read: the kernel has no cause to reset the connection.
            assert_eq!(client.untaken(), 0);
            client.half_close();
            world.settle();
            assert_eq!((world.lives(1), client.end()), (false, Some(End::Clean)));
        }
    }
}

/// Sends hints ahead of its answer.
struct Hinting;

impl Handler for Hinting {
    fn respond<'a>(&'a self, request: Request<RequestBody>, _: &'a From) -> Answer<'a> {
        let interim = request.extensions().get::<Interim>().cloned();
        Box::pin(async move {
            let hints: HeaderMap =
                [("link".parse().unwrap(), "</style.css>".parse().unwrap())].into_iter().collect();
            let sent = interim.as_ref().is_some_and(|interim| interim.send(StatusCode::EARLY_HINTS, hints));
            let mut turns = 0;
            // Another turn of the connection's task, in which they go out.
            std::future::poll_fn(|cx| {
                turns += 1;
                cx.waker().wake_by_ref();
                if turns > 1 { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
            })
            .await;
            Response::new(Content::text(if sent { "sent" } else { "not sent" }))
        })
    }
}

#[test]
fn hints_go_ahead_of_an_answer_to_clients_that_know_them() {
    for (version, head, body) in [
        ("1.1", "HTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\n\r\nHTTP/1.1 200 OK\r\n", "sent"),
        ("1.0", "HTTP/1.0 200 OK\r\n", "not sent"),
    ] {
        let mut world = World::of(logged(), Hinting, 0);
        let client = world.connect(Road::WIDE);
        client.send(format!("GET / HTTP/{version}\r\nHost: t\r\n\r\n").as_bytes());
        world.settle();
        let answer = text(&client);
        assert!(answer.starts_with(head) && answer.contains(&format!("\r\n{body}")), "{answer}");
        world.cut(1);
    }
}

#[test]
fn a_kept_connection_ends_with_the_drain_and_one_under_way_behind_its_answer() {
    let mut world = World::of(logged(), page(30_000), 61_440);
    let (idle, busy) = (world.connect(Road::WIDE), world.connect(Road::WIDE));
    idle.send(b"HEAD / HTTP/1.1\r\nHost: t\r\n\r\n");
    busy.send(GET);
    world.settle();
    world.handle.drain();
    world.settle();
    assert_eq!((idle.end(), busy.end()), (Some(End::Clean), None));
    busy.send(GET);
    world.pass(SECOND);
    assert!(busy.read(usize::MAX).ends_with(&content(30_000)));
    assert_eq!(busy.end(), Some(End::Clean), "the second is not answered");
    world.cut(2);
}

#[test]
fn a_closed_connection_of_either_version_takes_what_its_client_still_sends() {
    // Then a frame of content for no stream; and a request with more content than is discarded for the next one.
    let of_no_stream = [0; 9];
    let large = b"POST /page HTTP/1.1\r\nHost: t\r\nContent-Length: 1000000\r\n\r\n";
    for (version, request, closing) in [(2, GET_2, &of_no_stream[..]), (1, large, b"")] {
        let mut world = World::of(logged(), page(10), 0);
        let client = world.connect(Road::WIDE);
        client.send(request);
        world.read_until("the page", &client, |came| came.windows(10).any(|bytes| bytes == content(10)));
        client.send(closing);
        world.until("the end", |_| client.end() == Some(End::Clean));
        // A close now would reset the connection, and what the client has not read yet would be gone.
        assert!(world.lives(1), "HTTP/{version}");
        client.send(&[0; 100_000]);
        world.settle();
        assert_eq!((client.untaken(), world.lives(1)), (0, true), "HTTP/{version}");
        client.half_close();
        world.until("its end", |world| (world.lives(1), world.handle.connections()) == (false, 0));
    }
}
