//! Creates the filters of responses.

use std::fmt;

use http::{request, response};

use super::Filter;
use crate::excerpt::excerpt;

/// Creates the filter of a response, if it needs one.
///
/// A route has factories. For each exchange [`prepare`](Self::prepare) is called before the source gets the request, and
/// [`attach`](Self::attach) when there is a response head. Both may change heads: a filter that changes the length of a body
/// must remove `Content-Length` in `attach`; [`rewrite`](super::rewrite) does it for one that changes content.
///
/// `attach` is called also for responses without a body (HEAD, 304), so that their heads are the same; the filter is then
/// dropped unused.
pub trait FilterFactory: Send + Sync {
    /// Changes the request before the source gets it. A filter that needs the whole, uncoded content removes `Range` and
    /// `Accept-Encoding` here.
    fn prepare(&self, _request: &mut request::Parts) {}

    /// Returns the filter of this response, if it needs one. `request` is as the client sent it.
    fn attach(&self, request: &request::Parts, response: &mut response::Parts) -> Option<Box<dyn Filter>>;
}

/// Why the options of a filter are invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OptionError {
    /// The text to search for is empty: it would match everywhere.
    EmptyFrom,
    /// A gzip level outside 1 to 9.
    Level(u8),
    /// Neither a media type nor a pattern of them.
    MediaType(String),
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptyFrom => f.write_str("the text to replace is empty"),
            Self::Level(level) => write!(f, "gzip level {level} is not in 1 to 9"),
            Self::MediaType(text) => {
                let text = excerpt(text, 60);
                write!(
                    f,
                    "{text:?} is not a media type; write \"text/html\", \"text/*\", \"+json\" or \"*/*\""
                )
            }
        }
    }
}

impl std::error::Error for OptionError {}

/// Creates a factory from a closure, which creates a filter for every response. For filters that keep the length of bodies;
/// others implement [`FilterFactory`].
pub fn factory_fn<F, M>(make: M) -> impl FilterFactory
where
    M: Fn() -> F + Send + Sync,
    F: Filter + 'static,
{
    struct Make<M>(M);

    impl<F: Filter + 'static, M: Fn() -> F + Send + Sync> FilterFactory for Make<M> {
        fn attach(&self, _: &request::Parts, _: &mut response::Parts) -> Option<Box<dyn Filter>> {
            Some(Box::new((self.0)()))
        }
    }

    Make(make)
}
