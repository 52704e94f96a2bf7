//! Reads a response's head, and what it says about the content and the connection.

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::header::{CONNECTION, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http::{Method, Response, StatusCode, Version, response};

use super::framing::{Framing, Malformed};
use super::{FramingFields, content_length, has_token, tokens};

/// Most fields of a head, unless another bound is set.
pub(crate) const MAX_FIELDS: usize = 128;

/// Why bytes are not a head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HeadError {
    TooManyFields,
    /// They are not HTTP/1; the text says how.
    Malformed(&'static str),
}

/// The reason phrase of a response that has another than its status's own. An extension of its head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReasonPhrase(Bytes);

impl ReasonPhrase {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A parsed head.
#[derive(Debug)]
pub(crate) struct Head {
    /// Version, status and fields, with a [`ReasonPhrase`] if it is not the status's own. Values are slices of the input.
    pub(crate) parts: response::Parts,
    /// Its length in bytes.
    pub(crate) len: usize,
}

/// Reads the head that `input` begins with; `None` if it is incomplete.
///
/// # Errors
/// It is malformed, or has more than `max_fields` fields.
pub(crate) fn read_head(input: &Bytes, max_fields: usize) -> Result<Option<Head>, HeadError> {
    let (mut few, mut many) = ([const { MaybeUninit::uninit() }; MAX_FIELDS], Vec::new());
    let lines = match few.get_mut(..max_fields) {
        Some(lines) => lines,
        None => {
            many.resize_with(max_fields, MaybeUninit::uninit);
            &mut many[..]
        }
    };
    let mut read = httparse::Response::new(&mut []);
    let parsed =
        httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut read, input, lines);
    let len = match parsed {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(HeadError::TooManyFields),
        Err(error) => return Err(HeadError::Malformed(words(error))),
    };
    const NO_FIELD: HeadError = HeadError::Malformed("a field is malformed");
    let (mut parts, ()) = Response::new(()).into_parts();
    parts.status = StatusCode::from_u16(read.code.unwrap_or(0))
        .map_err(|_| HeadError::Malformed("its status is malformed"))?;
    parts.version = if read.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
    // And for one that a proxy adds.
    parts.headers.reserve(read.headers.len() + 1);
    for line in read.headers.iter() {
        let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(|_| NO_FIELD)?;
        let value = HeaderValue::from_maybe_shared(input.slice_ref(line.value));
        parts.headers.append(name, value.map_err(|_| NO_FIELD)?);
    }
    if let Some(reason) = read.reason.filter(|&reason| Some(reason) != parts.status.canonical_reason()) {
        parts.extensions.insert(ReasonPhrase(input.slice_ref(reason.as_bytes())));
    }
    Ok(Some(Head { parts, len }))
}

fn words(error: httparse::Error) -> &'static str {
    match error {
        httparse::Error::HeaderName => "the name of a field is malformed",
        httparse::Error::HeaderValue => "the value of a field is malformed",
        httparse::Error::Status => "its status is malformed",
        httparse::Error::Version => "it is of another version of HTTP",
        _ => "it does not begin with a status line",
    }
}

/// Whether the final response follows. A change of protocols (101) is final.
pub(crate) fn is_interim(status: StatusCode) -> bool {
    status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS
}

/// Decides how the content of a response to `method` is framed (RFC 9112, section 6.3). `has`: what its head has.
///
/// # Errors
/// A length is invalid, lengths differ, or the transfer coding is unreadable.
pub(crate) fn framing_of(
    head: &response::Parts,
    has: FramingFields,
    method: &Method,
) -> Result<Framing, Malformed> {
    let status = head.status;
    let bare = status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED
        || method == Method::HEAD;
    if bare {
        return Ok(Framing::Whole);
    }
    if has.transfer_encoding {
        let chunked = is_chunked(head)?;
        return Ok(if chunked { Framing::chunked() } else { Framing::UntilClose });
    }
    let length = if has.content_length { content_length(&head.headers)? } else { None };
    Ok(length.map_or(Framing::UntilClose, Framing::Length))
}

/// Whether the connection can be reused after the content. `has`: what the response's head has.
pub(crate) fn keeps_connection(head: &response::Parts, has: FramingFields) -> bool {
    // Not if the end of the content is in doubt.
    try_keeps_connection(head, has).unwrap_or(false)
}

fn try_keeps_connection(head: &response::Parts, has: FramingFields) -> Result<bool, Malformed> {
    let said = |word| if has.connection { has_token(&head.headers, &CONNECTION, word) } else { Ok(false) };
    let (coded, measured) = (has.transfer_encoding, has.content_length);
    if head.version == Version::HTTP_10 {
        // HTTP/1.0 has no transfer codings: the sender may mean something else by one.
        return Ok(said("keep-alive")? && !coded && measured);
    }
    let doubtful = match head.status {
        // 204 has no content; a sender that announces some may send it.
        StatusCode::NO_CONTENT => coded || (measured && content_length(&head.headers) != Ok(Some(0))),
        // With both fields, one hop may have framed the content by the other.
        _ => coded && (measured || !is_chunked(head)?),
    };
    Ok(!said("close")? && !doubtful)
}

