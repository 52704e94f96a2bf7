//! What a chain takes from its source.

use super::{Chain, MIN_GATHERED, State};
use crate::brigade::{Brigade, MAX_PIECE};
use crate::clock::Instant;

/// Bytes behind what may pass: something must be left for a filter to sleep for, which tells when the source is to be asked again.
const BEYOND: u64 = 2;

impl Chain {
    /// Returns the brigade for the source's buckets. Its [`room`](Brigade::room) is how much is wanted.
    pub fn input(&mut self) -> &mut Brigade {
        match self.links.first_mut() {
            Some(first) => {
                // A sleeping filter gathers fully, to see whether the stream ends meanwhile.
                let most = if matches!(first.state, State::Asleep(_)) { None } else { self.max_gathered };
                first.input.set_budget(if first.state == State::Done { 0 } else { first.lookahead(most) });
                &mut first.input
            }
            None => {
                self.bare.set_budget(self.max_gathered.unwrap_or(MAX_PIECE));
                &mut self.bare
            }
        }
    }

    /// Gathers at most `bytes` before each filter from now on, but at least 512, and stops when the output is full; `None`
    /// leaves it to the filters. The end of the stream may be seen later then.
    pub fn set_max_gathered(&mut self, bytes: Option<u64>) {
        self.max_gathered = bytes.map(|bytes| bytes.max(MIN_GATHERED));
    }

    /// Returns whether more input would be taken, also while the chain sleeps: a stream that ends meanwhile has its remainder
    /// sent early.
    pub fn wants_input(&mut self) -> bool {
        let finished = self.finished;
        let input = self.input();
        !finished && input.room() > 0 && !input.is_closed()
    }

    /// Returns the brigade for buckets of a source that has more than it has room for. Its room is what may pass at `now`, and two
    /// bytes.
    pub fn input_due(&mut self, now: Instant) -> &mut Brigade {
        let covered = self.links.first().map_or(u64::MAX, |first| first.filter.covers(now));
        let input = self.input();
        input.set_budget((input.bytes() + input.room()).min(covered.saturating_add(BEYOND)));
        input
    }

    /// Returns whether the first filter sleeps. Until it wakes, new input stays where it is, unless it ends the stream.
    pub fn sleeps_at_input(&self) -> bool {
        self.links.first().is_some_and(|first| matches!(first.state, State::Asleep(_)))
    }
}
