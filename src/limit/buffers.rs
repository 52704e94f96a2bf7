//! How much is held before a pace: buffers in front of a slow reader are sized by what it takes.

use super::{INTERVAL, Rate};

/// The buffers of a connection to an upstream, in bytes. All are `None` without a pace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffers {
    /// The kernel's receive buffer (`SO_RCVBUF`); `None` leaves it to the kernel.
    ///
    /// Two chunks (0.4 s of the pace): one that leaves and one that comes. At least 16 KiB, below which
    /// small segments fill the buffer with their bookkeeping. Above 2 MiB the kernel's own tuning is
    /// better: it grows with what is read, while a fixed buffer is cut to `net.core.rmem_max` and binds
    /// a distant upstream. (The kernel doubles the figure for its bookkeeping.)
    pub receive: Option<usize>,
    /// The most taken from the socket at a time: a chunk, from 4 KiB to just below 8 KiB, at which hyper
    /// doubles its buffer. Up to three such pieces are held for a stream: in the chain, before it, and
    /// being read.
    pub piece: Option<usize>,
}

impl Buffers {
    /// The buffers before `pace`, a route's for each response.
    pub fn before(pace: Option<Rate>) -> Self {
        const LEAST: u64 = 16 * 1024;
        const MOST: u64 = 2 * 1024 * 1024;
        let Some(chunk) = pace.map(chunk) else { return Self { receive: None, piece: None } };
        let two_chunks = chunk.saturating_mul(2).max(LEAST);
        Self {
            receive: usize::try_from(two_chunks).ok().filter(|_| two_chunks <= MOST),
            piece: Some(chunk.clamp(4 * 1024, 8 * 1024 - 1) as usize),
        }
    }
}

/// What leaves in one interval, in whole bytes.
fn chunk(pace: Rate) -> u64 {
    let bytes = u128::from(pace.bytes_per_second()) * INTERVAL.as_millis() / 1000;
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_follow_the_pace() {
        for (bytes_per_second, receive, piece) in [
            (0, None, None),
            (1, Some(16_384), Some(4_096)),
            (61_440, Some(24_576), Some(8_191)),
            (1_048_576, Some(419_430), Some(8_191)),
            (5_242_880, Some(2_097_152), Some(8_191)),
            (5_242_885, None, Some(8_191)),
            (u64::MAX, None, Some(8_191)),
        ] {
            let pace = Rate::new(bytes_per_second);
            assert_eq!(Buffers::before(pace), Buffers { receive, piece }, "{bytes_per_second}");
        }
    }
}
