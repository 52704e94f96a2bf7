//! Filters that sleep: one keeps what it has while it does, one leaves it where it is.

use std::time::Duration;

use sluicegate::brigade::Brigade;
use sluicegate::clock::Instant;
use sluicegate::filter::{Filter, FilterError, Verdict};

/// Takes what comes into itself, `most` bytes at a time, and lets it out `pause` after the last came.
pub struct Keep {
    pause: Duration,
    most: u64,
    kept: Brigade,
    due: Instant,
}

impl Keep {
    /// Holds at most `most` bytes, each for `pause` after the last arrival.
    pub fn new(pause: Duration, most: u64) -> Self {
        Self { pause, most, kept: Brigade::new(), due: Instant::ZERO }
    }
}

impl Filter for Keep {
    fn filter(
        &mut self,
        now: Instant,
        input: &mut Brigade,
        output: &mut Brigade,
    ) -> Result<Verdict, FilterError> {
        while self.kept.bytes() < self.most
            && let Some(bucket) = input.pop_within(self.most - self.kept.bytes())
        {
            self.kept.push(bucket);
            self.due = now + self.pause;
        }
        if now < self.due && !self.kept.is_empty() {
            return Ok(Verdict::SleepUntil(self.due));
        }
        super::pass(&mut self.kept, output);
        if output.room() > 0 && !input.is_empty() && !output.is_closed() {
            return self.filter(now, input, output);
        }
        Ok(Verdict::after(output))
    }
}

/// Lets out one bucket each `pause`, and leaves the others where they are. A file's goes as it is.
pub struct OneEach {
    pause: Duration,
    next: Instant,
}

impl OneEach {
    /// Lets a bucket out every `pause`.
    pub fn new(pause: Duration) -> Self {
        Self { pause, next: Instant::ZERO }
    }
}

impl Filter for OneEach {
    fn filter(
        &mut self,
        now: Instant,
        input: &mut Brigade,
        output: &mut Brigade,
    ) -> Result<Verdict, FilterError> {
        while !input.is_empty() && output.room() > 0 {
            if now < self.next {
                return Ok(Verdict::SleepUntil(self.next));
            }
            self.next = now + self.pause;
            output.extend(input.pop());
        }
        Ok(Verdict::after(output))
    }

    fn reads_bytes(&self) -> bool {
        false
    }

    fn lookahead(&self) -> u64 {
        100
    }
}
