//! Decides which responses are coded as gzip, and changes their heads.

use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, ETAG, IF_NONE_MATCH, RANGE};
use http::{HeaderMap, HeaderValue, Method, StatusCode, request, response};

use super::accept::takes_gzip;
use super::{Gzip, GzipLevel};
use crate::filter::fields::{forget_bytes, is_coded, is_whole, vary_on, weaken_etag};
use crate::filter::media::{NotSent, content_type, essence};
use crate::filter::{Filter, FilterFactory, MediaTypes};

/// Event streams, which `text/*` does not match here.
const EVENTS: &str = "text/event-stream";

/// Codes responses as gzip if client and content allow it.
///
/// A response is coded if the client accepts gzip (`Accept-Encoding` with weights), the request has no `Range`, the status has
/// whole content (not 204, 205, 206, 304), the type is listed, the length is unknown or not below the minimum, and it is neither
/// coded nor `no-transform`. It then has `Content-Encoding: gzip`, no length, no `Accept-Ranges`, no digests (RFC 9530: they
/// include the coding) and a weak entity tag, because the bytes differ.
///
/// Every response of a listed type has `Vary: Accept-Encoding`, coded or not, and so has a 304 whose type neither its head
/// nor a [`NotSent`] names. A 304 has the entity tag of the client's variant: weak if the client sent it so.
///
/// `text/event-stream` is coded only if listed itself, not by `text/*`: each subscriber would hold a coder of 300 KiB, and
/// each event would cost a flush.
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
    /// The default minimum size: 256 bytes; below, gzip's header and trailer cost what coding saves.
    pub const MIN_SIZE: u64 = 256;

    /// Creates a factory with level 6, [`MIN_SIZE`](Self::MIN_SIZE) and [`MediaTypes::text`].
    pub fn new() -> Self {
        Self { level: GzipLevel::default(), min_size: Self::MIN_SIZE, types: MediaTypes::text() }
    }

    /// Sets the level.
    #[must_use]
    pub fn level(mut self, level: GzipLevel) -> Self {
        self.level = level;
        self
    }

    /// Sets the minimum size in bytes, for responses of known length.
    #[must_use]
    pub fn min_size(mut self, bytes: u64) -> Self {
        self.min_size = bytes;
        self
    }

    /// Sets the types.
    #[must_use]
    pub fn types(mut self, types: MediaTypes) -> Self {
        self.types = types;
        self
    }

    fn takes(&self, content_type: Option<&str>) -> bool {
        let is_events = content_type.is_some_and(|value| essence(value) == EVENTS);
        if is_events { self.types.lists(EVENTS) } else { self.types.matches(content_type) }
    }
}

/// `Content-Length`, if valid.
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
        // A 304 need not name its type.
        let unknown = kind.is_none() && response.status == StatusCode::NOT_MODIFIED;
        let length = length_of(headers).or_else(|| not_sent.map(|not_sent| not_sent.length));
        let is_long_enough = length.is_none_or(|length| length >= self.min_size);
        let wanted = takes_gzip(&request.headers) && !request.headers.contains_key(RANGE);
        // RFC 9110 section 15.4.5: a 304 has the Vary of the 200, whose type may be a listed one.
        if listed || unknown {
            vary_on(headers, "Accept-Encoding");
        }
        if response.status == StatusCode::NOT_MODIFIED {
            let is_coded = match has_coded(&request.headers, headers) {
                Some(coded) => coded && (listed || unknown),
                None => listed && wanted && is_long_enough,
            };
            if is_coded {
                forget_bytes(headers);
                weaken_etag(headers);
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

/// Whether the client has the coded variant of the response, whose tag is weak. `None` if it sent both tags, none, or `*`.
fn has_coded(request: &HeaderMap, response: &HeaderMap) -> Option<bool> {
    let tag = response.get(ETAG)?;
    let weak = [b"W/", tag.as_bytes()].concat();
    let (mut coded, mut plain) = (false, false);
    for value in request.get_all(IF_NONE_MATCH) {
        // A tag with a comma is not found; the variant is unknown then.
        for item in value.as_bytes().split(|b| *b == b',').map(<[u8]>::trim_ascii) {
            coded |= item == weak;
            plain |= item == tag.as_bytes();
        }
    }
    (coded != plain).then_some(coded)
}

/// `Cache-Control: no-transform` (RFC 9111 section 5.2.2.6).
fn forbids_transforms(headers: &HeaderMap) -> bool {
    headers
        .get_all(CACHE_CONTROL)
        .iter()
        .flat_map(|value| value.as_bytes().split(|b| *b == b','))
        .any(|directive| directive.trim_ascii().eq_ignore_ascii_case(b"no-transform"))
}
