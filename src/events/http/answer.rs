//! Successful answers.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde::Serialize;

use super::super::encoding;
use super::super::publishing::Published;
use super::super::stream::Polled;
use super::polled::PolledText;
use super::problem::PAUSE;
use crate::http::answer;
use crate::http::api::{json, written};
use crate::http::content::Content;

/// A stream of server-sent events. Hop-by-hop fields are the server's: HTTP/2 has none.
pub(super) fn stream(content: Content) -> Response<Content> {
    let mut response = answer::empty(StatusCode::OK);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Otherwise nginx buffers events until its buffers are full.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    *response.body_mut() = content;
    response
}

/// A stream of nothing but a pause event.
pub(super) fn paused(pause: Bytes) -> Response<Content> {
    let mut response = stream(Content::text(pause));
    response.headers_mut().insert(PAUSE, HeaderValue::from_static("true"));
    response
}

/// A stream that ends at once: the client is to come again after `retry`.
pub(super) fn ended(retry: Duration) -> Response<Content> {
    stream(Content::text(encoding::retry(retry)))
}

pub(super) fn nothing() -> Response<Content> {
    let mut response = answer::empty(StatusCode::NO_CONTENT);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

pub(super) fn published(published: &Published) -> Response<Content> {
    #[derive(Serialize)]
    struct Body<'a> {
        ids: &'a [String],
        last_id: Option<&'a String>,
    }
    json(StatusCode::OK, &Body { ids: &published.ids, last_id: published.ids.last() })
}

/// The answer to a poll. A long one is encoded piece by piece as it is sent, from events that the stream's log holds
/// anyway, and has no length.
pub(super) fn polled(polled: Polled) -> Response<Content> {
    let mut text = PolledText::new(polled);
    match text.short() {
        Some(text) => written(StatusCode::OK, text),
        None => {
            let mut response = written(StatusCode::OK, "");
            response.headers_mut().remove(CONTENT_LENGTH);
            *response.body_mut() = Content::Stream(Box::new(text));
            response
        }
    }
}
