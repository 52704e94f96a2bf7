//! The fields that frame a message or concern one connection (RFC 9110, section 7.6.1), in one list.

use std::sync::LazyLock;

use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderName, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};

use super::guarded::is_alike;

/// What such a field is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum About {
    /// The connection, or how HTTP/1 frames messages on it.
    Connection,
    /// A change from HTTP/1 to HTTP/2.
    Http2,
    /// Who the client is to the next proxy.
    Proxy,
    /// The content, which the next hop may frame otherwise.
    Content,
}

static FIELDS: [(HeaderName, About); 12] = [
    (CONNECTION, About::Connection),
    (HeaderName::from_static("keep-alive"), About::Connection),
    (HeaderName::from_static("proxy-connection"), About::Connection),
    (TE, About::Connection),
    (TRANSFER_ENCODING, About::Connection),
    (UPGRADE, About::Connection),
    (HeaderName::from_static("http2-settings"), About::Http2),
    (PROXY_AUTHENTICATE, About::Proxy),
    (PROXY_AUTHORIZATION, About::Proxy),
    (HeaderName::from_static("proxy-authentication-info"), About::Proxy),
    (CONTENT_LENGTH, About::Content),
    (TRAILER, About::Content),
];

/// The lengths of their names, a bit each. Comparing every field of a message with the whole list would cost a small message more
/// than writing it.
static LENGTHS: LazyLock<u32> =
    LazyLock::new(|| FIELDS.iter().fold(0, |lengths, (name, _)| lengths | 1 << name.as_str().len()));

/// Whether a field may be one of the list: false for most others.
pub(super) fn may_be_listed(name: &HeaderName) -> bool {
    let length = name.as_str().len();
    length < 32 && *LENGTHS >> length & 1 == 1
}

fn about(wanted: &'static [About]) -> impl Iterator<Item = &'static HeaderName> {
    FIELDS.iter().filter(|(_, about)| wanted.contains(about)).map(|(name, _)| name)
}

/// Those that frame a message or say how the connection goes on. If this hop cannot read one, another may still act on
/// it.
pub(crate) fn framing_fields() -> impl Iterator<Item = &'static HeaderName> {
    about(&[About::Connection, About::Content])
}

/// Those that HTTP/2 forbids (RFC 9113, section 8.2.2).
pub(crate) fn forbidden_by_http2() -> impl Iterator<Item = &'static HeaderName> {
    about(&[About::Connection, About::Http2])
}

/// Whether a field goes no further than one hop, whether `Connection` lists it or not.
pub(crate) fn is_hop_by_hop(name: &HeaderName) -> bool {
    may_be_listed(name) && FIELDS.iter().any(|(field, about)| field == name && *about != About::Content)
}

/// Whether a field, its name in lower case, is any of the list, in any spelling.
pub(crate) fn is_of_connection(name: &str) -> bool {
    FIELDS.iter().any(|(field, _)| is_alike(name, field.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_field_is_in_the_lists_of_what_it_is_about() {
        let sorted = |names: &mut dyn Iterator<Item = &'static HeaderName>| {
            let mut names: Vec<&str> = names.map(HeaderName::as_str).collect();
            names.sort_unstable();
            names.join(" ")
        };
        assert_eq!(
            sorted(&mut framing_fields()),
            "connection content-length keep-alive proxy-connection te trailer transfer-encoding upgrade"
        );
        assert_eq!(
            sorted(&mut forbidden_by_http2()),
            "connection http2-settings keep-alive proxy-connection te transfer-encoding upgrade"
        );
        assert_eq!(
            sorted(&mut FIELDS.iter().map(|(name, _)| name).filter(|name| is_hop_by_hop(name))),
            "connection http2-settings keep-alive proxy-authenticate proxy-authentication-info \
             proxy-authorization proxy-connection te transfer-encoding upgrade"
        );
        for (name, _) in &FIELDS {
            assert!(may_be_listed(name), "{name}");
            let other = name.as_str().replace('-', "_");
            assert!(is_of_connection(name.as_str()) && is_of_connection(&other), "{name}");
        }
        assert!(!is_of_connection("x-te") && !is_hop_by_hop(&HeaderName::from_static("te_")));
        for other in ["host".to_owned(), "x".to_owned(), "x".repeat(32 + 2)] {
            assert!(!may_be_listed(&other.parse().unwrap()), "{other}");
        }
    }
}
