//! Query parameters: `name=value` pairs (the form encoding of HTML: `+` is a space).

use std::ops::RangeInclusive;
use std::time::Duration;

use http::Uri;
use percent_encoding::percent_decode_str;

use super::{Problem, SHOWN};
use crate::excerpt::excerpt;

/// The parameters of a request, decoded, in their order.
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads the query of `uri`.
    ///
    /// # Errors
    /// It is not UTF-8.
    pub(crate) fn parse(uri: &Uri) -> Result<Self, Problem> {
        let text = uri.query().unwrap_or("");
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decoded(name)?, decoded(value)?))
        });
        let pairs: Option<_> = pairs.collect();
        pairs.map(Self).ok_or_else(|| bad("The query is not UTF-8.".to_owned()))
    }

    /// Requires every parameter to be one of `known`, each given at most once.
    pub(crate) fn only(self, known: &[&str]) -> Result<Self, Problem> {
        for (at, (name, _)) in self.0.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                let name = excerpt(name, SHOWN);
                return Err(bad(format!(
                    "The query has an unknown parameter {name:?}; known here: {known}."
                )));
            }
            if self.0[..at].iter().any(|(earlier, _)| earlier == name) {
                return Err(bad(format!("The query has {name} more than once.")));
            }
        }
        Ok(self)
    }

    /// The value of the first parameter `name`.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn number(&self, name: &str, range: RangeInclusive<u64>) -> Result<Option<u64>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let number = digits(text).filter(|number| range.contains(number));
        let (min, max) = (range.start(), range.end());
        let expected = || refused(name, text, &format!("a whole number from {min} to {max}"));
        number.map(Some).ok_or_else(expected)
    }

    /// `true` or `false`, which is the default.
    pub(crate) fn switch(&self, name: &str) -> Result<bool, Problem> {
        match self.text(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(text) => Err(refused(name, text, "true or false")),
        }
    }

    /// A whole number of at least `min`; a number above `max` is taken as `max`.
    pub(crate) fn number_up_to(&self, name: &str, min: u64, max: u64) -> Result<Option<u64>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let number = digits(text).filter(|number| *number >= min);
        let expected = || refused(name, text, &format!("a whole number from {min}"));
        number.map(|number| Some(number.min(max))).ok_or_else(expected)
    }

    /// A number of seconds up to a day, with or without `s` behind it.
    pub(crate) fn seconds(&self, name: &str) -> Result<Option<Duration>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let seconds: Option<f64> = text.strip_suffix('s').unwrap_or(text).parse().ok();
        let seconds = seconds.filter(|seconds| (0.0..=86_400.0).contains(seconds));
        let seconds = seconds.ok_or_else(|| refused(name, text, "a number of seconds, at most 86400"))?;
        Ok(Some(Duration::from_secs_f64(seconds)))
    }
}

/// A number of digits alone. One that does not fit is the largest.
fn digits(text: &str) -> Option<u64> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| text.parse().unwrap_or(u64::MAX))
}

fn decoded(text: &str) -> Option<String> {
    let text = text.replace('+', " ");
    percent_decode_str(&text).decode_utf8().ok().map(Into::into)
}

fn refused(name: &str, text: &str, expected: &str) -> Problem {
    bad(format!("{name} in the query is {:?}; it must be {expected}.", excerpt(text, SHOWN)))
}

fn bad(detail: String) -> Problem {
    Problem::bad_request(detail).with_code("bad_parameter")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Query {
        Query::parse(&format!("/a?{text}").parse().unwrap()).unwrap_or_else(|_| panic!("{text}"))
    }

    #[test]
    fn parameters_are_decoded_and_checked() {
        let read = query("a=1&b=%C3%BC+x&&c&window=5&max=99999999999999999999&wait=1.5&after=");
        assert_eq!(read.text("b"), Some("ü x"));
        assert_eq!((read.text("c"), read.text("after")), (Some(""), Some("")));
        assert_eq!(read.number_up_to("window", 1, 3).unwrap(), Some(3));
        assert_eq!(read.number_up_to("max", 1, 7).unwrap(), Some(7));
        assert_eq!(read.number_up_to("none", 1, 7).unwrap(), None);
        assert_eq!(read.seconds("wait").unwrap(), Some(Duration::from_millis(1500)));
        assert!(Query::parse(&"/a?b=%ff".parse().unwrap()).is_err());
        for text in ["n=0", "n=-1", "n=", "n=x", "n=1.5", "n=+1"] {
            assert!(query(text).number_up_to("n", 1, 9).is_err(), "{text}");
        }
        for text in ["n=-1", "n=", "n=x", "n=inf", "n=NaN", "n=1e9"] {
            assert!(query(text).seconds("n").is_err(), "{text}");
        }
    }

    #[test]
    fn strict_queries_have_known_parameters_once_and_in_range() {
        let asked = |text: &str| query(text).only(&["limit"]).and_then(|query| query.number("limit", 1..=9));
        for (query, expected) in [("", None), ("limit=1", Some(1)), ("limit=%39", Some(9)), ("&", None)] {
            assert_eq!(asked(query).unwrap(), expected, "{query}");
        }
        for bad in
            ["limit=0", "limit=10", "limit=", "limit=+1", "limit", "limit=1&limit=1", "other=1", "limit=1e0"]
        {
            assert!(asked(bad).is_err(), "{bad}");
        }
    }
}
