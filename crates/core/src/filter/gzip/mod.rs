//! The gzip filter (RFC 1952), on flate2. [`GzipFactory`] decides which responses are coded.

mod accept;
mod factory;

use std::fmt;

use bytes::{Buf, Bytes};
use flate2::{Compress, Compression, FlushCompress, Status};

use super::fields::forget_digests;
use super::{Filter, FilterError, OptionError, Verdict};
use crate::brigade::{Brigade, Bucket};
use crate::clock::Instant;

pub use factory::GzipFactory;

/// The most coded bytes that a filter holds beside the coder's state: 16 KiB.
const MAX_CODED: usize = 16 * 1024;

/// The size of the coder's state: window, hash chains, symbols.
const STATE: u64 = 300 * 1024;

/// The first bytes of every gzip stream (RFC 1952 section 2.3.1).
const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// A compression level: 1 (fast) to 9 (small).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GzipLevel(u8);

impl GzipLevel {
    /// Creates a level from 1 to 9.
    ///
    /// # Errors
    /// [`OptionError::Level`] for other numbers.
    pub fn new(level: u8) -> Result<Self, OptionError> {
        if (1..=9).contains(&level) { Ok(Self(level)) } else { Err(OptionError::Level(level)) }
    }
}

impl fmt::Display for GzipLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl Default for GzipLevel {
    /// 6, as zlib: beyond it the time doubles for some hundredths of the size.
    fn default() -> Self {
        Self(6)
    }
}

/// Codes one stream as gzip.
///
/// The coder gathers input and puts it out in blocks; a `Flush` mark makes all bytes before it decodable, and is passed on
/// behind them. A source that pauses must send one, or its last bytes stay in the coder. An `Error` mark flushes too, and no
/// gzip trailer is written, so that the stream is never taken for complete. `Trailers` follow the last coded byte, without
/// digests.
///
/// A stream holds the coder's state (about 300 KiB, from the first byte of input to the last) and at most 16 KiB of coded
/// bytes, whatever the input and however slowly it leaves.
///
/// ```
/// use bytes::Bytes;
/// use sluicegate_core::brigade::{Brigade, Bucket};
/// use sluicegate_core::clock::Instant;
/// use sluicegate_core::filter::{Filter, Gzip, GzipLevel, Verdict};
///
/// let mut input: Brigade = [Bucket::Data(Bytes::from(vec![b'a'; 10_000])), Bucket::Eos].into_iter().collect();
/// let mut out = Brigade::new();
/// let verdict = Gzip::new(GzipLevel::default()).filter(Instant::ZERO, &mut input, &mut out)?;
/// assert_eq!(verdict, Verdict::Done);
/// assert!(out.bytes() < 100 && out.to_bytes().starts_with(&[0x1f, 0x8b]));
/// # Ok::<(), sluicegate_core::filter::FilterError>(())
/// ```
pub struct Gzip {
    level: GzipLevel,
    /// From the first byte to the last: its state is large.
    coder: Option<Box<Compress>>,
    /// Coded bytes; those before `written` have been put out. Invariant: at most `MAX_CODED` of them.
    coded: Vec<u8>,
    written: usize,
    /// `MAGIC` was put out before there was a coder.
    magic_written: bool,
    /// Bytes went in since the last sync flush.
    unflushed: bool,
    finished: bool,
}

impl Gzip {
    /// Creates the filter of one stream.
    pub fn new(level: GzipLevel) -> Self {
        Self {
            level,
            coder: None,
            coded: Vec::new(),
            written: 0,
            magic_written: false,
            unflushed: false,
            finished: false,
        }
    }

    /// Puts out coded bytes as far as there is room. Returns whether none is left.
    fn write(&mut self, output: &mut Brigade) -> bool {
        let left = &self.coded[self.written..];
        // At most MAX_CODED, so a usize.
        let n = output.room().min(left.len() as u64) as usize;
        output.push(Bytes::copy_from_slice(&left[..n]));
        self.written += n;
        self.written == self.coded.len()
    }