/// Whether the last transfer coding is `chunked`.
fn is_chunked(head: &response::Parts) -> Result<bool, Malformed> {
    let last = tokens(&head.headers, &TRANSFER_ENCODING)?.last();
    Ok(last.is_some_and(|last| last.eq_ignore_ascii_case("chunked")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &Bytes) -> Result<Option<Head>, HeadError> {
        read_head(input, MAX_FIELDS)
    }

    fn head(text: &str) -> response::Parts {
        let head = read(&Bytes::copy_from_slice(text.as_bytes())).unwrap().unwrap();
        assert_eq!(head.len, text.len());
        head.parts
    }

    #[test]
    fn a_head_is_there_when_its_end_is() {
        let text = "HTTP/1.1 404 Gone fishing\r\nServer: x\r\nset-cookie: a\r\nSET-COOKIE:  b \r\n\r\n";
        for cut in 0..text.len() {
            assert!(matches!(read(&Bytes::copy_from_slice(&text.as_bytes()[..cut])), Ok(None)), "{cut}");
        }
        let Head { parts, len } = read(&Bytes::from(format!("{text}content"))).unwrap().unwrap();
        assert_eq!((parts.status.as_u16(), parts.version, len), (404, Version::HTTP_11, text.len()));
        assert_eq!(parts.extensions.get::<ReasonPhrase>().unwrap().as_bytes(), b"Gone fishing");
        assert_eq!(parts.headers["server"], "x");
        assert_eq!(parts.headers.get_all("set-cookie").iter().collect::<Vec<_>>(), ["a", "b"]);
        let usual = read(&Bytes::from_static(b"HTTP/1.0 200 OK\r\n\r\n")).unwrap().unwrap();
        assert!(usual.parts.version == Version::HTTP_10 && usual.parts.extensions.is_empty());
    }

    #[test]
    fn what_is_no_head_is_refused() {
        for text in [
            "SSH-2.0-OpenSSH\r\n",
            "HTTP/1.1 20x OK\r\n\r\n",
            "HTTP/1.1 099 X\r\n\r\n",
            "HTTP/2.0 200 OK\r\n\r\n",
        ] {
            assert!(matches!(read(&Bytes::from(text)), Err(HeadError::Malformed(_))), "{text:?}");
        }
        for line in ["no colon", "na me: x", ": x", "a: \u{0}", " folded: x"] {
            let text = format!("HTTP/1.1 200 OK\r\n{line}\r\n\r\n");
            assert!(matches!(read(&Bytes::from(text)), Err(HeadError::Malformed(_))), "{line:?}");
        }
        let many = |count: usize| Bytes::from(format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(count)));
        assert_eq!(read(&many(MAX_FIELDS)).unwrap().unwrap().parts.headers.len(), MAX_FIELDS);
        assert_eq!(read(&many(MAX_FIELDS + 1)).unwrap_err(), HeadError::TooManyFields);
        for max in [1, 3, MAX_FIELDS - 1, MAX_FIELDS, 1000] {
            assert_eq!(read_head(&many(max), max).unwrap().unwrap().parts.headers.len(), max);
            assert_eq!(read_head(&many(max + 1), max).unwrap_err(), HeadError::TooManyFields);
        }
    }

    #[test]
    fn content_is_framed_as_the_head_says() {
        let get = Method::GET;
        for (method, start, fields, expected) in [
            (&get, "1.1 200", "content-length: 5", "Length(5) true"),
            (&get, "1.1 200", "content-length: 5, 5\r\ncontent-length: 5", "Length(5) true"),
            (&get, "1.1 200", "content-length: 5\r\nconnection: x, Close", "Length(5) false"),
            (&get, "1.0 200", "content-length: 5", "Length(5) false"),
            (&get, "1.0 200", "content-length: 5\r\nconnection: Keep-Alive", "Length(5) true"),
            (&get, "1.0 200", "connection: keep-alive", "UntilClose false"),
            (&get, "1.1 200", "a: b", "UntilClose true"),
            (&get, "1.1 200", "transfer-encoding: Chunked", "Chunked true"),
            (&get, "1.1 200", "transfer-encoding: gzip, chunked", "Chunked true"),
            (&get, "1.1 200", "transfer-encoding: chunked, gzip", "UntilClose false"),
            (&get, "1.1 200", "transfer-encoding: chunked\r\ncontent-length: x", "Chunked false"),
            (&get, "1.0 200", "transfer-encoding: chunked\r\nconnection: keep-alive", "Chunked false"),
            (&Method::HEAD, "1.1 200", "content-length: 5", "Whole true"),
            (&get, "1.1 204", "content-length: 5", "Whole false"),
            (&get, "1.1 204", "transfer-encoding: chunked", "Whole false"),
            (&get, "1.1 204", "content-length: 0", "Whole true"),
            (&get, "1.1 204", "a: b", "Whole true"),
            (&get, "1.1 304", "content-length: 5", "Whole true"),
            (&get, "1.1 103", "a: b", "Whole true"),
        ] {
            let head = head(&format!("HTTP/{start} X\r\n{fields}\r\n\r\n"));
            let has = FramingFields::of(&head.headers);
            let framing = format!("{:?}", framing_of(&head, has, method).unwrap());
            let kind = framing.split_once("(Chunked").map_or(framing.as_str(), |(kind, _)| kind);
            assert_eq!(
                format!("{kind} {}", keeps_connection(&head, has)),
                expected,
                "{method} {start} {fields}"
            );
        }
        for length in ["x", "", "5,", "+5", "-1", "5, 6", "5\r\ncontent-length: 6", "99999999999999999999"] {
            let head = head(&format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n"));
            assert!(framing_of(&head, FramingFields::of(&head.headers), &get).is_err(), "{length:?}");
        }
        for (field, faulty) in
            [("transfer-encoding: gzip\u{ff}, chunked", true), ("connection: \u{ff}", false)]
        {
            let head = head(&format!("HTTP/1.1 200 OK\r\n{field}\r\n\r\n"));
            let has = FramingFields::of(&head.headers);
            assert_eq!(
                (framing_of(&head, has, &get).is_err(), keeps_connection(&head, has)),
                (faulty, false),
                "{field}"
            );
        }
    }
}
