//! Writing at a pace: a turn is asked for the bytes in hand, and what the writer did not take of it goes
//! back at once.
//!
//! A writer that would block holds no turn: when it is ready again, it asks again.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::AsyncWrite;

use super::Throttle;
use super::pace::Pace;

/// The most slices that go down in one write.
const MAX_SLICES: usize = 16;

/// Writes by `write`, which is told how many bytes it may.
pub(super) fn poll_write(
    pace: &mut Pace,
    cx: &mut Context<'_>,
    wanted: usize,
    write: impl FnOnce(&mut Context<'_>, usize) -> Poll<io::Result<usize>>,
) -> Poll<io::Result<usize>> {
    let turn = ready!(pace.poll_turn(cx, wanted));
    let written = write(cx, turn);
    match written {
        Poll::Ready(Ok(bytes)) if bytes > turn => {
            pace.passed(turn);
            Poll::Ready(Err(io::Error::other("the writer says it wrote more than it was given")))
        }
        Poll::Ready(Ok(bytes)) => {
            pace.passed(bytes);
            written
        }
        _ => {
            pace.passed(0);
            written
        }
    }
}

/// All bytes of some slices.
pub(super) fn bytes_of(slices: &[IoSlice<'_>]) -> usize {
    slices.iter().fold(0, |sum, slice| sum.saturating_add(slice.len()))
}

/// Hands to `write` the slices that begin `slices`, cut where they reach `most` bytes.
pub(super) fn cut<'a, T>(
    slices: &'a [IoSlice<'a>],
    mut most: usize,
    write: impl FnOnce(&[IoSlice<'a>]) -> T,
) -> T {
    let mut cut = [IoSlice::new(&[]); MAX_SLICES];
    let mut used = 0;
    for slice in slices.iter().filter(|slice| !slice.is_empty()).take(MAX_SLICES) {
        if most == 0 {
            break;
        }
        let bytes: &'a [u8] = slice;
        cut[used] = IoSlice::new(&bytes[..most.min(bytes.len())]);
        most -= cut[used].len();
        used += 1;
    }
    write(&cut[..used])
}

impl<IO: AsyncWrite> AsyncWrite for Throttle<IO> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.project();
        poll_write(this.writing, cx, buf.len(), |cx, turn| this.io.poll_write(cx, &buf[..turn]))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.project();
        poll_write(this.writing, cx, bytes_of(bufs), |cx, turn| {
            cut(bufs, turn, |bufs| this.io.poll_write_vectored(cx, bufs))
        })
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().io.poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().io.poll_close(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut_to(texts: &[&'static str], most: usize) -> Vec<String> {
        let slices: Vec<IoSlice<'_>> = texts.iter().map(|text| IoSlice::new(text.as_bytes())).collect();
        cut(&slices, most, |slices| {
            slices.iter().map(|slice| String::from_utf8(slice.to_vec()).unwrap()).collect()
        })
    }

    #[test]
    fn slices_are_cut_where_the_turn_ends() {
        let texts = ["ab", "", "cde", "f"];
        for (most, expected) in [
            (0, &[][..]),
            (1, &["a"]),
            (2, &["ab"]),
            (3, &["ab", "c"]),
            (5, &["ab", "cde"]),
            (6, &["ab", "cde", "f"]),
            (usize::MAX, &["ab", "cde", "f"]),
        ] {
            assert_eq!(cut_to(&texts, most), expected, "{most}");
        }
        assert_eq!(cut_to(&["x"; 20], 20).len(), MAX_SLICES, "the rest is for the next write");
    }
}
