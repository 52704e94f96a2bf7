//! A body that is read in pieces of a wanted size.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame};

/// A body that can be read in pieces of a wanted size. Every [`http_body::Body`] is one, with frames of any size.
pub trait Pieces {
    /// Why the body failed.
    type Error;

    /// Polls for the next frame, of about `want` bytes at most if it is data; `None` after the last. Cancel safe.
    fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
        want: usize,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>>;

    /// Polls for the next frame, as [`poll_piece`](Self::poll_piece) does. If it is data, `before` may be put in front of it in
    /// the same memory, and is empty then. By default it is left.
    fn poll_piece_behind(
        &mut self,
        cx: &mut Context<'_>,
        before: &mut Bytes,
        want: usize,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let _ = before;
        self.poll_piece(cx, want)
    }

    /// Returns whether the body is known to have ended.
    fn is_over(&self) -> bool;

    /// Returns a lower bound of the bytes to come.
    fn min_remaining(&self) -> u64;

    /// Has the processor fetch what a poll uses. See [`PacedBody::prefetch`](crate::body::PacedBody::prefetch). By default nothing.
    fn prefetch(&self) {}
}

impl<B: Body<Data = Bytes> + Unpin> Pieces for B {
    type Error = B::Error;

    fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
        _want: usize,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        Pin::new(self).poll_frame(cx)
    }

    fn is_over(&self) -> bool {
        self.is_end_stream()
    }

    fn min_remaining(&self) -> u64 {
        self.size_hint().lower()
    }
}
