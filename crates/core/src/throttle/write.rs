//! Limits writes: a turn is requested for the bytes to be written, and what the writer does not take of it is returned at
//! once. So a writer that would block holds no turn.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use super::pace::Pace;

/// The most slices of one write.
const MAX_SLICES: usize = 16;

/// Calls `write` with the number of bytes that it may write, at most `wanted`.
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
            Poll::Ready(Err(io::Error::other("the writer returned more than the length of the buffer")))
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

/// The total length of `slices`.
pub(super) fn bytes_of(slices: &[IoSlice<'_>]) -> usize {
    slices.iter().fold(0, |sum, slice| sum.saturating_add(slice.len()))
}

/// Calls `write` with the first `most` bytes of `slices`, in at most [`MAX_SLICES`].
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
