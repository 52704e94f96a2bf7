//! Writes a response's head, and decides how its content is framed (RFC 9112, sections 4 and 6).

use std::io::Write as _;

use http::header::{
    CONNECTION, CONTENT_LENGTH, DATE, HeaderMap, HeaderName, HeaderValue, TE, TRANSFER_ENCODING,
};
use http::{Method, StatusCode, Version, request, response};

use super::{ChunkEncoder, FramingFields, content_length, has_token};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// What a request says about the framing of its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) is_head: bool,
    pub(crate) version: Version,
    /// The client keeps the connection open for another request.
    pub(crate) keeps: bool,
    /// The client accepts trailers.
    pub(crate) takes_trailers: bool,
}

/// How a response's content is framed.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// Without content.
    Nothing,
    /// Bytes left of `Content-Length`.
    Length(u64),
    /// In chunks, with trailers if the client accepts them.
    Chunked(Option<ChunkEncoder>),
    /// Ends with the connection.
    UntilClose,
}

/// Appends a response's head. Returns how its content is framed, and whether the connection is kept.
///
/// `is_empty` says that there is no content. `reason` replaces the status's own phrase, and `date` is added if the
/// response has no date. Fields about framing and the connection are replaced, except `Connection: close`; with 101
/// all are kept.
pub(crate) fn write_answer(
    head: &response::Parts,
    asked: &Asked,
    is_empty: bool,
    reason: Option<&[u8]>,
    date: &[u8],
    to: &mut Vec<u8>,
) -> (Outgoing, bool) {
    let switches = head.status == StatusCode::SWITCHING_PROTOCOLS;
    let outgoing = outgoing(head, asked, is_empty);
    write_status(asked.version, head.status, reason, to);
    // One pass: looking up each of these fields would cost a small answer more than writing it.
    let (mut closes, mut has_date) = (false, false);
    for (name, value) in &head.headers {
        if *name == CONNECTION {
            closes |= says_close(value);
        }
        has_date |= *name == DATE;
        let is_ours = *name == CONTENT_LENGTH && !asked.is_head
            || *name == CONNECTION && !switches
            || [TRANSFER_ENCODING, KEEP_ALIVE, PROXY_CONNECTION].contains(name);
        if !is_ours {
            write_line(name, value, to);
        }
    }
    let keeps = asked.keeps && !closes && !matches!(outgoing, Outgoing::UntilClose);
    match &outgoing {
        Outgoing::Length(length) => {
            // Writing to a vector does not fail.
            let _ = write!(to, "content-length: {length}\r\n");
        }
        Outgoing::Chunked(_) => to.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Outgoing::Nothing | Outgoing::UntilClose => {}
    }
    match (keeps, asked.version) {
        _ if switches => {}
        (false, _) => to.extend_from_slice(b"connection: close\r\n"),
        (true, Version::HTTP_10) => to.extend_from_slice(b"connection: keep-alive\r\n"),
        (true, _) => {}
    }
    if !has_date {
        to.extend_from_slice(b"date: ");
        to.extend_from_slice(date);
        to.extend_from_slice(b"\r\n");
    }
    to.extend_from_slice(b"\r\n");
    (outgoing, keeps)
}

/// The lines of a response that is sent again and again, as [`write_answer`] writes them.
#[derive(Debug)]
pub(crate) struct KeptLines(Box<[u8]>);

impl KeptLines {
    /// The most bytes of a head besides the lines.
    const MOST_BESIDE: usize = 80;

    /// The lines of `fields`, which frame content of known length and say nothing of the connection or the date.
    pub(crate) fn new(fields: &HeaderMap) -> Self {
        let mut lines = Vec::new();
        for (name, value) in fields.iter().filter(|(name, _)| *name != CONTENT_LENGTH) {
            write_line(name, value, &mut lines);
        }
        if let Some(length) = fields.get(CONTENT_LENGTH) {
            write_line(&CONTENT_LENGTH, length, &mut lines);
        }
        Self(lines.into())
    }

    /// The most bytes of a head with these lines.
    pub(crate) fn most(&self) -> usize {
        self.0.len() + Self::MOST_BESIDE
    }

