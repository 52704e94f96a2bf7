//! What cannot be done, as a problem (RFC 9457): for people in `detail`, for programs in `code`.

use std::time::Duration;

use headers::{ContentLength, HeaderMapExt};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde::Serialize;

use super::super::event::{BadDraft, StreamName};
use super::super::hub_error::HubError;
use crate::http::answer;
use crate::http::content::Content;
use crate::http::host::HostFault;

/// Whether the stream is suspended, for clients that read heads.
pub(super) const PAUSE: HeaderName = HeaderName::from_static("x-stream-pause");

#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    fields: Vec<(HeaderName, HeaderValue)>,
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: &'a str,
    title: &'a str,
    status: u16,
    code: &'a str,
    detail: &'a str,
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), fields: Vec::new() }
    }

    fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.fields.push((name, value));
        self
    }

    /// With the time after which it may be tried again, in whole seconds.
    fn again_after(self, wait: Duration) -> Self {
        let seconds = wait.as_millis().div_ceil(1000).max(1) as u64;
        self.with(RETRY_AFTER, seconds.into())
    }

    pub(super) fn respond(self) -> Response<Content> {
        let body = Body {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            code: self.code,
            detail: &self.detail,
        };
        let mut text = serde_json::to_string(&body).unwrap_or_default();
        text.push('\n');
        let mut response = answer::empty(self.status);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.typed_insert(ContentLength(text.len() as u64));
        headers.extend(self.fields);
        *response.body_mut() = Content::text(text);
        response
    }

    pub(super) fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    pub(super) fn nothing_here() -> Self {
        let detail = "Below a stream there are ack and poll alone.";
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    pub(super) fn bad_stream_name() -> Self {
        let most = StreamName::MOST;
        Self::bad_request(
            "bad_stream",
            format!("A stream's name has 1 to {most} letters, digits and -._~ alone."),
        )
    }

    pub(super) fn bad_last_id() -> Self {
        Self::bad_request("bad_id", "The id to go on from is none that an event can have.")
    }

    pub(super) fn foreign_origin() -> Self {
        let detail =
            "Pages of this origin may not use these streams; the route's `origins` name those that may.";
        Self::new(StatusCode::FORBIDDEN, "foreign_origin", detail)
    }

    pub(super) fn of_host(fault: HostFault) -> Self {
        match fault {
            HostFault::NotOne => Self::bad_request("bad_host", "A request has exactly one Host field."),
            HostFault::Foreign => {
                let detail = "These streams do not answer to the name in Host: over a loopback address only to localhost and \
                              loopback addresses, as another name could be a page's that reads them through a browser; \
                              the route's `server_names` name others.";
                Self::new(StatusCode::MISDIRECTED_REQUEST, "foreign_host", detail)
            }
        }
    }

    pub(super) fn method_not_allowed(allowed: &'static str) -> Self {
        let detail = format!("This address knows {allowed}.");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
            .with(ALLOW, HeaderValue::from_static(allowed))
    }

    pub(super) fn no_token() -> Self {
        let detail = "Publishing needs the route's token: Authorization: Bearer TOKEN.";
        Self::new(StatusCode::UNAUTHORIZED, "no_token", detail)
            .with(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"publish\""))
    }

    pub(super) fn not_local() -> Self {
        let detail = "Without a publish_token_file events are taken from this machine alone, and this request \
                      does not come from it, or through a proxy or a page.";
        Self::new(StatusCode::FORBIDDEN, "not_local", detail)
    }

    pub(super) fn unsupported(detail: &str) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
    }

    pub(super) fn too_large(most: usize) -> Self {
        let detail = format!("The request's body may have {most} bytes.");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
    }

    pub(super) fn too_slow() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "too_slow", "The request's body did not come in time.")
    }

    pub(super) fn bad_draft(at: usize, error: &BadDraft) -> Self {
        let detail = format!("Event {at} of the batch: {error}. Nothing was published.");
        match error {
            BadDraft::TooLarge { .. } => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "event_too_large", detail),
            BadDraft::BadId => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_id", detail),
            BadDraft::BadKind => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_type", detail),
            BadDraft::ReservedKind(_) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "reserved_type", detail),
            BadDraft::ZeroTtl => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_ttl", detail),
        }
    }

    /// For who is suspended and reads status.
    pub(super) fn suspended(wait: Duration) -> Self {
        let detail = "This subscriber was too slow and polls until it is at the head; see its pause event.";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "suspended", detail)
            .with(PAUSE, HeaderValue::from_static("true"))
            .again_after(wait)
    }

    pub(super) fn of_hub(error: HubError) -> Self {
        use StatusCode as S;
        let (status, code, detail) = match error {
            HubError::UnknownStream => {
                (S::NOT_FOUND, "unknown_stream", "Nothing has been published on this stream.".to_owned())
            }
            HubError::TooManyStreams => (
                S::SERVICE_UNAVAILABLE,
                "too_many_streams",
                "There are all the streams there may be.".to_owned(),
            ),
            HubError::Full => {
                (S::SERVICE_UNAVAILABLE, "full", "There are all the subscribers there may be.".to_owned())
            }
            HubError::ClientFull => {
                (S::TOO_MANY_REQUESTS, "client_full", "You have all the streams you may have.".to_owned())
            }
            HubError::Closing => {
                (S::SERVICE_UNAVAILABLE, "closing", "The server is about to end.".to_owned())
            }
            HubError::BatchTooLarge => {
                (S::PAYLOAD_TOO_LARGE, "batch_too_large", "The batch has more events than may be.".to_owned())
            }
            HubError::EmptyBatch => {
                (S::UNPROCESSABLE_ENTITY, "empty_batch", "The batch is empty.".to_owned())
            }
            HubError::Conflict(at) => (
                S::CONFLICT,
                "conflict",
                format!("Event {at} of the batch has the id of another event. Nothing was published."),
            ),
            HubError::ReservedId(at) => (
                S::UNPROCESSABLE_ENTITY,
                "reserved_id",
                format!("Event {at} of the batch has an id of the server's own form. Nothing was published."),
            ),
            HubError::Stranger => {
                (S::FORBIDDEN, "stranger", "No subscriber of this stream has this token.".to_owned())
            }
            HubError::NeverSent => {
                (S::CONFLICT, "never_sent", "This subscriber was never sent an event of this id.".to_owned())
            }
        };
        let problem = Self::new(status, code, detail);
        match error {
            HubError::TooManyStreams | HubError::Full | HubError::ClientFull | HubError::Closing => {
                problem.again_after(Duration::from_secs(5))
            }
            _ => problem,
        }
    }
}
