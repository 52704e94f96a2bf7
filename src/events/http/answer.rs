//! Answers that are no problem.

use bytes::Bytes;
use headers::{ContentLength, HeaderMapExt};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde::Serialize;

use super::super::hub::Published;
use super::super::stream::Polled;
use super::polled::PolledText;
use super::problem::PAUSE;
use crate::http::answer;
use crate::http::content::Content;

/// A stream of events. No field of one hop alone: HTTP/2 has none, and HTTP/1 gets its own from hyper.
pub(super) fn stream(content: Content) -> Response<Content> {
    let mut response = answer::empty(StatusCode::OK);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // nginx would gather events until its buffers are full.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    *response.body_mut() = content;
    response
}

/// A stream that ends with its pause.
pub(super) fn paused(pause: Bytes) -> Response<Content> {
    let mut response = stream(Content::text(pause));
    response.headers_mut().insert(PAUSE, HeaderValue::from_static("true"));
    response
}

pub(super) fn json(text: impl Into<Bytes>) -> Response<Content> {
    let text = text.into();
    let length = ContentLength(text.len() as u64);
    let mut response = json_head(Content::text(text));
    response.headers_mut().typed_insert(length);
    response
}

fn json_head(content: Content) -> Response<Content> {
    let mut response = answer::empty(StatusCode::OK);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    *response.body_mut() = content;
    response
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
    serialized(&Body { ids: &published.ids, last_id: published.ids.last() })
}

/// The answer to a poll. A long one is made piece by piece as it goes, of events that the stream's log holds anyway,
/// and its length is not told.
pub(super) fn polled(polled: Polled) -> Response<Content> {
    let mut text = PolledText::new(polled);
    match text.short() {
        Some(text) => json(text),
        None => json_head(Content::Stream(Box::new(text))),
    }
}

fn serialized(body: &impl Serialize) -> Response<Content> {
    let mut text = serde_json::to_string(body).unwrap_or_default();
    text.push('\n');
    json(text)
}
