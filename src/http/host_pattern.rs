//! Hosts that routes answer for, and the table that finds what belongs to the host of a request.
//!
//! Pure. As nginx' `server_name`: an exact name goes before a wildcard, a longer wildcard before a shorter one, and a
//! wildcard stands for one label or more.

use std::collections::HashMap;
use std::fmt;
use std::io::Write;
use std::net::Ipv6Addr;
use std::str::FromStr;

use crate::words::shorten;

/// The longest host name (RFC 1035, section 3.1, as text without the root's dot).
const MAX_NAME: usize = 253;
/// The longest label of a host name.
const MAX_LABEL: usize = 63;

/// Room for the normal form of a host.
pub(super) type Buffer = [u8; MAX_NAME];

/// A host that a route answers for: `files.example.org`, `192.0.2.1`, `[2001:db8::1]`, or `*.example.org` for all hosts
/// below that name, at any depth. In lower case, without a port and without the dot of the root.
///
/// ```
/// use sluicegate::http::HostPattern;
///
/// assert_eq!("Files.Example.Org.".parse::<HostPattern>()?.as_str(), "files.example.org");
/// assert!("files.example.org:443".parse::<HostPattern>().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPattern(String);

impl HostPattern {
    /// Returns the pattern in its normal form.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it stands for all hosts below a name.
    pub fn is_wildcard(&self) -> bool {
        self.suffix().is_some()
    }

    /// The end of the hosts of a wildcard, with its leading dot.
    fn suffix(&self) -> Option<&str> {
        self.0.strip_prefix('*')
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

caused_error! {
    /// Why a text is no host of a route. Says what to write.
    HostPatternError {
        /// Whether it has a port: a route answers on every port.
        has_port: port,
        /// Whether it is a URL, or has a path.
        is_url: url,
        /// Whether it has letters that DNS writes as `xn--…`.
        is_not_ascii: not_ascii,
    }
}

impl FromStr for HostPattern {
    type Err = HostPatternError;

    /// Reads a host or a wildcard. The error says what is wrong and what to write.
    fn from_str(text: &str) -> Result<Self, HostPatternError> {
        let shown = shorten(text);
        let said = |why: &str| format!("{shown:?} is not a host: {why}");
        let bad = |why: &str| Err(HostPatternError::other(said(why)));
        if text.starts_with('[') {
            let mut buffer = [0; MAX_NAME];
            return match normal(text, &mut buffer) {
                Some(address) if is_address(address) => Ok(Self(address.to_owned())),
                _ => bad("write an IPv6 address in brackets and without a port, such as \"[2001:db8::1]\""),
            };
        }
        if text.contains("://") || text.contains('/') {
            return Err(HostPatternError::url(said("write the name alone, without a scheme and a path")));
        }
        if text.parse::<Ipv6Addr>().is_ok() {
            return bad(&format!("an IPv6 address is written in brackets; write \"[{shown}]\""));
        }
        if text.contains(':') {
            return Err(HostPatternError::port(said("a route answers on every port; leave the port out")));
        }
        if !text.is_ascii() {
            let why = "write a name in other letters as it is in DNS, which begins with \"xn--\"";
            return Err(HostPatternError::not_ascii(said(why)));
        }
        let text = text.to_ascii_lowercase();
        let text = text.strip_suffix('.').unwrap_or(&text);
        let name = text.strip_prefix("*.").unwrap_or(text);
        if text == "*" || name.is_empty() {
            return bad("a route without host answers for all that no other route names; leave host out");
        }
        if name.contains('*') {
            return bad("a wildcard stands for the first labels only, such as \"*.example.org\"");
        }
        if text.len() > MAX_NAME {
            return bad("a name has at most 253 characters");
        }
        for label in name.split('.') {
            if label.is_empty() || label.len() > MAX_LABEL {
                return bad("the parts between its dots have 1 to 63 characters each");
            }
            if let Some(odd) = label.chars().find(|c| !c.is_ascii_alphanumeric() && !"-_".contains(*c)) {
                return bad(&format!("{odd:?} stands in no name"));
            }
        }
        Ok(Self(text.to_owned()))
    }
}

fn is_address(host: &str) -> bool {
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    inner.is_some_and(|inner| inner.parse::<Ipv6Addr>().is_ok())
}

/// Writes the normal form of a request's host, without its port, into `buffer`: lower case, without the dot of the root, IPv6
/// addresses in their shortest form. `None` if no pattern can be it.
pub(super) fn normal<'a>(host: &str, buffer: &'a mut Buffer) -> Option<&'a str> {
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        let address: Ipv6Addr = address.parse().ok()?;
        let mut left = &mut buffer[..];
        write!(left, "[{address}]").ok()?;
        let used = MAX_NAME - left.len();
        return std::str::from_utf8(&buffer[..used]).ok();
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    let normal = buffer.get_mut(..host.len())?;
    normal.copy_from_slice(host.as_bytes());
    normal.make_ascii_lowercase();
    std::str::from_utf8(normal).ok()
}

/// Values by the patterns of hosts.
pub(crate) struct HostMap<T> {
    exact: HashMap<String, T>,
    /// By what comes after the asterisk.
    below: HashMap<String, T>,
}

