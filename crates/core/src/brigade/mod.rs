//! Brigades: sequences of data and marks, after httpd's `apr_buckets`. No I/O: a file bucket is a handle and a range.

mod bucket;

use std::collections::VecDeque;
use std::hint::black_box;

use bytes::Bytes;

pub use bucket::{Bucket, FileSlice, SourceError};

/// The most bytes that are read, held or sent in one piece: 60 KiB. With its headers that is one of the largest packets that
/// the kernel makes (64 KiB, which it or the network card splits further); it splits a piece of 64 KiB in two, which takes a
/// server of large files three to four times the processor time.
pub const MAX_PIECE: u64 = 60 * 1024;

/// A sequence of [`Bucket`]s with a byte count.
///
/// As a filter's output it has a byte budget: [`room`](Self::room) is how much data may still be pushed. Marks always fit.
/// Splitting a bucket is O(1) without a copy, so moving bytes costs one move per bucket.
///
/// ```
/// use bytes::Bytes;
/// use sluicegate_core::brigade::{Brigade, Bucket};
///
/// let mut brigade = Brigade::new();
/// brigade.push(Bytes::from_static(b"hello world"));
/// brigade.push(Bucket::Eos);
///
/// let head = brigade.split_to(5);
/// assert_eq!((head.bytes(), brigade.bytes()), (5, 6));
/// assert!(brigade.ends());
/// ```
#[derive(Debug, Default)]
pub struct Brigade {
    buckets: VecDeque<Bucket>,
    /// Invariant: the sum of the buckets' lengths.
    bytes: u64,
    /// Invariant: the part of `bytes` that is in memory.
    in_memory: u64,
    /// How many bytes it may hold, if limited.
    budget: Option<u64>,
    /// Whether data was pushed without room, for the check of the filter contract.
    overrun: bool,
}

impl Brigade {
    /// Creates an empty brigade without a budget.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates an empty brigade that may hold `budget` bytes.
    pub fn with_budget(budget: u64) -> Self {
        Self { budget: Some(budget), ..Self::default() }
    }

    /// Returns how many bytes may still be pushed; `u64::MAX` without a budget.
    pub fn room(&self) -> u64 {
        self.budget.map_or(u64::MAX, |budget| budget.saturating_sub(self.bytes))
    }

    /// Sets how many bytes the brigade may hold. What it holds stays.
    pub fn set_budget(&mut self, budget: u64) {
        self.budget = Some(budget);
    }

    /// Returns the bytes held, in memory and in files.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns the bytes of [`Bucket::Data`].
    pub fn bytes_in_memory(&self) -> u64 {
        self.in_memory
    }

    /// Reads a word of where the first bucket is, so that it is in the processor's cache when it is used.
    pub(crate) fn prefetch(&self) {
        black_box(self.buckets.front().map(std::mem::discriminant));
    }

    /// Returns the number of buckets, marks included.
    pub fn len(&self) -> usize {
        self.buckets.len()
    }

    /// Returns whether there is neither data nor a mark.
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    /// Returns whether the last bucket is [`Bucket::Eos`].
    pub fn ends(&self) -> bool {
        matches!(self.buckets.back(), Some(Bucket::Eos))
    }

    /// Returns the first bucket.
    pub fn front(&self) -> Option<&Bucket> {
        self.buckets.front()
    }

    /// Returns whether the last bucket is [`Bucket::Eos`] or [`Bucket::Error`], which nothing may follow.
    pub fn is_closed(&self) -> bool {
        matches!(self.buckets.back(), Some(Bucket::Eos | Bucket::Error(_)))
    }

    /// Iterates over the buckets in order.
    pub fn iter(&self) -> impl Iterator<Item = &Bucket> {
        self.buckets.iter()
    }

    /// Appends a bucket. Empty data is dropped; a file slice that continues the last one is joined to it.
    ///
    /// A filter may push data only while [`room`](Self::room) is not zero; one piece may then exceed it.
    pub fn push(&mut self, bucket: impl Into<Bucket>) {
        let bucket = bucket.into();
        if bucket.is_empty() {
            return;
        }
        self.overrun |= !bucket.is_mark() && self.room() == 0;
        self.count_in(&bucket);
        let bucket = match (self.buckets.back_mut(), bucket) {
            (Some(Bucket::File(last)), Bucket::File(next)) => match last.join(next) {
                None => return,
                Some(next) => Bucket::File(next),
            },
            (_, bucket) => bucket,
        };
        if self.buckets.capacity() == 0 {
            // What most brigades of a stream hold; grown by the deque they would have room for four.
            self.buckets.reserve_exact(2);
        }
        self.buckets.push_back(bucket);
    }

