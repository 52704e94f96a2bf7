//! The server's own responses: short texts that say what is wrong.

use headers::{ContentLength, HeaderMapExt};
use http::header::{CONTENT_TYPE, LOCATION, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Method, Response, StatusCode, Uri};

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

/// Redirects to `location`, with one line of plain text.
pub(crate) fn redirect(status: StatusCode, location: &str, text: &str) -> Response<Content> {
    let mut response = plain(status, text);
    match HeaderValue::from_str(location) {
        Ok(location) => response.headers_mut().insert(LOCATION, location),
        // Every character of a `Uri` may stand in a field value.
        Err(_) => return plain(StatusCode::NOT_FOUND, "There is nothing here by this name."),
    };
    response
}

/// Redirects to the same address with a slash after the path: the address of a folder or of a route.
///
/// GET and HEAD get 301, which every client understands; other methods get 308, which keeps the method. The address
/// is a path with one leading slash: more, or a backslash, would name another host.
pub fn add_slash(method: &Method, uri: &Uri) -> Response<Content> {
    let path = uri.path().trim_start_matches(['/', '\\']);
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let status = match *method {
        Method::GET | Method::HEAD => StatusCode::MOVED_PERMANENTLY,
        _ => StatusCode::PERMANENT_REDIRECT,
    };
    redirect(status, &format!("/{path}/{query}"), "This is a folder: its address ends in a slash.")
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

    #[test]
    fn a_redirect_stays_on_this_host_and_keeps_the_query() {
        for (uri, location) in [
            ("/a", "/a/"),
            ("/a/b?c=d&e", "/a/b/?c=d&e"),
            ("/a?", "/a/?"),
            ("http://host/a", "/a/"),
            ("//evil.example/a", "/evil.example/a/"),
            ("///evil.example", "/evil.example/"),
            ("/caf%C3%A9", "/caf%C3%A9/"),
        ] {
            let response = add_slash(&Method::GET, &uri.parse().unwrap());
            assert_eq!(response.headers()[LOCATION], location, "{uri}");
        }
    }
}
