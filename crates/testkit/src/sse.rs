//! An answer that is a stream of events, as far as it came: bytes in, events out.
//!
//! Strict: what our server does not write, and nginx does not make of it, is a failure. Knows no socket.

use std::io::BufRead;

/// An event as a client has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its `event:`, or `message`.
    pub kind: String,
    /// Its `data:` lines, joined.
    pub data: String,
    /// Its `id:`.
    pub id: Option<String>,
}

impl Event {
    /// The data as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.data).unwrap_or_else(|_| panic!("{self:?}"))
    }
}

/// One response over HTTP/1, read piece by piece.
#[derive(Default)]
pub struct Answer {
    /// Status line and fields, when all of them are there.
    pub head: String,
    framing: Framing,
    /// Bytes of head or framing that are not yet enough.
    raw: Vec<u8>,
    /// Text of the stream that is no event yet, and the lines in it that were looked at.
    text: Vec<u8>,
    seen: usize,
    /// The last `retry:`, in milliseconds.
    pub retry: Option<u64>,
    /// Lines that say nothing: heartbeats.
    pub comments: usize,
    /// The response ended where its framing says.
    pub ended: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Framing {
    #[default]
    Head,
    /// To the end of the connection.
    Close,
    /// A body of so many bytes more.
    Length(usize),
    /// Before a chunk's length.
    Size,
    /// In a chunk, with so many bytes to come, its line end among them.
    Chunk(usize),
    Done,
}

impl Answer {
    /// One whose head and framing somebody else has read. Who sees its end says that it `ended`.
    pub fn content() -> Self {
        Self { framing: Framing::Close, ..Self::default() }
    }

    /// Takes what a read gave.
    pub fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.framing {
                Framing::Head => bytes = self.head(bytes),
                Framing::Close => {
                    self.text.extend_from_slice(bytes);
                    return;
                }
                Framing::Length(left) => {
                    let (now, rest) = bytes.split_at(left.min(bytes.len()));
                    self.text.extend_from_slice(now);
                    self.framing = Framing::Length(left - now.len());
                    self.ended = left == now.len();
                    assert!(rest.is_empty(), "more than the length: {:?}", String::from_utf8_lossy(rest));
                    return;
                }
                Framing::Size => bytes = self.size(bytes),
                Framing::Chunk(left) => {
                    let (now, rest) = bytes.split_at(left.min(bytes.len()));
                    // Not the line end behind the chunk.
                    self.text.extend_from_slice(&now[..now.len().min(left.saturating_sub(2))]);
                    self.framing =
                        if left > now.len() { Framing::Chunk(left - now.len()) } else { Framing::Size };
                    bytes = rest;
                }
                Framing::Done => panic!("more than the end: {:?}", String::from_utf8_lossy(bytes)),
            }
        }
    }

    fn head<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let before = self.raw.len();
        self.raw.extend_from_slice(bytes);
        let Some(end) = self.raw.windows(4).position(|window| window == b"\r\n\r\n") else { return &[] };
        self.raw.truncate(end + 4);
        let head = String::from_utf8(std::mem::take(&mut self.raw)).unwrap();
        let lower = head.to_lowercase();
        let length = lower.split_once("\r\ncontent-length: ").and_then(|(_, rest)| rest.split_once("\r\n"));
        self.framing = match length {
            _ if lower.contains("\r\ntransfer-encoding: chunked\r\n") => Framing::Size,
            Some((length, _)) => Framing::Length(length.parse().unwrap()),
            None => Framing::Close,
        };
        self.head = head;
        &bytes[end + 4 - before..]
    }

    fn size<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let Some(at) = bytes.iter().position(|byte| *byte == b'\n') else {
            self.raw.extend_from_slice(bytes);
            return &[];
        };
        self.raw.extend_from_slice(&bytes[..at]);
        let line = String::from_utf8(std::mem::take(&mut self.raw)).unwrap();
        let line = line.trim_end();
        // The empty line behind the last chunk.
        if self.ended {
            assert_eq!(line, "");
            self.framing = Framing::Done;
            return &bytes[at + 1..];
        }
        match usize::from_str_radix(line, 16).unwrap_or_else(|_| panic!("{line:?} is no chunk's length")) {
            0 => self.ended = true,
            size => self.framing = Framing::Chunk(size + 2),
        }
        &bytes[at + 1..]
    }

    /// A response may end with a `retry:` that no empty line follows.
    fn last_lines(&mut self) {
        let end = self.text.len();
        assert!(self.block(end).is_none() && (end == 0 || self.text.ends_with(b"\n")), "cut within an event");
        self.text.clear();
        self.seen = 0;
    }

    fn block(&mut self, end: usize) -> Option<Event> {
        let (mut kind, mut data, mut id) = (None, None::<String>, None);
        for line in std::str::from_utf8(&self.text[..end]).unwrap().lines().filter(|line| !line.is_empty()) {
            match line.split_once(": ").unwrap_or((line, "")) {
                (":", "") => self.comments += 1,
                ("traceparent", _) => {}
                ("retry", value) => self.retry = Some(value.parse().unwrap()),
                ("event", value) => kind = Some(value.to_owned()),
                ("id", value) => id = Some(value.to_owned()),
                ("data", value) => {
                    data = Some(data.map_or_else(|| value.to_owned(), |data| format!("{data}\n{value}")));
                }
                other => panic!("{other:?}"),
            }
        }
        data.map(|data| Event { kind: kind.unwrap_or_else(|| "message".to_owned()), data, id })
    }
}

/// The events that are whole. None is not the end: more may come with the next [`push`](Answer::push).
impl Iterator for Answer {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        loop {
            // Not by hand: what looks for a byte in the standard library is fast in debug builds too.
            let line = (&self.text[self.seen..]).skip_until(b'\n').unwrap();
            let end = self.seen + line;
            if line == 0 || self.text[end - 1] != b'\n' {
                if self.ended {
                    self.last_lines();
                }
                return None;
            }
            self.seen = end;
            if line == 1 {
                let event = self.block(end);
                self.text.drain(..end);
                self.seen = 0;
                if event.is_some() {
                    return event;
                }
            }
        }
    }
}
