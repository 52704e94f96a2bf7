//! Which responses a text is replaced in, and what their heads say then.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, RANGE};
use http::{HeaderValue, Method, request, response};

use super::{Pattern, Replace};
use crate::filter::fields::{forget_bytes, is_coded, is_whole};
use crate::filter::media::content_type;
use crate::filter::{Filter, FilterFactory, MediaTypes, OptionError};

/// Replaces one text by another in responses of the listed types.
///
/// The source is asked for its whole, uncoded content: range and condition fields are taken off the
/// request, and `Accept-Encoding` is set to `identity` (without the field any coding would be
/// acceptable, RFC 9110 section 12.5.3). The answer loses its validators, length, `Accept-Ranges`
/// and digests, for they speak of other bytes. All of this holds for every request of the route, since
/// the type is known only when the answer is there: put the filter on routes with text.
///
/// A response that is coded or partial nevertheless, and one of another type, is left alone. `no-transform` is
/// not asked: it binds intermediaries, and whoever configures this speaks for the origin. Text is compared as
/// bytes, whatever its charset.
#[derive(Clone)]
pub struct ReplaceFactory {
    pattern: Arc<Pattern>,
    types: MediaTypes,
}

impl ReplaceFactory {
    /// Puts `to` in the place of `from` in [`MediaTypes::text`].
    ///
    /// # Errors
    /// [`OptionError::EmptyFrom`] if there is nothing to search for.
    pub fn new(from: impl Into<Bytes>, to: impl Into<Bytes>) -> Result<Self, OptionError> {
        Ok(Self { pattern: Arc::new(Pattern::new(from.into(), to.into())?), types: MediaTypes::text() })
    }

    /// The same with another list of types.
    #[must_use]
    pub fn types(mut self, types: MediaTypes) -> Self {
        self.types = types;
        self
    }
}

impl FilterFactory for ReplaceFactory {
    fn prepare(&self, request: &mut request::Parts) {
        for name in [RANGE, IF_RANGE, IF_NONE_MATCH, IF_MODIFIED_SINCE] {
            request.headers.remove(name);
        }
        request.headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }

    fn attach(&self, request: &request::Parts, response: &mut response::Parts) -> Option<Box<dyn Filter>> {
        let headers = &mut response.headers;
        let whole = is_whole(response.status) && request.method != Method::CONNECT;
        if !whole || is_coded(headers) || !self.types.take(content_type(headers)) {
            return None;
        }
        forget_bytes(headers);
        headers.remove(ETAG);
        headers.remove(LAST_MODIFIED);
        Some(Box::new(Replace::sharing(Arc::clone(&self.pattern))))
    }
}
