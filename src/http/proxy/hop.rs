//! Hop-by-hop fields: what concerns one connection and goes no further (RFC 9110 §7.6.1).

use http::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING, UPGRADE};

use crate::http1::{Malformed, check_framing_fields, has_token, is_hop_by_hop, tokens};

/// Removes the hop-by-hop fields and those that `Connection` names.
///
/// # Errors
/// One of them, or another that frames the message, cannot be read; nothing was removed.
pub(super) fn strip(fields: &mut HeaderMap) -> Result<(), Malformed> {
    check_framing_fields(fields)?;
    // Usually there is nothing to remove, and looking each name up would cost more than forwarding the rest.
    let mut unfit: Vec<HeaderName> = fields.keys().filter(|name| is_hop_by_hop(name)).cloned().collect();
    if unfit.contains(&CONNECTION) {
        // The usual option, whose field is removed in any case.
        let named = tokens(fields, &CONNECTION)?.filter(|token| !token.eq_ignore_ascii_case("keep-alive"));
        unfit.extend(named.filter_map(|token| HeaderName::from_bytes(token.as_bytes()).ok()));
    }
    for name in unfit {
        fields.remove(name);
    }
    Ok(())
}

/// The protocols a message offers or accepts to change to, if it does. `h2c` does not count: HTTP/2
/// through a tunnel would pass by routes and limits.
///
/// # Errors
/// `Connection` or `Upgrade` cannot be read.
pub(super) fn upgrade(fields: &HeaderMap) -> Result<Option<HeaderValue>, Malformed> {
    let protocols = tokens(fields, &UPGRADE)?;
    if !has_token(fields, &CONNECTION, "upgrade")? {
        return Ok(None);
    }
    let offered: Vec<&str> =
        protocols.filter(|token| !token.to_ascii_lowercase().starts_with("h2")).collect();
    Ok(if offered.is_empty() { None } else { HeaderValue::from_str(&offered.join(", ")).ok() })
}

/// Whether there is no transfer coding, or `chunked` alone and once, which is all that is undone here.
///
/// # Errors
/// The transfer coding cannot be read.
pub(super) fn is_plain_transfer(fields: &HeaderMap) -> Result<bool, Malformed> {
    if !fields.contains_key(TRANSFER_ENCODING) {
        return Ok(true);
    }
    let mut codings = tokens(fields, &TRANSFER_ENCODING)?;
    let chunked = codings.next().is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
    Ok(chunked && codings.next().is_none())
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
        assert_eq!(strip(&mut all), Ok(()));
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
            let offered = upgrade(&fields(&lines)).unwrap();
            assert_eq!(offered.as_ref().map(HeaderValue::as_bytes), expected.map(str::as_bytes), "{lines:?}");
        }
    }

    #[test]
    fn only_chunked_is_undone() {
        assert_eq!(is_plain_transfer(&HeaderMap::new()), Ok(true));
        for (coding, plain) in
            [("Chunked", true), ("gzip, chunked", false), ("chunked, chunked", false), (",", false)]
        {
            assert_eq!(is_plain_transfer(&fields(&[("transfer-encoding", coding)])), Ok(plain), "{coding:?}");
        }
    }

    #[test]
    fn an_unreadable_field_is_an_error() {
        for name in ["connection", "upgrade", "transfer-encoding", "keep-alive", "te", "trailer"] {
            let mut all = fields(&[("connection", "upgrade"), ("upgrade", "x"), ("x-hop", "1")]);
            all.append(name, HeaderValue::from_bytes(b"x-hop, \xff").unwrap());
            let before = all.clone();
            assert!(strip(&mut all).is_err() && all == before, "{name}");
            assert_eq!(upgrade(&before).is_err(), ["connection", "upgrade"].contains(&name));
            assert_eq!(is_plain_transfer(&before).is_err(), name == "transfer-encoding");
        }
    }
}
