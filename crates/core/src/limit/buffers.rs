//! Sizes of buffers in front of a pace.

use super::{Interval, Rate};

/// The buffers of a connection to an upstream, in bytes. `None` without a pace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffers {
    /// The kernel's receive buffer (`SO_RCVBUF`); `None` leaves it to the kernel.
    ///
    /// Three chunks: one that is sent, the next, and one that arrives. The kernel opens the window when
    /// half of the buffer is free, so that with two chunks a read would often find half of one. At least 16 KiB: below, small
    /// segments fill the buffer with their overhead. Above 2 MiB `None`, since the kernel's own tuning is better: it grows
    /// with what is read, while a fixed size is cut to `net.core.rmem_max` and limits a distant upstream. (The kernel doubles
    /// the value for its overhead.)
    pub receive: Option<usize>,
}

impl Buffers {
    /// Returns the sizes for `pace`, that of each response of a route, with a chunk each `interval`.
    pub fn before(pace: Option<Rate>, interval: Interval) -> Self {
        const MIN: u64 = 16 * 1024;
        const MAX: u64 = 2 * 1024 * 1024;
        let Some(chunk) = pace.map(|rate| rate.chunk(interval)) else { return Self { receive: None } };
        let three_chunks = chunk.saturating_mul(3).max(MIN);
        Self { receive: usize::try_from(three_chunks).ok().filter(|_| three_chunks <= MAX) }
    }
}

/// Before a pace with the default interval.
impl From<Option<Rate>> for Buffers {
    fn from(pace: Option<Rate>) -> Self {
        Self::before(pace, Interval::DEFAULT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_follow_the_pace() {
        for (bytes_per_second, receive) in [
            (0, None),
            (1, Some(16_384)),
            (61_440, Some(36_864)),
            (1_048_576, Some(629_145)),
            (3_495_250, Some(2_097_150)),
            (3_495_255, None),
            (u64::MAX, None),
        ] {
            let pace = Rate::or_unlimited(bytes_per_second);
            assert_eq!(Buffers::from(pace), Buffers { receive }, "{bytes_per_second}");
        }
        let pace = Rate::or_unlimited(61_440);
        for (interval, receive) in [(Interval::MIN, 16_384), (Interval::MAX, 184_320)] {
            assert_eq!(Buffers::before(pace, interval).receive, Some(receive), "{interval}");
        }
    }
}
