//! What HTTP/2 framing is given at a time, so that it shows how far a client is behind.
//!
//! hyper takes a piece when the stream's window has room beyond all that came before, and then asks for the
//! next; of a piece that is larger than the window it holds the rest. So the pieces are no larger than a
//! frame, or a client that is slow would look like one that takes nothing; and the last byte of what there
//! is goes alone, so that it is not with hyper before the client has a window for all the others.
//!
//! hyper asks for the first piece without knowing of any window. So that is a single byte: before it has gone,
//! neither is the source read, as far as that is not needed for the byte, nor is a coder made.

use std::sync::Arc;

use bytes::{Buf, Bytes};
use http_body::Frame;

use super::held::{CROWDED_PIECE, StreamCharge, StreamHeld};
use super::streams::StreamWatch;
use crate::brigade::MAX_PIECE;

/// The size that clients begin with for frames (RFC 9113 section 6.5.2).
const PIECE: usize = 16 * 1024;

/// Bytes of one stream that are handed over piece by piece, under the stream's watch.
pub(super) struct Pieces {
    watch: Arc<StreamWatch>,
    held: Arc<StreamHeld>,
    /// All that is here but for the last byte.
    rest: Bytes,
    last: Option<u8>,
    /// For all of the chunk that `rest` is of, which stays in memory as long as any part of it.
    charge: Option<StreamCharge>,
    /// A byte was handed over.
    has_begun: bool,
}

impl Pieces {
    /// Nothing yet to be handed over.
    pub(super) fn new(watch: Arc<StreamWatch>, held: Arc<StreamHeld>) -> Self {
        Self { watch, held, rest: Bytes::new(), last: None, charge: None, has_begun: false }
    }

    /// What watches over the stream's client.
    pub(super) fn watch(&self) -> &StreamWatch {
        &self.watch
    }

    /// The most bytes that the next chunk is to have.
    pub(super) fn most(&self) -> u64 {
        match (self.has_begun, self.held.is_crowded()) {
            (false, _) => 1,
            (true, true) => CROWDED_PIECE,
            (true, false) => MAX_PIECE,
        }
    }

    /// The first piece of `frame`, if that is content; the others are next. All before it have gone.
    pub(super) fn first_of(&mut self, frame: Frame<Bytes>) -> Frame<Piece> {
        debug_assert!(self.is_empty());
        let bytes = match frame.into_data() {
            Ok(bytes) => bytes,
            Err(other) => return other.map_data(Piece::from),
        };
        let len = bytes.len();
        self.has_begun |= len > 0;
        self.last = bytes.last().copied();
        self.rest = bytes;
        self.rest.truncate(len.saturating_sub(1));
        self.charge = (len > 1).then(|| self.held.charge(len as u64));
        self.drop_empty_rest();
        Frame::data(self.next().unwrap_or_default())
    }

    /// Takes the next piece out.
    pub(super) fn next(&mut self) -> Option<Piece> {
        if self.rest.is_empty() {
            return self.last.take().map(Piece::from);
        }
        let bytes = self.rest.split_to(PIECE.min(self.rest.len()));
        let charge = if self.rest.is_empty() { self.charge.take() } else { None };
        self.drop_empty_rest();
        Some(Piece { data: Data::Bytes(bytes), _charge: charge })
    }

    /// Whether all have gone.
    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty() && self.last.is_none()
    }

    /// An empty part of a buffer would keep all of it.
    fn drop_empty_rest(&mut self) {
        if self.rest.is_empty() {
            self.rest = Bytes::new();
        }
    }
}

/// Some bytes of content on their way to a client.
#[derive(Default)]
pub(super) struct Piece {
    data: Data,
    /// Of the chunk that this is the last large part of.
    _charge: Option<StreamCharge>,
}

enum Data {
    Bytes(Bytes),
    /// One byte alone: so it does not keep the buffer it was in.
    Byte([u8; 1]),
}

impl Default for Data {
    fn default() -> Self {
        Self::Bytes(Bytes::new())
    }
}

