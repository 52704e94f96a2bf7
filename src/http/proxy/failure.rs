//! Why a request is not forwarded or has no response: the answer to the client, and the log line.

use std::fmt;
use std::io;
use std::sync::Arc;

use http::header::{CONNECTION, HeaderValue};
use http::{Response, StatusCode};

use super::request_body::Side;
use crate::http::answer;
use crate::http::content::Content;
use crate::http::log_bound::LogBound;
use crate::http1::{HeadError, Malformed, UNREADABLE_FIELD};

/// Why there is no response to forward.
#[derive(Debug)]
pub(super) enum Failure {
    Connect(io::Error),
    /// The TLS handshake failed; the text says why.
    Handshake(io::Error),
    /// No byte of the request was written.
    Unsent(io::Error),
    /// No byte of a response arrived.
    Unanswered(io::Error),
    /// The connection failed within the response's head.
    Cut(io::Error),
    HeadTooLarge,
    /// The response breaks the rules of HTTP.
    Broken(String),
    /// The client's body ended early.
    Client,
    /// Nothing moved for too long while this side was waited for.
    Stalled(Side),
}

impl Failure {
    pub(super) fn broken(detail: impl ToString) -> Self {
        Self::Broken(detail.to_string())
    }

    fn is_clients(&self) -> bool {
        matches!(self, Self::Client | Self::Stalled(Side::Client | Side::Neither))
    }

    /// Logs the failure, bounded by `bound`, since every request to a dead upstream fails. Errors of clients are logged
    /// at debug level.
    pub(super) fn log(&self, upstream: &Arc<str>, bound: &Arc<LogBound>) {
        let level = if self.is_clients() { log::Level::Debug } else { log::Level::Warn };
        let summary = {
            let upstream = Arc::clone(upstream);
            move |left_out| log::warn!(upstream = &*upstream, left_out; "further upstream failures")
        };
        if level == log::Level::Warn && !bound.admits(summary) {
            return;
        }
        log::log!(level, upstream = &**upstream, error:% = self; "upstream failed");
    }

    /// The answer to the client, without details.
    pub(super) fn answer(&self) -> Response<Content> {
        let (status, text) = match self {
            Self::Connect(error) if error.kind() != io::ErrorKind::TimedOut => {
                (StatusCode::BAD_GATEWAY, "The upstream server cannot be reached.")
            }
            Self::Connect(_) | Self::Stalled(Side::Upstream) => {
                (StatusCode::GATEWAY_TIMEOUT, "The upstream server did not respond in time.")
            }
            Self::Handshake(_) => {
                (StatusCode::BAD_GATEWAY, "No secure connection to the upstream server can be made.")
            }
            Self::Unsent(_) | Self::Unanswered(_) | Self::Cut(_) | Self::Broken(_) => {
                (StatusCode::BAD_GATEWAY, "The upstream server sent an invalid response.")
            }
            Self::HeadTooLarge => {
                (StatusCode::BAD_GATEWAY, "The head of the upstream server's response is too large.")
            }
            Self::Stalled(Side::Client) => {
                (StatusCode::REQUEST_TIMEOUT, "The request's body did not arrive in time.")
            }
            Self::Client | Self::Stalled(Side::Neither | Side::Limit) => {
                (StatusCode::BAD_REQUEST, "The request's body ended early.")
            }
        };
        let mut response = answer::plain(status, text);
        if self.is_clients() {
            // The rest of the body must not be read as a request.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

impl From<HeadError> for Failure {
    fn from(error: HeadError) -> Self {
        match error {
            HeadError::TooManyFields => Self::HeadTooLarge,
            HeadError::Malformed(how) => Self::Broken(format!("not an HTTP/1 response: {how}")),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => write!(f, "cannot connect: {error}"),
            Self::Handshake(error) => write!(f, "TLS handshake failed: {error}"),
            Self::Unsent(error) => write!(f, "the request could not be sent: {error}"),
            Self::Unanswered(error) => write!(f, "no answer: {error}"),
            Self::Cut(error) => write!(f, "the connection failed within the response's head: {error}"),
            Self::HeadTooLarge => f.write_str("the response's head is too large"),
            Self::Broken(detail) => f.write_str(detail),
            Self::Client | Self::Stalled(Side::Neither | Side::Limit) => {
                f.write_str("the request's body ended early")
            }
            Self::Stalled(Side::Upstream) => f.write_str("no response in time"),
            Self::Stalled(Side::Client) => f.write_str("the request's body did not arrive in time"),
        }
    }
}

/// Why a request is not forwarded, with a text for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) text: &'static str,
}

impl Refusal {
    pub(super) const fn new(status: StatusCode, text: &'static str) -> Self {
        Self { status, text }
    }

    pub(super) const fn bad_request(text: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }

    pub(super) fn unreadable(_: Malformed) -> Self {
        Self::bad_request(UNREADABLE_FIELD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_is_answered_by_whose_fault_it_is() {
        for (side, status) in [(Side::Upstream, 504), (Side::Client, 408), (Side::Neither, 400)] {
            let response = Failure::Stalled(side).answer();
            assert_eq!(response.status(), status);
            assert_eq!(response.headers().contains_key(CONNECTION), status < 500);
        }
    }

    #[test]
    fn the_client_sees_no_details() {
        let response = Failure::broken("10.0.0.7 spoke in tongues").answer();
        let Content::Buckets(text) = response.body() else { panic!("a text") };
        assert_eq!(
            (response.status().as_u16(), text.to_bytes()),
            (502, "The upstream server sent an invalid response.\n".into())
        );
    }
}
