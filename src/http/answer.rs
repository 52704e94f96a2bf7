//! Answers that are the server's own: short texts that say what is the matter.

use headers::{ContentLength, HeaderMapExt};
use http::header::{CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Response, StatusCode};

use super::content::Content;

/// A response of one line of plain text, with its length and type.
///
/// ```
/// use http::StatusCode;
/// use sluicegate::http::answer;
///
/// let response = answer::plain(StatusCode::BAD_GATEWAY, "The backend refused the connection.");
/// assert_eq!(response.headers()["content-length"], "36");
/// ```
pub fn plain(status: StatusCode, text: &str) -> Response<Content> {
    let mut body = text.to_owned();
    body.push('\n');
    let mut response = empty(status);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.typed_insert(ContentLength(body.len() as u64));
    *response.body_mut() = Content::text(body);
    response
}

/// A response without content and, so far, without header fields.
pub fn empty(status: StatusCode) -> Response<Content> {
    let mut response = Response::new(Content::Empty);
    *response.status_mut() = status;
    response
}

/// The answer to HEAD: the head that GET would get, `Content-Length` included, and no content
/// (RFC 9110 §9.3.2).
pub fn without_content(response: Response<Content>) -> Response<Content> {
    response.map(|_| Content::Empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_a_whole_response_and_its_head_answers_head() {
        let response = plain(StatusCode::NOT_FOUND, "Näh.");
        let head = response.headers().clone();
        assert_eq!(head["content-length"], "6");
        assert_eq!(head["x-content-type-options"], "nosniff");
        assert!(matches!(response.body(), Content::Buckets(text) if text.to_bytes() == "Näh.\n"));

        let response = without_content(response);
        assert_eq!((response.status(), response.headers()), (StatusCode::NOT_FOUND, &head));
        assert!(matches!(response.body(), Content::Empty));
    }
}
