//! The account of bytes held in memory for clients, by where they are held.
//!
//! Each connection has one, and the server has their sum, which metrics, `/readyz` and shedding read. What takes
//! memory charges it by a [`Charge`](super::Charge).

use std::sync::atomic::{AtomicU64, Ordering};

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
