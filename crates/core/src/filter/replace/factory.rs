//! Decides which responses a text is replaced in, and changes their heads.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, RANGE};
use http::{HeaderValue, Method, request, response};

use super::{Pattern, Replace};
use crate::filter::fields::{forget_bytes, is_coded, is_whole};
use crate::filter::media::content_type;
use crate::filter::{Filter, FilterFactory, MediaTypes, OptionError};

/// Replaces a text by another in responses of the listed types.
///
/// Requests the whole, uncoded content: removes range and condition fields, and sets `Accept-Encoding: identity` (without the
/// field any coding would be acceptable, RFC 9110 section 12.5.3). This applies to every request of the route, since the type
/// is known only with the response: use the filter on routes with text. The response loses validators, length,
/// `Accept-Ranges` and digests.
///
/// Responses that are coded, partial or of other types pass unchanged. `no-transform` is ignored: it binds intermediaries, and
/// this is configured for the origin. Text is compared as bytes, whatever its charset.
#[derive(Clone)]
pub struct ReplaceFactory {
    pattern: Arc<Pattern>,
    types: MediaTypes,
}

impl ReplaceFactory {
    /// Creates a factory that replaces `from` by `to` in [`MediaTypes::text`].
    ///
    /// # Errors
    /// [`OptionError::EmptyFrom`] if `from` is empty.
    pub fn new(from: impl Into<Bytes>, to: impl Into<Bytes>) -> Result<Self, OptionError> {
        Ok(Self { pattern: Arc::new(Pattern::new(from.into(), to.into())?), types: MediaTypes::text() })
    }

    /// Sets the types.
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
        if !whole || is_coded(headers) || !self.types.matches(content_type(headers)) {
            return None;
        }
        forget_bytes(headers);
        headers.remove(ETAG);
        headers.remove(LAST_MODIFIED);
        Some(Box::new(Replace::sharing(Arc::clone(&self.pattern))))
    }
}
