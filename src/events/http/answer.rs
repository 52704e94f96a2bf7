//! Answers that are no problem.

use bytes::Bytes;
use headers::{ContentLength, HeaderMapExt};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde::Serialize;

use super::super::hub::Published;
use super::super::queue::Gap;
use super::super::stream::Polled;
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

pub(super) fn json(text: String) -> Response<Content> {
    let mut response = answer::empty(StatusCode::OK);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.typed_insert(ContentLength(text.len() as u64));
    *response.body_mut() = Content::text(text);
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

pub(super) fn polled(polled: &Polled) -> Response<Content> {
    #[derive(Serialize)]
    struct Event<'a> {
        id: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        r#type: Option<&'a str>,
        data: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        traceparent: Option<String>,
    }
    #[derive(Serialize)]
    struct Body<'a> {
        events: Vec<Event<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        gap: Option<&'a Gap>,
        last_id: Option<&'a str>,
        suspended: bool,
        may_resume: bool,
    }
    let events = polled.events.iter().map(|event| Event {
        id: &event.id,
        r#type: event.kind.as_deref(),
        // It was a text when it was published.
        data: std::str::from_utf8(&event.data).unwrap_or_default(),
        traceparent: event.trace.map(|trace| trace.to_string()),
    });
    serialized(&Body {
        events: events.collect(),
        gap: polled.gap.as_ref(),
        last_id: polled.last_id.as_deref(),
        suspended: polled.suspended,
        may_resume: polled.may_resume,
    })
}

fn serialized(body: &impl Serialize) -> Response<Content> {
    let mut text = serde_json::to_string(body).unwrap_or_default();
    text.push('\n');
    json(text)
}