    /// Prepends a bucket, such as a rest that must be seen again. Empty data is dropped.
    pub fn push_front(&mut self, bucket: impl Into<Bucket>) {
        let bucket = bucket.into();
        if !bucket.is_empty() {
            self.count_in(&bucket);
            self.buckets.push_front(bucket);
        }
    }

    /// Removes the first bucket.
    pub fn pop(&mut self) -> Option<Bucket> {
        let bucket = self.buckets.pop_front()?;
        self.bytes -= bucket.len();
        self.in_memory -= in_memory(&bucket);
        self.give_back_memory();
        Some(bucket)
    }

    /// Removes the first bucket if it is a mark, else at most `max` bytes of it. `None` if the brigade is empty, or data is next
    /// and `max` is zero.
    ///
    /// The loop of most filters is `while let Some(bucket) = input.pop_within(output.room())`.
    pub fn pop_within(&mut self, max: u64) -> Option<Bucket> {
        let front = self.buckets.front_mut()?;
        if front.is_mark() || front.len() <= max {
            return self.pop();
        }
        if max == 0 {
            return None;
        }
        self.bytes -= max;
        match front {
            // `max` is less than the length here, so it is a usize.
            Bucket::Data(bytes) => {
                self.in_memory -= max;
                Some(Bucket::Data(bytes.split_to(max as usize)))
            }
            Bucket::File(slice) => Some(Bucket::File(slice.split_to(max))),
            _ => unreachable!("a mark was taken above"),
        }
    }

    /// Copies the first bucket if it is data of at most `max` bytes, to release the larger buffer that it was cut from.
    pub fn detach_front(&mut self, max: usize) {
        if let Some(Bucket::Data(bytes)) = self.buckets.front_mut()
            && bytes.len() <= max
        {
            *bytes = Bytes::copy_from_slice(bytes);
        }
    }

    /// Removes the first bucket if it is the only one, and data of at most `max` bytes; else returns nothing.
    pub(crate) fn take_only(&mut self, max: u64) -> Bytes {
        match self.front() {
            Some(Bucket::Data(_)) if self.len() == 1 && self.bytes <= max => match self.pop() {
                Some(Bucket::Data(bytes)) => bytes,
                _ => unreachable!("the bucket is data"),
            },
            _ => Bytes::new(),
        }
    }

    /// Splits off the first `n` bytes, with the marks before and between them but not those behind.
    #[must_use]
    pub fn split_to(&mut self, n: u64) -> Self {
        let mut head = Self::new();
        self.move_to(&mut head, n);
        head
    }

    /// Splits off the first file slice and all behind it.
    pub(crate) fn split_off_files(&mut self) -> Self {
        let file = self.iter().position(|bucket| matches!(bucket, Bucket::File(_)));
        let Some(before) = file else { return Self::new() };
        let mut seen = Self::new();
        seen.extend((0..before).map_while(|_| self.pop()));
        std::mem::replace(self, seen)
    }

    /// Moves the first `n` bytes, with the marks before and between them, to the end of `to`.
    pub fn move_to(&mut self, to: &mut Self, n: u64) {
        let mut left = n.min(self.bytes);
        while left > 0 {
            let Some(bucket) = self.pop_within(left) else { break };
            left -= bucket.len();
            to.push(bucket);
        }
    }

    /// Moves the marks before the next data to the end of `to`. Returns whether one was [`Bucket::Eos`].
    pub fn move_marks_to(&mut self, to: &mut Self) -> bool {
        while self.buckets.front().is_some_and(Bucket::is_mark) {
            if let Some(mark) = self.pop() {
                let eos = matches!(mark, Bucket::Eos);
                to.push(mark);
                if eos {
                    return true;
                }
            }
        }
        false
    }

    /// Removes all buckets.
    pub fn clear(&mut self) {
        self.buckets = VecDeque::new();
        (self.bytes, self.in_memory) = (0, 0);
    }

    /// Copies all data in memory into one piece, without file slices and marks; for tests and small bodies.
    pub fn to_bytes(&self) -> Bytes {
        let mut all = Vec::new();
        for bucket in &self.buckets {
            if let Bucket::Data(bytes) = bucket {
                all.extend_from_slice(bytes);
            }
        }
        all.into()
    }

