//! Reads what a server wrote, to the letter.

use super::MARK;

/// One response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) status: u16,
    /// The value of [`MARK`].
    pub(super) mark: Option<usize>,
    /// The connection ends after it.
    pub(super) closes: bool,
    pub(super) content: Vec<u8>,
    /// The content came to its end, or may end where the bytes end.
    pub(super) is_whole: bool,
}

/// How a response's content ends (RFC 9112, section 6.3).
enum Ends {
    After(usize),
    WithLastChunk,
    WithConnection,
}

/// Reads a sequence of responses; the last may be cut off. `is_head` says by its mark whether one answers HEAD.
///
/// # Errors
/// The bytes are no such sequence; the text says why.
pub(super) fn read(written: &[u8], is_head: impl Fn(Option<usize>) -> bool) -> Result<Vec<Said>, String> {
    let (mut all, mut rest) = (Vec::new(), written);
    while !rest.is_empty() {
        let mut lines = [httparse::EMPTY_HEADER; 64];
        let mut head = httparse::Response::new(&mut lines);
        let len = match head.parse(rest) {
            Ok(httparse::Status::Complete(len)) => len,
            Ok(httparse::Status::Partial) => return Ok(all),
            Err(error) => return Err(format!("{error} in {:?}", String::from_utf8_lossy(rest))),
        };
        if all.last().is_some_and(|said: &Said| said.closes) {
            return Err("a response after the one that closes".to_owned());
        }
        let (mut said, ends) = read_head(&head, &is_head)?;
        rest = &rest[len..];
        // A refusal of HEAD has no mark.
        let has_none = said.mark.is_none() && (rest.is_empty() || is_status_line(rest));
        match ends {
            Ends::After(_) if has_none => said.is_whole = true,
            Ends::After(len) => {
                let (content, behind) = rest.split_at(len.min(rest.len()));
                said.is_whole = content.len() == len;
                said.content = content.to_vec();
                rest = behind;
            }
            Ends::WithLastChunk => {
                (said.content, said.is_whole, rest) = read_chunks(rest)?;
            }
            Ends::WithConnection => {
                (said.content, said.is_whole, rest) = (rest.to_vec(), true, &[]);
            }
        }
        all.push(said);
    }
    Ok(all)
}

fn is_status_line(bytes: &[u8]) -> bool {
    bytes.starts_with(b"HTTP/1.") && bytes.get(9).is_some_and(u8::is_ascii_digit)
}

fn read_head(
    head: &httparse::Response<'_, '_>,
    is_head: impl Fn(Option<usize>) -> bool,
) -> Result<(Said, Ends), String> {
    let values = |name: &str| -> Vec<String> {
        let lines = head.headers.iter().filter(|line| line.name.eq_ignore_ascii_case(name));
        lines.map(|line| String::from_utf8_lossy(line.value).to_ascii_lowercase()).collect()
    };
    let (status, is_old) = (head.code.unwrap_or(0), head.version == Some(0));
    let mark = values(MARK).first().and_then(|mark| mark.parse().ok());
    let connection = values("connection");
    let said = |token: &str| connection.iter().any(|value| value == token);
    let (lengths, codings) = (values("content-length"), values("transfer-encoding"));
    let is_bare = status < 200 || status == 204;
    let ends = match (&lengths[..], &codings[..]) {
        ([], []) if is_bare || status == 304 || is_head(mark) => Ends::After(0),
        (_, [_, ..]) | ([_, ..], _) if is_bare => return Err(format!("{status} is framed")),
        (_, []) if status == 304 || is_head(mark) => Ends::After(0),
        ([length], []) => Ends::After(length.parse().map_err(|_| format!("a length of {length:?}"))?),
        ([], [coding]) if coding == "chunked" && !is_old => Ends::WithLastChunk,
        ([], []) if said("close") => Ends::WithConnection,
        (lengths, codings) => return Err(format!("framed by {lengths:?} and {codings:?}")),
    };
    let closes = status >= 200 && (said("close") || (is_old && !said("keep-alive")));
    Ok((Said { status, mark, closes, content: Vec::new(), is_whole: true }, ends))
}

/// Content, whether it came to its end, and what follows it (RFC 9112, section 7.1).
fn read_chunks(mut rest: &[u8]) -> Result<(Vec<u8>, bool, &[u8]), String> {
    let mut content = Vec::new();
    loop {
        let Some(line) = rest.windows(2).position(|pair| pair == b"\r\n") else {
            return Ok((content, false, &[]));
        };
        let text = String::from_utf8_lossy(&rest[..line]);
        let size = usize::from_str_radix(&text, 16).map_err(|_| format!("a chunk's size of {text:?}"))?;
        rest = &rest[line + 2..];
        if size == 0 {
            // No trailers are sent here.
            return match rest {
                [b'\r', b'\n', behind @ ..] => Ok((content, true, behind)),
                [] | [b'\r'] => Ok((content, false, &[])),
                _ => Err("no end after the last chunk".to_owned()),
            };
        }
        let (chunk, behind) = rest.split_at(size.min(rest.len()));
        content.extend_from_slice(chunk);
        rest = match behind {
            [b'\r', b'\n', behind @ ..] => behind,
            [] | [b'\r'] => return Ok((content, false, &[])),
            _ => return Err(format!("a chunk longer than {size}")),
        };
    }
}
