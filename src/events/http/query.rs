//! What stands behind the question mark.

use std::time::Duration;

use http::Uri;
use percent_encoding::percent_decode_str;

use super::problem::Problem;

/// The shortest token of a subscriber's own choice: as hard to guess as 128 bits in base64.
const MIN_TOKEN: usize = 22;

/// The longest.
const MAX_TOKEN: usize = 128;

/// The parameters of a request. Unknown ones are nobody's business.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn of(uri: &Uri) -> Result<Self, Problem> {
        let text = uri.query().unwrap_or("");
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decoded(name)?, decoded(value)?))
        });
        pairs.collect::<Option<_>>().map(Self).ok_or_else(|| bad("the query", "is not UTF-8"))
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
    }

    /// A whole number from `least` to `most`; one above counts as `most`.
    pub(super) fn number(&self, name: &str, least: usize, most: usize) -> Result<Option<usize>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // So many digits that they do not fit are above it too.
        let number = is_plain.then(|| text.parse().unwrap_or(usize::MAX)).filter(|number| *number >= least);
        let number = number.ok_or_else(|| bad(name, &format!("is a whole number from {least}")))?;
        Ok(Some(number.min(most)))
    }

    /// Seconds, with or without the letter.
    pub(super) fn seconds(&self, name: &str) -> Result<Option<Duration>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let seconds: Option<f64> = text.strip_suffix('s').unwrap_or(&text).parse().ok();
        let seconds = seconds.filter(|seconds| (0.0..=86_400.0).contains(seconds));
        let seconds = seconds.ok_or_else(|| bad(name, "is a number of seconds"))?;
        Ok(Some(Duration::from_secs_f64(seconds)))
    }

    /// A subscriber's token.
    pub(super) fn token(&self) -> Result<Option<String>, Problem> {
        let Some(token) = self.text("token") else { return Ok(None) };
        if is_token(&token) { Ok(Some(token)) } else { Err(bad_token()) }
    }
}

/// Whether a text can be the token of a subscriber.
pub(super) fn is_token(text: &str) -> bool {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
    is_plain && (MIN_TOKEN..=MAX_TOKEN).contains(&text.len())
}

pub(super) fn bad_token() -> Problem {
    let detail =
        format!("A token is {MIN_TOKEN} to {MAX_TOKEN} letters, digits and -._~ that nobody can guess.");
    Problem::bad_request("bad_token", detail)
}

fn bad(name: &str, what: &str) -> Problem {
    Problem::bad_request("bad_parameter", format!("{name} {what}."))
}

fn decoded(text: &str) -> Option<String> {
    let text = text.replace('+', " ");
    percent_decode_str(&text).decode_utf8().ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Query {
        Query::of(&format!("/a?{text}").parse().unwrap()).unwrap_or_else(|_| panic!("{text}"))
    }

    #[test]
    fn parameters_are_decoded_and_checked() {
        let read = query("a=1&b=%C3%BC+x&&c&window=5&max=99999999999999999999&wait=1.5&after=");
        assert_eq!(read.text("b").as_deref(), Some("ü x"));
        assert_eq!((read.text("c").as_deref(), read.text("after").as_deref()), (Some(""), Some("")));
        assert_eq!(read.number("window", 1, 3).unwrap(), Some(3));
        assert_eq!((read.number("max", 1, 7).unwrap(), read.number("none", 1, 7).unwrap()), (Some(7), None));
        assert_eq!(read.seconds("wait").unwrap(), Some(Duration::from_millis(1500)));
        assert!(Query::of(&"/a?b=%ff".parse().unwrap()).is_err());
        for text in ["n=0", "n=-1", "n=", "n=x", "n=1.5", "n=+1"] {
            assert!(query(text).number("n", 1, 9).is_err(), "{text}");
        }
        for text in ["n=-1", "n=", "n=x", "n=inf", "n=NaN", "n=1e9"] {
            assert!(query(text).seconds("n").is_err(), "{text}");
        }
    }

    #[test]
    fn tokens_cannot_be_short() {
        let token = |len: usize| format!("token={}", "t".repeat(len));
        assert!(query(&token(MIN_TOKEN)).token().unwrap().is_some());
        assert!(
            query(&token(MIN_TOKEN - 1)).token().is_err() && query(&token(MAX_TOKEN + 1)).token().is_err()
        );
        assert!(query(&format!("{}%00", token(30))).token().is_err());
    }
}
