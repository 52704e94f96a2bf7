//! The path of a route.

use std::fmt;
use std::str::FromStr;

use crate::words::shorten;

/// The path of a route: begins with a slash, and matches everything below it.
///
/// `/api` also matches itself, but not `/apix`; `/api/` matches only what is below. The path of a folder ends with a
/// slash, so that relative links in its pages resolve. Only characters that clients never encode are allowed, so
/// that encoded and plain form are the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoutePath(String);

impl RoutePath {
    /// Returns `/`, which matches everything.
    pub fn root() -> Self {
        Self("/".to_owned())
    }

    /// Returns the path as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RoutePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

caused_error! {
    /// Why a text is no path of a route. Says what to write.
    RoutePathError {
        /// Whether it does not begin with a slash.
        is_relative: relative,
    }
}

impl FromStr for RoutePath {
    type Err = RoutePathError;

    fn from_str(text: &str) -> Result<Self, RoutePathError> {
        let shown = shorten(text);
        let said = |why: &str| format!("{shown:?} is not a route's path: {why}");
        let bad = |why: &str| Err(RoutePathError::other(said(why)));
        let Some(inner) = text.strip_prefix('/') else {
            let why = format!("it does not begin with a slash; write {:?}", format!("/{shown}"));
            return Err(RoutePathError::relative(said(&why)));
        };
        if inner.is_empty() {
            return Ok(Self::root());
        }
        let inner = inner.strip_suffix('/').unwrap_or(inner);
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@".contains(c);
        for segment in inner.split('/') {
            if matches!(segment, "" | "." | "..") {
                return bad("it has an empty part, or `.` or `..`; write the path without");
            }
            if let Some(odd) = segment.chars().find(|c| !is_plain(*c)) {
                return bad(&format!("{odd:?} cannot stand in it; use letters, digits and `-._~`"));
            }
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_begin_with_a_slash_and_are_plain() {
        for good in ["/", "/logs", "/a/b", "/logs/", "/a/b.c/~d/", "/.well-known/"] {
            assert_eq!(good.parse::<RoutePath>().map(|path| path.to_string()), Ok(good.to_owned()));
        }
        for (bad, expected) in [
            ("", "does not begin with a slash; write \"/\""),
            ("logs/", "write \"/logs/\""),
            ("//", "empty part"),
            ("/a//b/", "empty part"),
            ("/a/../b/", "empty part, or `.` or `..`"),
            ("/a b/", "' ' cannot stand in it"),
            ("/a?b/", "'?' cannot stand in it"),
            ("/%41/", "'%' cannot stand in it"),
            ("/é/", "cannot stand in it"),
        ] {
            let error = bad.parse::<RoutePath>().unwrap_err();
            assert_eq!(error.is_relative(), !bad.starts_with('/'), "{bad}");
            assert!(error.to_string().contains(expected), "{bad}: {error}");
        }
    }
}