    /// Codes as much of `bytes` as fits the buffer, which must be written. Returns how many bytes went in, and whether the
    /// coder has nothing more to put out.
    fn code(&mut self, bytes: &[u8], flush: FlushCompress) -> Result<(usize, bool), FilterError> {
        let level = Compression::new(u32::from(self.level.0));
        let coder = self.coder.get_or_insert_with(|| Box::new(Compress::new_gzip(level, 15)));
        self.coded.clear();
        self.written = 0;
        let is_first = coder.total_out() == 0;
        // The whole buffer each time: zlib repeats a flush marker if there are less than six bytes.
        self.coded.reserve_exact(MAX_CODED);
        let before = coder.total_in();
        let status = coder
            .compress_vec(bytes, &mut self.coded, flush)
            .map_err(|error| FilterError::Failed(format!("gzip: {error}")))?;
        let taken = coder.total_in() - before;
        if is_first && self.magic_written {
            debug_assert!(
                self.coded.is_empty() || self.coded.starts_with(&MAGIC),
                "the magic is coded first"
            );
            self.written = MAGIC.len().min(self.coded.len());
        }
        let spare = self.coded.len() < self.coded.capacity();
        // At most the length of `bytes`.
        Ok((taken as usize, spare || status == Status::StreamEnd))
    }

    /// Makes all input decodable. To be called until nothing coded is left.
    fn flush(&mut self) -> Result<(), FilterError> {
        let (_, whole) = self.code(&[], FlushCompress::Sync)?;
        self.unflushed = !whole;
        Ok(())
    }

    /// Writes the last block and the gzip trailer. To be called until `finished`.
    fn finish(&mut self) -> Result<(), FilterError> {
        let (_, whole) = self.code(&[], FlushCompress::Finish)?;
        if whole {
            self.finished = true;
            self.coder = None;
        }
        Ok(())
    }
}

impl Filter for Gzip {
    fn filter(
        &mut self,
        _now: Instant,
        input: &mut Brigade,
        output: &mut Brigade,
    ) -> Result<Verdict, FilterError> {
        if input.is_empty() && self.has_header() {
            self.magic_written = true;
            self.coded = MAGIC.to_vec();
        }
        while !output.is_closed() && self.write(output) {
            match input.front() {
                None => break,
                Some(Bucket::Flush | Bucket::Error(_)) if self.unflushed && !self.finished => self.flush()?,
                Some(Bucket::Trailers(_) | Bucket::Eos) if !self.finished => self.finish()?,
                Some(Bucket::Data(_) | Bucket::File(_)) if output.room() == 0 => break,
                Some(_) => match input.pop() {
                    Some(Bucket::Data(_)) if self.finished => {
                        return Err(FilterError::Failed("gzip: data behind trailers".to_owned()));
                    }
                    Some(Bucket::Data(mut bytes)) => {
                        let (taken, _) = self.code(&bytes, FlushCompress::None)?;
                        self.unflushed = true;
                        bytes.advance(taken);
                        input.push_front(bytes);
                    }
                    Some(Bucket::File(_)) => {
                        return Err(FilterError::Failed("gzip: a file slice that was not read".to_owned()));
                    }
                    Some(Bucket::Trailers(mut fields)) => {
                        forget_digests(&mut fields);
                        output.push(Bucket::Trailers(fields));
                    }
                    Some(mark) => output.push(mark),
                    None => break,
                },
            }
        }
        Ok(Verdict::after(output))
    }

    fn held(&self) -> u64 {
        let coder = if self.coder.is_some() { STATE } else { 0 };
        coder + self.coded.capacity() as u64
    }

    fn max_held(&self) -> u64 {
        STATE + MAX_CODED as u64
    }

    fn has_header(&self) -> bool {
        !self.magic_written && self.coder.is_none() && !self.finished
    }
}

impl fmt::Debug for Gzip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gzip")
            .field("level", &self.level)
            .field("finished", &self.finished)
            .finish_non_exhaustive()
    }
}
