//! What a request brings: its query, and content that is JSON, short, and sent on purpose.
//!
//! A page in a browser can send a form to us without asking, though not read the answer. It cannot, without
//! asking, send `application/json` or any method but GET, HEAD and POST; and we answer no such question.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::FutureExt;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, ORIGIN};
use http::{StatusCode, request};
use http_body::Body;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::problem::Problem;
use crate::clock::{Clock, Sleep};
use crate::excerpt::excerpt;
use crate::rt;

/// Bytes of content that are read. A change of a limit has a hundred.
const MAX_CONTENT: usize = 16 * 1024;

/// How long the content may take.
const CONTENT_TIMEOUT: Duration = Duration::from_secs(10);

/// Characters of a bad value that are shown.
pub(super) const SHOWN: usize = 40;

/// Refuses what a page of another origin sent.
pub(super) fn check_origin(head: &request::Parts) -> Result<(), Problem> {
    let Some(origin) = head.headers.get(ORIGIN) else { return Ok(()) };
    let host = head.headers.get(HOST).map(http::HeaderValue::as_bytes).unwrap_or_default();
    let from = origin.as_bytes();
    let authority = from.strip_prefix(b"http://").or_else(|| from.strip_prefix(b"https://"));
    if authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host)) {
        Ok(())
    } else {
        let detail = "This was sent by a page of another origin (see Origin); changes are taken from none.";
        Err(Problem::new(StatusCode::FORBIDDEN, detail))
    }
}

/// The object that is a request's content.
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
        let detail = "Send JSON, and say so: Content-Type: application/json.";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    if head.headers.contains_key(CONTENT_ENCODING) {
        let detail = "Send the JSON as it is, without Content-Encoding.";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    let clock: Arc<dyn Clock> = rt::clock();
    let late = async {
        Sleep::lasting(clock, CONTENT_TIMEOUT).await;
        Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "The content took longer than 10 s."))
    };
    let bytes = read(head, content).or(late).await?;
    let malformed = |detail: String| Problem::new(StatusCode::BAD_REQUEST, detail);
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "The content is to be an object, such as {\"rate\": \"10m\"}.",
        )),
        Err(error) => Err(malformed(format!("The content is not JSON: {error}."))),
    }
}

async fn read<B>(head: &request::Parts, mut content: B) -> Result<Vec<u8>, Problem>
where
    B: Body<Data = bytes::Bytes> + Unpin,
{
    let too_large = || {
        let detail = format!("The content has more than {MAX_CONTENT} bytes.");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    };
    let told = head.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if told.is_some_and(|told| told > MAX_CONTENT as u64) {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut content).poll_frame(cx)).await {
        let frame = frame.map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "The content broke off."))?;
        let piece = frame.into_data().unwrap_or_default();
        if bytes.len() + piece.len() > MAX_CONTENT {
            return Err(too_large());
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

/// The segments of a path below the API's root, decoded; `None` if one is no text.
pub(super) fn segments(path: &str) -> Option<Vec<String>> {
    path.split('/')
        .map(|segment| Some(percent_decode_str(segment).decode_utf8().ok()?.into_owned()))
        .collect()
}

/// The parameters of a query, each of those `known` and given at most once.
pub(super) fn query<const N: usize>(
    head: &request::Parts,
    known: [&str; N],
) -> Result<[Option<String>; N], Problem> {
    let mut found = [const { None }; N];
    let bad = |detail: String| Problem::new(StatusCode::BAD_REQUEST, detail);
    let query = head.uri.query().unwrap_or_default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let name = decoded(name);
        let Some(at) = known.iter().position(|known| *known == name) else {
            let known = if N == 0 { "none".to_owned() } else { known.join(", ") };
            return Err(bad(format!(
                "The query has {:?}, which is not known here; known: {known}.",
                excerpt(&name, SHOWN)
            )));
        };
        if found[at].replace(decoded(value)).is_some() {
            return Err(bad(format!("The query has {name} more than once.")));
        }
    }
    Ok(found)
}

/// A number in a query, within `range`.
pub(super) fn number(
    name: &str,
    given: Option<&str>,
    default: u64,
    range: std::ops::RangeInclusive<u64>,
) -> Result<u64, Problem> {
    let Some(text) = given else { return Ok(default) };
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|number| digits && range.contains(number));
    number.ok_or_else(|| {
        let (least, most) = (range.start(), range.end());
        let shown = excerpt(text, SHOWN);
        let detail =
            format!("{name} in the query is {shown:?}; it is to be a number from {least} to {most}.");
        Problem::new(StatusCode::BAD_REQUEST, detail)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

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
        }
    }

    #[test]
    fn queries_are_known_single_and_in_range() {
        let asked = |query: &str| {
            let head = Request::builder().uri(format!("/?{query}")).body(()).unwrap().into_parts().0;
            super::query(&head, ["limit"]).and_then(|[limit]| number("limit", limit.as_deref(), 7, 1..=9))
        };
        for (query, expected) in [("", Some(7)), ("limit=1", Some(1)), ("limit=%39", Some(9)), ("&", Some(7))]
        {
            assert_eq!(asked(query).ok(), expected, "{query}");
        }
        for bad in
            ["limit=0", "limit=10", "limit=", "limit=+1", "limit", "limit=1&limit=1", "other=1", "limit=1e0"]
        {
            assert!(asked(bad).is_err(), "{bad}");
        }
    }
}
