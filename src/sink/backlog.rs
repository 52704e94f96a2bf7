//! Bytes a socket refused: a bounded buffer that exists only while it holds something.

use std::io::IoSlice;

/// A first-in-first-out buffer of at most `cap` bytes.
///
/// Its memory is allocated when the first byte comes and given back when the last has gone.
#[derive(Debug)]
pub(super) struct Backlog {
    bytes: Vec<u8>,
    /// Bytes at the front that have gone already.
    gone: usize,
    cap: usize,
}

impl Backlog {
    pub(super) fn new(cap: usize) -> Self {
        Self { bytes: Vec::new(), gone: 0, cap: cap.max(1) }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.gone
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn room(&self) -> usize {
        self.cap - self.len()
    }

    /// What is held, in order.
    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[self.gone..]
    }

    /// Appends at most `most` bytes of `bufs`, as far as there is room, and says how many.
    pub(super) fn take(&mut self, bufs: &[IoSlice<'_>], most: usize) -> usize {
        let offered = bufs.iter().map(|buf| buf.len()).sum::<usize>();
        let mut left = most.min(self.room()).min(offered);
        let taken = left;
        if left > 0 && self.bytes.capacity() == 0 {
            self.bytes.reserve_exact(self.cap);
        }
        if self.bytes.len() + left > self.cap {
            self.bytes.drain(..self.gone);
            self.gone = 0;
        }
        for buf in bufs {
            let n = left.min(buf.len());
            self.bytes.extend_from_slice(&buf[..n]);
            left -= n;
        }
        taken
    }

    /// Forgets the first `n` bytes: the socket took them.
    pub(super) fn advance(&mut self, n: usize) {
        self.gone += n.min(self.len());
        if self.is_empty() {
            *self = Self::new(self.cap);
        }
    }

    /// Whether it holds memory.
    #[cfg(test)]
    pub(super) fn is_allocated(&self) -> bool {
        self.bytes.capacity() > 0
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
