//! Lists of media types, by which filters choose content.

use std::str::FromStr;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};

use super::OptionError;

/// A list of media type patterns to match a `Content-Type` with.
///
/// A pattern is a type (`text/html`), a tree (`text/*`), a suffix (`+json`, which matches `application/problem+json`) or
/// `*/*`, which also matches a response without a type. Parameters such as `charset` and letter case are ignored.
///
/// ```
/// use sluicegate_core::filter::MediaTypes;
///
/// let types = MediaTypes::parse(["text/*", "+json"])?;
/// assert!(types.matches(Some("Text/HTML; charset=utf-8")));
/// assert!(types.matches(Some("application/problem+json")));
/// assert!(!types.matches(Some("image/png")) && !types.matches(None));
/// # Ok::<(), sluicegate_core::filter::OptionError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaTypes(Vec<MediaRange>);

/// One pattern of [`MediaTypes`]; parsed from text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaRange(Pattern);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    All,
    /// With the slash: `text/`.
    Tree(String),
    Exactly(String),
    /// With the plus sign: `+json`.
    Suffix(String),
}

/// Describes the content that a 304 does not send, for filters that choose by it: a source that knows inserts it in the
/// response's extensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotSent {
    /// The value of `Content-Type`.
    pub content_type: HeaderValue,
    /// The length in bytes.
    pub length: u64,
}

impl MediaTypes {
    /// Parses a list of patterns.
    ///
    /// # Errors
    /// [`OptionError::MediaType`] with the first that is not a pattern.
    pub fn parse<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Self, OptionError> {
        patterns.into_iter().map(str::parse).collect()
    }

    /// Returns the types of text: `text/*`, JSON, JavaScript, XML, SVG and types with their suffixes.
    pub fn text() -> Self {
        const TEXT: [&str; 9] = [
            "text/*",
            "application/json",
            "application/x-ndjson",
            "application/javascript",
            "application/x-javascript",
            "application/xml",
            "image/svg+xml",
            "+json",
            "+xml",
        ];
        Self::parse(TEXT).unwrap_or_else(|_| unreachable!("the list above is well spelt"))
    }

    /// Returns whether a pattern matches this value of `Content-Type`.
    pub fn matches(&self, content_type: Option<&str>) -> bool {
        let essence = content_type.map(essence).unwrap_or_default();
        self.0.iter().any(|MediaRange(pattern)| match pattern {
            Pattern::All => true,
            Pattern::Tree(tree) => essence.starts_with(tree.as_str()),
            Pattern::Exactly(name) => essence == *name,
            Pattern::Suffix(suffix) => essence.ends_with(suffix.as_str()),
        })
    }

    /// Returns whether the type itself is listed, not only a pattern that matches it.
    pub fn lists(&self, content_type: &str) -> bool {
        self.0.contains(&MediaRange(Pattern::Exactly(essence(content_type))))
    }
}

impl FromIterator<MediaRange> for MediaTypes {
    fn from_iter<I: IntoIterator<Item = MediaRange>>(ranges: I) -> Self {
        Self(ranges.into_iter().collect())
    }
}

impl FromStr for MediaRange {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, OptionError> {
        // RFC 6838 section 4.2
        let is_name = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
        };
        let lower = text.to_ascii_lowercase();
        let pattern = match lower.split_once('/') {
            Some(("*", "*")) => Pattern::All,
            Some((tree, "*")) if is_name(tree) => Pattern::Tree(format!("{tree}/")),
            Some((tree, name)) if is_name(tree) && is_name(name) => Pattern::Exactly(lower),
            None if lower.strip_prefix('+').is_some_and(is_name) => Pattern::Suffix(lower),
            _ => return Err(OptionError::MediaType(text.to_owned())),
        };
        Ok(Self(pattern))
    }
}

/// The value of `Content-Type`, if it is ASCII.
pub(super) fn content_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(CONTENT_TYPE)?.to_str().ok()
}

/// Type and subtype in lower case, without parameters.
pub(super) fn essence(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_types_trees_and_suffixes() {
        let table = [
            ("text/*", "text/plain;charset=utf-8", true),
            ("text/*", "TEXT/css", true),
            ("text/*", "textual/plain", false),
            ("application/json", " application/json ; a=b", true),
            ("application/json", "application/json5", false),
            ("+xml", "application/rss+xml", true),
            ("+xml", "application/xml", false),
            ("application/vnd.api+json", "application/vnd.api+json", true),
            ("Text/HTML", "text/html", true),
            ("*/*", "anything", true),
        ];
        for (pattern, value, taken) in table {
            let types = MediaTypes::parse([pattern]).unwrap();
            assert_eq!(types.matches(Some(value)), taken, "{pattern} and {value}");
        }
        assert!(MediaTypes::parse(["*/*"]).unwrap().matches(None));
        assert!(!MediaTypes::text().matches(None));
    }

    #[test]
    fn an_invalid_pattern_is_named() {
        for bad in [
            "",
            "text",
            "/",
            "text/",
            "/html",
            "*/html",
            "te xt/html",
            " text/html",
            "text/html; charset=utf-8",
            "text/html;q=1",
            "+",
            "a/b/c",
        ] {
            assert_eq!(MediaTypes::parse(["text/*", bad]), Err(OptionError::MediaType(bad.to_owned())));
        }
    }

    #[test]
    fn a_tree_matches_a_type_without_listing_it() {
        let types = MediaTypes::parse(["text/*", "text/csv"]).unwrap();
        assert!(types.matches(Some("text/html")) && !types.lists("text/html"));
        assert!(types.lists("text/CSV; header=present"));
    }
}
