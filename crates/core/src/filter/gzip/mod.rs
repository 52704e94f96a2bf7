//! The gzip filter: codes what passes (RFC 1952), and can be asked to let out all it has.
//!
//! The coding is flate2's, without I/O. When a response is coded is the [factory](GzipFactory)'s matter.

mod accept;
mod factory;

use std::fmt;

use bytes::{Buf, Bytes};
use flate2::{Compress, Compression, FlushCompress, Status};

use super::fields::remove_digests;
use super::{Filter, FilterError, OptionError, Verdict};
use crate::brigade::{Brigade, Bucket};
use crate::clock::Instant;

pub use factory::GzipFactory;

/// The most coded bytes a filter holds besides the coder's own state: 16 KiB.
const CODED: usize = 16 * 1024;

/// Bytes that the coder's state takes: its window, its hash chains, and its symbols.
const STATE: u64 = 300 * 1024;

/// What every gzip stream begins with (RFC 1952 section 2.3.1), whatever comes behind it.
const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// How hard the coder tries: 1 (fast) to 9 (small).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GzipLevel(u8);

impl GzipLevel {
    /// A level from 1 to 9.
    ///
    /// # Errors
    /// [`OptionError::Level`] for any other number.
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
    /// 6, zlib's own default: beyond it the time doubles for some hundredths of the size.
    fn default() -> Self {
        Self(6)
    }
}

/// Codes one stream as gzip.
///
/// The coder gathers what comes and puts it out in blocks; a `Flush` mark makes all that came before
/// decodable at once and passes on behind it. A source that pauses must send one, or its last bytes stay
/// here. An `Error` mark is treated the same way, and no gzip trailer is written then, so that what went out
/// is never taken for the whole. `Trailers` stay behind the last coded byte, without digests of the bytes
/// that were.
///
/// A stream holds the coder's state (some 300 KiB, from its first byte to its last, but for the two that every
/// such stream begins with) and 16 KiB of coded
/// bytes at most, whatever comes in and however slowly it leaves.
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
    /// From the first byte to the last: the state is large, and a HEAD never needs it.
    coder: Option<Box<Compress>>,
    /// Coded bytes; those before `given` have been put out. Invariant: at most `CODED` of them.
    coded: Vec<u8>,
    given: usize,
    /// The first bytes were put out before there was a coder.
    spoke: bool,
    /// Bytes went in that no sync flush has pushed out since.
    unflushed: bool,
    /// The gzip trailer is written.
    finished: bool,
}

impl Gzip {
    /// A filter for one stream.
    pub fn new(level: GzipLevel) -> Self {
        Self {
            level,
            coder: None,
            coded: Vec::new(),
            given: 0,
            spoke: false,
            unflushed: false,
            finished: false,
        }
    }

    /// Puts out what is coded, as far as there is room. True if nothing is left.
    fn give(&mut self, output: &mut Brigade) -> bool {
        let left = &self.coded[self.given..];
        // No more than CODED, so a usize.
        let n = output.room().min(left.len() as u64) as usize;
        output.push(Bytes::copy_from_slice(&left[..n]));
        self.given += n;
        self.given == self.coded.len()
    }

    /// Codes as much of `bytes` as the buffer takes. Call with all that was coded given out.
    ///
    /// Says how many bytes went in, and whether the coder has nothing more to put out.
    fn code(&mut self, bytes: &[u8], flush: FlushCompress) -> Result<(usize, bool), FilterError> {
        let level = Compression::new(u32::from(self.level.0));
        let coder = self.coder.get_or_insert_with(|| Box::new(Compress::new_gzip(level, 15)));
        self.coded.clear();
        self.given = 0;
        let is_first = coder.total_out() == 0;
        // The whole buffer for each call: zlib repeats a flush marker that meets less than six bytes.
        self.coded.reserve_exact(CODED);
        let before = coder.total_in();
        let status = coder
            .compress_vec(bytes, &mut self.coded, flush)
            .map_err(|error| FilterError::Failed(format!("gzip: {error}")))?;
        let taken = coder.total_in() - before;
        if is_first && self.spoke {
            debug_assert!(
                self.coded.is_empty() || self.coded.starts_with(&MAGIC),
                "what was said is coded first"
            );
            self.given = MAGIC.len().min(self.coded.len());
        }
        let spare = self.coded.len() < self.coded.capacity();
        // Never more than were given.
        Ok((taken as usize, spare || status == Status::StreamEnd))
    }

    /// Makes all that went in decodable. Call again until there is nothing coded left to give.
    fn flush(&mut self) -> Result<(), FilterError> {
        let (_, whole) = self.code(&[], FlushCompress::Sync)?;
        self.unflushed = !whole;
        Ok(())
    }

    /// Writes the last block and the gzip trailer. Call again until finished.
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
            self.spoke = true;
            self.coded = MAGIC.to_vec();
        }
        while !output.is_closed() && self.give(output) {
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
                        remove_digests(&mut fields);
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
        STATE + CODED as u64
    }

    fn has_header(&self) -> bool {
        !self.spoke && self.coder.is_none() && !self.finished
    }
}
