//! Heads of messages whose content a filter changes.

use http::header::{ACCEPT_ENCODING, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, RANGE};
use http::{HeaderValue, Method, request, response};

use super::fields::{forget_bytes, is_coded, is_whole};

pub use super::fields::forget_digests;

/// Has a source send the whole, uncoded content, for a filter that changes it: removes the fields of ranges and conditions,
/// and sets `Accept-Encoding: identity` (without the field any coding would be acceptable, RFC 9110 section 12.5.3).
///
/// To be called in [`FilterFactory::prepare`](super::FilterFactory::prepare). The conditions go because the validators of the
/// source are not those of the changed content.
pub fn want_whole_content(request: &mut request::Parts) {
    for name in [RANGE, IF_RANGE, IF_NONE_MATCH, IF_MODIFIED_SINCE] {
        request.headers.remove(name);
    }
    request.headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
}

/// Removes from a response what changed content invalidates: `Content-Length`, `Accept-Ranges`, the validators `ETag` and
/// `Last-Modified`, and digests (RFC 9530 and older). Returns whether the content can be changed; if not, leaves the head as it
/// is, and the content must be left so too: it is coded or partial, or there is none (204, 205, 304, `CONNECT`).
///
/// To be called in [`FilterFactory::attach`](super::FilterFactory::attach). Digests may also come as trailers, which a filter
/// passes through [`forget_digests`].
///
/// ```
/// use http::{Request, Response};
/// use sluicegate_core::filter::rewrite::forget_content;
///
/// let (request, ()) = Request::new(()).into_parts();
/// let head = |coding: &str| {
///     let response = Response::builder().header("content-length", 10).header("etag", "\"1\"");
///     response.header("content-encoding", coding).header("server", "a").body(()).unwrap().into_parts().0
/// };
/// let mut plain = head("identity");
/// assert!(forget_content(&request, &mut plain));
/// assert_eq!((plain.headers.contains_key("content-length"), plain.headers.contains_key("etag")), (false, false));
/// assert_eq!(plain.headers["server"], "a");
///
/// let mut coded = head("br");
/// assert!(!forget_content(&request, &mut coded));
/// assert_eq!(coded.headers["content-length"], "10");
/// ```
#[must_use = "content that cannot be changed must be left as it is"]
pub fn forget_content(request: &request::Parts, response: &mut response::Parts) -> bool {
    let is_whole = is_whole(response.status) && request.method != Method::CONNECT;
    if !is_whole || is_coded(&response.headers) {
        return false;
    }
    forget_bytes(&mut response.headers);
    response.headers.remove(ETAG);
    response.headers.remove(LAST_MODIFIED);
    true
}
