//! Reads a request's head, and what it says about the content and the connection.

use bytes::Bytes;
use http::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http::uri::{Authority, PathAndQuery};
use http::{Method, Request, StatusCode, Uri, Version, request};

use super::framing::{Framing, Malformed};
use super::{FramingFields, content_length, has_token, tokens};

/// Fields of most heads, parsed first, and the most of any.
const USUAL_FIELDS: usize = 32;
const MAX_FIELDS: usize = 128;

/// The text of a 501 for a transfer coding other than `chunked`.
pub(crate) const ONLY_CHUNKED: &str = "The only supported transfer coding is chunked.";

/// The text of a 417.
pub(crate) const ONLY_CONTINUE: &str = "The request expects something else than 100-continue.";

/// The text of a 400 for a request with an unreadable field among those that frame it or concern its connection.
pub(crate) const UNREADABLE_FIELD: &str = "A field about framing or the connection is not ASCII.";

/// Why a request is refused before it reaches a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    /// The text of the response.
    pub(crate) text: &'static str,
    /// The request line, if it could be read.
    pub(crate) line: Option<Box<(Method, Uri, Version)>>,
}

impl Refused {
    pub(crate) fn new(status: StatusCode, text: &'static str) -> Self {
        Self { status, text, line: None }
    }

    fn bad(text: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }

    /// Adds the request line of `head`.
    pub(crate) fn of(self, head: &request::Parts) -> Self {
        self.of_line(&head.method, &head.uri, head.version)
    }

    fn of_line(mut self, method: &Method, uri: &Uri, version: Version) -> Self {
        self.line = Some(Box::new((method.clone(), uri.clone(), version)));
        self
    }
}

/// Progress of finding the end of a head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Bytes searched for the end of a line.
    seen: usize,
    /// Start of the first line without an end; 0 before a line ended.
    lines: usize,
}

impl Progress {
    /// Searches what was added since the last call. Returns the length of the head, its empty line included, once it
    /// is complete. Each byte is searched once.
    pub(crate) fn end_of_head(&mut self, input: &[u8]) -> Option<usize> {
        while let Some(at) = memchr::memchr(b'\n', &input[self.seen..]) {
            let end = self.seen + at;
            let line = &input[self.lines..end];
            (self.seen, self.lines) = (end + 1, end + 1);
            if line.is_empty() || line == b"\r" {
                return Some(end + 1);
            }
        }
        self.seen = input.len();
        None
    }

    /// Whether the first line is complete.
    pub(crate) fn has_line(&self) -> bool {
        self.lines > 0
    }
}

/// Returns the length of empty lines before a request. Some clients end a body with one (RFC 9112, section 2.2).
pub(crate) fn empty_lines(input: &[u8]) -> usize {
    let mut at = 0;
    loop {
        match &input[at..] {
            [b'\r', b'\n', ..] => at += 2,
            [b'\n', ..] => at += 1,
            _ => return at,
        }
    }
}

/// Checks the start of a request, and its line as soon as that is complete, so that a client of another protocol need
/// not wait for the end of a head.
pub(crate) fn check_beginning(input: &[u8], progress: &Progress) -> Result<(), Refused> {
    if progress.has_line() {
        let end = memchr::memchr(b'\n', input).unwrap_or(input.len());
        return read_line(&Bytes::copy_from_slice(trim_end(&input[..end]))).map(drop);
    }
    match input.first() {
        Some(first) if !first.is_ascii_alphanumeric() && !b"!#$%&'*+-.^_`|~\r".contains(first) => {
            Err(Refused::bad("The request does not begin with a request line."))
        }
        _ => Ok(()),
    }
}

