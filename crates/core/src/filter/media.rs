//! Which content a filter takes: a list of media types.

use std::str::FromStr;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};

use super::OptionError;

/// A list of media type patterns that filters look a response's `Content-Type` up in.
///
/// A pattern is a type (`text/html`), a tree (`text/*`), a suffix (`+json`, which takes
/// `application/problem+json`) or `*/*`, which also takes a response without a type. Parameters such as
/// `charset` and the case of letters do not matter.
///
/// ```
/// use sluicegate_core::filter::MediaTypes;
///
/// let types = MediaTypes::parse(["text/*", "+json"])?;
/// assert!(types.take(Some("Text/HTML; charset=utf-8")));
/// assert!(types.take(Some("application/problem+json")));
/// assert!(!types.take(Some("image/png")) && !types.take(None));
/// # Ok::<(), sluicegate_core::filter::OptionError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaTypes(Vec<MediaRange>);

/// One pattern of [`MediaTypes`], which has the spellings.
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

/// What a 304 would say of its content if it had any: put among a response's extensions by a source that knows, for
/// filters that decide by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotSent {
    /// The value of `Content-Type`.
    pub content_type: HeaderValue,
    /// In bytes.
    pub length: u64,
}

impl MediaTypes {
    /// A list from its spellings.
    ///
    /// # Errors
    /// [`OptionError::MediaType`] names the first one that is no pattern.
    pub fn parse<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Self, OptionError> {
        patterns.into_iter().map(str::parse).collect()
    }

    /// What people read: `text/*`, JSON, JavaScript, XML, SVG and their kin.
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

    /// Whether one of the patterns takes this value of `Content-Type`.
    pub fn take(&self, content_type: Option<&str>) -> bool {
        let essence = content_type.map(essence).unwrap_or_default();
        self.0.iter().any(|MediaRange(pattern)| match pattern {
            Pattern::All => true,
            Pattern::Tree(tree) => essence.starts_with(tree.as_str()),
            Pattern::Exactly(name) => essence == *name,
            Pattern::Suffix(suffix) => essence.ends_with(suffix.as_str()),
        })
    }

    /// Whether the type itself is in the list, and not only a pattern that takes it.
    pub fn name(&self, content_type: &str) -> bool {
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

/// The value of `Content-Type`, if there is one that is text.
pub(super) fn content_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(CONTENT_TYPE)?.to_str().ok()
}

/// Type and subtype without parameters, in small letters.
pub(super) fn essence(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_take_what_they_say() {
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
            assert_eq!(types.take(Some(value)), taken, "{pattern} and {value}");
        }
        assert!(MediaTypes::parse(["*/*"]).unwrap().take(None));
        assert!(!MediaTypes::text().take(None));
    }

    #[test]
    fn what_is_no_pattern_is_named() {
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
    fn a_tree_takes_a_type_without_naming_it() {
        let types = MediaTypes::parse(["text/*", "text/csv"]).unwrap();
        assert!(types.take(Some("text/html")) && !types.name("text/html"));
        assert!(types.name("text/CSV; header=present"));
    }
}
