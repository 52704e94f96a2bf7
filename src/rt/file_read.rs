//! Stub until the files room lands.
use crate::brigade::{FileSlice, SourceError};
use bytes::Bytes;
use std::task::{Context, Poll};
/// x
#[derive(Default)]
pub struct FileReader;
impl FileReader {
    /// x
    pub fn poll_read(
        &mut self,
        _cx: &mut Context<'_>,
        slice: &FileSlice,
    ) -> Poll<Result<Bytes, SourceError>> {
        use std::os::unix::fs::FileExt;
        let mut buf = vec![0; slice.len().min(65536) as usize];
        Poll::Ready(match slice.file().read_at(&mut buf, slice.offset()) {
            Ok(0) => Err(SourceError::new("file shrank")),
            Ok(n) => {
                buf.truncate(n);
                Ok(buf.into())
            }
            Err(e) => Err(SourceError::new(e.to_string())),
        })
    }
}
