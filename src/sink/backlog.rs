//! Bytes a socket refused: a bounded buffer that exists only while it holds something.

use std::io::IoSlice;

use crate::rt::Pages;
use crate::sync::Mutex;

/// Memory of drained buffers, reused because a fast reader's socket refuses bytes now and then too, and most buffers
/// of a process have one size.
static SPARE: Spare = Spare(Mutex::new(Vec::new()));

/// Bounds of [`SPARE`]: bytes in all, and pieces. What a crowd of slow readers held beyond them returns to the
/// system.
const MAX_SPARE: usize = 1024 * 1024;
const MAX_SPARES: usize = 16;

/// A first-in-first-out buffer of at most `cap` bytes.
///
/// Allocated with the first byte, and released with the last.
#[derive(Debug)]
pub(super) struct Backlog {
    /// Empty, or `cap` bytes.
    memory: Pages,
    /// The end of the bytes that are held.
    filled: usize,
    /// Their start: bytes before it were written to the socket.
    gone: usize,
    cap: usize,
}

impl Backlog {
    pub(super) fn new(cap: usize) -> Self {
        Self { memory: Pages::default(), filled: 0, gone: 0, cap: cap.max(1) }
    }

    pub(super) fn len(&self) -> usize {
        self.filled - self.gone
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn room(&self) -> usize {
        self.cap - self.len()
    }

    /// The bytes held, in order.
    pub(super) fn as_slice(&self) -> &[u8] {
        &self.memory[self.gone..self.filled]
    }

    /// Appends at most `most` bytes of `bufs`, as far as there is room. Returns how many.
    pub(super) fn take(&mut self, bufs: &[IoSlice<'_>], most: usize) -> usize {
        let offered = bufs.iter().map(|buf| buf.len()).sum::<usize>();
        let mut left = most.min(self.room()).min(offered);
        let taken = left;
        if left > 0 && !self.is_allocated() {
            self.memory = SPARE.take(self.cap);
        }
        if self.filled + left > self.cap {
            self.memory.copy_within(self.gone..self.filled, 0);
            (self.filled, self.gone) = (self.len(), 0);
        }
        for buf in bufs {
            let n = left.min(buf.len());
            self.memory[self.filled..self.filled + n].copy_from_slice(&buf[..n]);
            self.filled += n;
            left -= n;
        }
        taken
    }

    /// Removes the first `n` bytes, which the socket took.
    pub(super) fn advance(&mut self, n: usize) {
        self.gone += n.min(self.len());
        if self.is_empty() {
            self.give_back();
        }
    }

    /// Whether it holds memory.
    pub(super) fn is_allocated(&self) -> bool {
        !self.memory.is_empty()
    }

    fn give_back(&mut self) {
        (self.filled, self.gone) = (0, 0);
        if self.is_allocated() {
            SPARE.keep(std::mem::take(&mut self.memory));
        }
    }
}

impl Drop for Backlog {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// Unused memory, with stale contents.
struct Spare(Mutex<Vec<Pages>>);

impl Spare {
    /// Returns `len` bytes.
    fn take(&self, len: usize) -> Pages {
        let last = self.0.lock().pop();
        last.filter(|pages| pages.len() == len).unwrap_or_else(|| Pages::new(len))
    }

    fn keep(&self, pages: Pages) {
        let mut kept = self.0.lock();
        let sum: usize = kept.iter().map(|pages| pages.len()).sum();
        if kept.len() < MAX_SPARES && sum + pages.len() <= MAX_SPARE {
            kept.push(pages);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn it_takes_up_to_its_cap_and_holds_memory_only_while_it_holds_bytes() {
        for (offered, taken) in [(0, 0), (1, 1), (7, 7), (8, 8), (9, 8)] {
            let mut backlog = Backlog::new(8);
            assert_eq!(backlog.take(&[IoSlice::new(&vec![1; offered])], usize::MAX), taken);
            assert_eq!((backlog.len(), backlog.room()), (taken, 8 - taken));
            assert_eq!(backlog.is_allocated(), taken > 0);
            backlog.advance(taken);
            assert!(backlog.is_empty() && !backlog.is_allocated());
        }
    }

    #[test]
    fn memory_that_is_kept_fits_and_is_bounded() {
        let spare = Spare(Mutex::default());
        let kept = || spare.0.lock().len();
        for (len, most) in [(1, 16), (64 * 1024, 16), (300_000, 3), (MAX_SPARE, 1), (MAX_SPARE + 1, 0)] {
            (0..20).for_each(|_| spare.keep(Pages::new(len)));
            assert_eq!(kept(), most, "of {len}");
            while kept() > 0 {
                assert_eq!(spare.take(len).len(), len);
            }
        }
        spare.keep(Pages::new(7));
        assert_eq!((spare.take(5).len(), kept()), (5, 0), "one of another size is of no use");
    }

    proptest! {
        #[test]
        fn bytes_come_out_as_they_went_in(
            offers in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..20), 0usize..20), 0..40),
        ) {
            let mut backlog = Backlog::new(32);
            let (mut went_in, mut came_out) = (Vec::new(), Vec::new());
            for (bytes, gone) in offers {
                let cut = bytes.len() / 2;
                let bufs = [IoSlice::new(&bytes[..cut]), IoSlice::new(&bytes[cut..])];
                let taken = backlog.take(&bufs, 15);
                prop_assert!(taken <= 15 && backlog.len() <= 32);
                went_in.extend_from_slice(&bytes[..taken]);
                let gone = gone.min(backlog.len());
                came_out.extend_from_slice(&backlog.as_slice()[..gone]);
                backlog.advance(gone);
            }
            came_out.extend_from_slice(backlog.as_slice());
            prop_assert_eq!(came_out, went_in);
        }
    }
}
