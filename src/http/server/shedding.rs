//! Shedding load: when slow readers hold too many bytes in all, new requests are turned away.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::sink::SinkCounts;

/// Whether a server turns requests away, with a distance between starting and stopping.
#[derive(Debug, Default)]
pub(super) struct Shedding {
    shedding: AtomicBool,
}

impl Shedding {
    /// Looks at what is held and says whether requests are turned away: from above `most` bytes for all
    /// readers together on, until below 80 % of that.
    pub(super) fn is_shedding(&self, egress: &SinkCounts, most: u64) -> bool {
        let buffered = egress.buffered();
        let was = self.shedding.load(Ordering::Relaxed);
        let is = if was { buffered >= most / 5 * 4 } else { buffered > most };
        if is != was && self.shedding.swap(is, Ordering::Relaxed) != is {
            if is {
                log::warn!(buffered, most; "shedding: slow readers hold too much; new requests get 503");
            } else {
                log::info!(buffered, most; "no longer shedding");
            }
        }
        is
    }
}
