//! Turns the upstream's response head into the client's.

use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, UPGRADE};
use http::{Extensions, StatusCode, Version, response};

use super::ProxySource;
use super::failure::Failure;
use super::url::UpstreamUrl;
use super::{forwarded, hop, location};
use crate::http1::{FramingFields, Malformed, ReasonPhrase, content_length};
use crate::limit::Rate;

const X_ACCEL_LIMIT_RATE: HeaderName = HeaderName::from_static("x-accel-limit-rate");
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// What an upstream set for one response by nginx's `X-Accel-*` fields. It is in the response's extensions if the
/// route honours these fields and the upstream sent one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accel {
    /// `X-Accel-Limit-Rate`, bytes per second: `Some(None)`, sent as `0`, is no limit; `None` is no such field.
    pub limit_rate: Option<Option<Rate>>,
    /// `X-Accel-Buffering`: with `no` each piece is forwarded at once. Nothing is buffered here in any case, but filters
    /// are flushed after each piece.
    pub buffering: Option<bool>,
}

impl Accel {
    /// Removes these fields and reads them. Invalid ones are ignored.
    fn take(fields: &mut HeaderMap) -> Self {
        // Most responses have none, and two look-ups cost more.
        if !fields.keys().any(|name| name.as_str().starts_with("x-accel-")) {
            return Self::default();
        }
        Self {
            limit_rate: read_field(fields, X_ACCEL_LIMIT_RATE, |text| {
                let digits = text.bytes().all(|byte| byte.is_ascii_digit());
                text.parse().ok().filter(|_| digits).map(Rate::or_unlimited)
            }),
            buffering: read_field(fields, X_ACCEL_BUFFERING, |text| {
                match text.to_ascii_lowercase().as_str() {
                    "yes" => Some(true),
                    "no" => Some(false),
                    _ => None,
                }
            }),
        }
    }
}

fn read_field<T>(fields: &mut HeaderMap, name: HeaderName, read: impl Fn(&str) -> Option<T>) -> Option<T> {
    let value = fields.remove(&name)?;
    let wish = value.to_str().ok().and_then(read);
    if wish.is_none() {
        log::debug!(field = name.as_str(), value:? = value; "invalid X-Accel field ignored");
    }
    wish
}

/// A response's head for the client.
#[derive(Debug)]
pub(super) struct Returning {
    pub(super) head: response::Parts,
    /// Whether to flush after each piece: for an event stream, or if the upstream asked for it.
    pub(super) flush: bool,
}

/// Turns an upstream's head into the client's: removes hop-by-hop fields, and maps `Location` to `route`.
///
/// `has` is what the head has; `upstream` is the one that answered; `upgrade` says whether the request asked to change protocols; if not, 101 is an error.
pub(super) fn returning(
    (mut received, has): (response::Parts, FramingFields),
    upgrade: bool,
    source: &ProxySource,
    upstream: &UpstreamUrl,
    route: &str,
) -> Result<Returning, Failure> {
    let fields = &mut received.headers;
    if has.transfer_encoding && !hop::is_plain_transfer(fields).map_err(Failure::broken)? {
        return Err(Failure::broken("unsupported transfer coding"));
    }
    let protocol = if has.upgrade { hop::upgrade(fields).map_err(Failure::broken)? } else { None };
    if received.status == StatusCode::SWITCHING_PROTOCOLS && (!upgrade || protocol.is_none()) {
        return Err(Failure::broken("101 without a request to upgrade"));
    }
    // The transfer coding overrides the length, which must not be forwarded (RFC 9112 §6.3).
    let length = if has.transfer_encoding || !has.content_length {
        None
    } else {
        content_length(fields).map_err(Failure::broken)?.map(|length| length_field(fields, length))
    };
    hop::strip(fields).map_err(Failure::broken)?;
    // Sent once, even if `Connection` named it: the framing is this hop's.
    match length {
        Some(length) => _ = fields.insert(CONTENT_LENGTH, length),
        None if has.content_length => _ = fields.remove(CONTENT_LENGTH),
        None => {}
    }
    if source.via {
        forwarded::via(fields, received.version);
    }
    if source.map_location {
        location::map_back(fields, location::Own { upstream, host: &source.host }, route);
    }
    let mut accel = Accel::take(fields);
    if !source.honour_accel {
        accel = Accel::default();
    }
    let events = fields.get(CONTENT_TYPE).is_some_and(|kind| {
        kind.as_bytes().get(..17).is_some_and(|kind| kind.eq_ignore_ascii_case(b"text/event-stream"))
    });
    if received.status == StatusCode::SWITCHING_PROTOCOLS
        && let Some(protocol) = protocol
    {
        fields.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        fields.insert(UPGRADE, protocol);
    }

    received.version = Version::HTTP_11;
    let mut extensions = Extensions::new();
    if let Some(reason) = received.extensions.remove::<ReasonPhrase>() {
        extensions.insert(reason);
    }
    if accel != Accel::default() {
        extensions.insert(accel);
    }
    received.extensions = extensions;
    Ok(Returning { head: received, flush: events || accel.buffering == Some(false) })
}

/// The value of `Content-Length` for `length`: the one that came, if it says that and nothing else.
fn length_field(fields: &HeaderMap, length: u64) -> HeaderValue {
    let came = fields.get(CONTENT_LENGTH).filter(|came| {
        let text = came.as_bytes();
        text.iter().all(u8::is_ascii_digit) && (text.len() == 1 || text[0] != b'0')
    });
    came.cloned().unwrap_or_else(|| length.into())
}

