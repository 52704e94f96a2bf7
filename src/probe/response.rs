//! Responses of HTTP/1, as they come off the wire: where the head ends, which bytes are content, and where the
//! response does (RFC 9112, section 6).
//!
//! Pure: it is told bytes. Content is what is left when heads and chunked framing are taken off, before any
//! content coding is undone; rates are about that.

use std::fmt;

/// The most bytes of a head, interim responses included, and of the trailer fields.
const MOST_HEAD: usize = 64 * 1024;

/// The most fields of a head.
const MOST_FIELDS: usize = 128;

/// A response that is being read.
#[derive(Debug)]
pub struct Response {
    part: Part,
    /// What has come of a head that is not whole yet.
    head: Vec<u8>,
    keeps: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Head,
    /// So many bytes of content are yet to come.
    Length(u64),
    Chunked(Framing),
    /// Content is all there is until the connection ends.
    UntilClose,
    Whole,
}

/// Where in the chunked framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// In the size of a chunk: what it is so far, and of how many digits.
    Size(u64, u8),
    /// Behind the size, to the end of its line.
    Extension(u64, usize),
    Data(u64),
    /// The line's end that follows a chunk's data.
    Behind,
    /// In the trailer: bytes of the present line without its end, and of all lines.
    Trailer(usize, usize),
}

/// What some bytes were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Of how many bytes this response consists.
    pub used: usize,
    /// How many of them were content.
    pub content: u64,
}

/// Why a response is none, or not one that can be measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResponseError {
    /// The server answered something else than the content; with the address a redirect names.
    Status(u16, Option<String>),
    /// The bytes are no HTTP/1.
    Malformed(String),
    /// The connection ended before the response did.
    Short,
}

impl Response {
    /// A response of which nothing has come yet, to a GET.
    pub fn new() -> Self {
        Self { part: Part::Head, head: Vec::new(), keeps: false }
    }

    /// Whether its head has come.
    pub fn has_head(&self) -> bool {
        self.part != Part::Head
    }

    /// Whether all of it has come.
    pub fn is_whole(&self) -> bool {
        self.part == Part::Whole
    }

    /// Whether nothing of it has come.
    pub fn is_untouched(&self) -> bool {
        self.part == Part::Head && self.head.is_empty()
    }

    /// Whether the connection can be asked again when it is whole.
    pub fn keeps_connection(&self) -> bool {
        self.keeps
    }

    /// Reads what came, to the end of the response at most.
    ///
    /// # Errors
    /// The head is none, is larger than 64 KiB, or its status is not a success; the framing is broken.
    pub fn take(&mut self, input: &[u8]) -> Result<Taken, ResponseError> {
        let mut taken = Taken::default();
        while taken.used < input.len() {
            let rest = &input[taken.used..];
            match &mut self.part {
                Part::Whole => break,
                Part::Head => taken.used += self.take_head(rest)?,
                Part::UntilClose => {
                    taken.used += rest.len();
                    taken.content += rest.len() as u64;
                }
                Part::Length(left) => {
                    let len = (*left).min(rest.len() as u64);
                    *left -= len;
                    let whole = *left == 0;
                    taken.used += len as usize;
                    taken.content += len;
                    if whole {
                        self.part = Part::Whole;
                    }
                }
                Part::Chunked(Framing::Data(left)) => {
                    let len = (*left).min(rest.len() as u64);
                    *left -= len;
                    let whole = *left == 0;
                    taken.used += len as usize;
                    taken.content += len;
                    if whole {
                        self.part = Part::Chunked(Framing::Behind);
                    }
                }
                Part::Chunked(framing) => {
                    self.part = framing.next(rest[0])?;
                    taken.used += 1;
                }
            }
        }
        Ok(taken)
    }

    /// The connection has ended.
    ///
    /// # Errors
    /// Before the response did.
    pub fn ended(&mut self) -> Result<(), ResponseError> {
        match self.part {
            Part::Whole => Ok(()),
            Part::UntilClose => {
                self.part = Part::Whole;
                Ok(())
            }
            Part::Head | Part::Length(_) | Part::Chunked(_) => Err(ResponseError::Short),
        }
    }

    /// Gives how many of the bytes belong to the head.
    fn take_head(&mut self, input: &[u8]) -> Result<usize, ResponseError> {
        // Only what an earlier call could not use is copied together with what came now.
        let before = self.head.len();
        let room = MOST_HEAD.saturating_sub(before);
        self.head.extend_from_slice(&input[..input.len().min(room)]);
        let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
        let mut head = httparse::Response::new(&mut fields);
        let len = match head.parse(&self.head) {
            Ok(httparse::Status::Complete(len)) => len,
            Ok(httparse::Status::Partial) if self.head.len() < MOST_HEAD => return Ok(input.len()),
            Ok(httparse::Status::Partial) => return Err(malformed("its head is larger than 64 KiB")),
            Err(error) => return Err(malformed(&format!("what it answers is not HTTP/1: {error}"))),
        };
        let (part, keeps) = meaning(&head)?;
        self.part = part;
        self.keeps = keeps;
        self.head.clear();
        Ok(len - before)
    }
}

