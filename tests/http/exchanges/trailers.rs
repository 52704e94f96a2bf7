//! What trailers may carry, to a backend and to a client, over both versions.

use std::io::Write;
use std::net::TcpStream;
use std::sync::mpsc;

use bytes::Bytes;
use futures_lite::{future, stream};
use http::{HeaderMap, Request};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use sluicegate::address::Network;
use sluicegate::http::server::Settings;

use testkit::backend::Backend;
use testkit::h2;
use testkit::message::read_head;
use testkit::served::Served;
use testkit::wire::Client;

/// Names that say something of the message, of the way it went, or of who asks.
const NEVER: &str = "forwarded x-forwarded-for x_forwarded_for x-real-ip proxy via x-accel-redirect \
                    x_accel_limit_rate authorization content_length content-encoding set-cookie";

/// A backend that hands on the last lines of a request, and says `answer`.
fn telling(answer: &'static str) -> (Backend, mpsc::Receiver<String>) {
    let (told, tells) = mpsc::channel();
    let backend = Backend::new(move |stream: &mut TcpStream, _| {
        // As if it were a head: up to the empty line.
        let came = read_head(stream).unwrap();
        let _ = told.send(came.split_once("\r\n0\r\n").map_or(String::new(), |(_, end)| end.to_owned()));
        let _ = stream.write_all(answer.as_bytes());
    });
    (backend, tells)
}

const NO_CONTENT: &str = "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";

/// Also a trusted proxy says none of it behind the content.
fn served(backend: &Backend, trusted: bool) -> Served {
    let networks: Vec<Network> = if trusted { vec!["127.0.0.0/8".parse().unwrap()] } else { Vec::new() };
    let settings = Settings { trusted: networks.into_iter().collect(), ..Settings::default() };
    Served::with(settings, vec![backend.route(0)])
}

#[test]
fn a_requests_trailers_claim_nothing() {
    let announced = format!("x-sum, {}", NEVER.replace(' ', ", "));
    for trusted in [false, true] {
        let (backend, tells) = telling(NO_CONTENT);
        let served = served(&backend, trusted);
        let trailers: String = NEVER.split(' ').map(|name| format!("{name}: 1\r\n")).collect();
        let mut client = Client::new(served.connect());
        client.send(
            format!(
                "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\nTrailer: {announced}\r\n\r\n\
                 3\r\nabc\r\n0\r\n{trailers}X-Sum: 3\r\n\r\n"
            )
            .as_bytes(),
        );
        assert!(client.answer().head.starts_with("HTTP/1.1 204 "));
        assert_eq!(tells.recv().unwrap(), "x-sum: 3\r\n\r\n", "HTTP/1");

        future::block_on(async {
            let mut sender = h2::connect_with(served.addr, h2::WIDE).await;
            let mut trailers = HeaderMap::new();
            NEVER.split(' ').for_each(|name| _ = trailers.insert(name, "1".parse().unwrap()));
            trailers.insert("x-sum", "3".parse().unwrap());
            let frames = [Frame::data(Bytes::from_static(b"abc")), Frame::trailers(trailers)];
            let body = StreamBody::new(stream::iter(frames.map(Ok::<_, std::convert::Infallible>)));
            let request = Request::post("http://t/").header("trailer", &announced).body(body).unwrap();
            assert_eq!(sender.send_request(request).await.unwrap().status(), 204);
        });
        assert_eq!(tells.recv().unwrap(), "x-sum: 3\r\n\r\n", "HTTP/2");
    }
}

#[test]
fn an_answers_trailers_are_about_its_content_only() {
    let trailers: String = NEVER.split(' ').map(|name| format!("{name}: 1\r\n")).collect();
    let announced = format!("x-sum, grpc-status, {}", NEVER.replace(' ', ", "));
    let answer = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: {announced}\r\nConnection: close\r\n\r\n\
         3\r\nabc\r\n0\r\n{trailers}X-Sum: 3\r\nGrpc-Status: 0\r\n\r\n"
    );
    let backend = Backend::saying(answer);
    let served = served(&backend, false);
    let answer = Client::new(served.connect()).get("/", "TE: trailers\r\nConnection: te\r\n");
    assert_eq!(answer.body, b"abc");
    let mut lines: Vec<String> = answer.trailers.lines().map(str::to_ascii_lowercase).collect();
    lines.retain(|line| !line.is_empty());
    lines.sort();
    assert_eq!(lines, ["grpc-status: 0", "x-sum: 3"], "HTTP/1");

    future::block_on(async {
        let mut sender = h2::connect(served.addr, h2::WIDE).await;
        let answer = h2::get(&mut sender, "/").await;
        let collected = answer.into_body().collect().await.unwrap();
        let mut names: Vec<&str> = collected.trailers().unwrap().keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["grpc-status", "x-sum"], "HTTP/2");
    });
}
