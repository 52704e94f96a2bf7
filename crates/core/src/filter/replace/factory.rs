//! Decides which responses a text is replaced in, and changes their heads.

use std::sync::Arc;

use bytes::Bytes;
use http::{request, response};

use super::{Pattern, Replace};
use crate::filter::media::content_type;
use crate::filter::rewrite::{forget_content, want_whole_content};
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
#[derive(Clone, Debug)]
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
        want_whole_content(request);
    }

    fn attach(&self, request: &request::Parts, response: &mut response::Parts) -> Option<Box<dyn Filter>> {
        if !self.types.matches(content_type(&response.headers)) || !forget_content(request, response) {
            return None;
        }
        Some(Box::new(Replace::sharing(Arc::clone(&self.pattern))))
    }
}
