//! Problems (RFC 9457) of event streams: `detail` is for people, `code` for programs.

use std::fmt::Display;
use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderName, HeaderValue, StatusCode};

use super::super::event::{BadDraft, StreamName};
use super::super::hub_error::HubError;
use crate::http::api::Problem;
use crate::http::host::HostFault;

/// Whether the stream is suspended, for clients that read heads.
pub(super) const PAUSE: HeaderName = HeaderName::from_static("x-stream-pause");

impl Problem {
    fn coded(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(status, detail).with_code(code)
    }

    /// Adds the time after which to try again, in whole seconds.
    fn with_retry_after(self, wait: Duration) -> Self {
        let seconds = wait.as_millis().div_ceil(1000).max(1) as u64;
        self.with_field(RETRY_AFTER, seconds.into())
    }

    pub(super) fn nothing_here() -> Self {
        let detail = "A stream has only ack and poll below it.";
        Self::coded(StatusCode::NOT_FOUND, "not_found", detail)
    }

    pub(super) fn bad_stream_name() -> Self {
        let max = StreamName::MAX_LEN;
        Self::bad_request(format!("A stream's name has 1 to {max} characters: letters, digits and -._~."))
            .with_code("bad_stream")
    }

    pub(super) fn bad_last_id() -> Self {
        Self::bad_request("The id to resume after is not one that an event can have.").with_code("bad_id")
    }

    pub(super) fn foreign_origin() -> Self {
        let detail =
            "Web pages of this origin may not use these streams; the route's `origins` lists those that may.";
        Self::coded(StatusCode::FORBIDDEN, "foreign_origin", detail)
    }

    pub(super) fn of_host(fault: HostFault) -> Self {
        match fault {
            HostFault::NotOne => {
                Self::bad_request("A request must have exactly one Host field.").with_code("bad_host")
            }
            HostFault::Foreign => {
                let detail = "These streams are not served under the name in Host. On a loopback address they are served under localhost \
                              and loopback addresses only, since a web page could use another name to read them through a \
                              browser; the route's `server_names` lists more names.";
                Self::coded(StatusCode::MISDIRECTED_REQUEST, "foreign_host", detail)
            }
        }
    }

    pub(super) fn no_token() -> Self {
        let detail = "Publishing needs the route's token: Authorization: Bearer TOKEN.";
        Self::coded(StatusCode::UNAUTHORIZED, "no_token", detail).with_challenge("Bearer realm=\"publish\"")
    }

    pub(super) fn not_local() -> Self {
        let detail = "Without a publish_token_file only programs on this machine may publish; this request came from \
                      another machine, through a proxy or from a web page.";
        Self::coded(StatusCode::FORBIDDEN, "not_local", detail)
    }

    pub(super) fn unsupported(detail: &str) -> Self {
        Self::coded(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
    }

    pub(super) fn bad_draft(at: usize, error: &BadDraft) -> Self {
        let (status, code) = match error {
            BadDraft::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "event_too_large"),
            BadDraft::BadId => (StatusCode::UNPROCESSABLE_ENTITY, "bad_id"),
            BadDraft::BadKind => (StatusCode::UNPROCESSABLE_ENTITY, "bad_type"),
            BadDraft::ReservedKind(_) => (StatusCode::UNPROCESSABLE_ENTITY, "reserved_type"),
            BadDraft::ZeroTtl => (StatusCode::UNPROCESSABLE_ENTITY, "bad_ttl"),
        };
        Self::bad_event(at, status, code, error)
    }

    pub(super) fn bad_event(at: usize, status: StatusCode, code: &'static str, error: &dyn Display) -> Self {
        Self::coded(status, code, format!("Event {at} of the batch: {error}. Nothing was published."))
    }

    /// For a suspended subscriber whose route answers by status.
    pub(super) fn suspended(wait: Duration) -> Self {
        let detail =
            "This subscriber was too slow and must poll until it has caught up; see its pause event.";
        Self::coded(StatusCode::TOO_MANY_REQUESTS, "suspended", detail)
            .with_field(PAUSE, HeaderValue::from_static("true"))
            .with_retry_after(wait)
    }

    pub(super) fn of_hub(error: HubError) -> Self {
        use {HubError as E, StatusCode as S};
        let (status, code) = match error {
            E::UnknownStream => (S::NOT_FOUND, "unknown_stream"),
            E::TooManyStreams => (S::SERVICE_UNAVAILABLE, "too_many_streams"),
            E::Full => (S::SERVICE_UNAVAILABLE, "full"),
            E::ClientFull => (S::TOO_MANY_REQUESTS, "client_full"),
            E::Closing => (S::SERVICE_UNAVAILABLE, "closing"),
            E::BatchTooLarge => (S::PAYLOAD_TOO_LARGE, "batch_too_large"),
            E::EmptyBatch => (S::UNPROCESSABLE_ENTITY, "empty_batch"),
            E::Conflict(_) => (S::CONFLICT, "conflict"),
            E::ReservedId(_) => (S::UNPROCESSABLE_ENTITY, "reserved_id"),
            E::UnknownToken => (S::FORBIDDEN, "stranger"),
            E::NeverSent => (S::CONFLICT, "never_sent"),
            E::StoreDown => (S::SERVICE_UNAVAILABLE, "store_down"),
            E::StoreFailed => (S::SERVICE_UNAVAILABLE, "store_failed"),
        };
        let problem = Self::coded(status, code, error.to_string());
        // What may be otherwise soon.
        if matches!(status, S::SERVICE_UNAVAILABLE | S::TOO_MANY_REQUESTS) {
            return problem.with_retry_after(Duration::from_secs(5));
        }
        problem
    }
}
