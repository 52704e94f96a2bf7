//! Conditional requests: which answer the preconditions of a request allow (RFC 9110 §13).
//!
//! Pure. Entity tags are read here and not by the `headers` crate, which in debug builds panics at a
//! tag with a blank in it and does not see tags with bytes above 127.

use std::time::SystemTime;

use http::header::{AsHeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE};
use http::{HeaderMap, HeaderValue};

use super::validators::Validators;

/// What the preconditions of a GET or HEAD allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The content. Its ranges, if some are asked for, only if `ranges`.
    Serve {
        /// Whether `Range` may be answered: there is no `If-Range`, or it holds.
        ranges: bool,
    },
    /// 304: the client has it.
    NotModified,
    /// 412: it is not what the client meant.
    Failed,
}

/// Evaluates the preconditions in the order of §13.2.2, which gives tags precedence over dates.
pub(super) fn evaluate(headers: &HeaderMap, current: &Validators) -> Verdict {
    if headers.contains_key(IF_MATCH) {
        if !matches_any(headers, IF_MATCH, |tag| strong_match(tag, current)) {
            return Verdict::Failed;
        }
    } else if let (Some(limit), Some(modified)) = (date(headers, IF_UNMODIFIED_SINCE), current.modified())
        && modified > limit
    {
        return Verdict::Failed;
    }
    if headers.contains_key(IF_NONE_MATCH) {
        if matches_any(headers, IF_NONE_MATCH, |tag| tag.opaque == current.opaque().as_bytes()) {
            return Verdict::NotModified;
        }
    } else if let (Some(limit), Some(modified)) = (date(headers, IF_MODIFIED_SINCE), current.modified())
        && modified <= limit
    {
        return Verdict::NotModified;
    }
    Verdict::Serve { ranges: headers.get(IF_RANGE).is_none_or(|value| if_range(value, current)) }
}

/// Whether `If-Range` holds (§13.1.5): a tag that matches strongly, or exactly the date, where that is
/// a strong validator. What is neither does not hold.
fn if_range(value: &HeaderValue, current: &Validators) -> bool {
    match tags(value.as_bytes()).next() {
        Some(tag) => strong_match(tag, current),
        None => {
            current.are_strong() && current.modified().is_some() && parse_date(value) == current.modified()
        }
    }
}

/// §8.8.3.2: equal, and neither is weak.
fn strong_match(tag: Tag<'_>, current: &Validators) -> bool {
    !tag.weak && current.are_strong() && tag.opaque == current.opaque().as_bytes()
}

/// The date in a field. A field that is not one date, and one that comes twice, is ignored (§13.1.3).
fn date(headers: &HeaderMap, name: impl AsHeaderName) -> Option<SystemTime> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { parse_date(value) }
}

fn parse_date(value: &HeaderValue) -> Option<SystemTime> {
    httpdate::parse_http_date(value.to_str().ok()?).ok()
}

/// An entity tag in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tag<'a> {
    weak: bool,
    /// With its quotes.
    opaque: &'a [u8],
}

