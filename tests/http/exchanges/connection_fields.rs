//! Fields that HTTP/1 frames by and HTTP/2 forbids: what of them a source's answer keeps, in either version.

use bytes::Bytes;
use futures_lite::future;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use sluicegate::http::body::RequestBody;
use sluicegate::http::content::Content;
use sluicegate::http::proxy::Client as Asking;
use sluicegate::http::route::{Answer, Handler, Route};
use sluicegate::rt;

use testkit::backend::Backend;
use testkit::h2::{WIDE, connect};
use testkit::served::Served;
use testkit::wire::{Client, End};

/// What a client of HTTP/2 gets: status, fields without `Date` and `Via`, content, trailers.
type Got = (u16, Vec<String>, Bytes, Vec<String>);

fn lines(fields: &HeaderMap) -> Vec<String> {
    let mut lines: Vec<String> = fields
        .iter()
        .filter(|(name, _)| !["date", "via"].contains(&name.as_str()))
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    lines.sort();
    lines
}

/// `Err`: the stream or the connection failed, as it does where an answer breaks the rules of HTTP/2.
fn over_http2(served: &Served, method: &str) -> Result<Got, hyper::Error> {
    rt::block_on(async {
        let mut sender = connect(served.addr, WIDE).await;
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let request = Request::builder().method(method).uri("http://t/").body(Empty::<Bytes>::new()).unwrap();
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = body.collect().await?;
        let trailers = body.trailers().map(lines).unwrap_or_default();
        Ok((head.status.as_u16(), lines(&head.headers), body.to_bytes(), trailers))
    })
}

#[test]
fn answers_without_content_have_no_framing_in_either_version() {
    for (method, answer, left) in [
        ("GET", "204 No Content\r\ncontent-length: 5", &[][..]),
        ("GET", "204 No Content\r\nContent-Length: 0\r\nX-Kept: 1", &["x-kept: 1"]),
        ("GET", "204 No Content\r\ntransfer-encoding: chunked", &[]),
        ("GET", "304 Not Modified\r\ncontent-length: 5\r\netag: \"a\"", &["etag: \"a\""]),
        ("GET", "304 Not Modified\r\ntransfer-encoding: chunked", &[]),
        ("HEAD", "204 No Content\r\ncontent-length: 5", &[]),
        ("HEAD", "304 Not Modified\r\ncontent-length: 5", &[]),
        // Here it is the length that GET would have.
        ("HEAD", "200 OK\r\ncontent-length: 5", &["content-length: 5"]),
        ("HEAD", "200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 5", &[]),
    ] {
        let backend = Backend::saying(format!("HTTP/1.1 {answer}\r\n\r\n"));
        let served = Served::new(vec![backend.route(0)]);
        let status: u16 = answer[..3].parse().unwrap();
        let got = over_http2(&served, method).unwrap();
        assert_eq!(got, (status, left.iter().map(|&line| line.to_owned()).collect(), Bytes::new(), vec![]));

        let mut client = Client::new(served.connect());
        client.send(format!("{method} / HTTP/1.1\r\nhost: t\r\n\r\n").as_bytes());
        let got = client.answer_to(method);
        assert_eq!((got.status(), got.end, got.body.len()), (status, End::Complete, 0), "{answer}");
        let length = left.iter().find_map(|line| line.strip_prefix("content-length: "));
        assert_eq!(got.field("content-length"), length, "{method} {answer}");
        assert_eq!(got.field("transfer-encoding"), None, "{method} {answer}");
        assert_eq!(client.get("/", "").status(), status, "the connection is kept");
    }
}

#[test]
fn hop_by_hop_fields_of_the_backend_stay_there() {
    let head = "HTTP/1.1 200 OK\r\nConnection: X-Hop, keep-alive\r\nCONNECTION: x-other\r\nX-Hop: 1\r\nx-other: 1\r\n\
        Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nTE: trailers\r\nUpgrade: h2c\r\n\
        Transfer-Encoding: chunked\r\nX-UPPER: Kept\r\nTrailer: x-sum\r\n\r\n";
    let trailers = "X-Sum: 3\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\nConnection: x-sum\r\n\
        Keep-Alive: 1\r\nTrailer: x\r\nHost: evil\r\nSet-Cookie: a=b\r\n";
    let backend = Backend::saying(format!("{head}2\r\nok\r\n0\r\n{trailers}\r\n"));
    let served = Served::new(vec![backend.route(0)]);
    let owned = |lines: &[&str]| lines.iter().map(|&line| line.to_owned()).collect::<Vec<_>>();
    assert_eq!(
        over_http2(&served, "GET").unwrap(),
        (200, owned(&["trailer: x-sum", "x-upper: Kept"]), "ok".into(), owned(&["x-sum: 3"]))
    );
    let answer = Client::new(served.connect()).get("/", "TE: trailers\r\nConnection: te\r\n");
    assert_eq!((answer.status(), answer.body.as_slice(), answer.end), (200, &b"ok"[..], End::Complete));
    assert_eq!(answer.trailers.to_lowercase(), "x-sum: 3");
    for name in ["x-hop", "x-other", "keep-alive", "proxy-connection", "te", "upgrade", "connection"] {
        assert_eq!(answer.field(name), None, "{name}: {}", answer.head);
    }
}

/// Answers with a status and fields of its own.
struct Saying(u16, &'static [(&'static str, &'static str)]);

impl Handler for Saying {
    fn respond<'a>(&'a self, _: Request<RequestBody>, _: &'a Asking) -> Answer<'a> {
        let mut response = Response::new(Content::Empty);
        *response.status_mut() = StatusCode::from_u16(self.0).unwrap();
        for (name, value) in self.1 {
            let name = HeaderName::from_static(name);
            response.headers_mut().append(name, HeaderValue::from_static(value));
        }
        Box::pin(future::ready(response))
    }
}

#[test]
fn code_of_ones_own_keeps_to_the_same_rules() {
    const NO_CONTENT: Saying = Saying(
        204,
        &[
            ("content-length", "5"),
            ("transfer-encoding", "chunked"),
            ("connection", "x-hop"),
            ("connection", "x-other"),
            ("x-hop", "1"),
            ("x-other", "1"),
            ("keep-alive", "timeout=5"),
        ],
    );
    let served = Served::new(vec![Route::handler("/", NO_CONTENT)]);
    assert_eq!(over_http2(&served, "GET").unwrap(), (204, vec![], Bytes::new(), vec![]));
    let answer = Client::new(served.connect()).get("/", "");
    assert_eq!((answer.status(), answer.end), (204, End::Complete));
    assert_eq!((answer.field("content-length"), answer.field("transfer-encoding")), (None, None));

    // No answer is behind it: a client would wait for one for ever.
    let served = Served::new(vec![Route::handler("/", Saying(103, &[]))]);
    assert_eq!(over_http2(&served, "GET").unwrap().0, 500);
    assert_eq!(Client::new(served.connect()).get("/", "").status(), 500);
}
