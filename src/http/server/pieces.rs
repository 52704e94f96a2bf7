//! What HTTP/2 framing is given at a time, so that it shows how far a client is behind.
//!
//! hyper takes a piece when the stream's window has room beyond all that came before, and then asks for the
//! next; of a piece that is larger than the window it holds the rest. So the pieces are no larger than a
//! frame, or a client that is slow would look like one that takes nothing; and the last byte of what there
//! is goes alone, so that it is not with hyper before the client has a window for all the others.

use std::sync::Arc;

use bytes::Bytes;
use http_body::Frame;

use super::streams::StreamWatch;

/// The size that clients begin with for frames (RFC 9113 section 6.5.2).
const PIECE: usize = 16 * 1024;

/// Bytes of one stream that are handed over piece by piece, under the stream's watch.
pub(super) struct Pieces {
    watch: Arc<StreamWatch>,
    rest: Bytes,
}

impl Pieces {
    /// Nothing yet to be handed over.
    pub(super) fn new(watch: Arc<StreamWatch>) -> Self {
        Self { watch, rest: Bytes::new() }
    }

    /// What watches over the stream's client.
    pub(super) fn watch(&self) -> &StreamWatch {
        &self.watch
    }

    /// The first piece of `frame`, if that is content; the others are next. All before it have gone.
    pub(super) fn first_of(&mut self, frame: Frame<Bytes>) -> Frame<Bytes> {
        debug_assert!(self.is_empty());
        match frame.into_data() {
            Ok(bytes) => {
                self.rest = bytes;
                Frame::data(self.next().unwrap_or_default())
            }
            Err(other) => other,
        }
    }

    /// Takes the next piece out.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        take_piece(&mut self.rest)
    }

    /// Whether all have gone.
    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }
}

fn take_piece(rest: &mut Bytes) -> Option<Bytes> {
    match rest.len() {
        0 => None,
        1 => Some(std::mem::take(rest)),
        len => Some(rest.split_to(PIECE.min(len - 1))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_frames_and_the_last_byte_goes_alone() {
        for (len, expected) in [
            (0, vec![]),
            (1, vec![1]),
            (2, vec![1, 1]),
            (PIECE, vec![PIECE - 1, 1]),
            (PIECE + 1, vec![PIECE, 1]),
            (PIECE + 2, vec![PIECE, 1, 1]),
            (4 * PIECE, vec![PIECE, PIECE, PIECE, PIECE - 1, 1]),
        ] {
            let bytes: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
            let mut rest = Bytes::from(bytes.clone());
            let (mut lens, mut came) = (Vec::new(), Vec::new());
            while let Some(piece) = take_piece(&mut rest) {
                lens.push(piece.len());
                came.extend_from_slice(&piece);
            }
            assert_eq!(lens, expected);
            assert!(came == bytes);
        }
    }
}
