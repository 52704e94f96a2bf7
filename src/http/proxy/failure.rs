//! Failures of an upstream: the answer to the client, and the log line.

use std::fmt;
use std::io;
use std::sync::Arc;

use http::header::{CONNECTION, HeaderValue};
use http::{Response, StatusCode};

use super::request_body::Turn;
use crate::http::answer;
use crate::http::content::Content;
use crate::http::log_bound::LogBound;
use crate::http1::HeadError;

/// Why there is no response.
#[derive(Debug)]
pub(super) enum RoundTripError {
    /// Connecting failed.
    Connect(io::Error),
    /// No byte of the request was written.
    Unsent(io::Error),
    /// No byte of a response arrived.
    Unanswered(io::Error),
    /// The connection failed within the response's head.
    Cut(io::Error),
    /// The client's body ended early.
    Client,
    HeadTooLarge,
    /// The head is not HTTP/1.
    Malformed(&'static str),
}

impl From<HeadError> for RoundTripError {
    fn from(error: HeadError) -> Self {
        match error {
            HeadError::TooManyFields => Self::HeadTooLarge,
            HeadError::Malformed(how) => Self::Malformed(how),
        }
    }
}

impl fmt::Display for RoundTripError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => write!(f, "cannot connect: {error}"),
            Self::Unsent(error) => write!(f, "the request could not be sent: {error}"),
            Self::Unanswered(error) => write!(f, "no answer: {error}"),
            Self::Cut(error) => write!(f, "the connection failed within the response's head: {error}"),
            Self::Client => f.write_str("the request's body ended early"),
            Self::HeadTooLarge => f.write_str("the response's head is too large"),
            Self::Malformed(how) => write!(f, "not an HTTP/1 response: {how}"),
        }
    }
}

/// Why there is no response to forward.
#[derive(Debug)]
pub(super) struct Failure {
    kind: Kind,
    /// For the log; the client does not see it.
    detail: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Unreachable,
    Broken,
    HeadTooLarge,
    TooLate,
    ClientTooLate,
    ClientBroke,
}

impl Failure {
    /// The response breaks the rules of HTTP.
    pub(super) fn broken(detail: &str) -> Self {
        Self { kind: Kind::Broken, detail: detail.to_owned() }
    }

    /// Nothing moved for too long while it was `turn`'s turn.
    pub(super) fn stalled(turn: Turn) -> Self {
        let (kind, detail) = match turn {
            Turn::Upstream => (Kind::TooLate, "no response in time"),
            Turn::Client => (Kind::ClientTooLate, "the request's body did not arrive in time"),
            Turn::Nobody => (Kind::ClientBroke, "the request's body ended early"),
        };
        Self { kind, detail: detail.to_owned() }
    }

    /// No head of a response was read.
    pub(super) fn of(error: &RoundTripError) -> Self {
        let kind = match error {
            RoundTripError::Connect(error) if error.kind() == io::ErrorKind::TimedOut => Kind::TooLate,
            RoundTripError::Connect(_) => Kind::Unreachable,
            RoundTripError::Client => Kind::ClientBroke,
            RoundTripError::HeadTooLarge => Kind::HeadTooLarge,
            RoundTripError::Unsent(_)
            | RoundTripError::Unanswered(_)
            | RoundTripError::Cut(_)
            | RoundTripError::Malformed(_) => Kind::Broken,
        };
        Self { kind, detail: error.to_string() }
    }

    /// Logs the failure, bounded by `bound`, since every request to a dead upstream fails. Errors of clients are logged
    /// at debug level.
    pub(super) fn log(&self, upstream: &Arc<str>, bound: &Arc<LogBound>) {
        let level = match self.kind {
            Kind::ClientTooLate | Kind::ClientBroke => log::Level::Debug,
            _ => log::Level::Warn,
        };
        let summary = {
            let upstream = Arc::clone(upstream);
            move |left_out| log::warn!(upstream = &*upstream, left_out; "further upstream failures")
        };
        if level == log::Level::Warn && !bound.admits(summary) {
            return;
        }
        log::log!(level, upstream = &**upstream, error = self.detail.as_str(); "upstream failed");
    }

    /// The answer to the client.
    pub(super) fn answer(&self) -> Response<Content> {
        let (status, text) = match self.kind {
            Kind::Unreachable => (StatusCode::BAD_GATEWAY, "The upstream server cannot be reached."),
            Kind::Broken => (StatusCode::BAD_GATEWAY, "The upstream server sent an invalid response."),
            Kind::HeadTooLarge => {
                (StatusCode::BAD_GATEWAY, "The head of the upstream server's response is too large.")
            }
            Kind::TooLate => (StatusCode::GATEWAY_TIMEOUT, "The upstream server did not respond in time."),
            Kind::ClientTooLate => {
                (StatusCode::REQUEST_TIMEOUT, "The request's body did not arrive in time.")
            }
            Kind::ClientBroke => (StatusCode::BAD_REQUEST, "The request's body ended early."),
        };
        let mut response = answer::plain(status, text);
        if matches!(self.kind, Kind::ClientTooLate | Kind::ClientBroke) {
            // The rest of the body must not be read as a request.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_is_answered_by_whose_fault_it_is() {
        for (turn, status) in [(Turn::Upstream, 504), (Turn::Client, 408), (Turn::Nobody, 400)] {
            let response = Failure::stalled(turn).answer();
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
