//! What goes wrong with an upstream: what the client is told, and what the log.

use std::io;
use std::sync::Arc;

use http::header::{CONNECTION, HeaderValue};
use http::{Response, StatusCode};

use super::asking::AskError;
use super::sending::Turn;
use crate::http::answer;
use crate::http::content::Content;
use crate::http::log_bound::LogBound;

/// Why there is no response to pass on.
#[derive(Debug)]
pub(super) struct Failure {
    kind: Kind,
    /// For the log; the client is not told.
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
    /// An answer that breaks the rules of HTTP.
    pub(super) fn broken(detail: &str) -> Self {
        Self { kind: Kind::Broken, detail: detail.to_owned() }
    }

    /// Nothing moved for too long, while it was `turn`'s turn.
    pub(super) fn stalled(turn: Turn) -> Self {
        let (kind, detail) = match turn {
            Turn::Upstream => (Kind::TooLate, "no response in time"),
            Turn::Client => (Kind::ClientTooLate, "the request's body did not come in time"),
            Turn::Nobody => (Kind::ClientBroke, "the request's body broke off"),
        };
        Self { kind, detail: detail.to_owned() }
    }

    /// No head came.
    pub(super) fn of(error: &AskError) -> Self {
        let kind = match error {
            AskError::Connect(error) if error.kind() == io::ErrorKind::TimedOut => Kind::TooLate,
            AskError::Connect(_) => Kind::Unreachable,
            AskError::Client => Kind::ClientBroke,
            AskError::HeadTooLarge => Kind::HeadTooLarge,
            AskError::Unsent(_) | AskError::Unanswered(_) | AskError::Cut(_) | AskError::Malformed(_) => {
                Kind::Broken
            }
        };
        Self { kind, detail: error.to_string() }
    }

    /// Writes the one line about it, as far as `bound` lets it: each request to a dead upstream fails. What a
    /// client did is not the operator's business.
    pub(super) fn log(&self, upstream: &Arc<str>, bound: &Arc<LogBound>) {
        let level = match self.kind {
            Kind::ClientTooLate | Kind::ClientBroke => log::Level::Debug,
            _ => log::Level::Warn,
        };
        let summary = {
            let upstream = Arc::clone(upstream);
            move |left_out| log::warn!(upstream = &*upstream, left_out; "no response to pass on, more often")
        };
        if level == log::Level::Warn && !bound.admits(summary) {
            return;
        }
        log::log!(level, upstream = &**upstream, error = self.detail.as_str(); "no response to pass on");
    }

    /// What the client is told.
    pub(super) fn answer(&self) -> Response<Content> {
        let (status, text) = match self.kind {
            Kind::Unreachable => (StatusCode::BAD_GATEWAY, "The upstream server cannot be reached."),
            Kind::Broken => (StatusCode::BAD_GATEWAY, "The upstream server gave no valid response."),
            Kind::HeadTooLarge => {
                (StatusCode::BAD_GATEWAY, "The head of the upstream server's response is too large.")
            }
            Kind::TooLate => (StatusCode::GATEWAY_TIMEOUT, "The upstream server did not respond in time."),
            Kind::ClientTooLate => (StatusCode::REQUEST_TIMEOUT, "The request's body did not come in time."),
            Kind::ClientBroke => (StatusCode::BAD_REQUEST, "The request's body broke off."),
        };
        let mut response = answer::plain(status, text);
        if matches!(self.kind, Kind::ClientTooLate | Kind::ClientBroke) {
            // What may yet come of the body is nobody's.
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
    fn the_client_is_told_no_details() {
        let response = Failure::broken("10.0.0.7 spoke in tongues").answer();
        let Content::Buckets(text) = response.body() else { panic!("a text") };
        assert_eq!(
            (response.status().as_u16(), text.to_bytes()),
            (502, "The upstream server gave no valid response.\n".into())
        );
    }
}
