//! The fields that frame an answer: removes those that must not be there, with those of one connection; states lengths.
//!
//! HTTP/1 clients ignore most of these errors; over HTTP/2 they are errors of the stream (RFC 9113 sections 8.1.1 and
//! 8.2.2). One place for all sources, both versions, heads and trailers.

use http::header::{CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, TRANSFER_ENCODING};
use http::{StatusCode, Version, response};

use crate::http::content::Content;
use crate::http1::{forbidden_by_http2, may_trail};

/// Whether a status cannot be an answer's over `version`: another head would have to follow.
pub(super) fn is_no_answer(status: StatusCode, version: Version) -> bool {
    status.is_informational() && !(status == StatusCode::SWITCHING_PROTOCOLS && version == Version::HTTP_11)
}

/// States the length of content that is at hand, where its source does not: before filters, which remove it if they change the
/// content. Without it HTTP/1.1 sends chunks, and over HTTP/1.0 the connection closes.
pub(super) fn state_length(fields: &mut HeaderMap, content: &Content) {
    if let Some(length) = content.len_at_hand()
        && !fields.contains_key(CONTENT_LENGTH)
    {
        fields.insert(CONTENT_LENGTH, length.into());
    }
}

/// Removes fields from an answer's head that its framing or its version does not allow.
///
/// - `Transfer-Encoding`: the framing is made where the content is written.
/// - `Content-Length` of an answer that has no content and whose status says so (RFC 9110, section 8.6).
///   The one to HEAD stays: it is the length that GET would have.
/// - Over HTTP/2, fields of one connection, and those that `Connection` names.
pub(super) fn conform(head: &mut response::Parts, version: Version) {
    let (fields, status) = (&mut head.headers, head.status);
    fields.remove(TRANSFER_ENCODING);
    if status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        fields.remove(CONTENT_LENGTH);
    }
    if version != Version::HTTP_2 {
        return;
    }
    // Invalid names are ignored.
    let named: Vec<HeaderName> = fields
        .get_all(CONNECTION)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .collect();
    for name in &named {
        fields.remove(name);
    }
    for name in forbidden_by_http2() {
        fields.remove(name);
    }
}

/// Removes trailers that must be known before the content, or concern one connection.
pub(super) fn conform_trailers(trailers: &mut HeaderMap) {
    let unfit: Vec<HeaderName> = trailers.keys().filter(|name| !may_trail(name)).cloned().collect();
    for name in unfit {
        trailers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Response;

    fn head(status: u16, lines: &[(&str, &str)]) -> response::Parts {
        let response = lines.iter().fold(Response::builder().status(status), |response, (name, value)| {
            response.header(*name, *value)
        });
        response.body(()).unwrap().into_parts().0
    }

    #[test]
    fn an_answer_keeps_what_its_status_and_its_version_allow() {
        let lines = [
            ("content-length", "5"),
            ("transfer-encoding", "chunked"),
            ("connection", "close, X-Hop"),
            ("connection", "\u{e4}, x-other"),
            ("x-hop", "1"),
            ("x-other", "1"),
            ("keep-alive", "timeout=5"),
            ("upgrade", "x"),
            ("x-kept", "1"),
        ];
        for (status, version, length, others) in [
            (200, Version::HTTP_11, true, 7),
            (200, Version::HTTP_2, true, 1),
            (204, Version::HTTP_10, false, 7),
            (204, Version::HTTP_2, false, 1),
            (304, Version::HTTP_11, false, 7),
            (304, Version::HTTP_2, false, 1),
            (101, Version::HTTP_11, false, 7),
            (205, Version::HTTP_2, true, 1),
        ] {
            let mut head = head(status, &lines);
            conform(&mut head, version);
            assert_eq!(head.headers.contains_key(CONTENT_LENGTH), length, "{status} {version:?}");
            assert_eq!(head.headers.len(), others + usize::from(length), "{status} {version:?}");
            assert!(head.headers.contains_key("x-kept"));
        }
    }

    #[test]
    fn only_a_change_of_protocols_over_http11_is_an_answer_of_the_first_class() {
        for (status, version, is_none) in [
            (100, Version::HTTP_11, true),
            (103, Version::HTTP_2, true),
            (101, Version::HTTP_11, false),
            (101, Version::HTTP_10, true),
            (101, Version::HTTP_2, true),
            (200, Version::HTTP_2, false),
        ] {
            assert_eq!(is_no_answer(StatusCode::from_u16(status).unwrap(), version), is_none, "{status}");
        }
    }

    #[test]
    fn trailers_frame_nothing() {
        let names = ["x-sum", "content-length", "transfer-encoding", "connection", "keep-alive", "upgrade"];
        let mut trailers: HeaderMap =
            names.iter().map(|name| (HeaderName::from_static(name), "1".parse().unwrap())).collect();
        conform_trailers(&mut trailers);
        assert_eq!(trailers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-sum"]);
    }
}
