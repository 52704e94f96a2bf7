//! What an exchange does with the content of its request: refuses too much, and paces the rest.

use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::{CONNECTION, HeaderValue};
use http::{Response, StatusCode};
use http_body::Body;

use super::exchange::Exchange;
use super::pacing::upload_limit_of;
use super::upload::{Bounds, Upload};
use super::upload_record::UploadRecord;
use crate::brigade::{Brigade, Bucket, SourceError};
use crate::budget::Gate;
use crate::filter::Chain;
use crate::generator::Generator;
use crate::http::answer;
use crate::http::body::{BodyFailure, RequestBody};
use crate::http::content::Content;
use crate::http::route::{Met, Route, RouteSource};
use crate::limit::Limit;

/// Puts a request's content on its way through the limits of `route` and of the server, which are live. `met` are the rules of
/// uploads that it met.
///
/// # Errors
/// The answer to a request whose head says that it has too much content.
#[allow(clippy::result_large_err, reason = "it is taken apart at once, and a box would cost an allocation")]
pub(super) fn admit(
    body: RequestBody,
    route: &Route,
    met: Met,
    exchange: &Exchange,
) -> Result<RequestBody, Response<Content>> {
    if body.is_end_stream() {
        return Ok(body);
    }
    let (connection, transfer) = (exchange.connection(), exchange.transfer());
    let server = &connection.server;
    let max = route.own_max_body().unwrap_or_else(|| server.setup().settings.max_body).bytes();
    let length = body.size_hint().exact();
    if length.zip(max).is_some_and(|(length, max)| length > max) {
        return Err(too_large());
    }
    if let RouteSource::Files(_) = route.source {
        // Nothing is read of it.
        return Ok(body);
    }
    let chosen = upload_limit_of(route, met, exchange);
    let way = self::way(route, &chosen.limit, exchange);
    let record = Arc::new(UploadRecord::new(length, chosen, transfer.began));
    transfer.uploads(&record);
    let bounds = Bounds { max, timeout: connection.settings.body_timeout };
    Ok(RequestBody::managed(Upload::of_request(body, way, bounds, connection, &record)))
}

/// The way of what the client of an exchange sends, paced by `limit`.
pub(super) fn way(route: &Route, limit: &Limit, exchange: &Exchange) -> (Chain, Gate) {
    let connection = exchange.connection();
    let [_, uploads] = exchange.budgets();
    route.upload_way(limit, uploads, exchange.client(), |key| connection.charges.is_new_to(key))
}

fn too_large() -> Response<Content> {
    answer::plain(StatusCode::PAYLOAD_TOO_LARGE, "The request has more content than is allowed here.")
}

/// What is answered in the source's place, because of the request's content.
pub(super) fn refusal(exchange: &Exchange) -> Option<Response<Content>> {
    let mut refusal = match exchange.transfer().upload()?.failure()? {
        // The source knows best.
        BodyFailure::Broken => return None,
        BodyFailure::TooLarge => too_large(),
        BodyFailure::TimedOut => {
            answer::plain(StatusCode::REQUEST_TIMEOUT, "The request's body did not arrive in time.")
        }
    };
    // The rest of the content must not be read as a request.
    refusal.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    Some(refusal)
}

/// Content that breaks off if the request's own, which is still read, turns out to be too much.
pub(super) fn guarded(content: Content, exchange: &Exchange) -> Content {
    let upload = exchange.transfer().upload().filter(|upload| !upload.has_ended());
    match (content, upload) {
        (Content::Stream(content), Some(upload)) => {
            Content::Stream(Box::new(Guarded { content, upload: Arc::clone(upload) }))
        }
        (content, _) => content,
    }
}

struct Guarded {
    content: Box<dyn Generator>,
    upload: Arc<UploadRecord>,
}

impl Generator for Guarded {
    fn poll_fill(&mut self, cx: &mut Context<'_>, brigade: &mut Brigade) -> Poll<()> {
        if self.upload.is_too_large(cx) {
            brigade.push(Bucket::Error(SourceError::new("the request has more content than is allowed")));
            return Poll::Ready(());
        }
        self.content.poll_fill(cx, brigade)
    }

    fn min_remaining(&self) -> u64 {
        self.content.min_remaining()
    }
}
