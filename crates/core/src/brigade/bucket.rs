//! Buckets: pieces of data, and marks between them.

use std::fmt;
use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;

/// One element of a [`Brigade`](super::Brigade): a piece of data or a mark.
///
/// Not a rate limiter: that is a *token bucket*.
///
/// ```
/// use sluicegate_core::brigade::{Brigade, Bucket};
///
/// let mut brigade = Brigade::new();
/// brigade.extend([Bucket::Data("some bytes".into()), Bucket::Flush, Bucket::Eos]);
/// assert_eq!(brigade.bytes(), 10);
/// ```
#[derive(Clone, Debug)]
pub enum Bucket {
    /// Bytes in memory.
    Data(Bytes),
    /// Bytes in a file, not read yet.
    File(FileSlice),
    /// What is before is to be sent without waiting for more.
    Flush,
    /// The trailer section of a message.
    Trailers(Box<HeaderMap>),
    /// The source failed here. What is before is sent at its pace, then the exchange is aborted.
    Error(SourceError),
    /// End of stream: nothing follows.
    Eos,
}

impl Bucket {
    /// Returns the bytes of content; zero for a mark.
    pub fn len(&self) -> u64 {
        match self {
            Self::Data(bytes) => bytes.len() as u64,
            Self::File(slice) => slice.len(),
            Self::Flush | Self::Trailers(_) | Self::Error(_) | Self::Eos => 0,
        }
    }

    /// Returns whether this is data of length zero; a mark is not empty.
    pub fn is_empty(&self) -> bool {
        !self.is_mark() && self.len() == 0
    }

    /// Returns whether this is a mark and not data.
    pub fn is_mark(&self) -> bool {
        !matches!(self, Self::Data(_) | Self::File(_))
    }
}

impl From<Bytes> for Bucket {
    fn from(bytes: Bytes) -> Self {
        Self::Data(bytes)
    }
}

impl From<FileSlice> for Bucket {
    fn from(slice: FileSlice) -> Self {
        Self::File(slice)
    }
}

/// A range of an open file. Clones and splits share the handle, without a system call.
#[derive(Clone)]
pub struct FileSlice {
    file: Arc<File>,
    offset: u64,
    len: u64,
}

impl FileSlice {
    /// Creates a slice of `len` bytes from `offset`, cut at 2⁶⁴−1. The file's size is not checked.
    pub fn new(file: Arc<File>, offset: u64, len: u64) -> Self {
        Self { file, offset, len: len.min(u64::MAX - offset) }
    }

    /// Returns the open file.
    pub fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Returns the offset in the file, in bytes.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Returns whether the length is zero.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Splits off the first `n` bytes, or all if there are fewer.
    #[must_use]
    pub fn split_to(&mut self, n: u64) -> Self {
        let n = n.min(self.len);
        let head = Self { file: Arc::clone(&self.file), offset: self.offset, len: n };
        self.offset += n;
        self.len -= n;
        head
    }

    /// Returns the bytes that a reader read from the beginning of the slice; those beyond its end are dropped.
    ///
    /// # Errors
    /// There are none: the file is shorter than the slice says.
    pub fn accept(&self, mut bytes: Bytes) -> Result<Bytes, SourceError> {
        if bytes.is_empty() {
            return Err(SourceError::new("the file ended before its expected length"));
        }
        bytes.truncate(usize::try_from(self.len).unwrap_or(usize::MAX));
        Ok(bytes)
    }

    /// Appends `next` if it continues this slice in the same file; else returns it.
    pub(super) fn join(&mut self, next: Self) -> Option<Self> {
        if Arc::ptr_eq(&self.file, &next.file) && self.offset + self.len == next.offset {
            self.len += next.len;
            None
        } else {
            Some(next)
        }
    }
}

impl fmt::Debug for FileSlice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileSlice({}..{})", self.offset, self.offset + self.len)
    }
}

/// Why a source failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceError(Arc<str>);

impl SourceError {
    /// Creates an error; the text says what failed and where.
    pub fn new(reason: impl Into<Arc<str>>) -> Self {
        Self(reason.into())
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SourceError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(offset: u64, len: u64) -> FileSlice {
        FileSlice::new(Arc::new(tempfile::tempfile().unwrap()), offset, len)
    }

    #[test]
    fn a_slice_splits_and_joins_without_touching_the_file() {
        let mut rest = slice(10, 100);
        let mut head = rest.split_to(30);
        assert_eq!((head.offset(), head.len()), (10, 30));
        assert_eq!((rest.offset(), rest.len()), (40, 70));
        assert!(head.join(rest).is_none());
        assert_eq!((head.offset(), head.len()), (10, 100));
        assert_eq!(head.split_to(1000).len(), 100);
        assert!(head.is_empty());
    }

    #[test]
    fn slices_of_different_files_or_with_a_gap_do_not_join() {
        let mut one = slice(0, 10);
        assert!(one.join(slice(10, 5)).is_some(), "another file");
        let gap = FileSlice::new(Arc::clone(one.file()), 11, 5);
        assert!(one.join(gap).is_some(), "one byte missing between");
    }

    #[test]
    fn a_slice_cannot_reach_beyond_the_largest_offset() {
        assert_eq!(slice(u64::MAX - 3, 10).len(), 3);
    }

    #[test]
    fn only_data_has_length_and_only_data_can_be_empty() {
        assert_eq!(Bucket::from(Bytes::from_static(b"abc")).len(), 3);
        assert!(Bucket::from(Bytes::new()).is_empty());
        assert!(!Bucket::Eos.is_empty() && Bucket::Eos.is_mark());
        assert_eq!(Bucket::Eos.len(), 0);
    }
}
