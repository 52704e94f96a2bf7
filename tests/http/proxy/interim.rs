//! Interim responses: they go to who takes them, and show that the backend is alive.

use std::future::poll_fn;
use std::io::Write;
use std::time::Duration;

use futures_lite::future::poll_once;
use http::{HeaderMap, Request, Response};
use sluicegate::config::ProxySource;
use sluicegate::http::body::RequestBody;
use sluicegate::http::content::Content;
use sluicegate::http::interim::Interim;
use sluicegate::http::peer::PeerAddr;
use sluicegate::http::proxy::{Client, Proxy};
use sluicegate::rt;

use super::fixture::{Front, answering, status};

/// Asks as a client does that takes interim responses; the answer, and those that came before it.
fn ask(source: ProxySource) -> (Response<Content>, Vec<(u16, HeaderMap)>) {
    let interim = Interim::default();
    let mut request = Request::get("http://f/").body(RequestBody::empty()).unwrap();
    request.extensions_mut().insert(interim.clone());
    let from = Client::new(PeerAddr::Unix, "http");
    let proxy = Proxy::new(source, None, rt::clock());
    rt::block_on(async {
        let response = proxy.respond(request, "", &from).await;
        let mut before = Vec::new();
        while let Some((status, fields)) = poll_once(poll_fn(|cx| interim.poll_next(cx))).await {
            before.push((status.as_u16(), fields));
        }
        (response, before)
    })
}

#[test]
fn they_are_passed_on_without_hop_by_hop_fields() {
    let backend = answering(|stream| {
        let heads = "HTTP/1.1 100 Continue\r\n\r\n\
            HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\nlink: </b>\r\nconnection: x-hop\r\nx-hop: 1\r\n\
            content-length: 5\r\n\r\n\
            HTTP/1.1 102 Processing\r\n\r\n\
            HTTP/1.1 204 No Content\r\n\r\n";
        stream.write_all(heads.as_bytes()).unwrap();
    });
    let (response, before) = ask(backend.source());
    assert_eq!((response.status().as_u16(), response.headers().get("link")), (204, None));
    let mut hints = HeaderMap::new();
    hints.append("link", "</a>; rel=preload".parse().unwrap());
    hints.append("link", "</b>".parse().unwrap());
    assert_eq!(before, [(103, hints), (102, HeaderMap::new())]);
    backend.join();
}

#[test]
fn one_that_cannot_be_read_is_no_answer() {
    let backend = answering(|stream| {
        stream
            .write_all(b"HTTP/1.1 103 Early Hints\r\nconnection: \xff\r\n\r\nHTTP/1.1 204 X\r\n\r\n")
            .unwrap();
    });
    let (response, before) = ask(backend.source());
    assert_eq!((response.status().as_u16(), before), (502, vec![]));
    backend.join();
}

#[test]
fn each_puts_off_the_timeout_of_the_response() {
    let backend = answering(|stream| {
        // The pace is what is tested: all of it takes longer than the timeout, no interval does.
        for _ in 0..5 {
            std::thread::sleep(Duration::from_millis(60));
            stream.write_all(b"HTTP/1.1 102 Processing\r\n\r\n").unwrap();
        }
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
    });
    let mut source = backend.source();
    source.response_timeout = Duration::from_millis(200);
    assert_eq!(status(&Front::new(source).get().0), "204");
    backend.join();
}
