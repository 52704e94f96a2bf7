//! What a response or an upload must be for a rule of its route's pace.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, Method, StatusCode, response};
use percent_encoding::percent_decode_str;

use crate::filter::MediaTypes;
use crate::http::classes::ClassName;
use crate::http::path;
use crate::limit::{Size, UnitError};
use crate::schedule::During;
use crate::words::shorten;

/// Conditions on a response and its request. All that are given must hold; of a list one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct When {
    /// Names of classes of clients.
    pub class: Vec<ClassName>,
    /// Paths of requests.
    pub path: Vec<PathPattern>,
    /// Extensions of their last segments.
    pub extension: Vec<Extension>,
    /// Methods.
    pub method: Vec<Method>,
    /// Keys in their queries, with or without a value.
    pub query: Vec<QueryKey>,
    /// Statuses of responses.
    pub status: Vec<StatusClass>,
    /// Media types of their content.
    pub content_type: Vec<ContentType>,
    /// The size of their content. One of unknown size has none.
    pub size: Option<SizeBound>,
    /// Times of the week.
    pub during: Option<During>,
}

impl When {
    /// Whether nothing is asked, so that all responses are meant.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the request, of a client in `class`, is one that is meant. The path is in normal form.
    pub(super) fn asks(
        &self,
        method: &Method,
        (path, query): (&str, Option<&str>),
        class: Option<&str>,
    ) -> bool {
        let query = query.unwrap_or_default();
        is_any(&self.class, |wanted| Some(wanted.as_str()) == class)
            && is_any(&self.method, |wanted| wanted == method)
            && is_any(&self.path, |pattern| pattern.matches(path))
            && is_any(&self.extension, |extension| extension.is_of(path))
            && is_any(&self.query, |key| key.is_in(query))
    }

    /// Whether the response is one that is meant.
    pub(super) fn answers(&self, head: &response::Parts) -> bool {
        is_any(&self.status, |class| class.has(head.status)) && self.sends(&head.headers)
    }

    /// Whether content of a head with these fields is meant, by its type and the length that it states.
    pub(super) fn sends(&self, fields: &HeaderMap) -> bool {
        let field = |name| fields.get(name).and_then(|value| value.to_str().ok());
        let size = || field(CONTENT_LENGTH)?.parse().ok();
        is_any(&self.content_type, |wanted| wanted.types.matches(field(CONTENT_TYPE)))
            && self.size.is_none_or(|bound| size().is_some_and(|size| bound.has(size)))
    }

    /// The same conditions at any time.
    pub(super) fn without_time(&self) -> Self {
        Self { during: None, ..self.clone() }
    }

    /// Whether it is the time for it at `now`.
    pub fn is_time(&self, now: SystemTime) -> bool {
        self.during.as_ref().is_none_or(|during| during.holds_at(now))
    }
}

fn is_any<T>(wanted: &[T], fits: impl Fn(&T) -> bool) -> bool {
    wanted.is_empty() || wanted.iter().any(fits)
}

/// The conditions as they are written.
impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn list<T: fmt::Display>(all: &mut Vec<String>, name: &str, values: &[T]) {
            if !values.is_empty() {
                let values: Vec<String> = values.iter().map(ToString::to_string).collect();
                all.push(format!("{name} {}", values.join(" or ")));
            }
        }
        let mut all = Vec::new();
        list(&mut all, "class", &self.class);
        list(&mut all, "path", &self.path);
        list(&mut all, "extension", &self.extension);
        list(&mut all, "method", &self.method);
        list(&mut all, "query", &self.query);
        list(&mut all, "status", &self.status);
        list(&mut all, "content type", &self.content_type);
        list(&mut all, "size", self.size.as_slice());
        list(&mut all, "during", self.during.as_slice());
        f.write_str(&all.join(", "))
    }
}

/// A path in normal form in which each `*` stands for any characters, slashes too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern(String);

impl PathPattern {
    pub(in crate::http) fn matches(&self, path: &str) -> bool {
        glob(&self.0, path)
    }
}

/// Whether `text` fits `pattern`, in which each `*` stands for any characters.
pub(in crate::http) fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

text_error! {
    /// Why a text is no condition of its kind: a path, a method, an extension, a key of a query, a status, a media type or a
    /// size. Says what to write.
    ConditionError
}

impl FromStr for PathPattern {
    type Err = ConditionError;

    fn from_str(text: &str) -> Result<Self, ConditionError> {
        let shown = shorten(text);
        if !text.starts_with(['/', '*']) {
            return Err(ConditionError(format!("{shown:?} is not a path: it begins with neither / nor *")));
        }
        if text.contains(['?', '#']) || text.len() > 256 {
            return Err(ConditionError(format!(
                "{shown:?} is not a path of at most 256 bytes without ? and #"
            )));
        }
        if text.to_ascii_uppercase().contains("%2A") {
            return Err(ConditionError(format!(
                "{shown:?} has %2A: a star of a path can only be met by *; write that"
            )));
        }
        // What it begins with may be in the middle of a path.
        let slash = if text.starts_with('/') { "" } else { "/" };
        let normal = path::normal(&format!("{slash}{text}")).map(Cow::into_owned);
        let decoded = percent_decode_str(text).decode_utf8_lossy();
        if normal.is_none() || decoded.split('/').any(|segment| segment == "." || segment == "..") {
            return Err(ConditionError(format!(
                "{shown:?} has a segment . or .., which no path has in normal form; leave it out"
            )));
        }
        let normal = normal.unwrap_or_default();
        Ok(Self(normal[slash.len()..].to_owned()))
    }
}

