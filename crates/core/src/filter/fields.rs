//! Header fields that describe content, for filters that change it: RFC 9110 (HTTP semantics), RFC 9530 (digest fields).

use http::header::{ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, ETAG, VARY};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// Digests of the content or the representation. Both include content codings (RFC 9530), so that a filter that changes bytes
/// invalidates all of them; the new digest is known only after the last byte.
const DIGESTS: [HeaderName; 4] = [
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    // Obsolete (RFC 3230, RFC 2616), still sent.
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
];

/// Removes digests of the content, from a head or from trailers: `Content-Digest`, `Repr-Digest`, `Digest`, `Content-MD5`.
pub fn forget_digests(fields: &mut HeaderMap) {
    for name in DIGESTS {
        fields.remove(name);
    }
}

/// Removes what changed bytes invalidate: length, ranges and digests.
pub(super) fn forget_bytes(headers: &mut HeaderMap) {
    headers.remove(CONTENT_LENGTH);
    headers.remove(ACCEPT_RANGES);
    forget_digests(headers);
}

/// Whether the content has a coding.
pub(super) fn is_coded(headers: &HeaderMap) -> bool {
    headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .any(|value| !value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity"))
}

/// Whether a response of this status carries one whole representation (RFC 9110 section 15).
pub(super) fn is_whole(status: StatusCode) -> bool {
    const WITHOUT: [StatusCode; 4] = [
        StatusCode::NO_CONTENT,
        StatusCode::RESET_CONTENT,
        StatusCode::PARTIAL_CONTENT,
        StatusCode::NOT_MODIFIED,
    ];
    !status.is_informational() && !WITHOUT.contains(&status)
}

/// Makes the entity tag weak: other bytes, same meaning (RFC 9110 section 8.8.1).
pub(super) fn weaken_etag(headers: &mut HeaderMap) {
    let Some(tag) = headers.get(ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/")) else { return };
    if let Ok(weak) = HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()) {
        headers.insert(ETAG, weak);
    }
}

/// Adds a request field to `Vary`, unless it or `*` is listed.
pub(super) fn vary_on(headers: &mut HeaderMap, name: &'static str) {
    let listed = headers.get_all(VARY).iter().flat_map(|value| value.as_bytes().split(|b| *b == b','));
    if listed.map(<[u8]>::trim_ascii).any(|item| item == b"*" || item.eq_ignore_ascii_case(name.as_bytes())) {
        return;
    }
    let mut all = Vec::new();
    for value in headers.get_all(VARY).iter().filter(|value| !value.is_empty()) {
        all.extend_from_slice(value.as_bytes());
        all.extend_from_slice(b", ");
    }
    all.extend_from_slice(name.as_bytes());
    if let Ok(value) = HeaderValue::from_bytes(&all) {
        headers.insert(VARY, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: HeaderName, values: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(&name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn vary_is_merged_and_never_doubled() {
        let table: [(&[&str], &str); 6] = [
            (&[], "Accept-Encoding"),
            (&[""], "Accept-Encoding"),
            (&["Origin"], "Origin, Accept-Encoding"),
            (&["Origin", "Cookie"], "Origin, Cookie, Accept-Encoding"),
            (&["origin,ACCEPT-ENCODING"], "origin,ACCEPT-ENCODING"),
            (&["*"], "*"),
        ];
        for (before, after) in table {
            let mut headers = with(VARY, before);
            vary_on(&mut headers, "Accept-Encoding");
            assert_eq!(headers.get_all(VARY).iter().collect::<Vec<_>>(), [after]);
        }
    }

    #[test]
    fn an_entity_tag_is_weakened_once() {
        for tag in ["\"a\"", "W/\"a\""] {
            let mut headers = with(ETAG, &[tag]);
            weaken_etag(&mut headers);
            assert_eq!(headers[ETAG], "W/\"a\"");
        }
        let mut none = HeaderMap::new();
        weaken_etag(&mut none);
        assert!(none.is_empty());
    }

    #[test]
    fn identity_is_no_coding() {
        assert!(!is_coded(&with(CONTENT_ENCODING, &[])) && !is_coded(&with(CONTENT_ENCODING, &["Identity"])));
        assert!(is_coded(&with(CONTENT_ENCODING, &["br"])));
        assert!(is_coded(&with(CONTENT_ENCODING, &["identity", "gzip"])));
    }
}