impl Piece {
    /// The bytes alone.
    pub(super) fn into_bytes(self) -> Bytes {
        match self.data {
            Data::Bytes(bytes) => bytes,
            Data::Byte(byte) => Bytes::copy_from_slice(&byte),
        }
    }
}

impl From<Bytes> for Piece {
    fn from(bytes: Bytes) -> Self {
        Self { data: Data::Bytes(bytes), _charge: None }
    }
}

impl From<u8> for Piece {
    fn from(byte: u8) -> Self {
        Self { data: Data::Byte([byte]), _charge: None }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.chunk().len()
    }

    fn chunk(&self) -> &[u8] {
        match &self.data {
            Data::Bytes(bytes) => bytes,
            Data::Byte(byte) => byte,
        }
    }

    fn advance(&mut self, n: usize) {
        match &mut self.data {
            Data::Bytes(bytes) => bytes.advance(n),
            Data::Byte(_) if n == 0 => {}
            Data::Byte(_) => {
                assert_eq!(n, 1, "no further than the end");
                self.data = Data::default();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::sink::{HeldAs, SinkCounts, SinkState};

    fn pieces(totals: &Arc<SinkCounts>) -> Pieces {
        let sink = Arc::new(SinkState::new(Arc::new(ManualClock::new()), Arc::clone(totals)));
        Pieces::new(StreamWatch::new(Arc::clone(&sink)), StreamHeld::new(&sink))
    }

    #[test]
    fn pieces_are_frames_and_the_last_byte_goes_alone() {
        for (len, expected) in [
            (0, vec![0]),
            (1, vec![1]),
            (2, vec![1, 1]),
            (PIECE, vec![PIECE - 1, 1]),
            (PIECE + 1, vec![PIECE, 1]),
            (PIECE + 2, vec![PIECE, 1, 1]),
            (4 * PIECE, vec![PIECE, PIECE, PIECE, PIECE - 1, 1]),
        ] {
            let bytes: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
            let totals = Arc::default();
            let mut pieces = pieces(&totals);
            let (mut lens, mut came) = (Vec::new(), Vec::new());
            let mut next = pieces.first_of(Frame::data(bytes.clone().into())).into_data().ok();
            while let Some(mut piece) = next {
                lens.push(piece.remaining());
                came.extend_from_slice(piece.chunk());
                piece.advance(piece.remaining());
                assert!(!piece.has_remaining());
                next = pieces.next();
            }
            assert_eq!(lens, expected);
            assert!(came == bytes && pieces.is_empty());
            assert_eq!(totals.held().total(), 0);
        }
    }

    #[test]
    fn a_chunk_is_charged_whole_until_its_last_large_piece_has_gone() {
        let totals = Arc::<SinkCounts>::default();
        let mut pieces = pieces(&totals);
        let held = || totals.held().of(HeldAs::Http2);
        let len = 2 * PIECE + 1;
        let first = pieces.first_of(Frame::data(vec![0; len].into()));
        assert_eq!(held(), len as u64);
        drop(first);
        let second = pieces.next();
        assert_eq!(held(), len as u64);
        let last = pieces.next();
        assert_eq!(held(), len as u64);
        drop(second);
        assert_eq!((held(), last.map(Piece::into_bytes)), (0, Some(Bytes::from_static(&[0]))));
    }

    #[test]
    fn the_first_chunk_is_a_byte_and_a_crowded_connections_are_small() {
        let totals = Arc::default();
        let mut pieces = pieces(&totals);
        assert_eq!(pieces.most(), 1);
        drop(pieces.first_of(Frame::data(Bytes::from_static(b"x"))));
        assert_eq!(pieces.most(), MAX_PIECE);
        let crowd = pieces.held.charge(super::super::held::MAX_HELD);
        assert_eq!(pieces.most(), MAX_PIECE);
        let more = pieces.held.charge(1);
        assert_eq!(pieces.most(), CROWDED_PIECE);
        drop((crowd, more));
        assert_eq!(pieces.most(), MAX_PIECE);
    }
}
