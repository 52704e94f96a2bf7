//! As much of a stream of events as counting them needs: the head, chunks, and lines of data that begin with a
//! number.

use memchr::memchr;
use testkit::message;
use testkit::process::Outcome;

/// The digits of an event's number.
pub const DIGITS: usize = 8;

const DATA: &[u8] = b"data: ";

#[derive(Default)]
pub struct Stream {
    state: State,
    /// What is not whole: a head, a chunk's size.
    raw: Vec<u8>,
    /// The beginning of a line, as far as it matters.
    line: Vec<u8>,
}

#[derive(Clone, Copy, Default)]
enum State {
    #[default]
    Head,
    /// Before a chunk's size.
    Size,
    /// So many bytes of a chunk to come.
    Chunk(usize),
    /// So many of the line end behind it.
    LineEnd(usize),
    /// To the end of the connection, as nchan has it.
    Close,
}

impl Stream {
    /// Whether the head has come.
    pub fn is_open(&self) -> bool {
        !matches!(self.state, State::Head)
    }

    /// Takes what a read gave; calls `event` with each event's number.
    pub fn push(&mut self, mut bytes: &[u8], mut event: impl FnMut(usize) -> Outcome<()>) -> Outcome<()> {
        while !bytes.is_empty() {
            match self.state {
                State::Head => {
                    let before = self.raw.len();
                    self.raw.extend_from_slice(bytes);
                    let Some(end) = message::end_of_head(&self.raw) else { return Ok(()) };
                    let head = String::from_utf8_lossy(&self.raw[..end]).to_lowercase();
                    if message::status(&self.raw) != Some(200) {
                        return Err(format!("an answer that is no stream: {head}").into());
                    }
                    let is_chunked = head.contains("transfer-encoding: chunked");
                    self.raw.clear();
                    self.state = if is_chunked { State::Size } else { State::Close };
                    bytes = &bytes[end - before..];
                }
                State::Size => {
                    let Some(at) = memchr(b'\n', bytes) else {
                        self.raw.extend_from_slice(bytes);
                        return Ok(());
                    };
                    self.raw.extend_from_slice(&bytes[..at]);
                    let size = usize::from_str_radix(std::str::from_utf8(&self.raw)?.trim_end(), 16)?;
                    if size == 0 {
                        return Err("the server ended a stream".into());
                    }
                    self.raw.clear();
                    self.state = State::Chunk(size);
                    bytes = &bytes[at + 1..];
                }
                State::Chunk(left) => {
                    let (now, rest) = bytes.split_at(left.min(bytes.len()));
                    self.lines(now, &mut event)?;
                    self.state =
                        if left == now.len() { State::LineEnd(2) } else { State::Chunk(left - now.len()) };
                    bytes = rest;
                }
                State::Close => return self.lines(bytes, &mut event),
                State::LineEnd(left) => {
                    let now = left.min(bytes.len());
                    self.state = if left == now { State::Size } else { State::LineEnd(left - now) };
                    bytes = &bytes[now..];
                }
            }
        }
        Ok(())
    }

    fn lines(&mut self, mut text: &[u8], event: &mut impl FnMut(usize) -> Outcome<()>) -> Outcome<()> {
        while let Some(at) = memchr(b'\n', text) {
            if self.line.is_empty() {
                number(&text[..at], event)?;
            } else {
                self.begin(&text[..at]);
                number(&self.line, event)?;
                self.line.clear();
            }
            text = &text[at + 1..];
        }
        self.begin(text);
        Ok(())
    }

    fn begin(&mut self, text: &[u8]) {
        let room = DATA.len() + DIGITS - self.line.len().min(DATA.len() + DIGITS);
        self.line.extend_from_slice(&text[..text.len().min(room)]);
    }
}

fn number(line: &[u8], event: &mut impl FnMut(usize) -> Outcome<()>) -> Outcome<()> {
    let Some(data) = line.strip_prefix(DATA) else { return Ok(()) };
    // What a server says itself begins with no number.
    match data.get(..DIGITS).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok()) {
        Some(number) => event(number),
        None => Ok(()),
    }
}
