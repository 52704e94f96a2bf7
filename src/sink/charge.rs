//! Charges memory to the account of held bytes.

use std::sync::Arc;

use super::held::HeldAs;
use super::state::SinkState;

/// Bytes charged to the accounts of a connection and of its server; dropping it takes them off.
///
/// Charge what is allocated, in blocks, not each byte that is used of it.
pub struct Charge {
    sink: Arc<SinkState>,
    held: HeldAs,
    bytes: u64,
}

opaque!(Charge);

impl Charge {
    /// Charges nothing yet to the connection behind `sink`.
    pub fn new(sink: &Arc<SinkState>, held: HeldAs) -> Self {
        Self { sink: Arc::clone(sink), held, bytes: 0 }
    }

    /// Changes the charge to `bytes`.
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
        assert_eq!(HeldAs::ALL.map(|held| totals.held().of(held)), [0, 0, 60, 0, 7, 0, 0]);
        drop(one);
        assert_eq!((totals.held().total(), each()), (7, [0, 7]));
        drop(other);
        assert_eq!((totals.held().total(), each()), (0, [0, 0]));
    }
}
