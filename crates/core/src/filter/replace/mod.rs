//! The replace filter: replaces a text, also across bucket borders.

mod factory;
mod search;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::fields::forget_digests;
use super::{Filter, FilterError, OptionError, Verdict};
use crate::brigade::{Brigade, Bucket};
use crate::clock::Instant;

pub use factory::ReplaceFactory;
use search::Search;

/// Pieces below this size are gathered, so that many short matches do not make many small buckets.
const MIN_PIECE: usize = 512;
/// The size of a gathered piece: 8 KiB.
const GATHERED: usize = 8 * 1024;

/// Replaces each occurrence of a text by another: literal bytes, leftmost first, not overlapping, as [`str::replace`] does.
///
/// Bytes at the end of the input that may begin a match are held until more comes: at most one byte less than the text
/// searched for. **A `Flush` mark does not release them**: matches must not depend on where a source pauses. It passes behind
/// all that is decided, as in mod_substitute, which holds an unfinished line over a flush. The end of the stream, trailers and
/// error marks release them.
///
/// What is not replaced is passed on without a copy, except pieces below 512 bytes. Memory is bounded whatever the matches and
/// the length of the replacement: what has no room is kept as a handle and a position.
///
/// ```
/// use bytes::Bytes;
/// use sluicegate_core::brigade::{Brigade, Bucket};
/// use sluicegate_core::clock::Instant;
/// use sluicegate_core::filter::{Filter, Replace};
///
/// let mut filter = Replace::new("secret", "******")?;
/// let data = |text: &'static str| Bucket::Data(Bytes::from_static(text.as_bytes()));
/// let mut input: Brigade = [data("a sec"), data("ret sec"), Bucket::Eos].into_iter().collect();
/// let mut out = Brigade::new();
/// filter.filter(Instant::ZERO, &mut input, &mut out)?;
/// assert_eq!(out.to_bytes(), "a ****** sec");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Replace {
    pattern: Arc<Pattern>,
    /// The number of bytes held, which equal the beginning of the text searched for.
    held: usize,
    /// Decided and not put out yet. Invariant: at most three pieces.
    decided: VecDeque<Bytes>,
}

/// The text and its replacement; shared by all streams of a factory.
#[derive(Debug)]
struct Pattern {
    search: Search,
    from: Bytes,
    to: Bytes,
}

impl Pattern {
    fn new(from: Bytes, to: Bytes) -> Result<Self, OptionError> {
        if from.is_empty() {
            return Err(OptionError::EmptyFrom);
        }
        Ok(Self { search: Search::new(&from), from, to })
    }
}

impl Replace {
    /// Creates the filter of one stream, which replaces `from` by `to`.
    ///
    /// # Errors
    /// [`OptionError::EmptyFrom`] if `from` is empty.
    pub fn new(from: impl Into<Bytes>, to: impl Into<Bytes>) -> Result<Self, OptionError> {
        Ok(Self::sharing(Arc::new(Pattern::new(from.into(), to.into())?)))
    }

    fn sharing(pattern: Arc<Pattern>) -> Self {
        Self { pattern, held: 0, decided: VecDeque::new() }
    }

    /// Decides `data` up to the end of its first match, or all of it. Returns the rest.
    fn decide(&mut self, mut data: Bytes) -> Bytes {
        let Pattern { search, from, to } = &*self.pattern;
        let found = search.next(self.held, &data);
        // What cannot be part of a match: first of the bytes held, then of the new ones.
        let from_held = found.passed.min(self.held);
        let from_data = found.passed - from_held;
        let rest = data.split_off(found.read);
        data.truncate(from_data);
        self.decided.push_back(from.slice(..from_held));
        self.decided.push_back(data);
        if found.matched {
            self.decided.push_back(to.clone());
        }
        self.held = found.held;
        rest
    }

    /// Releases the bytes held: nothing follows them.
    fn release_held(&mut self) {
        self.decided.push_back(self.pattern.from.slice(..self.held));
        self.held = 0;
    }

    /// Puts out what is decided as far as there is room. Returns whether nothing is left.
    fn write_decided(&mut self, gather: &mut Gather, output: &mut Brigade) -> bool {
        while let Some(mut piece) = self.decided.pop_front() {
            let room = output.room() - gather.bytes.len() as u64;
            if (piece.len() as u64) > room {
                // Less than the piece's length, so a usize.
                let rest = piece.split_off(room as usize);
                self.decided.push_front(rest);
                gather.push(piece, output);
                return false;
            }
            gather.push(piece, output);
        }
        true
    }

    fn run(
        &mut self,
        gather: &mut Gather,
        input: &mut Brigade,
        output: &mut Brigade,
    ) -> Result<(), FilterError> {
        while !output.is_closed() && self.write_decided(gather, output) {
            match input.front() {
                None => break,
                Some(Bucket::Data(_)) if output.room() == gather.bytes.len() as u64 => break,
                Some(Bucket::Data(_) | Bucket::Flush) => {}
                Some(Bucket::File(_)) => {
                    return Err(FilterError::Failed("replace: a file slice that was not read".to_owned()));
                }
                Some(_) if self.held > 0 => {
                    self.release_held();
                    continue;
                }
                Some(_) => {}
            }
            match input.pop() {
                Some(Bucket::Data(bytes)) => {
                    let rest = self.decide(bytes);
                    input.push_front(rest);
                }
                Some(mut mark) => {
                    if let Bucket::Trailers(fields) = &mut mark {
                        forget_digests(fields);
                    }
                    gather.out(output);
                    output.push(mark);
                }
                None => break,
            }
        }
        Ok(())
    }
}

impl Filter for Replace {
    fn filter(
        &mut self,
        _now: Instant,
        input: &mut Brigade,
        output: &mut Brigade,
    ) -> Result<Verdict, FilterError> {
        let mut gather = Gather { bytes: Vec::new() };
        let result = self.run(&mut gather, input, output);
        gather.out(output);
        result.map(|()| Verdict::after(output))
    }
}

/// Gathers small pieces within one call.
struct Gather {
    bytes: Vec<u8>,
}

impl Gather {
    /// Appends `piece`, for which there is room.
    fn push(&mut self, piece: Bytes, output: &mut Brigade) {
        if piece.len() >= MIN_PIECE {
            self.out(output);
            output.push(piece);
            return;
        }
        self.bytes.extend_from_slice(&piece);
        if self.bytes.len() >= GATHERED {
            self.out(output);
        }
    }

    fn out(&mut self, output: &mut Brigade) {
        output.push(Bytes::from(std::mem::take(&mut self.bytes)));
    }
}

impl fmt::Debug for Replace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replace").field("held", &self.held).finish_non_exhaustive()
    }
}
