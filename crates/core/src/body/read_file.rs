//! How a body reads the files that its buckets name.

use std::task::{Context, Poll};

use bytes::Bytes;

use crate::brigade::{FileSlice, SourceError};

/// Reads [`FileSlice`]s for one body, without blocking its task.
///
/// The core has no runtime and so no implementation that reads: a program supplies one on its own thread pool or
/// reactor. This one blocks, which a program of few bodies may:
///
/// ```
/// use std::os::unix::fs::FileExt;
/// use std::task::{Context, Poll};
///
/// use bytes::Bytes;
/// use sluicegate_core::body::ReadFile;
/// use sluicegate_core::brigade::{FileSlice, MAX_PIECE, SourceError};
///
/// struct Blocking;
///
/// impl ReadFile for Blocking {
///     fn poll_read(&mut self, _: &mut Context<'_>, slice: &FileSlice) -> Poll<Result<Bytes, SourceError>> {
///         let mut bytes = vec![0; slice.len().min(MAX_PIECE as u64) as usize];
///         let read = slice.file().read_at(&mut bytes, slice.offset());
///         Poll::Ready(match read {
///             Ok(read) => {
///                 bytes.truncate(read);
///                 slice.accept(bytes.into())
///             }
///             Err(error) => Err(SourceError::new(error.to_string())),
///         })
///     }
/// }
/// ```
pub trait ReadFile {
    /// Reads from the beginning of `slice`: at least one byte, at most the whole slice and at most
    /// [`MAX_PIECE`](crate::brigade::MAX_PIECE). Of an empty slice, nothing.
    ///
    /// After `Pending` the task is woken when the read is done, and polls again with a slice that begins at the same
    /// place; its length may differ. A slice that begins elsewhere starts a new read.
    ///
    /// *Cancel safety*: nothing is consumed; the same bytes can be read again.
    ///
    /// # Errors
    /// The file cannot be read, or ends before the slice does. The text says where.
    fn poll_read(&mut self, cx: &mut Context<'_>, slice: &FileSlice) -> Poll<Result<Bytes, SourceError>>;

    /// Returns whether `slice` could be read without waiting for a disk. Then [`poll_piece`](super::PacedBody::poll_piece)
    /// may pass it on unread, for the kernel to send. Never by default.
    fn is_at_hand(&mut self, slice: &FileSlice) -> bool {
        let _ = slice;
        false
    }
}

/// The reader of a body that has no file buckets: every read fails.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFiles;

impl ReadFile for NoFiles {
    fn poll_read(&mut self, _: &mut Context<'_>, slice: &FileSlice) -> Poll<Result<Bytes, SourceError>> {
        let at = slice.offset();
        Poll::Ready(Err(SourceError::new(format!(
            "cannot read at byte {at}: this body was given no file reader"
        ))))
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::Arc;
    use std::task::Waker;

    use http_body::Body;

    use super::*;
    use crate::body::PacedBody;
    use crate::brigade::{Brigade, Bucket};
    use crate::clock::ManualClock;
    use crate::filter::Chain;

    #[test]
    fn without_a_reader_a_body_ends_with_an_error_at_its_first_file() {
        let slice = FileSlice::new(Arc::new(tempfile::tempfile().unwrap()), 7, 10);
        let page: Brigade = [Bucket::Data(Bytes::from_static(b"ab")), slice.into()].into_iter().collect();
        let mut body = PacedBody::new(page, Chain::new(), Arc::new(ManualClock::new()));
        let mut next = || {
            let Poll::Ready(frame) = Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop()))
            else {
                panic!("nothing to wait for");
            };
            frame.map(|frame| {
                frame
                    .map(|frame| frame.into_data().unwrap())
                    .map_err(|error| (error.is_source(), error.to_string()))
            })
        };
        assert_eq!(next(), Some(Ok(Bytes::from_static(b"ab"))));
        let error = "cannot read at byte 7: this body was given no file reader";
        assert_eq!(next(), Some(Err((true, error.to_owned()))));
        assert_eq!(next(), None);
    }

    /// Gives `0` bytes for whatever it is asked.
    struct Gives(usize);

    impl ReadFile for Gives {
        fn poll_read(&mut self, _: &mut Context<'_>, _: &FileSlice) -> Poll<Result<Bytes, SourceError>> {
            Poll::Ready(Ok(Bytes::from(vec![b'x'; self.0])))
        }
    }

    #[test]
    fn a_reader_that_gives_nothing_is_an_error_and_of_too_much_only_the_slice_passes() {
        for (given, expected) in [(0, None), (9, Some(9)), (10, Some(10)), (11, Some(10))] {
            let slice = FileSlice::new(Arc::new(tempfile::tempfile().unwrap()), 7, 10);
            let page: Brigade = [slice.into()].into_iter().collect();
            let clock = Arc::new(ManualClock::new());
            let mut body = PacedBody::with_files(page, Chain::new(), clock, Gives(given));
            let frame = Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop()));
            let Poll::Ready(Some(frame)) = frame else { panic!("nothing to wait for") };
            let text = "the file ended before its expected length";
            match frame {
                Ok(frame) => assert_eq!(Some(frame.into_data().unwrap().len()), expected, "{given}"),
                Err(error) => assert_eq!((error.to_string().as_str(), expected), (text, None)),
            }
        }
    }
}