    /// Returns whether data was pushed without room since the last call.
    pub(crate) fn take_overrun(&mut self) -> bool {
        std::mem::take(&mut self.overrun)
    }

    fn count_in(&mut self, bucket: &Bucket) {
        self.bytes += bucket.len();
        self.in_memory += in_memory(bucket);
    }

    /// Releases the memory of an empty brigade, but for a few slots: idle streams hold none.
    fn give_back_memory(&mut self) {
        if self.buckets.is_empty() && self.buckets.capacity() > 4 {
            self.buckets = VecDeque::new();
        }
    }
}

impl Extend<Bucket> for Brigade {
    fn extend<I: IntoIterator<Item = Bucket>>(&mut self, buckets: I) {
        for bucket in buckets {
            self.push(bucket);
        }
    }
}

fn in_memory(bucket: &Bucket) -> u64 {
    match bucket {
        Bucket::Data(bytes) => bytes.len() as u64,
        _ => 0,
    }
}

impl FromIterator<Bucket> for Brigade {
    fn from_iter<I: IntoIterator<Item = Bucket>>(buckets: I) -> Self {
        let mut brigade = Self::new();
        brigade.extend(buckets);
        brigade
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::Arc;

    fn data(text: &'static str) -> Bucket {
        Bucket::Data(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn split_keeps_the_marks_in_their_places() {
        let mut brigade: Brigade =
            [data("abc"), Bucket::Flush, data("def"), Bucket::Flush, Bucket::Eos].into_iter().collect();
        let head = brigade.split_to(6);
        assert_eq!(format!("{head:?}").matches("Flush").count(), 1);
        assert_eq!(head.to_bytes(), "abcdef");
        assert_eq!((brigade.bytes(), brigade.len(), brigade.ends()), (0, 2, true));
    }

    #[test]
    fn zero_length_data_is_dropped_and_more_than_all_is_all() {
        let mut brigade: Brigade = [data(""), data("ab"), data("")].into_iter().collect();
        assert_eq!((brigade.len(), brigade.bytes()), (1, 2));
        assert_eq!(brigade.split_to(3).bytes(), 2);
        assert!(brigade.is_empty() && brigade.pop().is_none() && brigade.pop_within(9).is_none());
    }

    #[test]
    fn room_counts_data_but_not_marks() {
        let mut brigade = Brigade::with_budget(4);
        brigade.push(data("abc"));
        assert_eq!(brigade.room(), 1);
        brigade.push(Bucket::Flush);
        brigade.push(data("d"));
        assert_eq!(brigade.room(), 0);
        brigade.push(Bucket::Eos);
        assert!(!brigade.take_overrun());
        brigade.push(data("e"));
        assert!(brigade.take_overrun() && !brigade.take_overrun());
    }

    #[test]
    fn pop_within_zero_gives_marks_only() {
        let mut brigade: Brigade = [Bucket::Flush, data("a")].into_iter().collect();
        assert!(matches!(brigade.pop_within(0), Some(Bucket::Flush)));
        assert!(brigade.pop_within(0).is_none());
        assert_eq!(brigade.bytes(), 1);
    }

    #[test]
    fn neighbouring_file_slices_become_one() {
        let file = Arc::new(tempfile::tempfile().unwrap());
        let mut whole = FileSlice::new(file, 0, 100);
        let mut brigade = Brigade::new();
        brigade.push(whole.split_to(40));
        brigade.push(whole);
        assert_eq!((brigade.len(), brigade.bytes(), brigade.bytes_in_memory()), (1, 100, 0));
    }

    proptest! {
        #[test]
        fn any_cut_conserves_bytes_order_and_count(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..20),
            cuts in prop::collection::vec(0u64..70, 0..20),
        ) {
            let mut brigade: Brigade = pieces.iter().map(|p| Bucket::Data(p.clone().into())).collect();
            let all: Vec<u8> = pieces.concat();
            prop_assert_eq!(brigade.bytes(), all.len() as u64);
            let mut seen = Vec::new();
            for cut in cuts {
                let before = brigade.bytes();
                let head = brigade.split_to(cut);
                prop_assert_eq!(head.bytes(), cut.min(before));
                prop_assert_eq!(head.bytes_in_memory(), head.bytes());
                prop_assert_eq!(brigade.bytes(), before - head.bytes());
                seen.extend_from_slice(&head.to_bytes());
            }
            seen.extend_from_slice(&brigade.to_bytes());
            prop_assert_eq!(seen, all);
        }
    }
}
