//! Checks and reads requests that change something: JSON content, and no request forged by a web page.
//!
//! A page of another origin can have a browser send us a form, though not read the answer. For `application/json`, and
//! for methods other than GET, HEAD and POST, the browser asks first (a CORS preflight), which is never answered.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HOST, ORIGIN, RETRY_AFTER};
use http::{HeaderValue, Method, StatusCode, request};
use http_body::Body;
use percent_encoding::percent_decode_str;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::Resource;
use crate::clock::Clock;
use crate::http::api::{Problem, read_content};
use crate::rt;

/// Bytes of the largest content. A change of a limit has about a hundred.
const MAX_CONTENT: usize = 16 * 1024;

/// Time for the content to arrive.
const CONTENT_TIMEOUT: Duration = Duration::from_secs(10);

/// Refuses a request that a page of another origin sent.
pub(super) fn check_origin(head: &request::Parts) -> Result<(), Problem> {
    let Some(origin) = head.headers.get(ORIGIN) else { return Ok(()) };
    // HTTP/2 has an authority in the target in its place.
    let authority = head.uri.authority().map(|authority| authority.as_str().as_bytes());
    let field = || head.headers.get(HOST).map(http::HeaderValue::as_bytes);
    let host = authority.or_else(field).unwrap_or_default();
    let from = origin.as_bytes();
    let authority = from.strip_prefix(b"http://").or_else(|| from.strip_prefix(b"https://"));
    if authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host)) {
        Ok(())
    } else {
        let detail =
            "A web page of another origin sent this request (see Origin); such pages cannot change anything.";
        Err(Problem::new(StatusCode::FORBIDDEN, detail))
    }
}

/// Reads the object that is a request's content.
pub(super) async fn object<B>(head: &request::Parts, content: B) -> Result<Map<String, Value>, Problem>
where
    B: Body<Data = bytes::Bytes> + Unpin,
{
    let kind = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !["application/json", "application/merge-patch+json"]
        .iter()
        .any(|json| kind.eq_ignore_ascii_case(json))
    {
        let detail = "Send JSON with Content-Type: application/json.";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    if head.headers.contains_key(CONTENT_ENCODING) {
        let detail = "Send the JSON without Content-Encoding.";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    let clock: Arc<dyn Clock> = rt::clock();
    let bytes =
        read_content(&head.headers, content, MAX_CONTENT, CONTENT_TIMEOUT, &clock, None, |_| false).await?;
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(object)) => match serde_json::from_slice(&bytes) {
            Ok(Twice(Some(name))) => {
                let detail = format!("{name:?} stands in the object twice: leave one out.");
                Err(Problem::bad_member(&name, detail))
            }
            _ => Ok(object),
        },
        Ok(_) => Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "The content must be an object, such as {\"rate\": \"10m\"}.",
        )),
        Err(error) => {
            Err(Problem::bad_request(format!("The content is not JSON: {error}.")).with_code("bad_json"))
        }
    }
}

/// The first member that an object has twice. RFC 8259 section 4 leaves open which of the two counts.
struct Twice(Option<String>);

impl<'de> Deserialize<'de> for Twice {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(Members)
    }
}

/// Reads the names of an object's members.
struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Twice;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Twice, A::Error> {
        let (mut names, mut twice) = (HashSet::new(), None);
        while let Some((name, _)) = members.next_entry::<String, IgnoredAny>()? {
            if twice.is_none() && !names.insert(name.clone()) {
                twice = Some(name);
            }
        }
        Ok(Twice(twice))
    }
}

/// The percent-decoded segments of a path; `None` if one is not UTF-8.
pub(super) fn segments(path: &str) -> Option<Vec<String>> {
    path.split('/')
        .map(|segment| Some(percent_decode_str(segment).decode_utf8().ok()?.into_owned()))
        .collect()
}

/// 503: a new program takes over. `sluicegate limits` sends its request again.
pub(super) fn try_again(detail: &str) -> Problem {
    let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).with_code("taking_over");
    problem.with_field(RETRY_AFTER, HeaderValue::from_static("1"))
}

impl Resource {
    /// Whether it has this method.
    pub(super) fn check(&self, method: &Method) -> Result<(), Problem> {
        let allow = match self {
            Self::OpenApi | Self::OwnLimits(_) | Self::Connections | Self::Changes | Self::Upstreams => {
                "GET, HEAD"
            }
            Self::Limit(_) => "GET, HEAD, PUT, PATCH, DELETE",
            Self::Limits | Self::Connection(_) => "GET, HEAD, DELETE",
        };
        let allowed = allow.split(", ").any(|allowed| allowed == method.as_str());
        if allowed { Ok(()) } else { Err(Problem::method_not_allowed(allow)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{Request, Version};

    #[test]
    fn only_pages_of_our_own_origin_may_change_things() {
        for (host, origin, fine) in [
            ("127.0.0.1:9180", None, true),
            ("127.0.0.1:9180", Some("http://127.0.0.1:9180"), true),
            ("Host:1", Some("https://host:1"), true),
            ("127.0.0.1:9180", Some("http://127.0.0.1:9181"), false),
            ("127.0.0.1:9180", Some("http://evil.example"), false),
            ("127.0.0.1:9180", Some("null"), false),
            ("127.0.0.1:9180", Some(""), false),
        ] {
            let mut request = Request::builder().header(HOST, host);
            if let Some(origin) = origin {
                request = request.header(ORIGIN, origin);
            }
            let head = request.body(()).unwrap().into_parts().0;
            assert_eq!(check_origin(&head).is_ok(), fine, "{host} {origin:?}");
            // Over HTTP/2 the target has the host.
            let mut request =
                Request::builder().version(Version::HTTP_2).uri(format!("http://{host}/v1/limits"));
            if let Some(origin) = origin {
                request = request.header(ORIGIN, origin);
            }
            let head = request.body(()).unwrap().into_parts().0;
            assert_eq!(check_origin(&head).is_ok(), fine, "HTTP/2: {host} {origin:?}");
        }
    }
}
