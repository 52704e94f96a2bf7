//! A client that reads framing to the letter, and notes when its bytes came.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::message::end_of_head;

/// The pace most tests run at, mod_ratelimit's `rate-limit 60`, and its chunk in 200 ms.
pub const GUIDE: u64 = 61_440;
/// What [`GUIDE`] lets out in 200 ms.
pub const CHUNK: usize = 12_288;

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Where its framing said; for a body without framing, with the connection.
    Complete,
    /// The connection was closed before that.
    Short,
    /// The connection was reset.
    Reset,
    /// The stream of HTTP/2 was reset; its connection lives.
    StreamReset,
}

/// An answer as it came.
#[derive(Debug)]
pub struct Answer {
    /// Status line and fields, with the empty line behind them.
    pub head: String,
    /// The body, without framing.
    pub body: Vec<u8>,
    /// Header lines behind the last chunk.
    pub trailers: String,
    /// How it ended.
    pub end: End,
    /// After each read: time since before the request was sent, and bytes of the body so far.
    pub arrivals: Vec<(Duration, usize)>,
}

impl Answer {
    /// The status; 0 if there is no head.
    pub fn status(&self) -> u16 {
        status(&self.head)
    }

    /// The value of the first header field of this name.
    pub fn field(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }

    /// After each read: time since the head was there, and bytes of the body so far.
    pub fn timeline(&self) -> Vec<(Duration, usize)> {
        let began = self.arrivals.first().map_or(Duration::ZERO, |(at, _)| *at);
        self.arrivals.iter().map(|(at, bytes)| (*at - began, *bytes)).collect()
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// How long it took, from before the request.
    pub fn lasted(&self) -> Duration {
        self.arrivals.last().map_or(Duration::ZERO, |(at, _)| *at)
    }

    /// Checks the bound of every pace: at no time more than burst + one chunk + rate × time, and what is
    /// less than a chunk at the end.
    pub fn assert_paced(&self, rate: u64, burst: usize) {
        let last = self.arrivals.last().map_or(0, |(_, bytes)| *bytes);
        let chunk = rate as usize / 5;
        // It leaves with the chunk before it, and may be read in several pieces.
        self.assert_within(rate, |bytes| if bytes + chunk > last { burst + chunk } else { burst });
    }

    /// The same where nothing may leave on credit, as there was no end of stream.
    pub fn assert_strictly_paced(&self, rate: u64) {
        self.assert_within(rate, |_| 0);
    }

    fn assert_within(&self, rate: u64, extra: impl Fn(usize) -> usize) {
        for (at, bytes) in &self.arrivals {
            let most = extra(*bytes) + rate as usize / 5 + (rate as f64 * at.as_secs_f64()) as usize;
            assert!(*bytes <= most, "{bytes} bytes at {at:?}, {most} were due: {:?}", self.arrivals);
        }
    }
}

/// The status in a response's head; 0 if there is none.
pub fn status(head: &str) -> u16 {
    head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

/// The value of the first field of this name in a head.
pub fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// One connection of a client. What came behind one answer is kept for the next.
pub struct Client<S = TcpStream> {
    /// The connection.
    pub stream: S,
    unread: Vec<u8>,
    asked: Instant,
}

/// How a response's body ends (RFC 9112 section 6.3).
pub enum Framing {
    /// It has none.
    None,
    /// After so many bytes.
    Length(usize),
    /// With the last chunk and the trailers behind it.
    Chunked,
    /// With the connection.
    Close,
}

/// A body as far as it is there.
#[derive(Default)]
pub struct Body {
    /// The bytes of it, without framing.
    pub bytes: Vec<u8>,
    /// Header lines behind the last chunk.
    pub trailers: String,
    /// Where it ends in the raw bytes, if it does.
    pub end: Option<usize>,
}

impl Framing {
    /// The framing of the response to a request with `method`, from the response's head.
    ///
    /// # Panics
    /// If the head claims two framings at once, or one that does not exist.
    pub fn of(method: &str, head: &str) -> Self {
        if method == "HEAD" || matches!(status(head), 100..=199 | 204 | 304) {
            return Self::None;
        }
        let length = field(head, "content-length").map(|length| length.parse().unwrap());
        match (field(head, "transfer-encoding"), length) {
            (Some("chunked"), None) => Self::Chunked,
            (None, Some(length)) => Self::Length(length),
            (None, None) => Self::Close,
            both => panic!("{both:?}"),
        }
    }

    /// What `raw`, the bytes behind the head, holds of the body.
    pub fn body(&self, raw: &[u8]) -> Body {
        match *self {
            Self::None => Body { end: Some(0), ..Body::default() },
            Self::Length(length) => Body {
                bytes: raw[..length.min(raw.len())].to_vec(),
                end: (raw.len() >= length).then_some(length),
                ..Body::default()
            },
            Self::Chunked => dechunk(raw),
            Self::Close => Body { bytes: raw.to_vec(), ..Body::default() },
        }
    }
}

impl<S: Read + Write> Client<S> {
    /// A client of a connection that is open.
    pub fn new(stream: S) -> Self {
        Self { stream, unread: Vec::new(), asked: Instant::now() }
    }

    /// Sends bytes, and starts the watch before.
    pub fn send(&mut self, bytes: &[u8]) {
        self.asked = Instant::now();
        self.stream.write_all(bytes).unwrap();
    }

    /// GETs `target`, with further header lines (each with its CRLF).
    pub fn get(&mut self, target: &str, fields: &str) -> Answer {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: t\r\n{fields}\r\n").as_bytes());
        self.answer()
    }

    /// Sends HEAD for `target`, with further header lines (each with its CRLF).
    pub fn head(&mut self, target: &str, fields: &str) -> Answer {
        self.send(format!("HEAD {target} HTTP/1.1\r\nHost: t\r\n{fields}\r\n").as_bytes());
        self.answer_to("HEAD")
    }

    /// Reads the answer to a GET.
    pub fn answer(&mut self) -> Answer {
        self.answer_to("GET")
    }

    /// Reads the answer to a request with this method.
    ///
    /// # Panics
    /// If a framing is broken, or a read fails for another reason than a reset.
    pub fn answer_to(&mut self, method: &str) -> Answer {
        self.try_answer_to(method).unwrap()
    }

    /// Reads the answer to a request with this method.
    ///
    /// # Errors
    /// A read failed for another reason than a reset.
    ///
    /// # Panics
    /// If a framing is broken.
    pub fn try_answer_to(&mut self, method: &str) -> io::Result<Answer> {
        let mut answer = Answer {
            head: String::new(),
            body: Vec::new(),
            trailers: String::new(),
            end: End::Complete,
            arrivals: Vec::new(),
        };
        loop {
            if let Some(end) = end_of_head(&self.unread) {
                let rest = self.unread.split_off(end);
                answer.head = String::from_utf8(std::mem::replace(&mut self.unread, rest)).unwrap();
                break;
            }
            if let Some(end) = self.read()? {
                answer.end = if end == End::Complete { End::Short } else { end };
                return Ok(answer);
            }
        }
        let framing = Framing::of(method, &answer.head);
        let mut raw = std::mem::take(&mut self.unread);
        loop {
            let body = framing.body(&raw);
            (answer.body, answer.trailers) = (body.bytes, body.trailers);
            answer.arrivals.push((self.asked.elapsed(), answer.body.len()));
            if let Some(end) = body.end {
                self.unread = raw.split_off(end);
                return Ok(answer);
            }
            if let Some(end) = self.read()? {
                let closes = matches!(framing, Framing::Close);
                answer.end = if closes || end == End::Reset { end } else { End::Short };
                return Ok(answer);
            }
            raw.append(&mut self.unread);
        }
    }

    /// Reads what there is; says if the connection ended.
    fn read(&mut self) -> io::Result<Option<End>> {
        let mut buf = [0; 65_536];
        match self.stream.read(&mut buf) {
            Ok(0) => Ok(Some(End::Complete)),
            Ok(n) => {
                self.unread.extend_from_slice(&buf[..n]);
                Ok(None)
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(Some(End::Reset)),
            Err(error) => Err(error),
        }
    }

    /// Whether the server closes the connection without another byte.
    pub fn is_closed(&mut self) -> bool {
        self.unread.is_empty() && self.read().unwrap().is_some()
    }
}

/// Reads the answer to a GET, which must come to its end with nothing behind it.
pub fn answer(stream: impl Read + Write) -> Answer {
    answer_to(stream, "GET")
}

/// Reads the answer to a request with this method, which must come to its end with nothing behind it.
pub fn answer_to(stream: impl Read + Write, method: &str) -> Answer {
    let mut client = Client::new(stream);
    let answer = client.answer_to(method);
    assert_eq!((answer.end, client.unread.len()), (End::Complete, 0), "{}", answer.head);
    answer
}

/// Reads to the clean end of a connection.
pub fn read_all(stream: &mut impl Read) -> Vec<u8> {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    all
}

/// Reads to the end of a connection, which must be a reset.
pub fn read_to_reset(stream: &mut impl Read) -> Vec<u8> {
    let mut all = Vec::new();
    let error = stream.read_to_end(&mut all).expect_err("a clean end");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    all
}

/// Reads the chunked coding to the letter (RFC 9112 section 7.1).
pub fn dechunk(raw: &[u8]) -> Body {
    let mut chunks = Body::default();
    let mut at = 0;
    loop {
        let Some(line) = find(&raw[at..], b"\r\n") else { return chunks };
        let text = std::str::from_utf8(&raw[at..at + line]).unwrap();
        let size = usize::from_str_radix(text, 16).unwrap_or_else(|_| panic!("chunk size {text:?}"));
        at += line + 2;
        if size == 0 {
            let trailers = &raw[at..];
            chunks.end = if trailers.starts_with(b"\r\n") {
                Some(at + 2)
            } else {
                find(trailers, b"\r\n\r\n").map(|end| {
                    chunks.trailers = String::from_utf8(trailers[..end].to_vec()).unwrap();
                    at + end + 4
                })
            };
            return chunks;
        }
        let there = size.min(raw.len() - at);
        chunks.bytes.extend_from_slice(&raw[at..at + there]);
        at += size;
        if raw.len() < at + 2 {
            return chunks;
        }
        assert_eq!(&raw[at..at + 2], b"\r\n", "behind a chunk of {size}");
        at += 2;
    }
}

/// Where `needle` is first in `haystack`.
pub fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// Bytes in which a missing, doubled or misplaced one shows.
pub fn content(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}
