//! Progress of a run on standard error: a bar on a terminal, else a line now and then.

use std::io::Write;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use sluicegate::probe::run::Progress;

use crate::cli::table::size;

/// Interval of lines without a terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// The time over which the rate is computed.
const OVER: Duration = Duration::from_secs(2);

pub(super) struct Bar {
    bar: ProgressBar,
    lasting: Duration,
    next_line: Duration,
    /// The reports of the last two seconds.
    recent: Vec<Progress>,
}

impl Bar {
    pub(super) fn new(lasting: Duration) -> Self {
        let bar = ProgressBar::new(lasting.as_millis() as u64);
        if let Ok(style) = ProgressStyle::with_template("{wide_bar} {msg}") {
            bar.set_style(style.progress_chars("━╸ "));
        }
        Self { bar, lasting, next_line: LINE_EVERY, recent: Vec::new() }
    }

    pub(super) fn tell(&mut self, progress: Progress) {
        self.recent.retain(|then| then.elapsed + OVER >= progress.elapsed);
        self.recent.push(progress);
        if !self.bar.is_hidden() {
            self.bar.set_message(self.words(progress));
            self.bar.set_position(progress.elapsed.as_millis() as u64);
        } else if progress.elapsed >= self.next_line {
            self.next_line += LINE_EVERY;
            // Standard error may be closed.
            let _ = writeln!(std::io::stderr(), "{}", self.words(progress));
        }
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn words(&self, progress: Progress) -> String {
        let first = self.recent.first().copied().unwrap_or(progress);
        let time = progress.elapsed.saturating_sub(first.elapsed).as_secs_f64();
        let now = if time > 0.0 { ((progress.bytes - first.bytes) as f64 / time) as u64 } else { 0 };
        format!(
            "{:.0} of {} s, {}, now {}/s",
            progress.elapsed.as_secs_f64(),
            self.lasting.as_secs_f64(),
            size(progress.bytes),
            size(now)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_of_the_last_two_seconds() {
        let mut bar = Bar::new(Duration::from_secs(30));
        let at = |millis, bytes| Progress { elapsed: Duration::from_millis(millis), bytes };
        assert_eq!(bar.words(at(0, 0)), "0 of 30 s, 0 B, now 0 B/s");
        for (millis, bytes) in [(0, 100_000), (1000, 102_048), (2500, 105_120)] {
            bar.tell(at(millis, bytes));
        }
        assert_eq!(bar.words(at(3000, 106_144)), "3 of 30 s, 103.7 KiB, now 2.0 KiB/s");
    }
}