/// Prepares an interim head for the client. It has no bearing on the final response (RFC 9110, section 15.2), so fields
/// about framing and pace are removed.
///
/// # Errors
/// `Connection` cannot be read.
pub(super) fn interim(mut received: response::Parts) -> Result<(StatusCode, HeaderMap), Malformed> {
    let fields = &mut received.headers;
    hop::strip(fields)?;
    fields.remove(CONTENT_LENGTH);
    Accel::take(fields);
    Ok((received.status, received.headers))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Response;

    fn head(status: u16, lines: &[(&str, &str)]) -> response::Parts {
        let response = lines.iter().fold(Response::builder().status(status), |response, (name, value)| {
            response.header(*name, *value)
        });
        response.body(()).unwrap().into_parts().0
    }

    fn passed(head: response::Parts, upgrade: bool, honour_accel: bool) -> Result<Returning, Failure> {
        let source = ProxySource { honour_accel, ..ProxySource::new("http://b:9000/two/".parse().unwrap()) };
        let has = FramingFields::of(&head.headers);
        returning((head, has), upgrade, &source, &source.upstream, "/one/")
    }

    #[test]
    fn accel_fields_are_read_and_always_removed() {
        let rate = |bytes| Some(Rate::or_unlimited(bytes));
        for (limit, buffering, expected) in [
            ("1024", "no", Accel { limit_rate: rate(1024), buffering: Some(false) }),
            ("0", "YES", Accel { limit_rate: Some(None), buffering: Some(true) }),
            ("-1", "maybe", Accel::default()),
            ("+1", "", Accel::default()),
            ("64k", "0", Accel::default()),
            ("99999999999999999999999", "off", Accel::default()),
        ] {
            for honoured in [true, false] {
                let lines = [
                    ("x-accel-limit-rate", limit),
                    ("x-accel-buffering", buffering),
                    ("x-accel-expires", "1"),
                ];
                let returning = passed(head(200, &lines), false, honoured).unwrap();
                let expected = if honoured { expected } else { Accel::default() };
                let told = returning.head.extensions.get::<Accel>().copied().unwrap_or_default();
                assert_eq!(told, expected, "{limit} {buffering}");
                assert_eq!(returning.flush, expected.buffering == Some(false));
                let mut names: Vec<_> = returning.head.headers.keys().map(HeaderName::as_str).collect();
                names.sort_unstable();
                assert_eq!(names, ["via", "x-accel-expires"]);
            }
        }
    }

    #[test]
    fn an_event_stream_is_flushed_after_each_piece() {
        for (kind, flush) in
            [("text/event-stream", true), ("Text/Event-Stream; charset=utf-8", true), ("text/plain", false)]
        {
            assert_eq!(passed(head(200, &[("content-type", kind)]), false, true).unwrap().flush, flush);
        }
    }

    #[test]
    fn a_length_beside_a_transfer_coding_is_not_forwarded() {
        let lines = [("transfer-encoding", "chunked"), ("content-length", "3"), ("connection", "close")];
        let returning = passed(head(200, &lines), false, true).unwrap();
        assert_eq!(returning.head.headers.len(), 1, "Via alone: {:?}", returning.head.headers);
    }

    #[test]
    fn an_unknown_transfer_coding_is_a_failure() {
        assert!(passed(head(200, &[("transfer-encoding", "gzip, chunked")]), false, true).is_err());
    }

    #[test]
    fn a_source_may_leave_this_hop_out_of_via_and_locations_as_they_are() {
        let lines = [("location", "http://b:9000/two/x"), ("via", "1.0 inner")];
        for (on, location, via) in [
            (true, "/one/x", &["1.0 inner", "1.1 sluicegate"][..]),
            (false, "http://b:9000/two/x", &["1.0 inner"]),
        ] {
            let source = ProxySource::new("http://b:9000/two/".parse().unwrap());
            let source = ProxySource { map_location: on, via: on, ..source };
            let head = (head(302, &lines), FramingFields::default());
            let fields = returning(head, false, &source, &source.upstream, "/one/");
            let fields = fields.unwrap().head.headers;
            assert_eq!(fields["location"], location);
            assert_eq!(fields.get_all("via").iter().collect::<Vec<_>>(), via);
        }
    }

    #[test]
    fn protocols_change_only_on_request() {
        let lines = [("connection", "Upgrade"), ("upgrade", "websocket"), ("keep-alive", "timeout=1")];
        let changed = passed(head(101, &lines), true, true).unwrap();
        assert_eq!(changed.head.headers[UPGRADE], "websocket");
        assert_eq!(changed.head.headers[CONNECTION], "upgrade");
        assert!(!changed.head.headers.contains_key("keep-alive"));
        assert!(passed(head(101, &lines), false, true).is_err());
        assert!(passed(head(101, &[]), true, true).is_err());
        let refused = passed(head(426, &lines), true, true).unwrap();
        assert!(!refused.head.headers.contains_key(UPGRADE));
    }

    #[test]
    fn an_interim_head_is_forwarded_without_hop_by_hop_fields() {
        let lines = [
            ("link", "</x>; rel=preload"),
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("content-length", "5"),
            ("transfer-encoding", "chunked"),
            ("x-accel-limit-rate", "1"),
        ];
        let (status, fields) = interim(head(103, &lines)).unwrap();
        assert_eq!((status.as_u16(), fields), (103, head(103, &lines[..1]).headers));
        let mut unreadable = head(103, &lines);
        unreadable.headers.insert(CONNECTION, HeaderValue::from_bytes(b"\xff").unwrap());
        assert!(interim(unreadable).is_err());
    }
}