    /// Writes the head of a response 200 at the end of `room`. Returns where it begins.
    ///
    /// # Panics
    /// If the room is less than [`most`](Self::most).
    pub(crate) fn write_ok(&self, version: Version, keeps: bool, date: &[u8; 29], room: &mut [u8]) -> usize {
        let status =
            if version == Version::HTTP_10 { b"HTTP/1.0 200 OK\r\n" } else { b"HTTP/1.1 200 OK\r\n" };
        let connection: &[u8] = match (keeps, version) {
            (false, _) => b"connection: close\r\n",
            (true, Version::HTTP_10) => b"connection: keep-alive\r\n",
            (true, _) => b"",
        };
        let parts: [&[u8]; 6] = [status, &self.0, connection, b"date: ", date, b"\r\n\r\n"];
        let mut at = room.len() - parts.iter().map(|part| part.len()).sum::<usize>();
        let begin = at;
        for part in parts {
            room[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        begin
    }
}

/// Appends the head of an interim response.
pub(crate) fn write_interim(status: StatusCode, fields: &HeaderMap, to: &mut Vec<u8>) {
    write_status(Version::HTTP_11, status, None, to);
    for (name, value) in fields {
        if ![CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, KEEP_ALIVE].contains(name) {
            write_line(name, value, to);
        }
    }
    to.extend_from_slice(b"\r\n");
}

fn write_status(version: Version, status: StatusCode, reason: Option<&[u8]>, to: &mut Vec<u8>) {
    to.extend_from_slice(if version == Version::HTTP_10 { b"HTTP/1.0 " } else { b"HTTP/1.1 " });
    to.extend_from_slice(status.as_str().as_bytes());
    to.push(b' ');
    to.extend_from_slice(reason.unwrap_or_else(|| status.canonical_reason().unwrap_or("").as_bytes()));
    to.extend_from_slice(b"\r\n");
}

fn write_line(name: &HeaderName, value: &HeaderValue, to: &mut Vec<u8>) {
    for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
        to.extend_from_slice(part);
    }
}

/// Whether a line of `Connection` has the member `close`. An unreadable one may.
fn says_close(line: &HeaderValue) -> bool {
    let members = |line: &str| line.split(',').any(|member| member.trim().eq_ignore_ascii_case("close"));
    line.to_str().map_or(true, members)
}

fn outgoing(head: &response::Parts, asked: &Asked, is_empty: bool) -> Outgoing {
    let status = head.status;
    let bare = asked.is_head
        || status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if bare {
        return Outgoing::Nothing;
    }
    // An invalid length is the source's fault: the content is framed without it.
    match content_length(&head.headers).ok().flatten() {
        Some(length) => Outgoing::Length(length),
        None if is_empty => Outgoing::Length(0),
        None if asked.version == Version::HTTP_10 => Outgoing::UntilClose,
        None => Outgoing::Chunked(asked.takes_trailers.then(|| ChunkEncoder::behind(&head.headers))),
    }
}

/// Reads what a request's head says about the framing of its response.
pub(crate) fn asked(head: &request::Parts, has: FramingFields, keeps: bool) -> Asked {
    let request::Parts { method, version, headers, .. } = head;
    let may_take_trailers = has.te && *version != Version::HTTP_10;
    Asked {
        is_head: method == Method::HEAD,
        version: *version,
        keeps,
        takes_trailers: may_take_trailers && has_token(headers, &TE, "trailers").unwrap_or(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Response;

    fn written(status: u16, lines: &[(&str, &str)], asked: Asked, is_empty: bool) -> (String, String) {
        let response = lines.iter().fold(Response::builder().status(status), |response, (name, value)| {
            response.header(*name, *value)
        });
        let head = response.body(()).unwrap().into_parts().0;
        let mut bytes = Vec::new();
        let (outgoing, keeps) = write_answer(&head, &asked, is_empty, None, b"now", &mut bytes);
        let outgoing = format!("{outgoing:?}");
        let kind = outgoing.split('(').next().unwrap().to_owned();
        (String::from_utf8(bytes).unwrap(), format!("{kind} {keeps}"))
    }

    const GET: Asked =
        Asked { is_head: false, version: Version::HTTP_11, keeps: true, takes_trailers: false };
    const HEAD: Asked = Asked { is_head: true, ..GET };
    const OLD: Asked = Asked { version: Version::HTTP_10, ..GET };
    const LAST: Asked = Asked { keeps: false, ..GET };

    #[test]
    fn an_answer_is_framed_as_its_client_reads_it() {
        for (status, lines, asked, is_empty, head, kind) in [
            (200, &[("content-length", "5")][..], GET, false, "content-length: 5\r\n", "Length true"),
            (
                200,
                &[("content-length", "5")],
                LAST,
                false,
                "content-length: 5\r\nconnection: close\r\n",
                "Length false",
            ),
            (
                200,
                &[("content-length", "5")],
                OLD,
                false,
                "content-length: 5\r\nconnection: keep-alive\r\n",
                "Length true",
            ),
            (200, &[], GET, false, "transfer-encoding: chunked\r\n", "Chunked true"),
            (
                200,
                &[("transfer-encoding", "gzip")],
                GET,
                false,
                "transfer-encoding: chunked\r\n",
                "Chunked true",
            ),
            (200, &[("content-length", "x")], GET, false, "transfer-encoding: chunked\r\n", "Chunked true"),
            (200, &[], OLD, false, "connection: close\r\n", "UntilClose false"),
            (200, &[], GET, true, "content-length: 0\r\n", "Length true"),
            (
                200,
                &[("connection", "Close")],
                GET,
                true,
                "content-length: 0\r\nconnection: close\r\n",
                "Length false",
            ),
            (200, &[("connection", "x-hop")], GET, true, "content-length: 0\r\n", "Length true"),
            (200, &[("content-length", "5")], HEAD, true, "content-length: 5\r\n", "Nothing true"),
            (200, &[], HEAD, true, "", "Nothing true"),
            (204, &[("content-length", "5")], GET, true, "", "Nothing true"),
            (304, &[], GET, true, "", "Nothing true"),
            (
                101,
                &[("connection", "upgrade"), ("upgrade", "x")],
                GET,
                true,
                "connection: upgrade\r\nupgrade: x\r\n",
                "Nothing true",
            ),
        ] {
            let (text, told) = written(status, lines, asked, is_empty);
            let (line, rest) = text.split_once("\r\n").unwrap();
            let version = if asked.version == Version::HTTP_10 { "0" } else { "1" };
            assert!(line.starts_with(&format!("HTTP/1.{version} {status} ")), "{line}");
            assert_eq!(
                (rest, told.as_str()),
                (&*format!("{head}date: now\r\n\r\n"), kind),
                "{status} {lines:?} {asked:?}"
            );
        }
    }

    #[test]
    fn a_date_and_a_reason_of_its_own_are_kept() {
        let head = Response::builder().status(599).header("date", "then").body(()).unwrap().into_parts().0;
        let mut bytes = Vec::new();
        write_answer(&head, &GET, true, Some(b"Gone fishing"), b"now", &mut bytes);
        assert_eq!(bytes, b"HTTP/1.1 599 Gone fishing\r\ndate: then\r\ncontent-length: 0\r\n\r\n");
        let mut hints = Vec::new();
        let fields = [("link", "</x>"), ("connection", "x")];
        let fields =
            fields.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        write_interim(StatusCode::EARLY_HINTS, &fields, &mut hints);
        assert_eq!(hints, b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n");
    }

    #[test]
    fn kept_lines_give_the_head_that_is_written_otherwise() {
        let lines = [("content-type", "text/plain"), ("content-length", "5"), ("etag", "\"a\"")];
        let date = b"Sun, 06 Nov 1994 08:49:37 GMT";
        let head = lines.iter().fold(Response::builder(), |head, (name, value)| head.header(*name, *value));
        let head = head.body(()).unwrap().into_parts().0;
        let kept = KeptLines::new(&head.headers);
        for version in [Version::HTTP_10, Version::HTTP_11] {
            for keeps in [true, false] {
                let asked = Asked { keeps, version, ..GET };
                let mut expected = Vec::new();
                let (_, still) = write_answer(&head, &asked, false, None, date, &mut expected);
                assert_eq!(still, keeps);
                let mut room = vec![0; kept.most()];
                let begin = kept.write_ok(version, keeps, date, &mut room);
                assert_eq!(&room[begin..], expected, "{version:?} {keeps}");
            }
        }
    }

    #[test]
    fn trailers_are_for_those_who_ask() {
        for (version, te, takes) in [
            (Version::HTTP_11, "gzip, Trailers", true),
            (Version::HTTP_11, "gzip", false),
            (Version::HTTP_10, "trailers", false),
        ] {
            let request = http::Request::get("/").version(version).header(TE, te).body(()).unwrap();
            let (head, ()) = request.into_parts();
            let asked = asked(&head, FramingFields::of(&head.headers), true);
            assert_eq!(asked, Asked { is_head: false, version, keeps: true, takes_trailers: takes }, "{te}");
        }
    }
}
