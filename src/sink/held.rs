//! The account of bytes held in memory for clients, by where they are held.
//!
//! Each connection has one, and the server has their sum, which metrics, `/readyz` and shedding read. What takes
//! memory charges it by a [`Charge`](super::Charge).

use std::sync::atomic::{AtomicU64, Ordering};

/// Where bytes are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeldAs {
    /// In sinks, because sockets refused them.
    Sink,
    /// In HTTP framing, before a sink that is full.
    Framing,
    /// In HTTP/2 framing, for streams whose window is shut, or on the way there.
    Http2,
    /// Before and between filters: read ahead, or a response that was made whole.
    Content,
    /// State of filters: the windows of coders.
    Filter,
    /// Request content that is collected whole, and large heads.
    Request,
    /// In TLS: encrypted and not sent, or read of a record that is not whole or not taken.
    Tls,
}

impl HeldAs {
    /// All kinds, in the order of their discriminants.
    pub const ALL: [Self; 7] =
        [Self::Sink, Self::Framing, Self::Http2, Self::Content, Self::Filter, Self::Request, Self::Tls];

    /// The value of the metric's label `what`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sink => "sink",
            Self::Framing => "framing",
            Self::Http2 => "http2",
            Self::Content => "content",
            Self::Filter => "filter",
            Self::Request => "request",
            Self::Tls => "tls",
        }
    }
}

/// Bytes held, by kind.
#[derive(Debug, Default)]
pub struct HeldBytes([AtomicU64; HeldAs::ALL.len()]);

impl HeldBytes {
    /// Bytes of one kind.
    pub fn of(&self, held: HeldAs) -> u64 {
        self.0[held as usize].load(Ordering::Relaxed)
    }

    /// Bytes of all kinds.
    pub fn total(&self) -> u64 {
        HeldAs::ALL.iter().map(|held| self.of(*held)).sum()
    }

    pub(super) fn set(&self, held: HeldAs, bytes: u64) {
        self.0[held as usize].store(bytes, Ordering::Relaxed);
    }

    /// Changes one connection's part of a sum from `before` to `after`.
    pub(super) fn change(&self, held: HeldAs, before: u64, after: u64) {
        // The sum wraps on the way down, which is what subtraction is.
        self.0[held as usize].fetch_add(after.wrapping_sub(before), Ordering::Relaxed);
    }
}