/// Whether the field is `*`, or has a tag for which `matches` says yes.
fn matches_any(headers: &HeaderMap, name: impl AsHeaderName, matches: impl Fn(Tag<'_>) -> bool) -> bool {
    headers
        .get_all(name)
        .iter()
        .map(HeaderValue::as_bytes)
        .any(|value| value == b"*" || tags(value).any(&matches))
}

/// The tags of a list, up to the first thing that is none.
fn tags(mut rest: &[u8]) -> impl Iterator<Item = Tag<'_>> {
    std::iter::from_fn(move || {
        rest = rest.trim_ascii_start();
        while let Some(behind) = rest.strip_prefix(b",") {
            rest = behind.trim_ascii_start();
        }
        let (weak, quoted) = match rest.strip_prefix(b"W/") {
            Some(quoted) => (true, quoted),
            None => (false, rest),
        };
        let end = 2 + memchr::memchr(b'"', quoted.strip_prefix(b"\"")?)?;
        let (opaque, behind) = quoted.split_at(end);
        rest = behind;
        Some(Tag { weak, opaque })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const THEN: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
    const TAG: &str = "\"b4bc4a8d834de40-a\"";

    /// A file of 10 bytes, last modified half a second after `THEN`.
    fn current(age: Duration) -> Validators {
        let modified = UNIX_EPOCH + Duration::from_millis(784_111_777_500);
        let current = Validators::new(modified, 10, modified + age);
        assert_eq!(current.opaque(), format!("\"{:x}-a\"", 784_111_777_500_000_000_u64));
        current
    }

    fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        let tag = current(Duration::ZERO).opaque().to_owned();
        fields
            .iter()
            .map(|(name, value)| {
                (name.parse::<http::HeaderName>().unwrap(), value.replace(TAG, &tag).parse().unwrap())
            })
            .fold(HeaderMap::new(), |mut all, (name, value)| {
                all.append(name, value);
                all
            })
    }

    const SERVE: Verdict = Verdict::Serve { ranges: true };
    const WHOLE: Verdict = Verdict::Serve { ranges: false };

    #[test]
    fn each_condition_and_their_precedence() {
        let weak = format!("W/{TAG}");
        let list = format!("\"x\" ,, \"y, z\",{TAG}");
        let broken = format!("x, {TAG}");
        let cases: &[(&[(&str, &str)], Verdict)] = &[
            (&[], SERVE),
            (&[("if-match", TAG)], SERVE),
            (&[("if-match", "*")], SERVE),
            (&[("if-match", &list)], SERVE),
            (&[("if-match", "\"x\""), ("if-match", TAG)], SERVE),
            (&[("if-match", &weak)], Verdict::Failed),
            (&[("if-match", "\"x\"")], Verdict::Failed),
            (&[("if-match", &broken)], Verdict::Failed),
            (&[("if-match", "\"a b\"")], Verdict::Failed),
            (&[("if-match", "")], Verdict::Failed),
            (&[("if-unmodified-since", BEFORE)], Verdict::Failed),
            (&[("if-unmodified-since", THEN)], SERVE),
            (&[("if-unmodified-since", AFTER)], SERVE),
            (&[("if-unmodified-since", "yesterday")], SERVE),
            (&[("if-match", TAG), ("if-unmodified-since", BEFORE)], SERVE),
            (&[("if-none-match", TAG)], Verdict::NotModified),
            (&[("if-none-match", &weak)], Verdict::NotModified),
            (&[("if-none-match", &list)], Verdict::NotModified),
            (&[("if-none-match", "*")], Verdict::NotModified),
            (&[("if-none-match", "\"x\"")], SERVE),
            (&[("if-none-match", "\"unclosed")], SERVE),
            (&[("if-modified-since", BEFORE)], SERVE),
            (&[("if-modified-since", THEN)], Verdict::NotModified),
            (&[("if-modified-since", AFTER)], Verdict::NotModified),
            (&[("if-modified-since", "Sunday, 06-Nov-94 08:49:37 GMT")], Verdict::NotModified),
            (&[("if-modified-since", "Sun Nov  6 08:49:37 1994")], Verdict::NotModified),
            (&[("if-modified-since", "0")], SERVE),
            (&[("if-modified-since", AFTER), ("if-modified-since", AFTER)], SERVE),
            (&[("if-none-match", "\"x\""), ("if-modified-since", AFTER)], SERVE),
            (&[("if-none-match", TAG), ("if-modified-since", BEFORE)], Verdict::NotModified),
            (&[("if-match", "\"x\""), ("if-none-match", TAG)], Verdict::Failed),
            (&[("if-unmodified-since", BEFORE), ("if-none-match", TAG)], Verdict::Failed),
            (&[("if-match", TAG), ("if-none-match", TAG)], Verdict::NotModified),
            (&[("if-range", TAG)], SERVE),
            (&[("if-range", &weak)], WHOLE),
            (&[("if-range", "\"x\"")], WHOLE),
            (&[("if-range", THEN)], SERVE),
            (&[("if-range", BEFORE)], WHOLE),
            (&[("if-range", AFTER)], WHOLE),
            (&[("if-range", "nonsense")], WHOLE),
            (&[("if-none-match", TAG), ("if-range", "\"x\"")], Verdict::NotModified),
        ];
        for (fields, expected) in cases {
            assert_eq!(
                evaluate(&headers(fields), &current(Duration::from_secs(60))),
                *expected,
                "{fields:?}"
            );
        }
    }

    #[test]
    fn a_file_just_modified_matches_only_weakly() {
        for (fields, expected) in [
            (("if-match", TAG), Verdict::Failed),
            (("if-match", "*"), SERVE),
            (("if-none-match", TAG), Verdict::NotModified),
            (("if-range", TAG), WHOLE),
            (("if-range", THEN), WHOLE),
        ] {
            assert_eq!(
                evaluate(&headers(&[fields]), &current(Duration::from_secs(1))),
                expected,
                "{fields:?}"
            );
        }
    }

    #[test]
    fn without_a_date_dates_decide_nothing() {
        let undated =
            Validators::new(UNIX_EPOCH - Duration::from_secs(1), 1, UNIX_EPOCH + Duration::from_secs(60));
        for name in ["if-modified-since", "if-unmodified-since"] {
            assert_eq!(evaluate(&headers(&[(name, THEN)]), &undated), SERVE, "{name}");
        }
        assert_eq!(evaluate(&headers(&[("if-range", "nonsense")]), &undated), WHOLE);
    }
}
