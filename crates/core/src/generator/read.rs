//! A generator that reads a socket, a pipe or a tunnel.

use std::cell::RefCell;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_io::AsyncRead;

use super::Generator;
use crate::brigade::{Brigade, Bucket, SourceError};

/// The most bytes of one read: 16 KiB.
const MAX_READ: usize = 16 * 1024;

thread_local! {
    /// One buffer per thread: a reader that waits holds none.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Reads an [`AsyncRead`] to its end, at most as much as there is room for. An error of the reader becomes [`Bucket::Error`].
///
/// ```
/// use std::task::{Context, Waker};
/// use futures_lite::io::Cursor;
/// use sluicegate_core::brigade::Brigade;
/// use sluicegate_core::generator::{Generator, ReadGenerator};
///
/// let mut generator = ReadGenerator::new(Cursor::new(b"some bytes"));
/// let mut brigade = Brigade::new();
/// while !brigade.ends() {
///     assert!(generator.poll_fill(&mut Context::from_waker(Waker::noop()), &mut brigade).is_ready());
/// }
/// assert_eq!(brigade.to_bytes(), "some bytes");
/// ```
#[derive(Debug)]
pub struct ReadGenerator<R> {
    reader: R,
}

impl<R> ReadGenerator<R> {
    /// Creates a generator of the bytes of `reader`.
    pub fn new(reader: R) -> Self {
        Self { reader }
    }

    /// Returns the reader.
    pub fn get_ref(&self) -> &R {
        &self.reader
    }

    /// Returns the reader. Bytes read from it are missing from the buckets.
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.reader
    }

    /// Returns the reader, positioned behind the last byte of a bucket.
    pub fn into_inner(self) -> R {
        self.reader
    }
}

impl<R: AsyncRead + Send + Unpin> Generator for ReadGenerator<R> {
    fn poll_fill(&mut self, cx: &mut Context<'_>, brigade: &mut Brigade) -> Poll<()> {
        let len = usize::try_from(brigade.room()).unwrap_or(MAX_READ).clamp(1, MAX_READ);
        // Not borrowed during the read: the reader may poll another generator.
        let mut scratch = SCRATCH.take();
        scratch.resize(MAX_READ, 0);
        let read = Pin::new(&mut self.reader).poll_read(cx, &mut scratch[..len]);
        let read = read.map_ok(|n| Bytes::copy_from_slice(&scratch[..n]));
        SCRATCH.set(scratch);
        brigade.push(match ready!(read) {
            Ok(bytes) if bytes.is_empty() => Bucket::Eos,
            Ok(bytes) => Bucket::Data(bytes),
            Err(error) => Bucket::Error(SourceError::new(format!("read: {error}"))),
        });
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::task::Waker;

    /// Two bytes, then an error.
    struct Breaks(bool);

    impl AsyncRead for Breaks {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
            buf: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            if std::mem::replace(&mut self.0, true) {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            buf[..2].copy_from_slice(b"ab");
            Poll::Ready(Ok(2))
        }
    }

    #[test]
    fn takes_no_more_than_there_is_room_for() {
        let mut generator = ReadGenerator::new(futures_lite::io::Cursor::new(b"abcdef"));
        let mut brigade = Brigade::with_budget(4);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(generator.poll_fill(&mut cx, &mut brigade).is_ready());
        assert_eq!(brigade.to_bytes(), "abcd");
        assert_eq!(generator.into_inner().position(), 4);
    }

    #[test]
    fn an_error_follows_the_bytes_before_it() {
        let mut generator = ReadGenerator::new(Breaks(false));
        let mut brigade = Brigade::new();
        let mut cx = Context::from_waker(Waker::noop());
        while !brigade.is_closed() {
            assert!(generator.poll_fill(&mut cx, &mut brigade).is_ready());
        }
        assert_eq!((brigade.to_bytes(), brigade.ends()), (Bytes::from_static(b"ab"), false));
    }
}
