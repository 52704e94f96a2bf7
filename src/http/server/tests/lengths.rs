//! What the head says of the length of content whose source says nothing.

use http::header::HeaderMap;
use http::{HeaderValue, Request, Response};

use super::pipe::Road;
use super::{From, Settings, World, content, over_time};
use crate::brigade::{Bucket, SourceError};
use crate::filter::GzipFactory;
use crate::http::body::RequestBody;
use crate::http::content::Content;
use crate::http::route::{Answer, Handler, Route};

/// Answers with what the path names, as text, without a length.
struct Kinds;

impl Handler for Kinds {
    fn respond<'a>(&'a self, request: Request<RequestBody>, _: &'a From) -> Answer<'a> {
        let of = |buckets: Vec<Bucket>| Content::Buckets(buckets.into_iter().collect());
        let data = |len| Bucket::Data(content(len));
        let trailers = HeaderMap::from_iter([(http::header::ETAG, HeaderValue::from_static("\"a\""))]);
        let content = match request.uri().path() {
            "/text" => Content::text("hello"),
            "/none" => Content::text(""),
            "/long" => Content::text(content(1000)),
            "/buckets" => of(vec![data(3), Bucket::Flush, data(4), Bucket::Eos]),
            "/trailers" => of(vec![data(3), Bucket::Trailers(Box::new(trailers)), Bucket::Eos]),
            "/broken" => of(vec![data(3), Bucket::Error(SourceError::new("gone"))]),
            _ => over_time("piece by piece"),
        };
        let answer = Response::builder().header("content-type", "text/plain");
        Box::pin(async move { answer.body(content).unwrap() })
    }
}

/// The fields that frame the answer to `head`.
fn framing(route: Route, head: &str) -> Vec<String> {
    let mut world = World::on(Settings::default(), route);
    let client = world.connect(Road::WIDE);
    client.send(format!("{head}\r\nHost: t\r\nAccept-Encoding: gzip\r\n\r\n").as_bytes());
    world.settle();
    let came = String::from_utf8_lossy(&client.read(usize::MAX)).into_owned();
    let (head, _) = came.split_once("\r\n\r\n").expect("a head");
    let is_framing = |line: &&str| {
        line.starts_with("content-length") || line.starts_with("transfer-") || line.starts_with("connection")
    };
    client.half_close();
    world.cut(1);
    head.lines().filter(is_framing).map(str::to_owned).collect()
}

#[test]
fn the_length_of_content_at_hand_is_stated_and_what_comes_over_time_is_chunked() {
    for (head, expected) in [
        ("GET /text HTTP/1.1", &["content-length: 5"][..]),
        ("HEAD /text HTTP/1.1", &["content-length: 5"]),
        ("GET /text HTTP/1.0", &["content-length: 5", "connection: close"]),
        ("GET /none HTTP/1.1", &["content-length: 0"]),
        ("GET /buckets HTTP/1.1", &["content-length: 7"]),
        ("GET /trailers HTTP/1.1", &["transfer-encoding: chunked"]),
        ("GET /broken HTTP/1.1", &["transfer-encoding: chunked"]),
        ("GET /stream HTTP/1.1", &["transfer-encoding: chunked"]),
        ("GET /stream HTTP/1.0", &["connection: close"]),
    ] {
        assert_eq!(framing(Route::handler("/", Kinds), head), expected, "{head}");
    }
}

#[test]
fn a_filter_that_changes_content_unstates_its_length() {
    let zipped = || Route::handler("/", Kinds).filter(GzipFactory::new());
    assert_eq!(framing(zipped(), "GET /long HTTP/1.1"), ["transfer-encoding: chunked"]);
    assert_eq!(framing(zipped(), "GET /text HTTP/1.1"), ["content-length: 5"], "too short to be coded");
}
