//! Counters of one sink, and their sums over all sinks, read while they change.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::held::{HeldAs, HeldBytes};

/// Counters of one sink, or sums over many. They only grow, except [`buffered`](Self::buffered) and
/// [`held`](Self::held).
#[derive(Debug, Default)]
pub struct SinkCounts {
    pub(super) written: AtomicU64,
    pub(super) read: AtomicU64,
    pub(super) dropped: AtomicU64,
    pub(super) overflow_closes: AtomicU64,
    pub(super) stall_closes: AtomicU64,
    pub(super) would_block: AtomicU64,
    pub(super) held: HeldBytes,
    pub(super) high_water: AtomicU64,
    pub(super) token_wait: AtomicU64,
    pub(super) reader_wait: AtomicU64,
}

impl SinkCounts {
    /// Bytes written to the socket, heads and framing included.
    pub fn bytes_written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Bytes read from the socket.
    pub fn bytes_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Bytes accepted or offered for a reader and discarded because it was given up. Bytes of single HTTP/2 streams
    /// that the framing held and had not offered are not counted.
    pub fn bytes_dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Connections closed because their buffer stayed full.
    pub fn overflow_closes(&self) -> u64 {
        self.overflow_closes.load(Ordering::Relaxed)
    }

    /// Connections closed because their reader took nothing, or too little, for too long.
    pub fn stall_closes(&self) -> u64 {
        self.stall_closes.load(Ordering::Relaxed)
    }

    /// Times the socket refused bytes.
    pub fn would_block(&self) -> u64 {
        self.would_block.load(Ordering::Relaxed)
    }

    /// Bytes held now because a socket refused them.
    pub fn buffered(&self) -> u64 {
        self.held.of(HeldAs::Sink)
    }

    /// All bytes held now for the client: the buffer, and what [`HeldAs`](super::HeldAs) lists besides.
    pub fn held(&self) -> &HeldBytes {
        &self.held
    }

    /// The most bytes that one sink held at a time.
    pub fn high_water(&self) -> u64 {
        self.high_water.load(Ordering::Relaxed)
    }

    /// Time waited for tokens of the connection's rate.
    pub fn token_wait(&self) -> Duration {
        Duration::from_nanos(self.token_wait.load(Ordering::Relaxed))
    }

    /// Time with bytes that the reader did not take.
    pub fn reader_wait(&self) -> Duration {
        Duration::from_nanos(self.reader_wait.load(Ordering::Relaxed))
    }
}
