//! [`Throttle`] as a seeker: a seek forgets what was read ahead of its turn.

use std::io::{self, Seek, SeekFrom};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::AsyncSeek;

use super::Throttle;
use super::read::Reading;

/// The inner reader is ahead of what the caller has read. Relative seeks start where the caller is.
///
/// # Errors
/// [`InvalidInput`](io::ErrorKind::InvalidInput) for an offset below the least that 64 bits hold.
pub(super) fn from_caller(reading: &Reading, position: SeekFrom) -> io::Result<SeekFrom> {
    let SeekFrom::Current(offset) = position else { return Ok(position) };
    let ahead = reading.ahead().len() as i64; // at most MAX_AHEAD
    match offset.checked_sub(ahead) {
        Some(offset) => Ok(SeekFrom::Current(offset)),
        None => Err(io::Error::new(io::ErrorKind::InvalidInput, "the offset is too far before the position")),
    }
}

/// Moves reader and writer. Takes no turn.
impl<IO: Seek> Seek for Throttle<IO> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        let reading = self.reading.get_mut();
        let position = self.io.seek(from_caller(reading, position)?)?;
        reading.forget();
        Ok(position)
    }

    fn stream_position(&mut self) -> io::Result<u64> {
        let ahead = self.reading.get_mut().ahead().len() as u64;
        Ok(self.io.stream_position()?.saturating_sub(ahead))
    }
}

/// Moves reader and writer. Takes no turn. *Cancel safety*: as the inner seek's.
impl<IO: AsyncSeek> AsyncSeek for Throttle<IO> {
    fn poll_seek(self: Pin<&mut Self>, cx: &mut Context<'_>, position: SeekFrom) -> Poll<io::Result<u64>> {
        let this = self.project();
        let reading = this.reading.get_mut();
        // Forgotten when the seek is done: until then each poll must ask for the same place.
        let position = ready!(this.io.poll_seek(cx, from_caller(reading, position)?))?;
        reading.forget();
        Poll::Ready(Ok(position))
    }
}
