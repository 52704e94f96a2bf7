//! How many headers came, and how many were refused.

use std::sync::atomic::{AtomicU64, Ordering};

use super::failure::HeaderReason;

/// Headers of a server's listeners.
#[derive(Debug, Default)]
pub struct HeaderCounts {
    received: AtomicU64,
    refused: [AtomicU64; HeaderReason::ALL.len()],
}

impl HeaderCounts {
    /// Counts one that was received, or refused for a reason.
    pub(crate) fn note(&self, refused: Option<HeaderReason>) {
        let counter = refused.map_or(&self.received, |reason| &self.refused[reason as usize]);
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Valid headers of trusted proxies.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Connections closed for `reason`.
    pub fn refused(&self, reason: HeaderReason) -> u64 {
        self.refused[reason as usize].load(Ordering::Relaxed)
    }
}