/// A method as it is sent: names are case-sensitive (RFC 9110 section 9.1), and those that are known are capitals.
pub(crate) struct MethodName(pub(crate) Method);

impl FromStr for MethodName {
    type Err = ConditionError;

    fn from_str(text: &str) -> Result<Self, ConditionError> {
        let wrong = || ConditionError(format!("{:?} is not a method; write such as GET", shorten(text)));
        if text.contains(|c: char| c.is_ascii_lowercase()) {
            return Err(wrong());
        }
        text.parse().map(Self).map_err(|_| wrong())
    }
}

/// An extension of a file, without its dot and whatever its case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension(String);

impl Extension {
    fn is_of(&self, path: &str) -> bool {
        let name = path.rsplit('/').next().unwrap_or_default();
        name.rsplit_once('.').is_some_and(|(_, extension)| extension.eq_ignore_ascii_case(&self.0))
    }
}

impl FromStr for Extension {
    type Err = ConditionError;

    fn from_str(text: &str) -> Result<Self, ConditionError> {
        let is_plain = !text.is_empty() && !text.contains(['.', '/', '*', '?']);
        is_plain.then(|| Self(text.to_owned())).ok_or_else(|| {
            ConditionError(format!(
                "{:?} is not an extension; write it without its dot, such as iso",
                shorten(text)
            ))
        })
    }
}

/// A key of a query, `preview`, or a key with its value, `speed=low`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryKey {
    key: String,
    value: Option<String>,
}

impl QueryKey {
    fn is_in(&self, query: &str) -> bool {
        let is = |encoded: &str, wanted: &str| {
            let plain = encoded.replace('+', " ");
            percent_decode_str(&plain).eq(wanted.bytes())
        };
        query.split('&').any(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            is(key, &self.key) && self.value.as_ref().is_none_or(|wanted| is(value, wanted))
        })
    }
}

impl FromStr for QueryKey {
    type Err = ConditionError;

    fn from_str(text: &str) -> Result<Self, ConditionError> {
        let (key, value) = text.split_once('=').map_or((text, None), |(key, value)| (key, Some(value)));
        if key.is_empty() {
            return Err(ConditionError(format!(
                "{:?} has no key; write such as preview or speed=low",
                shorten(text)
            )));
        }
        Ok(Self { key: key.to_owned(), value: value.map(str::to_owned) })
    }
}

/// A status, `404`, or all of a class, `4xx`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusClass {
    first: u16,
    last: u16,
}

impl StatusClass {
    fn has(self, status: StatusCode) -> bool {
        (self.first..=self.last).contains(&status.as_u16())
    }
}

impl FromStr for StatusClass {
    type Err = ConditionError;

    fn from_str(text: &str) -> Result<Self, ConditionError> {
        let class = || text.strip_suffix("xx")?.parse::<u16>().ok().filter(|class| (1..=5).contains(class));
        let one = || text.parse::<u16>().ok().filter(|status| (100..=599).contains(status));
        if let Some(class) = class() {
            return Ok(Self { first: class * 100, last: class * 100 + 99 });
        }
        let text = shorten(text);
        let one = one().ok_or_else(|| {
            ConditionError(format!("{text:?} is not a status from 100 to 599, nor such as 4xx"))
        })?;
        Ok(Self { first: one, last: one })
    }
}

/// A media type, or a pattern of them such as `video/*`.
#[derive(Clone, Debug, PartialEq)]
pub struct ContentType {
    text: String,
    types: MediaTypes,
}

impl FromStr for ContentType {
    type Err = ConditionError;

    fn from_str(text: &str) -> Result<Self, ConditionError> {
        let types = MediaTypes::parse([text]).map_err(|error| ConditionError(error.to_string()))?;
        Ok(Self { text: text.to_owned(), types })
    }
}

/// A bound of a size: `>10m`, `>=10m`, `<1k` or `<=1k`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeBound {
    is_above: bool,
    is_equal_in: bool,
    size: Size,
}

impl SizeBound {
    fn has(self, size: u64) -> bool {
        let bound = self.size.bytes();
        self.is_equal_in && size == bound || if self.is_above { size > bound } else { size < bound }
    }
}

impl FromStr for SizeBound {
    type Err = ConditionError;

    fn from_str(text: &str) -> Result<Self, ConditionError> {
        let wrong = || {
            let text = shorten(text);
            ConditionError(format!("{text:?} is not a bound of a size; write such as \">10m\" or \"<=64k\""))
        };
        let is_above = text.starts_with('>');
        let rest = text.strip_prefix(['>', '<']).ok_or_else(wrong)?;
        let (is_equal_in, rest) = rest.strip_prefix('=').map_or((false, rest), |rest| (true, rest));
        let size = rest.trim_start().parse().map_err(|error: UnitError| ConditionError(error.to_string()))?;
        Ok(Self { is_above, is_equal_in, size })
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Extension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for QueryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)?;
        self.value.as_ref().map_or(Ok(()), |value| write!(f, "={value}"))
    }
}

impl fmt::Display for ContentType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for StatusClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}xx", self.first / 100)
        }
    }
}

impl fmt::Display for SizeBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, equal) = (if self.is_above { '>' } else { '<' }, if self.is_equal_in { "=" } else { "" });
        write!(f, "{sign}{equal}{}", self.size)
    }
}

#[cfg(test)]
mod tests;
