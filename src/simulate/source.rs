//! What a simulated server answers: content of the size, and at the speed, that the client's group says.

use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE};
use http::{Method, Request, Response, StatusCode};
use http_body::Body;

use super::flow::Inflow;
use super::wire::ZEROS;
use crate::brigade::{Brigade, Bucket};
use crate::clock::{Clock, ManualClock, Sleep};
use crate::generator::Generator;
use crate::http::answer;
use crate::http::body::RequestBody;
use crate::http::content::Content;
use crate::http::source::{Answer, Paths, Source, Visitor};
use crate::limit::Rate;
use crate::sync::Mutex;

/// How much of a backend's content waits to be read.
const SOURCE_BUFFER: u64 = 64 * 1024;

/// What the client of a connection asks for next.
#[derive(Clone, Copy, Debug)]
pub(super) struct ResponseSpec {
    /// Bytes; `None` is endless.
    pub(super) size: Option<u64>,
    /// How fast the content comes to be; `None`: it is there.
    pub(super) rate: Option<Rate>,
}

/// What was asked for, by connection.
pub(super) type ExpectedResponses = Arc<Mutex<HashMap<SocketAddr, ResponseSpec>>>;

/// The source of a route in a simulation.
pub struct SimulatedSource {
    clock: Arc<ManualClock>,
    expected: ExpectedResponses,
    is_folder: bool,
}

opaque!(SimulatedSource);

impl SimulatedSource {
    pub(super) fn new(clock: Arc<ManualClock>, expected: ExpectedResponses, is_folder: bool) -> Self {
        Self { clock, expected, is_folder }
    }

    fn answer(&self, method: &Method, path: &str, response: ResponseSpec) -> Response<Content> {
        if self.is_folder && *method != Method::GET && *method != Method::HEAD {
            let text = "Files are read with GET and HEAD.";
            let mut answer = answer::plain(StatusCode::METHOD_NOT_ALLOWED, text);
            answer.headers_mut().insert(ALLOW, http::HeaderValue::from_static("GET, HEAD"));
            return answer;
        }
        let clock = Arc::clone(&self.clock);
        let flow = response.rate.map(|rate| Inflow::new(rate, SOURCE_BUFFER, clock.now()));
        let sleep = Sleep::until(Arc::clone(&clock) as Arc<dyn Clock>, clock.now());
        let zeros = Zeros { left: response.size, flow, sleep, clock };
        let mut answer = Response::new(Content::Stream(Box::new(zeros)));
        if let Some(size) = response.size {
            answer.headers_mut().insert(CONTENT_LENGTH, size.into());
        }
        let media = mime_guess::from_path(Path::new(path)).first_raw().unwrap_or("application/octet-stream");
        answer.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static(media));
        answer
    }
}

impl Source for SimulatedSource {
    fn respond<'a>(&'a self, request: Request<RequestBody>, _: &'a str, visitor: Visitor<'a>) -> Answer<'a> {
        let response = visitor.client.peer.addr().and_then(|peer| self.expected.lock().get(&peer).copied());
        let response = response.unwrap_or(ResponseSpec { size: Some(0), rate: None });
        Box::pin(async move {
            let (head, body) = request.into_parts();
            // As a backend does: it answers when it has the request. Folders read no content.
            if !self.is_folder
                && let Err(answer) = whole(body).await
            {
                return answer;
            }
            self.answer(&head.method, head.uri.path(), response)
        })
    }

    fn paths(&self) -> Paths {
        if self.is_folder { Paths::Normal } else { Paths::AsGiven }
    }
}

/// Reads the content of a request to its end.
///
/// # Errors
/// The answer, if it breaks off.
#[allow(clippy::result_large_err, reason = "as of the server's own refusals")]
async fn whole(mut body: RequestBody) -> Result<(), Response<Content>> {
    loop {
        match std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            Some(Ok(_)) => {}
            Some(Err(_)) => return Err(answer::plain(StatusCode::BAD_REQUEST, "The content broke off.")),
            None => return Ok(()),
        }
    }
}

/// Bytes, all zero.
struct Zeros {
    left: Option<u64>,
    flow: Option<Inflow>,
    sleep: Sleep,
    clock: Arc<ManualClock>,
}

impl Generator for Zeros {
    fn poll_fill(&mut self, cx: &mut Context<'_>, brigade: &mut Brigade) -> Poll<()> {
        let left = self.left.unwrap_or(u64::MAX);
        if left == 0 {
            brigade.push(Bucket::Eos);
            return Poll::Ready(());
        }
        let mut ready = left;
        if let Some(flow) = &mut self.flow {
            loop {
                ready = flow.ready(self.clock.now()).min(left);
                if ready > 0 {
                    break;
                }
                self.sleep.reset(flow.ready_at(flow.piece().min(left)));
                if Pin::new(&mut self.sleep).poll(cx).is_pending() {
                    return Poll::Pending;
                }
            }
        }
        let given = ready.min(brigade.room().max(1));
        let mut rest = given;
        while rest > 0 {
            let piece = rest.min(ZEROS.len() as u64);
            brigade.push(Bucket::Data(Bytes::from_static(&ZEROS[..piece as usize])));
            rest -= piece;
        }
        if let Some(flow) = &mut self.flow {
            flow.take(given);
        }
        self.left = self.left.map(|left| left - given);
        if self.left == Some(0) {
            brigade.push(Bucket::Eos);
        }
        Poll::Ready(())
    }

    fn min_remaining(&self) -> u64 {
        self.left.unwrap_or(u64::MAX)
    }
}
