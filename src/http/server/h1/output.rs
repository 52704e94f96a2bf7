//! The write queue of a connection: heads and content, with chunk framing around it.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_lite::io::AsyncWrite;

use crate::sink::{Sink, Wire};

/// The most pieces in the queue.
const MAX_PIECES: usize = 16;

/// Bytes from which no more pieces are gathered: small ones share a write, a large one goes alone.
const MAX_GATHERED: usize = 40 * 1024;

/// Capacity that an empty queue keeps.
const KEPT_PIECES: usize = 4;

/// A queue of pieces.
#[derive(Default)]
pub(super) struct Output {
    pieces: VecDeque<Piece>,
    /// Their bytes, without chunk framing.
    len: usize,
    /// The sink took less than was offered at the last write.
    is_refused: bool,
}

/// Bytes, and the framing around them.
struct Piece {
    before: SizeLine,
    data: Bytes,
    after: &'static [u8],
}

/// The size line of a chunk, or nothing.
#[derive(Default)]
struct SizeLine {
    text: [u8; 18],
    at: u8,
    end: u8,
}

impl SizeLine {
    fn of(len: usize) -> Self {
        let mut line = Self::default();
        let mut rest = &mut line.text[..];
        // Sixteen digits and CRLF fit.
        let _ = write!(rest, "{len:x}\r\n");
        line.end = 18 - rest.len() as u8;
        line
    }

    fn as_slice(&self) -> &[u8] {
        &self.text[usize::from(self.at)..usize::from(self.end)]
    }

    fn advance(&mut self, len: usize) {
        // At most 18.
        self.at += len as u8;
    }
}

impl Piece {
    fn len(&self) -> usize {
        self.before.as_slice().len() + self.data.len() + self.after.len()
    }

    /// Removes up to `len` bytes from the front; returns how many of `len` are left.
    fn advance(&mut self, mut len: usize) -> usize {
        let before = len.min(self.before.as_slice().len());
        self.before.advance(before);
        len -= before;
        let data = len.min(self.data.len());
        self.data.advance(data);
        len -= data;
        let after = len.min(self.after.len());
        self.after = &self.after[after..];
        len - after
    }
}

impl Output {
    /// Whether more pieces may be added before the next write.
    pub(super) fn has_room(&self) -> bool {
        self.pieces.len() < MAX_PIECES && self.len < MAX_GATHERED
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Whether the last write was refused, so that the next one may wait.
    pub(super) fn is_refused(&self) -> bool {
        self.is_refused
    }

    /// Releases the memory of an empty queue, for a while in which nothing is due.
    pub(super) fn release(&mut self) {
        if self.pieces.is_empty() && self.pieces.capacity() > 0 {
            self.pieces = VecDeque::new();
        }
    }

    /// Adds bytes as they are.
    pub(super) fn push(&mut self, data: Bytes) {
        self.add(Piece { before: SizeLine::default(), data, after: b"" });
    }

    /// Adds a chunk. Must not be empty: that would end the content.
    pub(super) fn push_chunk(&mut self, data: Bytes) {
        self.add(Piece { before: SizeLine::of(data.len()), data, after: b"\r\n" });
    }

    fn add(&mut self, piece: Piece) {
        self.len += piece.data.len();
        self.pieces.push_back(piece);
    }

    /// Writes the queue to the sink. Ready when it is empty.
    pub(super) fn poll_write<W: Wire>(
        &mut self,
        cx: &mut Context<'_>,
        sink: &mut Sink<W>,
    ) -> Poll<io::Result<()>> {
        while !self.pieces.is_empty() {
            let mut slices = [IoSlice::new(&[]); MAX_PIECES];
            let parts =
                self.pieces.iter().flat_map(|piece| [piece.before.as_slice(), &piece.data, piece.after]);
            let mut used = 0;
            for (slice, part) in slices.iter_mut().zip(parts.filter(|part| !part.is_empty())) {
                *slice = IoSlice::new(part);
                used += 1;
            }
            let written = Pin::new(&mut *sink).poll_write_vectored(cx, &slices[..used]);
            self.is_refused = written.is_pending();
            let written = ready!(written)?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(written);
        }
        if self.pieces.capacity() > 2 * KEPT_PIECES {
            self.pieces.shrink_to(KEPT_PIECES);
        }
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, mut len: usize) {
        while let Some(first) = self.pieces.front_mut() {
            let before = first.data.len();
            len = first.advance(len);
            self.len -= before - first.data.len();
            if first.len() > 0 {
                return;
            }
            self.pieces.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_framed_and_any_part_of_them_may_be_written_first() {
        let whole = b"head\r\n\r\n3\r\nabc\r\n12\r\n0123456789abcdefgh\r\n0\r\n\r\n";
        for step in 1..=whole.len() {
            let mut output = Output::default();
            output.push(Bytes::from_static(b"head\r\n\r\n"));
            output.push_chunk(Bytes::from_static(b"abc"));
            output.push_chunk(Bytes::from_static(b"0123456789abcdefgh"));
            output.push(Bytes::from_static(b"0\r\n\r\n"));
            assert_eq!(output.len, 8 + 3 + 18 + 5);
            let mut came = Vec::new();
            while !output.is_empty() {
                let parts = output
                    .pieces
                    .iter()
                    .flat_map(|piece| [piece.before.as_slice(), &piece.data, piece.after]);
                let bytes: Vec<u8> = parts.flatten().copied().take(step).collect();
                output.advance(bytes.len());
                came.extend(bytes);
            }
            assert_eq!((came.as_slice(), output.len), (&whole[..], 0), "{step} at a time");
        }
        assert_eq!(SizeLine::of(usize::MAX).as_slice(), b"ffffffffffffffff\r\n");
    }

    #[test]
    fn what_is_gathered_has_a_bound() {
        let mut output = Output::default();
        for _ in 0..MAX_PIECES {
            assert!(output.has_room());
            output.push(Bytes::from_static(b"x"));
        }
        assert!(!output.has_room());
        let mut output = Output::default();
        output.push(vec![0; MAX_GATHERED - 1].into());
        assert!(output.has_room());
        output.push_chunk(Bytes::from_static(b"x"));
        assert!(!output.has_room());
    }
}