impl Default for Response {
    fn default() -> Self {
        Self::new()
    }
}

/// What follows a head, and whether the connection is kept.
fn meaning(head: &httparse::Response<'_, '_>) -> Result<(Part, bool), ResponseError> {
    let status = head.code.unwrap_or(0);
    let values = |name: &str| {
        let all = head.headers.iter().filter(move |field| field.name.eq_ignore_ascii_case(name));
        all.map(|field| String::from_utf8_lossy(field.value).trim().to_owned()).collect::<Vec<_>>()
    };
    match status {
        100 | 102..=199 => return Ok((Part::Head, false)),
        200..=299 => {}
        _ => return Err(ResponseError::Status(status, values("location").into_iter().next())),
    }
    let connection = values("connection").join(",").to_ascii_lowercase();
    let says = |word: &str| connection.split(',').any(|token| token.trim() == word);
    let keeps = if head.version == Some(1) { !says("close") } else { says("keep-alive") };
    if status == 204 {
        return Ok((Part::Whole, keeps));
    }
    let codings = values("transfer-encoding").join(",").to_ascii_lowercase();
    if let Some(last) = codings.rsplit(',').next().filter(|last| !last.is_empty()) {
        let chunked = last.trim() == "chunked";
        let part = if chunked { Part::Chunked(Framing::Size(0, 0)) } else { Part::UntilClose };
        return Ok((part, keeps && chunked));
    }
    let lengths = values("content-length").join(",");
    if lengths.is_empty() {
        return Ok((Part::UntilClose, false));
    }
    let mut numbers = lengths.split(',').map(|length| {
        let length = length.trim();
        let digits = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
        length.parse::<u64>().ok().filter(|_| digits)
    });
    let length = numbers.next().flatten();
    match length.filter(|length| numbers.all(|other| other == Some(*length))) {
        Some(0) => Ok((Part::Whole, keeps)),
        Some(length) => Ok((Part::Length(length), keeps)),
        None => Err(malformed(&format!("its Content-Length {lengths:?} is no length"))),
    }
}

impl Framing {
    fn next(self, byte: u8) -> Result<Part, ResponseError> {
        let broken = || malformed("its chunked framing is broken");
        let sized = |size: u64| match size {
            0 => Framing::Trailer(0, 0),
            size => Framing::Data(size),
        };
        let next = match (self, byte) {
            (Self::Size(size, digits), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = char::from(byte).to_digit(16).map_or(0, u64::from);
                // Sixteen digits are all that fit.
                if digits == 16 {
                    return Err(broken());
                }
                Self::Size(size << 4 | digit, digits + 1)
            }
            (Self::Size(_, 0), _) => return Err(broken()),
            (Self::Size(size, _) | Self::Extension(size, _), b'\n') => sized(size),
            (Self::Size(size, _), b'\r' | b';' | b' ' | b'\t') => Self::Extension(size, 0),
            (Self::Extension(size, len), _) if len < MOST_HEAD => Self::Extension(size, len + 1),
            (Self::Behind, b'\r') => Self::Behind,
            (Self::Behind, b'\n') => Self::Size(0, 0),
            (Self::Trailer(0, _), b'\n') => return Ok(Part::Whole),
            (Self::Trailer(_, all), b'\n') => Self::Trailer(0, all + 1),
            (Self::Trailer(line, all), b'\r') => Self::Trailer(line, all + 1),
            (Self::Trailer(line, all), _) if all < MOST_HEAD => Self::Trailer(line + 1, all + 1),
            _ => return Err(broken()),
        };
        Ok(Part::Chunked(next))
    }
}

fn malformed(why: &str) -> ResponseError {
    ResponseError::Malformed(why.to_owned())
}

impl fmt::Display for ResponseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status, place) => {
                let reason = http::StatusCode::from_u16(*status).ok().and_then(|it| it.canonical_reason());
                write!(f, "it answers {status} {}", reason.unwrap_or("(unknown)"))?;
                match place {
                    Some(place) if (300..400).contains(status) => {
                        write!(f, ", to {place:?}; redirects are not followed, ask for that")
                    }
                    _ => Ok(()),
                }
            }
            Self::Malformed(why) => f.write_str(why),
            Self::Short => f.write_str("the connection ended before the response did"),
        }
    }
}

impl std::error::Error for ResponseError {}

#[cfg(test)]
#[path = "response_tests.rs"]
mod tests;
