//! HTTP/1 as this server reads it, held against hyper's server, against RFC 9112 rule by rule, and against random
//! input and operations.

mod answers;
mod corpus;
mod differences;
mod fuzz;
mod fuzz_driver;
mod hyper_server;
mod rfc9112;
mod streams;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Version, request};
use http_body::Body;
use proptest::prelude::*;

use super::pipe::Road;
use super::{From, World};
use crate::http::body::RequestBody;
use crate::http::content::Content;
use crate::http::route::{Answer, Handler};
use crate::http::server::Settings;

/// A field of each answer to a request that a handler saw: its number.
const MARK: &str = "x-mark";

/// The field values of a head or a trailer section, by name.
type Fields = BTreeMap<String, Vec<Bytes>>;

/// A request as a handler saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Reading {
    method: Method,
    target: String,
    version: Version,
    /// Without `Content-Length`: hyper drops some, and how the content is framed shows in `content`.
    fields: Fields,
    content: Vec<u8>,
    trailers: Fields,
    /// The content came to its end.
    is_whole: bool,
}

/// All that handlers of one connection saw.
type Readings = Arc<Mutex<Vec<Reading>>>;

impl Reading {
    fn of(head: &request::Parts) -> Self {
        let mut fields = collected(&head.headers);
        fields.remove("content-length");
        Self {
            method: head.method.clone(),
            target: head.uri.to_string(),
            version: head.version,
            fields,
            content: Vec::new(),
            trailers: Fields::new(),
            is_whole: false,
        }
    }
}

fn collected(fields: &HeaderMap) -> Fields {
    let mut all = Fields::new();
    for (name, value) in fields {
        all.entry(name.to_string()).or_default().push(Bytes::copy_from_slice(value.as_bytes()));
    }
    all
}

/// Notes a request, head first, and reads its content to the end. Returns its number.
async fn note<B: Body<Data = Bytes> + Unpin>(request: Request<B>, readings: Readings) -> usize {
    let (head, mut body) = request.into_parts();
    let number = {
        let mut all = readings.lock().unwrap();
        all.push(Reading::of(&head));
        all.len() - 1
    };
    loop {
        let frame = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
        let mut all = readings.lock().unwrap();
        let reading = &mut all[number];
        match frame.map(|frame| frame.map(http_body::Frame::into_data)) {
            None => {
                reading.is_whole = true;
                return number;
            }
            Some(Err(_)) => return number,
            Some(Ok(Ok(data))) => reading.content.extend_from_slice(&data),
            Some(Ok(Err(frame))) => {
                reading.trailers = frame.into_trailers().map(|fields| collected(&fields)).unwrap_or_default();
            }
        }
    }
}

/// Notes requests, and answers "ok".
struct Noting(Readings);

impl Handler for Noting {
    fn respond<'a>(&'a self, request: Request<RequestBody>, _: &'a From) -> Answer<'a> {
        Box::pin(async move {
            let number = note(request, Arc::clone(&self.0)).await;
            let response = Response::builder().header(MARK, number).header("content-length", 2);
            response.body(Content::text("ok")).unwrap()
        })
    }
}

/// What a server made of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// A handler saw it.
    Read(Reading),
    /// The server answered by itself.
    Answered(u16),
}

/// What a server made of all that came over one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Outcome {
    steps: Vec<Step>,
    /// The connection is open after all bytes, for more of them.
    is_kept: bool,
}

impl Outcome {
    /// Puts the answers of a server beside what its handler saw.
    fn new(written: &[u8], readings: &Readings, is_kept: bool) -> Self {
        let readings = readings.lock().unwrap().clone();
        // hyper's 200 to CONNECT has no content either.
        let is_bare = |method: &Method| [Method::HEAD, Method::CONNECT].contains(method);
        let is_head = |mark: Option<usize>| mark.is_some_and(|mark| is_bare(&readings[mark].method));
        let answers = answers::read(written, is_head).unwrap();
        let mut steps: Vec<Step> = answers
            .iter()
            .filter(|answer| answer.status >= 200)
            .map(|answer| match answer.mark {
                Some(mark) => Step::Read(readings[mark].clone()),
                None => Step::Answered(answer.status),
            })
            .collect();
        let answered = steps.iter().filter(|step| matches!(step, Step::Read(_))).count();
        steps.extend(readings.into_iter().skip(answered).map(Step::Read));
        Self { steps, is_kept }
    }
}

/// Sends `pieces` to this server, each when the one before is read. Returns what it wrote, what its handler saw, and
/// whether the connection was open after all of them.
fn exchange(pieces: &[&[u8]]) -> (Vec<u8>, Readings, bool) {
    let readings = Readings::default();
    let mut world = World::of(Settings::default(), Noting(Arc::clone(&readings)), 0);
    let client = world.connect(Road::WIDE);
    for piece in pieces {
        client.send(piece);
        world.settle();
    }
    let is_kept = world.lives(1) && client.end().is_none();
    client.half_close();
    world.settle();
    assert!(!world.lives(1), "it outlives its client");
    (client.read(usize::MAX), readings, is_kept)
}

fn read_by_ours(pieces: &[&[u8]]) -> Outcome {
    let (written, readings, is_kept) = exchange(pieces);
    Outcome::new(&written, &readings, is_kept)
}

/// `bytes`, cut at `cuts`.
fn pieces<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places.windows(2).map(|ends| &bytes[ends[0]..ends[1]]).collect()
}

/// Regressions get a test of their own, not a file of seeds.
fn unrecorded() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}
