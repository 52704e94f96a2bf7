//! The account of bytes in memory that are held for readers, or of their requests: for each connection, and
//! summed over all.
//!
//! What takes memory charges it with a [`Charge`], in blocks and not byte by byte, and where it lies: so every
//! byte is on one account, whoever asks (metrics, `/readyz`, shedding). Dropping the charge takes it off.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::state::SinkState;

/// Where bytes are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldAs {
    /// In sinks: their sockets refused them.
    Sink,
    /// With HTTP framing, which offers them to a sink that takes no more.
    Framing,
    /// With HTTP/2's framing, for streams whose client opens no window for them; or on the way there.
    Http2,
    /// Before, between and behind filters: read ahead, or an answer that was made whole.
    Content,
    /// As state of filters: coders' windows.
    Filter,
    /// Of requests: content that is gathered whole.
    Request,
}

impl HeldAs {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Sink, Self::Framing, Self::Http2, Self::Content, Self::Filter, Self::Request];

    /// Its name, as metrics have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sink => "sink",
            Self::Framing => "framing",
            Self::Http2 => "http2",
            Self::Content => "content",
            Self::Filter => "filter",
            Self::Request => "request",
        }
    }
}

/// Bytes held, by where they are.
#[derive(Debug, Default)]
pub struct HeldBytes([AtomicU64; HeldAs::ALL.len()]);

impl HeldBytes {
    /// Bytes held in one place.
    pub fn of(&self, held: HeldAs) -> u64 {
        self.0[held as usize].load(Ordering::Relaxed)
    }

    /// Bytes held in all places.
    pub fn total(&self) -> u64 {
        HeldAs::ALL.iter().map(|held| self.of(*held)).sum()
    }

    pub(super) fn set(&self, held: HeldAs, bytes: u64) {
        self.0[held as usize].store(bytes, Ordering::Relaxed);
    }

    /// Changes a sum from `before` to `after`.
    pub(super) fn change(&self, held: HeldAs, before: u64, after: u64) {
        // The sum wraps on the way down, which is what subtraction is.
        self.0[held as usize].fetch_add(after.wrapping_sub(before), Ordering::Relaxed);
    }
}

/// Bytes on a connection's account and on its server's, until it is dropped.
pub struct Charge {
    sink: Arc<SinkState>,
    held: HeldAs,
    bytes: u64,
}

impl Charge {
    /// A charge of nothing yet on the account of the connection behind `sink`.
    pub fn new(sink: &Arc<SinkState>, held: HeldAs) -> Self {
        Self { sink: Arc::clone(sink), held, bytes: 0 }
    }

    /// Changes it to `bytes`.
    pub fn set(&mut self, bytes: u64) {
        if bytes != self.bytes {
            self.sink.change_held(self.held, self.bytes, bytes);
            self.bytes = bytes;
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::sink::SinkCounts;

    #[test]
    fn a_charge_is_on_both_accounts_until_it_is_dropped() {
        let totals = Arc::new(SinkCounts::default());
        let sinks: [Arc<SinkState>; 2] = std::array::from_fn(|_| {
            Arc::new(SinkState::new(Arc::new(ManualClock::new()), Arc::clone(&totals)))
        });
        let mut one = Charge::new(&sinks[0], HeldAs::Http2);
        let mut other = Charge::new(&sinks[1], HeldAs::Filter);
        one.set(100);
        other.set(7);
        one.set(60);
        let each = || [sinks[0].counts().held().total(), sinks[1].counts().held().total()];
        assert_eq!((totals.held().total(), each()), (67, [60, 7]));
        assert_eq!(HeldAs::ALL.map(|held| totals.held().of(held)), [0, 0, 60, 0, 7, 0]);
        drop(one);
        assert_eq!((totals.held().total(), each()), (7, [0, 7]));
        drop(other);
        assert_eq!((totals.held().total(), each()), (0, [0, 0]));
    }
}
