//! Writes a request: its head, and its content in chunks.

use bytes::{Bytes, BytesMut};
use http::header::{HeaderMap, HeaderName, TRAILER};
use http::request;

use super::{may_trail, tokens};

/// Appends a head: origin form, HTTP/1.1, fields unchanged.
pub(crate) fn write_head(head: &request::Parts, to: &mut BytesMut) {
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    for part in [head.method.as_str(), " ", target, " HTTP/1.1\r\n"] {
        to.extend_from_slice(part.as_bytes());
    }
    write_fields(&head.headers, |_| true, to);
    to.extend_from_slice(b"\r\n");
}

fn write_fields(fields: &HeaderMap, passes: impl Fn(&HeaderName) -> bool, to: &mut BytesMut) {
    for (name, value) in fields.iter().filter(|(name, _)| passes(name)) {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            to.extend_from_slice(part);
        }
    }
}

/// Frames content as chunks.
#[derive(Debug)]
pub(crate) struct ChunkEncoder {
    /// Trailer fields that the head announces.
    announced: Vec<HeaderName>,
}

impl ChunkEncoder {
    /// Creates an encoder for a message whose head has these fields.
    pub(crate) fn behind(fields: &HeaderMap) -> Self {
        // An unreadable announcement counts as none.
        let announced = tokens(fields, &TRAILER).into_iter().flatten();
        let announced = announced.map(str::as_bytes).map(HeaderName::from_bytes);
        Self { announced: announced.filter_map(Result::ok).filter(may_trail).collect() }
    }

    /// Returns what precedes and follows a piece of content. An empty piece would mean the end, and must not be
    /// framed.
    pub(crate) fn around(piece: &[u8]) -> (Bytes, Bytes) {
        (Bytes::from(format!("{:x}\r\n", piece.len())), Bytes::from_static(b"\r\n"))
    }

    /// Returns the last chunk, with those trailers that were announced and may be trailers.
    pub(crate) fn end(&self, trailers: Option<&HeaderMap>) -> Bytes {
        let mut end = BytesMut::from(&b"0\r\n"[..]);
        if let Some(trailers) = trailers {
            write_fields(trailers, |name| self.announced.contains(name), &mut end);
        }
        end.extend_from_slice(b"\r\n");
        end.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    #[test]
    fn a_head_is_its_target_and_its_fields() {
        for (uri, target) in [("http://b:9/x?y=%20", "/x?y=%20"), ("http://b", "/"), ("/z", "/z")] {
            let request = Request::put(uri).header("host", "b:9").header("a", "1").header("a", "\u{e4}");
            let mut bytes = BytesMut::new();
            write_head(&request.body(()).unwrap().into_parts().0, &mut bytes);
            assert_eq!(bytes, format!("PUT {target} HTTP/1.1\r\nhost: b:9\r\na: 1\r\na: \u{e4}\r\n\r\n"));
        }
    }

    #[test]
    fn only_announced_trailers_that_may_be_one_are_sent() {
        let fields = |lines: &[(&'static str, &'static str)]| -> HeaderMap {
            lines.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
        };
        let chunks = ChunkEncoder::behind(&fields(&[("trailer", "X-Sum, host,"), ("trailer", "no name, b")]));
        let trailers = fields(&[("x-sum", "3"), ("host", "x"), ("c", "d"), ("b", "e")]);
        assert_eq!(chunks.end(Some(&trailers)), "0\r\nx-sum: 3\r\nb: e\r\n\r\n");
        assert_eq!(chunks.end(None), "0\r\n\r\n");
        assert_eq!(ChunkEncoder::around(&[0; 31]), ("1f\r\n".into(), "\r\n".into()));
    }
}
