//! Answers that the server gives itself, without asking a source.

use http::header::{CONNECTION, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};

use super::Refusal;
use crate::http::answer;
use crate::http::content::Content;

/// Ends an HTTP/1 connection after this answer.
pub(super) fn last(mut response: Response<Content>) -> Response<Content> {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// The answer to a request above the limit of connections.
pub(super) fn refused(refusal: Refusal) -> Response<Content> {
    match refusal {
        Refusal::ServerFull => later(
            StatusCode::SERVICE_UNAVAILABLE,
            "The server has all the connections it may have. Try again in some seconds.",
        ),
        Refusal::ClientFull => later(
            StatusCode::TOO_MANY_REQUESTS,
            "You have all the connections you may have. Use one of them, or try again in some seconds.",
        ),
    }
}

/// An answer that asks the client to retry.
pub(super) fn later(status: StatusCode, text: &str) -> Response<Content> {
    let mut response = answer::plain(status, text);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
    response
}

/// The answer to a path that a backend might read as `another`.
pub(super) fn ambiguous(another: &str) -> Response<Content> {
    let text = format!(
        "The path has %2F, a backslash or ; which a backend might read as a {another}. Ask without it."
    );
    answer::plain(StatusCode::BAD_REQUEST, &text)
}
