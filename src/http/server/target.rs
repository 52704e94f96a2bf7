//! A request's target, as logs and reports show it.

use std::borrow::Cow;

use http::Uri;
use percent_encoding::percent_decode_str;

use crate::excerpt::excerpt;

/// Characters of a target in the access log.
const MAX_LOGGED: usize = 2048;

/// Characters of a target that are shown in reports.
pub(super) const MAX_REPORTED: usize = 256;

/// Bytes of a target that are kept as they came until somebody asks: most requests are reported by nobody.
const MAX_RAW: usize = 512;

/// A request's target.
#[derive(Clone)]
pub(super) enum Target {
    /// As it came.
    Raw(Box<str>),
    /// As it is shown.
    Shown(Box<str>),
}

impl Target {
    /// The target of a request. `logged`: it will be shown.
    pub(super) fn new(uri: &Uri, logged: bool) -> Self {
        match uri.path_and_query() {
            Some(target) if !logged && target.as_str().len() <= MAX_RAW => Self::Raw(target.as_str().into()),
            _ => Self::Shown(shown(uri, if logged { MAX_LOGGED } else { MAX_REPORTED }).into()),
        }
    }

    /// As the access log shows it.
    pub(super) fn shown(&self) -> Cow<'_, str> {
        match self {
            Self::Raw(target) => without_tokens(target),
            Self::Shown(target) => Cow::Borrowed(target),
        }
    }
}

/// The request's target, without the scheme and authority that HTTP/2 has. A long one is cut, so that a client cannot
/// fill the log.
fn shown(uri: &Uri, max_len: usize) -> String {
    match uri.path_and_query() {
        Some(target) => excerpt(&without_tokens(target.as_str()), max_len),
        // CONNECT has an authority alone.
        None => excerpt(&uri.to_string(), max_len),
    }
}

/// `text`, a target or an address, with each `token=` of its query as `token=***`: it is the secret by which a subscriber to
/// events is recognised. Its name may be percent-encoded, as where it is read.
pub(super) fn without_tokens(text: &str) -> Cow<'_, str> {
    let Some((path, query)) = text.split_once('?') else { return text.into() };
    let is_token = |pair: &str| {
        let name = pair.split_once('=').map_or(pair, |(name, _)| name);
        percent_decode_str(name).eq(*b"token")
    };
    if !query.split('&').any(is_token) {
        return text.into();
    }
    let hidden = |pair| if is_token(pair) { "token=***" } else { pair };
    let query: Vec<_> = query.split('&').map(hidden).collect();
    format!("{path}?{}", query.join("&")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_shows_the_target_alone_and_not_without_end() {
        let long = |len: usize| format!("/{}", "x".repeat(len - 1));
        for (uri, expected) in [
            ("/a?b=c".to_owned(), "/a?b=c".to_owned()),
            ("http://host:1/a?b=c".to_owned(), "/a?b=c".to_owned()),
            ("http://host".to_owned(), "/".to_owned()),
            ("*".to_owned(), "*".to_owned()),
            ("host:443".to_owned(), "host:443".to_owned()),
            (long(2048), long(2048)),
            (long(2049), format!("{}…", long(2048))),
            // Secrets of subscribers, however their name is written.
            ("/e/a?token=secret".to_owned(), "/e/a?token=***".to_owned()),
            ("/e/a?after=1&%74oken=secret&max=2".to_owned(), "/e/a?after=1&token=***&max=2".to_owned()),
            ("/e/a?token=a&token=b=c?d".to_owned(), "/e/a?token=***&token=***".to_owned()),
            ("/e/a?token".to_owned(), "/e/a?token=***".to_owned()),
            ("/token=a?tokens=b&a=token".to_owned(), "/token=a?tokens=b&a=token".to_owned()),
            (format!("/?token={}", long(2049)), "/?token=***".to_owned()),
        ] {
            let uri: Uri = uri.parse().unwrap();
            for logged in [false, true] {
                let most = if logged { MAX_LOGGED } else { MAX_REPORTED };
                let shown = Target::new(&uri, logged).shown().into_owned();
                assert_eq!(excerpt(&shown, most), excerpt(&expected, most), "{uri}");
            }
        }
    }
}
