//! Shedding load: when too many bytes are held for slow readers in all, new requests are turned away.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{Handle, Shared};
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
        self.judge(egress.held().total(), most)
    }

    fn judge(&self, held: u64, most: u64) -> bool {
        let was = self.shedding.load(Ordering::Relaxed);
        // Wide, so that four fifths are exact for any bound.
        let four_fifths = || u128::from(held) * 5 >= u128::from(most) * 4;
        let is = if was { held > 0 && four_fifths() } else { held > most };
        if is != was && self.shedding.swap(is, Ordering::Relaxed) != is {
            if is {
                log::warn!(held, most; "shedding: too much is held for clients; new requests get 503");
            } else {
                log::info!(held, most; "no longer shedding");
            }
        }
        is
    }
}

impl Handle {
    /// What the server's connections wrote, hold and dropped, summed.
    pub fn egress(&self) -> &SinkCounts {
        &self.0.egress
    }

    /// Whether new requests are turned away because too much is held for slow readers.
    pub fn is_shedding(&self) -> bool {
        self.0.is_shedding()
    }
}

impl Shared {
    pub(super) fn is_shedding(&self) -> bool {
        self.shedding.is_shedding(&self.egress, self.setup().settings.egress_total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_above_the_bound_and_ends_below_four_fifths_of_it() {
        for (most, steps) in [
            (
                1000,
                &[(1000, false), (1001, true), (1000, true), (800, true), (799, false), (1000, false)][..],
            ),
            (1001, &[(1002, true), (801, true), (800, false)]),
            (1, &[(1, false), (2, true), (1, true), (0, false)]),
            (0, &[(0, false), (1, true), (0, false)]),
            (u64::MAX, &[(u64::MAX, false)]),
        ] {
            let shedding = Shedding::default();
            for (held, expected) in steps {
                assert_eq!(shedding.judge(*held, most), *expected, "{held} of {most}");
            }
        }
    }
}
