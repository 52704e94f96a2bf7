//! Hop-by-hop fields: what concerns one connection and goes no further (RFC 9110 §7.6.1).

use http::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
    TRANSFER_ENCODING, UPGRADE,
};

use crate::http1::{has_token, tokens};

/// Names that are hop-by-hop whether `Connection` lists them or not.
const HOP_BY_HOP: [HeaderName; 10] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-authentication-info"),
    HeaderName::from_static("http2-settings"),
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Removes the hop-by-hop fields and those that `Connection` names.
pub(super) fn strip(fields: &mut HeaderMap) {
    let named: Vec<HeaderName> = tokens(fields, &CONNECTION)
        .filter_map(|token| HeaderName::from_bytes(token.as_bytes()).ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        fields.remove(name);
    }
}

/// The protocols a message offers or accepts to change to, if it does. `h2c` does not count: HTTP/2
/// through a tunnel would pass by routes and limits.
pub(super) fn upgrade(fields: &HeaderMap) -> Option<HeaderValue> {
    if !has_token(fields, &CONNECTION, "upgrade") {
        return None;
    }
    let offered: Vec<&str> =
        tokens(fields, &UPGRADE).filter(|token| !token.to_ascii_lowercase().starts_with("h2")).collect();
    if offered.is_empty() { None } else { HeaderValue::from_str(&offered.join(", ")).ok() }
}

/// Whether the transfer coding is none or `chunked` alone, which is all that is undone here.
pub(super) fn is_plain_transfer(fields: &HeaderMap) -> bool {
    tokens(fields, &TRANSFER_ENCODING).all(|coding| coding.eq_ignore_ascii_case("chunked"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn only_end_to_end_fields_are_left() {
        let mut all = fields(&[
            ("connection", "close, X-Hop"),
            ("connection", "x-other ,, bad name"),
            ("x-hop", "1"),
            ("x-other", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("proxy-authorization", "Basic x"),
            ("proxy-authenticate", "Basic"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("http2-settings", "AAMAAABkAAQAAP__"),
            ("trailer", "x-sum"),
            ("proxy-status", "edge"),
            ("x-kept", "1"),
        ]);
        strip(&mut all);
        let mut left: Vec<_> = all.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["proxy-status", "trailer", "x-kept"]);
    }

    #[test]
    fn an_upgrade_needs_both_fields_and_is_not_http2() {
        for (lines, expected) in [
            (vec![("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")], Some("websocket")),
            (vec![("connection", "upgrade"), ("upgrade", "h2c, foo/2")], Some("foo/2")),
            (vec![("connection", "upgrade"), ("upgrade", "H2C")], None),
            (vec![("connection", "upgrade")], None),
            (vec![("upgrade", "websocket")], None),
        ] {
            let offered = upgrade(&fields(&lines));
            assert_eq!(offered.as_ref().map(HeaderValue::as_bytes), expected.map(str::as_bytes), "{lines:?}");
        }
    }

    #[test]
    fn only_chunked_is_undone() {
        assert!(is_plain_transfer(&HeaderMap::new()));
        assert!(is_plain_transfer(&fields(&[("transfer-encoding", "Chunked")])));
        assert!(!is_plain_transfer(&fields(&[("transfer-encoding", "gzip, chunked")])));
    }
}
