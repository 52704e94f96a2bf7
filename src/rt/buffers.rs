//! Pools of read buffers for files and backends.
//!
//! A buffer is zeroed once, when it is created, and returns to its pool when the last [`Bytes`] of it is dropped. So a
//! chunk costs neither an allocation of its size nor zeroing, and a sleeping stream holds no buffer.

use std::cell::RefCell;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, ready};

use bytes::{Buf, Bytes};

use super::Pages;
use crate::sync::Mutex;

/// Pools by buffer size, with the number of buffers kept: together at most 3.5 MiB in the process, and one of each for
/// each thread.
///
/// 4 KiB holds a message's head or the chunk of rates up to 20 KiB/s, 16 KiB that of rates up to 80 KiB/s
/// (12 288 bytes at 60 KiB/s), 64 KiB the largest piece behind a head. As many are in use as there are
/// pieces on their way to sockets; surplus buffers are freed.
static POOLS: [Pool; 3] =
    [Pool::new(4 * 1024, 128, Some(0)), Pool::new(16 * 1024, 64, Some(1)), Pool::new(64 * 1024, 32, Some(2))];

thread_local! {
    /// The buffer of each pool that came back to this thread last, or none. It is in this processor's cache, and the next
    /// reader takes it without a lock.
    static LAST: RefCell<[Pages; POOLS.len()]> = RefCell::default();
}

/// Bytes of all buffers in use: being read into, or holding content on its way to sockets. Buffers in their pools do not
/// count.
pub fn read_buffers() -> usize {
    POOLS.iter().map(|pool| pool.lent.load(Ordering::Relaxed) * pool.size).sum()
}

/// Reads by `read`, behind a copy of `before`, about `want` bytes at most into a buffer of the pools; empty at the end of what is
/// read. No buffer is held while it waits.
pub(crate) fn poll_read_behind(
    before: &[u8],
    want: usize,
    read: impl FnOnce(&mut [u8]) -> Poll<io::Result<usize>>,
) -> Poll<io::Result<Bytes>> {
    let mut buffer = Buffer::take(before.len() + want);
    let (head, space) = buffer.space(before.len() + want).split_at_mut(before.len());
    let len = ready!(read(space))?;
    if len == 0 {
        return Poll::Ready(Ok(Bytes::new()));
    }
    head.copy_from_slice(before);
    Poll::Ready(Ok(buffer.freeze_or_copy(0..before.len() + len)))
}

struct Pool {
    size: usize,
    /// Its place in [`LAST`]; `None` in tests.
    place: Option<usize>,
    keep: usize,
    lent: AtomicUsize,
    /// Invariant: each is `size` bytes long, and there are at most `keep`.
    idle: Mutex<Vec<Pages>>,
}

impl Pool {
    const fn new(size: usize, keep: usize, place: Option<usize>) -> Self {
        Self { size, place, keep, lent: AtomicUsize::new(0), idle: Mutex::new(Vec::new()) }
    }

    fn take(&'static self) -> Buffer {
        self.lent.fetch_add(1, Ordering::Relaxed);
        let last = self.place.map(|place| LAST.with_borrow_mut(|last| std::mem::take(&mut last[place])));
        let bytes = match last.filter(|bytes| !bytes.is_empty()) {
            Some(bytes) => bytes,
            None => self.idle.lock().pop().unwrap_or_else(|| Pages::new(self.size)),
        };
        Buffer { bytes, filled: 0, pool: self }
    }

    fn give_back(&self, mut bytes: Pages) {
        self.lent.fetch_sub(1, Ordering::Relaxed);
        if let Some(place) = self.place {
            // A thread that ends has none any more.
            let _ = LAST.try_with(|last| std::mem::swap(&mut last.borrow_mut()[place], &mut bytes));
            if bytes.is_empty() {
                return;
            }
        }
        let mut idle = self.idle.lock();
        if idle.len() < self.keep {
            idle.push(bytes);
        }
    }
}

/// A buffer taken from its pool.
pub(crate) struct Buffer {
    bytes: Pages,
    /// Bytes at its start that were read into.
    filled: usize,
    pool: &'static Pool,
}

impl Buffer {
    /// A buffer of at least `want` bytes, or of the largest size if `want` is beyond that.
    ///
    /// It still has its old contents: only bytes that a read filled may be used.
    pub(crate) fn take(want: usize) -> Self {
        let [small, middle, large] = &POOLS;
        let fitting = [small, middle].into_iter().find(|pool| want <= pool.size);
        fitting.unwrap_or(large).take()
    }