/// Reads the head that is all of `input`, as [`Progress`] found its end.
///
/// Characters of the target that a URI may not have but clients send (`"`, `<`, `>`, back-ticks, bytes that are not
/// ASCII) are percent-encoded.
///
/// # Errors
/// It is malformed; the error has the response.
pub(crate) fn read_request(input: &Bytes) -> Result<request::Parts, Refused> {
    let end = memchr::memchr(b'\n', input).unwrap_or(input.len());
    let (method, uri, version) = read_line(&input.slice(..trim_end(&input[..end]).len()))?;
    let fields = input.slice((end + 1).min(input.len())..);
    let headers = read_fields(&fields).map_err(|refused| refused.of_line(&method, &uri, version))?;
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.method = method;
    parts.uri = uri;
    parts.version = version;
    parts.headers = headers;
    Ok(parts)
}

fn trim_end(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Reads the request line, without its end.
fn read_line(line: &Bytes) -> Result<(Method, Uri, Version), Refused> {
    const NO_LINE: &str = "The request line is not \"METHOD target HTTP/1.1\".";
    let (Some(first), Some(last)) = (memchr::memchr(b' ', line), memchr::memrchr(b' ', line)) else {
        return Err(Refused::bad(NO_LINE));
    };
    if first == last {
        return Err(Refused::bad(NO_LINE));
    }
    let method = Method::from_bytes(&line[..first])
        .map_err(|_| Refused::bad("The request's method is not a token."))?;
    let version = read_version(&line[last + 1..])?;
    let uri = read_target(&method, &line.slice(first + 1..last))?;
    Ok((method, uri, version))
}

fn read_version(text: &[u8]) -> Result<Version, Refused> {
    match text {
        b"HTTP/1.1" => Ok(Version::HTTP_11),
        b"HTTP/1.0" => Ok(Version::HTTP_10),
        // Later minor versions are read as the highest known one (RFC 9110, section 2.5).
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9'] => Ok(Version::HTTP_11),
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => Err(Refused::new(
            StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            "This version of HTTP is not supported.",
        )),
        _ => Err(Refused::bad("The request line does not end in a version of HTTP.")),
    }
}

/// Reads the target, in one of its four forms (RFC 9112, section 3.2).
fn read_target(method: &Method, text: &Bytes) -> Result<Uri, Refused> {
    const NO_TARGET: &str = "The request's target is neither a path nor a URL.";
    let bad = || Refused::bad(NO_TARGET);
    if text.iter().any(|byte| *byte <= b' ' || *byte == 0x7f) {
        return Err(Refused::bad("The request's target has a blank or a control character."));
    }
    if method == Method::CONNECT {
        let authority = Authority::from_maybe_shared(text.clone()).map_err(|_| bad())?;
        if authority.port_u16().is_none() || authority.as_str().contains('@') {
            return Err(bad());
        }
        return Ok(Uri::from(authority));
    }
    if text == "*" {
        return if method == Method::OPTIONS { Ok(Uri::from_static("*")) } else { Err(bad()) };
    }
    let text = encoded(text);
    if text.len() >= usize::from(u16::MAX) {
        return Err(Refused::new(StatusCode::URI_TOO_LONG, "The request's target is too long."));
    }
    if text.starts_with(b"/") {
        // Not by `Uri`: "//host/path" is a path here.
        return PathAndQuery::from_maybe_shared(text).map(Uri::from).map_err(|_| bad());
    }
    let uri = Uri::from_maybe_shared(text).map_err(|_| bad())?;
    let is_known = uri.scheme_str().is_some_and(|scheme| scheme == "http" || scheme == "https");
    if is_known && uri.authority().is_some() { Ok(uri) } else { Err(bad()) }
}

/// Percent-encodes what a URI may not contain.
fn encoded(target: &Bytes) -> Bytes {
    let is_foreign = |byte: &u8| matches!(byte, b'"' | b'<' | b'>' | b'`' | 0x80..);
    if !target.iter().any(is_foreign) {
        return target.clone();
    }
    let mut text = Vec::with_capacity(target.len() + 16);
    for byte in target {
        if is_foreign(byte) {
            let hex = |digit: u8| b"0123456789ABCDEF"[usize::from(digit)];
            text.extend_from_slice(&[b'%', hex(byte >> 4), hex(byte & 15)]);
        } else {
            text.push(*byte);
        }
    }
    text.into()
}

/// Reads the fields of a head, up to its empty line.
fn read_fields(input: &Bytes) -> Result<HeaderMap, Refused> {
    let mut usual = [httparse::EMPTY_HEADER; USUAL_FIELDS];
    match httparse::parse_headers(input, &mut usual) {
        Err(httparse::Error::TooManyHeaders) => {
            let mut all = [httparse::EMPTY_HEADER; MAX_FIELDS];
            collect(input, httparse::parse_headers(input, &mut all))
        }
        parsed => collect(input, parsed),
    }
}

fn collect(
    input: &Bytes,
    parsed: httparse::Result<(usize, &[httparse::Header<'_>])>,
) -> Result<HeaderMap, Refused> {
    let bad = || Refused::bad("The request has a malformed header field.");
    let lines = match parsed {
        Ok(httparse::Status::Complete((_, lines))) => lines,
        Err(httparse::Error::TooManyHeaders) => {
            return Err(Refused::new(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "The request has more than 128 header fields.",
            ));
        }
        _ => return Err(bad()),
    };
    let mut fields = HeaderMap::with_capacity(lines.len());
    for line in lines {
        let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(|_| bad())?;
        let value = HeaderValue::from_maybe_shared(input.slice_ref(line.value)).map_err(|_| bad())?;
        fields.append(name, value);
    }
    Ok(fields)
}

/// Decides how a request's content is framed (RFC 9112, section 6.3).
///
/// # Errors
/// The framing is ambiguous, or has a coding other than `chunked`.
pub(crate) fn request_framing(head: &request::Parts, has: FramingFields) -> Result<Framing, Refused> {
    let fields = &head.headers;
    if !has.content_length && !has.transfer_encoding {
        return Ok(Framing::Whole);
    }
    let refused = |refused: Refused| refused.of(head);
    let unreadable = |_| refused(Refused::bad("The request's Transfer-Encoding cannot be read."));
    let length = content_length(fields).map_err(|_: Malformed| {
        refused(Refused::bad("The request's Content-Length is not a number, or has several values."))
    })?;
    if !has.transfer_encoding {
        return Ok(match length {
            None | Some(0) => Framing::Whole,
            Some(length) => Framing::Length(length),
        });
    }
    if head.version == Version::HTTP_10 {
        // Servers that heed it and servers that do not would see different requests.
        return Err(refused(Refused::bad("HTTP/1.0 has no Transfer-Encoding.")));
    }
    let codings: Vec<&str> = tokens(fields, &TRANSFER_ENCODING).map_err(unreadable)?.collect();
    let chunked = codings.iter().filter(|coding| coding.eq_ignore_ascii_case("chunked")).count();
    let ends = codings.last().is_some_and(|last| last.eq_ignore_ascii_case("chunked"));
    match (codings.len(), chunked, ends) {
        (1, 1, _) => Ok(Framing::chunked()),
        (_, 1, true) => Err(refused(Refused::new(StatusCode::NOT_IMPLEMENTED, ONLY_CHUNKED))),
        _ => Err(refused(Refused::bad("The request's transfer coding does not end in chunked."))),
    }
}

/// Whether the client offers to change protocols.
pub(crate) fn offers_upgrade(fields: &HeaderMap, has: FramingFields) -> bool {
    has.upgrade && has.connection && has_token(fields, &CONNECTION, "upgrade").unwrap_or(false)
}

/// Whether the client keeps the connection open for another request.
///
/// # Errors
/// `Connection` cannot be read.
pub(crate) fn client_keeps_connection(head: &request::Parts, has: FramingFields) -> Result<bool, Malformed> {
    let said = |word| Ok(has.connection && has_token(&head.headers, &CONNECTION, word)?);
    if said("close")? {
        return Ok(false);
    }
    if head.version == Version::HTTP_10 {
        return said("keep-alive");
    }
    // With both fields, one hop may have framed the content by the other (RFC 9112, section 6.1).
    Ok(!(has.transfer_encoding && has.content_length))
}

#[cfg(test)]
#[path = "request_head_tests.rs"]
mod tests;
