//! Brigades: ordered runs of data and marks, as in httpd's `apr_buckets`.
//!
//! Knows no time, does no I/O and imports nothing of this crate: a file bucket is a handle and a range.

mod bucket;

use std::collections::VecDeque;

use bytes::Bytes;

pub use bucket::{Bucket, FileSlice, SourceError};

/// The most bytes that are read, held or sent down in one piece: 64 KiB.
pub const MAX_PIECE: u64 = 64 * 1024;

/// An ordered run of [`Bucket`]s with its byte count cached.
///
/// As a filter's output it carries a byte budget: [`room`](Self::room) says how much data may still
/// be pushed. Marks always fit. Cutting a bucket in two is O(1) and copies nothing, so moving `n`
/// bytes costs one move for each bucket they lie in.
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
    /// Invariant: of these, the bytes that lie in memory.
    in_memory: u64,
    /// How many bytes this brigade may hold; `None` is no budget.
    budget: Option<u64>,
    /// Whether data was pushed when there was no room. The chain's contract check looks at it.
    overrun: bool,
}

impl Brigade {
    /// An empty brigade without a budget.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty brigade that may hold `budget` bytes.
    pub fn with_budget(budget: u64) -> Self {
        Self { budget: Some(budget), ..Self::default() }
    }

    /// How many bytes may still be pushed: the budget less what is held; `u64::MAX` without a budget.
    pub fn room(&self) -> u64 {
        self.budget.map_or(u64::MAX, |budget| budget.saturating_sub(self.bytes))
    }

    /// Sets how many bytes this brigade may hold. What it holds already stays.
    pub fn set_budget(&mut self, budget: u64) {
        self.budget = Some(budget);
    }

    /// The bytes held, in memory and in files.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The bytes held in memory: those of [`Bucket::Data`].
    pub fn bytes_in_memory(&self) -> u64 {
        self.in_memory
    }

    /// The number of buckets held, marks included.
    pub fn len(&self) -> usize {
        self.buckets.len()
    }

    /// Whether there is neither data nor a mark.
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    /// Whether the end of the stream is in hand: the last bucket is [`Bucket::Eos`].
    pub fn ends(&self) -> bool {
        matches!(self.buckets.back(), Some(Bucket::Eos))
    }

    /// The first bucket.
    pub fn front(&self) -> Option<&Bucket> {
        self.buckets.front()
    }

    /// Whether nothing may follow the last bucket: it is [`Bucket::Eos`] or [`Bucket::Error`].
    pub fn is_closed(&self) -> bool {
        matches!(self.buckets.back(), Some(Bucket::Eos | Bucket::Error(_)))
    }

    /// The buckets in order.
    pub fn iter(&self) -> impl Iterator<Item = &Bucket> {
        self.buckets.iter()
    }

    /// Appends a bucket. Data of length zero is dropped; a file slice that continues the last one is
    /// joined to it.
    ///
    /// A filter pushes data only while [`room`](Self::room) is not zero (one piece may then reach
    /// beyond it); the chain checks this.
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
        self.buckets.push_back(bucket);
    }

    /// Puts a bucket before all others: a tail that is to be seen again before what comes next.
    pub fn push_front(&mut self, bucket: impl Into<Bucket>) {
        let bucket = bucket.into();
        if !bucket.is_empty() {
            self.count_in(&bucket);
            self.buckets.push_front(bucket);
        }
    }

    /// Takes the first bucket, whole.
    pub fn pop(&mut self) -> Option<Bucket> {
        let bucket = self.buckets.pop_front()?;
        self.bytes -= bucket.len();
        self.in_memory -= in_memory(&bucket);
        self.give_back_memory();
        Some(bucket)
    }

    /// Takes the first bucket if it is a mark, else at most `max` bytes of it.
    ///
    /// `None` when the brigade is empty, or when data comes next and `max` is zero. This is the loop
    /// of most filters: `while let Some(bucket) = input.pop_within(output.room())`.
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
            // `max` is smaller than the bytes' length here, so it is a usize.
            Bucket::Data(bytes) => {
                self.in_memory -= max;
                Some(Bucket::Data(bytes.split_to(max as usize)))
            }
            Bucket::File(slice) => Some(Bucket::File(slice.split_to(max))),
            _ => unreachable!("a mark was taken above"),
        }
    }

    /// Copies the data at the front if it is at most `most` bytes, so that a rest of some bytes does not keep
    /// the large buffer it was cut from.
    pub fn detach_front(&mut self, most: usize) {
        if let Some(Bucket::Data(bytes)) = self.buckets.front_mut()
            && bytes.len() <= most
        {
            *bytes = Bytes::copy_from_slice(bytes);
        }
    }

    /// Cuts off and returns the first `n` bytes with the marks before and between them.
    ///
    /// Marks that stand right behind the `n`th byte stay here.
    #[must_use]
    pub fn split_to(&mut self, n: u64) -> Self {
        let mut head = Self::new();
        self.move_to(&mut head, n);
        head
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

    /// Moves the marks that stand before the next data to the end of `to`. True if one was
    /// [`Bucket::Eos`].
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

    /// Drops everything held.
    pub fn clear(&mut self) {
        self.buckets = VecDeque::new();
        (self.bytes, self.in_memory) = (0, 0);
    }

    /// Copies all data in memory into one piece; for tests and small bodies. File slices and marks
    /// are passed over.
    pub fn to_bytes(&self) -> Bytes {
        let mut all = Vec::new();
        for bucket in &self.buckets {
            if let Bucket::Data(bytes) = bucket {
                all.extend_from_slice(bytes);
            }
        }
        all.into()
    }

    /// Whether data was pushed without room, since the last call.
    pub(crate) fn take_overrun(&mut self) -> bool {
        std::mem::take(&mut self.overrun)
    }

    fn count_in(&mut self, bucket: &Bucket) {
        self.bytes += bucket.len();
        self.in_memory += in_memory(bucket);
    }

    /// An idle stream holds no memory: an empty brigade keeps only a small run of slots.
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
