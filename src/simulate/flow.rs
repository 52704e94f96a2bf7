//! Bytes that come at a rate into a bounded buffer: what a backend or an uploading client has ready.
//!
//! Pure: is passed the time.

use std::time::Duration;

use crate::clock::Instant;
use crate::limit::Rate;

const NANO: u128 = 1_000_000_000;

/// Bytes that come at a rate and wait in a buffer until they are taken. While it is full, none come.
#[derive(Clone, Debug)]
pub(super) struct Inflow {
    rate: u128,
    /// Nano-bytes.
    capacity: u128,
    level: u128,
    at: Instant,
}

impl Inflow {
    /// Starts empty at `now`, with a buffer of `capacity` bytes.
    pub(super) fn new(rate: Rate, capacity: u64, now: Instant) -> Self {
        let capacity = u128::from(capacity.max(1)) * NANO;
        Self { rate: rate.bytes_per_second().into(), capacity, level: 0, at: now }
    }

    /// Returns how many bytes are there.
    pub(super) fn ready(&mut self, now: Instant) -> u64 {
        let came = self.rate * (now - self.at).as_nanos();
        (self.level, self.at) = ((self.level + came).min(self.capacity), self.at.max(now));
        u64::try_from(self.level / NANO).unwrap_or(u64::MAX)
    }

    /// Takes `bytes`, which must be there.
    pub(super) fn take(&mut self, bytes: u64) {
        self.level -= u128::from(bytes) * NANO;
    }

    /// Returns when `bytes` will be there, or as many as fit in the buffer if that is less.
    pub(super) fn ready_at(&self, bytes: u64) -> Instant {
        let missing = (u128::from(bytes) * NANO).min(self.capacity).saturating_sub(self.level);
        self.at + nanos(missing.div_ceil(self.rate))
    }

    /// Returns how many bytes are worth a wake-up: what comes in 20 ms, between 1 and 16 KiB.
    pub(super) fn piece(&self) -> u64 {
        u64::try_from(self.rate / 50).unwrap_or(u64::MAX).clamp(1, 16 * 1024)
    }
}

/// Bytes that leave a bounded buffer at a rate: what the kernels hold for a reader.
#[derive(Clone, Debug)]
pub(super) struct Outflow {
    /// Bytes per second.
    rate: u64,
    capacity: u64,
    /// When all that was written will have been read.
    empty_at: Instant,
}

impl Outflow {
    /// Starts empty at `now`, with a buffer of `capacity` bytes.
    pub(super) fn new(rate: Rate, capacity: u64, now: Instant) -> Self {
        Self { rate: rate.bytes_per_second(), capacity: capacity.max(1), empty_at: now }
    }

    /// Returns how many bytes fit.
    pub(super) fn room(&self, now: Instant) -> u64 {
        let left = self.empty_at.nanos_since(now);
        self.capacity.saturating_sub(times_over_ceil(left, self.rate, NANO as u64))
    }

    /// Adds `bytes`.
    pub(super) fn put(&mut self, bytes: u64, now: Instant) {
        let lasting = times_over_ceil(bytes, NANO as u64, self.rate);
        self.empty_at = self.empty_at.max(now) + nanos(lasting.into());
    }

    /// Returns when a third of the buffer is free, which is when Linux asks for more.
    pub(super) fn writable_at(&self) -> Instant {
        let level = u128::from(self.capacity) * 2 / 3 * NANO / u128::from(self.rate);
        let early = nanos(level).as_nanos();
        Instant::from_nanos(u128::from(self.empty_at.as_nanos()).saturating_sub(early) as u64)
    }

    /// Returns when all that was written will have been read.
    pub(super) fn empty_at(&self) -> Instant {
        self.empty_at
    }
}

/// `value × by ÷ over`, rounded up. This is of each write: a division of 64 bits takes a fraction of the time of one of 128.
fn times_over_ceil(value: u64, by: u64, over: u64) -> u64 {
    match value.checked_mul(by) {
        Some(product) => product.div_ceil(over),
        None => {
            let exact = (u128::from(value) * u128::from(by)).div_ceil(over.into());
            u64::try_from(exact).unwrap_or(u64::MAX)
        }
    }
}

fn nanos(nanos: u128) -> Duration {
    // Beyond a century nothing is waited for.
    const MOST: u128 = 100 * 365 * 24 * 3_600 * NANO;
    Duration::from_nanos(nanos.min(MOST) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(bytes: u64) -> Rate {
        Rate::new(bytes).unwrap()
    }

    #[test]
    fn what_comes_is_there_at_its_nanosecond_and_no_more_than_fits() {
        let mut flow = Inflow::new(rate(3_000), 1_000, Instant::ZERO);
        assert_eq!(flow.ready(Instant::ZERO), 0);
        let due = flow.ready_at(1);
        assert_eq!(due.as_nanos(), 333_334);
        assert_eq!((flow.ready(Instant::from_nanos(333_333)), flow.ready(due)), (0, 1));
        assert_eq!(flow.ready(Instant::from_millis(60_000)), 1_000);
        flow.take(1_000);
        assert_eq!(flow.ready_at(u64::MAX).as_nanos(), 60_333_333_334, "the buffer is all there is");
        assert_eq!(flow.ready(Instant::from_millis(60_100)), 300);
    }

    #[test]
    fn a_product_beyond_64_bits_is_divided_as_exactly() {
        for (value, by, over, expected) in [
            (7, 10, 3, 24),
            (u64::MAX, 1, 1, u64::MAX),
            (1 << 40, 1 << 40, 1 << 30, 1 << 50),
            ((1 << 40) + 1, (1 << 40) + 1, 1 << 41, (1 << 39) + 2),
            (u64::MAX, 3, 2, u64::MAX),
        ] {
            assert_eq!(times_over_ceil(value, by, over), expected, "{value} x {by} / {over}");
        }
    }

    #[test]
    fn a_reader_takes_what_was_written_at_its_rate() {
        let mut flow = Outflow::new(rate(1_000), 300, Instant::ZERO);
        assert_eq!(flow.room(Instant::ZERO), 300);
        flow.put(300, Instant::ZERO);
        assert_eq!((flow.room(Instant::ZERO), flow.room(Instant::from_millis(50))), (0, 50));
        assert_eq!(flow.writable_at(), Instant::from_millis(100));
        assert_eq!(flow.room(flow.writable_at()), 100);
        flow.put(100, Instant::from_millis(100));
        assert_eq!((flow.empty_at(), flow.room(Instant::from_millis(900))), (Instant::from_millis(400), 300));
    }
}
