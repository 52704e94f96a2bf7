//! The exporting thread: sends batch after batch, and logs when that fails.

use std::sync::Arc;
use std::time::Duration;

use super::otlp::{Exporter, Moments};
use super::queue::Queue;
use crate::clock::{Clock, Instant};
use crate::rt;

/// Shortest time between two log lines about failed exports.
const QUIET: Duration = Duration::from_secs(60);

pub(super) struct Exporting {
    exporter: Exporter,
    endpoint: String,
    clock: Arc<dyn Clock>,
    trouble: Trouble,
}

/// What was logged about failed exports.
#[derive(Debug, Default, PartialEq, Eq)]
struct Trouble {
    /// When it was last logged.
    told: Option<Instant>,
    /// Spans lost since then.
    lost: usize,
    /// Whether the last export failed.
    is_on: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Report {
    /// Exports fail; spans lost since the last line.
    Fails(usize),
    /// Exports work again; spans lost since the last line.
    Works(usize),
}

impl Trouble {
    fn after(&mut self, spans: usize, taken: bool, now: Instant) -> Option<Report> {
        if taken {
            let was_on = std::mem::take(&mut self.is_on);
            return was_on.then(|| Report::Works(std::mem::take(&mut self.lost)));
        }
        self.is_on = true;
        self.lost += spans;
        if self.told.is_some_and(|told| now - told < QUIET) {
            return None;
        }
        self.told = Some(now);
        Some(Report::Fails(std::mem::take(&mut self.lost)))
    }
}

impl Exporting {
    pub(super) fn new(exporter: Exporter, endpoint: String, clock: Arc<dyn Clock>) -> Self {
        Self { exporter, endpoint, clock, trouble: Trouble::default() }
    }

    /// Exports from `queue` until it is shut and empty. `id` generates span ids.
    pub(super) fn run(mut self, queue: &Queue, id: impl Fn() -> u64) {
        while let Some(batch) = queue.next() {
            let spans = batch.len();
            // For each batch: the system time may be changed meanwhile.
            let moments = Moments::of(&*self.clock);
            let batch = batch.iter().map(|record| moments.span(record, &id)).collect();
            let done = rt::block_on(self.exporter.export(batch));
            queue.sent(done.is_ok());
            let endpoint = self.endpoint.as_str();
            match self.trouble.after(spans, done.is_ok(), self.clock.now()) {
                Some(Report::Fails(lost)) => {
                    let error = done.err().unwrap_or_default();
                    log::warn!(endpoint, lost, error; "spans cannot be exported and are lost");
                }
                Some(Report::Works(lost)) => log::info!(endpoint, lost; "spans are exported again"),
                None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_logged_once_a_minute_and_so_is_their_end() {
        let at = |seconds| Instant::ZERO + Duration::from_secs(seconds);
        let mut trouble = Trouble::default();
        let mut after = |spans, taken, seconds| trouble.after(spans, taken, at(seconds));
        assert_eq!(after(1, true, 0), None, "no news");
        assert_eq!(after(2, false, 1), Some(Report::Fails(2)));
        assert_eq!(after(3, false, 2), None);
        assert_eq!(after(4, false, 60), None);
        assert_eq!(after(5, false, 61), Some(Report::Fails(12)));
        assert_eq!(after(6, false, 62), None);
        assert_eq!(after(7, true, 63), Some(Report::Works(6)));
        assert_eq!(after(7, true, 64), None);
        assert_eq!(after(8, false, 65), None, "a collector that comes and goes is no reason to say more");
        assert_eq!(after(9, false, 121), Some(Report::Fails(17)));
    }
}
