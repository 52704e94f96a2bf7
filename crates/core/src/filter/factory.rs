//! Named filters: what a configuration or a builder puts on a route, and how one becomes a filter of
//! one response.

use std::fmt;

use http::{request, response};

use super::Filter;
use crate::excerpt::excerpt;

/// Makes the filter for one response, or stays away from it.
///
/// A route holds factories; for each exchange [`prepare`](Self::prepare) is called before the
/// request goes to the source of the content, and [`attach`](Self::attach) when the response's head is
/// there. Both may read and change heads: a filter that changes the length of a body must remove
/// `Content-Length` in `attach`.
///
/// `attach` is also called for responses without a body (HEAD, 304), so that their heads tell the same;
/// the filter it returns is then dropped unused.
pub trait FilterFactory: Send + Sync {
    /// Changes the request before the source of the content sees it.
    ///
    /// A filter that needs the whole, uncoded content removes `Range` and `Accept-Encoding` here.
    fn prepare(&self, _request: &mut request::Parts) {}

    /// The filter for this response; `None` stays away. `request` is as the client sent it.
    fn attach(&self, request: &request::Parts, response: &mut response::Parts) -> Option<Box<dyn Filter>>;
}

/// Why a filter cannot be made as asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OptionError {
    /// A text to search for that has no byte: it would match everywhere.
    EmptyFrom,
    /// A gzip level outside 1 to 9.
    Level(u8),
    /// Not a media type, nor a pattern of them.
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

/// A factory from a closure that makes a filter for every response and leaves its head alone.
///
/// For filters that keep the body's length. One that does not implements [`FilterFactory`].
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