impl<T: Default> HostMap<T> {
    pub(crate) fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.below.is_empty()
    }

    /// The value of `pattern`, made if there is none yet.
    pub(crate) fn entry(&mut self, pattern: &HostPattern) -> &mut T {
        match pattern.suffix() {
            Some(suffix) => self.below.entry(suffix.to_owned()).or_default(),
            None => self.exact.entry(pattern.0.clone()).or_default(),
        }
    }

    /// The value of `pattern` itself.
    pub(crate) fn of(&self, pattern: &HostPattern) -> Option<&T> {
        match pattern.suffix() {
            Some(suffix) => self.below.get(suffix),
            None => self.exact.get(&pattern.0),
        }
    }

    /// The value of the most specific pattern that stands for `host`, which has no port. Allocates nothing.
    pub(crate) fn find(&self, host: &str) -> Option<&T> {
        let mut buffer = [0; MAX_NAME];
        let host = normal(host, &mut buffer)?;
        if let Some(found) = self.exact.get(host) {
            return Some(found);
        }
        if self.below.is_empty() {
            return None;
        }
        // From the longest; what begins with its dot has no label for the asterisk.
        let dots = memchr::memchr_iter(b'.', host.as_bytes()).filter(|at| *at > 0);
        dots.filter_map(|at| self.below.get(&host[at..])).next()
    }
}

impl<T> Default for HostMap<T> {
    fn default() -> Self {
        Self { exact: HashMap::new(), below: HashMap::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> HostPattern {
        text.parse().unwrap()
    }

    #[test]
    fn a_pattern_is_a_host_in_lower_case_or_all_hosts_below_one() {
        for (text, expected) in [
            ("files.example.org", "files.example.org"),
            ("Files.EXAMPLE.org.", "files.example.org"),
            ("*.Example.org.", "*.example.org"),
            ("*.org", "*.org"),
            ("localhost", "localhost"),
            ("my_host-1", "my_host-1"),
            ("192.0.2.1", "192.0.2.1"),
            ("[2001:DB8:0::1]", "[2001:db8::1]"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ] {
            assert_eq!(pattern(text).as_str(), expected, "{text}");
        }
        let (long, label) = (format!("{}a", "a.".repeat(127)), format!("{}.example", "a".repeat(64)));
        for (text, why) in [
            ("", "leave host out"),
            ("*", "leave host out"),
            ("*.", "leave host out"),
            (".", "leave host out"),
            (".example.org", "1 to 63 characters"),
            ("a..b", "1 to 63 characters"),
            (&label, "1 to 63 characters"),
            (&long, "at most 253"),
            ("www.*", "first labels only"),
            ("w*.example.org", "first labels only"),
            ("*.*.example.org", "first labels only"),
            ("*example.org", "first labels only"),
            ("example.org:443", "leave the port out"),
            ("[::1]:443", "without a port"),
            ("[::1", "in brackets"),
            ("[localhost]", "in brackets"),
            ("::1", "write \"[::1]\""),
            ("https://example.org", "the name alone"),
            ("example.org/", "the name alone"),
            ("b\u{fc}cher.example", "begins with \"xn--\""),
            ("a b", "' ' stands in no name"),
            ("user@example.org", "'@' stands in no name"),
            ("a%62", "'%' stands in no name"),
        ] {
            let error = text.parse::<HostPattern>().unwrap_err();
            assert_eq!(error.has_port(), why == "leave the port out", "{text}");
            assert!(error.to_string().contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn the_most_specific_pattern_wins() {
        let mut map: HostMap<String> = HostMap::default();
        for text in ["a.example.org", "*.example.org", "*.b.example.org", "192.0.2.1", "[2001:db8::1]", "x_1"]
        {
            *map.entry(&pattern(text)) = text.to_owned();
        }
        let longest = format!("{}example.org", "a.".repeat(121));
        assert_eq!(longest.len(), MAX_NAME);
        for (host, expected) in [
            ("a.example.org", Some("a.example.org")),
            ("A.Example.ORG.", Some("a.example.org")),
            ("b.example.org", Some("*.example.org")),
            ("a.b.example.org", Some("*.b.example.org")),
            // Any depth.
            ("d.c.b.example.org", Some("*.b.example.org")),
            ("d.c.example.org", Some("*.example.org")),
            ("x.a.example.org", Some("*.example.org")),
            (&longest, Some("*.example.org")),
            (&format!("a{longest}"), None),
            // Not the name itself, nor one that only ends like it.
            ("example.org", None),
            (".example.org", None),
            ("evilexample.org", None),
            ("a.example.org..", None),
            ("a.example.org.evil", None),
            ("192.0.2.1", Some("192.0.2.1")),
            ("[2001:DB8:0:0::1]", Some("[2001:db8::1]")),
            ("[2001:db8::2]", None),
            ("[2001:db8::1", None),
            ("X_1", Some("x_1")),
            ("", None),
            (".", None),
            ("\u{e9}", None),
        ] {
            assert_eq!(map.find(host).map(String::as_str), expected, "{host}");
        }
    }
}