    /// The first `want` bytes, or all if there are fewer.
    pub(crate) fn space(&mut self, want: usize) -> &mut [u8] {
        let end = want.min(self.bytes.len());
        &mut self.bytes[..end]
    }

    /// A part of the bytes that were filled. Not copied if it is at least half of the buffer, which returns to its pool when
    /// the part is dropped; otherwise copied, since many small waiting pieces must not hold a large buffer each.
    pub(crate) fn freeze_or_copy(self, part: Range<usize>) -> Bytes {
        if part.len() < self.pool.size / 2 {
            return Bytes::copy_from_slice(&self.bytes[part]);
        }
        let mut bytes = self.freeze(part.end);
        bytes.advance(part.start);
        bytes
    }

    /// The first `filled` bytes, not copied. The buffer returns to its pool when they are dropped.
    pub(super) fn freeze(mut self, filled: usize) -> Bytes {
        self.filled = filled.min(self.bytes.len());
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.pool.give_back(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pool of the test's own: the process-wide ones are shared with tests that run beside it.
    static OWN: Pool = Pool::new(8, 2, None);

    fn idle() -> usize {
        OWN.idle.lock().len()
    }

    fn lent() -> usize {
        OWN.lent.load(Ordering::Relaxed)
    }

    #[test]
    fn a_buffer_goes_home_with_the_last_of_its_bytes_and_few_are_kept() {
        let mut buffer = OWN.take();
        buffer.space(3).copy_from_slice(b"abc");
        let mut bytes = buffer.freeze(3);
        let tail = bytes.split_off(1);
        assert_eq!((&bytes[..], &tail[..]), (&b"a"[..], &b"bc"[..]));
        drop(bytes);
        assert_eq!((idle(), lent()), (0, 1), "the tail still needs it");
        drop(tail);
        assert_eq!((idle(), lent()), (1, 0));

        let three = [OWN.take(), OWN.take(), OWN.take()];
        assert_eq!((idle(), lent()), (0, 3));
        drop(three);
        assert_eq!((idle(), lent()), (2, 0), "the third was freed");
    }

    #[test]
    fn the_buffer_that_came_back_last_is_the_threads_next_one() {
        static OWN: Pool = Pool::new(8, 2, Some(0));
        let (first, second) = (OWN.take(), OWN.take());
        let addresses = [&first, &second].map(|buffer| buffer.bytes.as_ptr());
        drop(first);
        assert_eq!(OWN.idle.lock().len(), 0, "the thread has it");
        drop(second);
        assert_eq!(OWN.idle.lock().len(), 1);
        let (next, other) = (OWN.take(), OWN.take());
        assert_eq!([&next, &other].map(|buffer| buffer.bytes.as_ptr()), [addresses[1], addresses[0]]);
        drop((next, other));
        assert_eq!(OWN.lent.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_is_read_comes_behind_a_copy_of_what_was_there() {
        let read = |space: &mut [u8]| {
            space[..3].copy_from_slice(b"def");
            Poll::Ready(Ok(space.len().min(3)))
        };
        let whole = |read| match read {
            Poll::Ready(Ok(bytes)) => Some(bytes),
            _ => None,
        };
        assert_eq!(whole(poll_read_behind(b"abc", 3, read)), Some(Bytes::from_static(b"abcdef")));
        assert_eq!(whole(poll_read_behind(b"abc", 3, |_| Poll::Ready(Ok(0)))), Some(Bytes::new()));
        assert_eq!(whole(poll_read_behind(b"abc", 3, |_| Poll::Pending)), None);
    }

    #[test]
    fn bytes_of_less_than_half_a_buffer_are_copied() {
        static OWN: Pool = Pool::new(8, 2, None);
        let lent = || OWN.lent.load(Ordering::Relaxed);
        let mut buffer = OWN.take();
        buffer.space(8).copy_from_slice(b"abcdefgh");
        let half = buffer.freeze_or_copy(3..7);
        assert_eq!((&half[..], lent()), (&b"defg"[..], 1));
        let mut buffer = OWN.take();
        buffer.space(8).copy_from_slice(b"abcdefgh");
        let less = buffer.freeze_or_copy(5..8);
        assert_eq!((&less[..], lent()), (&b"fgh"[..], 1));
        assert!(OWN.take().freeze_or_copy(8..8).is_empty());
    }

    #[test]
    fn the_size_fits_what_is_wanted() {
        for (want, size) in
            [(1, 4096), (4096, 4096), (4097, 16_384), (16_384, 16_384), (16_385, 65_536), (1 << 20, 65_536)]
        {
            assert_eq!(Buffer::take(want).space(usize::MAX).len(), size, "{want}");
        }
    }
}
