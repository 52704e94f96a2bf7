//! Shedding load: when slow readers hold too many bytes in all, new requests are turned away.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::sink::SinkCounts;

/// Whether a server turns requests away, with a distance between starting and stopping.
#[derive(Debug)]
pub(super) struct Shedding {
    /// Bytes held for all readers together above which requests are turned away.
    most: u64,
    shedding: AtomicBool,
}

impl Shedding {
    pub(super) fn new(most: u64) -> Self {
        Self { most, shedding: AtomicBool::new(false) }
    }

    /// Looks at what is held and says whether requests are turned away: from above the bound on, until
    /// below 80 % of it.
    pub(super) fn is_shedding(&self, egress: &SinkCounts) -> bool {
        let buffered = egress.buffered();
        let was = self.shedding.load(Ordering::Relaxed);
        let is = if was { buffered >= self.most / 5 * 4 } else { buffered > self.most };
        if is != was && self.shedding.swap(is, Ordering::Relaxed) != is {
            if is {
                log::warn!(buffered, most = self.most; "shedding: slow readers hold too much; new requests get 503");
            } else {
                log::info!(buffered, most = self.most; "no longer shedding");
            }
        }
        is
    }
}
