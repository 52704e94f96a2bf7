//! When a response is coded as gzip, and what its head says then.

use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, ETAG, IF_NONE_MATCH, RANGE};
use http::{HeaderMap, HeaderValue, Method, StatusCode, request, response};

use super::accept::takes_gzip;
use super::{Gzip, GzipLevel};
use crate::filter::fields::{forget_bytes, is_coded, is_whole, vary_on, weaken_etag};
use crate::filter::media::{NotSent, content_type, essence};
use crate::filter::{Filter, FilterFactory, MediaTypes};

/// An event stream: `text/*` does not take it here.
const EVENTS: &str = "text/event-stream";

/// Codes responses as gzip where client and content allow it.
///
/// A response is coded if the client takes gzip (`Accept-Encoding` with its weights), the request has no
/// `Range`, the status is one with a whole content (not 204, 205, 206, 304), the type is listed, the length
/// is unknown or not below the least size, and it is neither coded already nor `no-transform`. It then
/// has `Content-Encoding: gzip`, no length, no `Accept-Ranges`, no digests (RFC 9530: they count the
/// coding in) and a weak entity tag, because the bytes are not the file's.
///
/// Every response of a listed type gets `Vary: Accept-Encoding`, coded or not, and so does a 304 of which neither its
/// head nor a [`NotSent`] tells the type. A 304 has the entity tag of the variant the client holds: weak if that is
/// the form it asked with.
///
/// `text/event-stream` is coded only if listed by its own name, not by `text/*`: each subscriber would hold a
/// coder's 300 KiB for as long as it listens, and each event would pay a flush of its own.
///
/// ```
/// use http::{Request, Response};
/// use sluicegate_core::filter::{FilterFactory, GzipFactory};
///
/// let (request, ()) = Request::get("/").header("accept-encoding", "gzip").body(())?.into_parts();
/// let (mut response, ()) = Response::builder()
///     .header("content-type", "text/html")
///     .header("content-length", "1000")
///     .header("etag", "\"x\"")
///     .body(())?
///     .into_parts();
/// assert!(GzipFactory::new().attach(&request, &mut response).is_some());
/// assert_eq!(response.headers["content-encoding"], "gzip");
/// assert_eq!(response.headers["vary"], "Accept-Encoding");
/// assert_eq!(response.headers["etag"], "W/\"x\"");
/// assert!(!response.headers.contains_key("content-length"));
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct GzipFactory {
    level: GzipLevel,
    min_size: u64,
    types: MediaTypes,
}

impl GzipFactory {
    /// The default least size: 256 bytes; below, header and trailer eat up what coding saves.
    pub const MIN_SIZE: u64 = 256;

    /// The defaults: level 6, at least [`MIN_SIZE`](Self::MIN_SIZE), and [`MediaTypes::text`].
    pub fn new() -> Self {
        Self { level: GzipLevel::default(), min_size: Self::MIN_SIZE, types: MediaTypes::text() }
    }

    /// The same with another level.
    #[must_use]
    pub fn level(mut self, level: GzipLevel) -> Self {
        self.level = level;
        self
    }

    /// The same with another least size in bytes. It is asked where the length is known.
    #[must_use]
    pub fn min_size(mut self, bytes: u64) -> Self {
        self.min_size = bytes;
        self
    }

    /// The same with another list of types.
    #[must_use]
    pub fn types(mut self, types: MediaTypes) -> Self {
        self.types = types;
        self
    }

    fn takes(&self, content_type: Option<&str>) -> bool {
        let is_events = content_type.is_some_and(|value| essence(value) == EVENTS);
        if is_events { self.types.name(EVENTS) } else { self.types.take(content_type) }
    }
}

/// The length that a head tells.
fn length_of(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

impl Default for GzipFactory {
    fn default() -> Self {
        Self::new()
    }
}

impl FilterFactory for GzipFactory {
    fn attach(&self, request: &request::Parts, response: &mut response::Parts) -> Option<Box<dyn Filter>> {
        let headers = &mut response.headers;
        if is_coded(headers) || forbids_transforms(headers) {
            return None;
        }
        let not_sent = response.extensions.get::<NotSent>();
        let kind = content_type(headers).or_else(|| not_sent?.content_type.to_str().ok());
        let listed = self.takes(kind);
        // A 304 need not name its type; it is then judged by what the client holds.
        let unknown = kind.is_none() && response.status == StatusCode::NOT_MODIFIED;
        let length = length_of(headers).or_else(|| not_sent.map(|not_sent| not_sent.length));
        let is_long_enough = length.is_none_or(|length| length >= self.min_size);
        let wanted = takes_gzip(&request.headers) && !request.headers.contains_key(RANGE);
        // RFC 9110 §15.4.5: a 304 has the Vary of the 200. If its type is not known it may be a listed one.
        if listed || unknown {
            vary_on(headers, "Accept-Encoding");
        }
        if response.status == StatusCode::NOT_MODIFIED {
            match held_variant(&request.headers, headers) {
                Held::Coded if listed || unknown => {
                    forget_bytes(headers);
                    weaken_etag(headers);
                }
                Held::Unsaid if listed && wanted && is_long_enough => {
                    forget_bytes(headers);
                    weaken_etag(headers);
                }
                _ => {}
            }
            return None;
        }
        let codable = is_whole(response.status) && request.method != Method::CONNECT;
        if !(listed && wanted && codable && is_long_enough) {
            return None;
        }
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        forget_bytes(headers);
        weaken_etag(headers);
        Some(Box::new(Gzip::new(self.level)))
    }
}

/// Which variant of the response a client asks about that holds one.
enum Held {
    /// It named the tag in its weak form, which coded responses have.
    Coded,
    /// It named the tag as it is.
    Plain,
    /// It named both, none, or `*`.
    Unsaid,
}

fn held_variant(request: &HeaderMap, response: &HeaderMap) -> Held {
    let Some(tag) = response.get(ETAG) else { return Held::Unsaid };
    let weak = [b"W/", tag.as_bytes()].concat();
    let (mut coded, mut plain) = (false, false);
    for value in request.get_all(IF_NONE_MATCH) {
        // A tag that has a comma in it is not found, and the client's variant then unsaid.
        for item in value.as_bytes().split(|b| *b == b',').map(<[u8]>::trim_ascii) {
            coded |= item == weak;
            plain |= item == tag.as_bytes();
        }
    }
    match (coded, plain) {
        (true, false) => Held::Coded,
        (false, true) => Held::Plain,
        _ => Held::Unsaid,
    }
}

/// `Cache-Control: no-transform` (RFC 9111 section 5.2.2.6).
fn forbids_transforms(headers: &HeaderMap) -> bool {
    headers
        .get_all(CACHE_CONTROL)
        .iter()
        .flat_map(|value| value.as_bytes().split(|b| *b == b','))
        .any(|directive| directive.trim_ascii().eq_ignore_ascii_case(b"no-transform"))
}
