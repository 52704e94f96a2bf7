//! Bounds log lines that a client can cause at will: a few of each kind in ten seconds, then one line with the number
//! that was left out. Without a bound a client could fill the disk.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, Instant, Sleep};
use crate::rt;
use crate::sync::Mutex;

const PERIOD: Duration = Duration::from_secs(10);

/// Lines of one kind in a period.
const MAX_LINES: usize = 20;

/// Bounds the lines of one kind.
pub(crate) struct LogBound {
    clock: Arc<dyn Clock>,
    period: Mutex<Period>,
}

#[derive(Default)]
struct Period {
    /// `None` before the first line.
    began: Option<Instant>,
    lines: usize,
    left_out: u64,
}

impl LogBound {
    /// An unused bound. Periods are measured on `clock`.
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { clock, period: Mutex::default() })
    }

    /// Whether one more line may be written now. If lines were left out, `summary` is called with their number at the
    /// end of the period.
    pub(crate) fn admits(self: &Arc<Self>, summary: impl FnOnce(u64) + Send + 'static) -> bool {
        let now = self.clock.now();
        let mut period = self.period.lock();
        let began = match period.began {
            // A period with lines left out lasts until its summary is written.
            Some(began) if now < began + PERIOD || period.left_out > 0 => began,
            _ => {
                *period = Period { began: Some(now), ..Period::default() };
                now
            }
        };
        if period.lines < MAX_LINES {
            period.lines += 1;
            return true;
        }
        period.left_out += 1;
        if period.left_out == 1 {
            drop(period);
            let bound = Arc::clone(self);
            rt::spawn(async move {
                Sleep::until(Arc::clone(&bound.clock), began + PERIOD).await;
                let ended = std::mem::take(&mut *bound.period.lock());
                summary(ended.left_out);
            });
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn twenty_lines_are_written_in_ten_seconds_and_one_about_the_others() {
        let clock = Arc::new(ManualClock::new());
        let bound = LogBound::new(clock.clone());
        let (told, summaries) = mpsc::channel();
        let ask = |times: usize| {
            let admitted = (0..times).filter(|_| {
                let told = told.clone();
                bound.admits(move |left_out| told.send(left_out).unwrap())
            });
            admitted.count()
        };
        assert_eq!((ask(1000), ask(5)), (MAX_LINES, 0));
        clock.advance(PERIOD - Duration::from_nanos(1));
        assert_eq!(ask(1), 0);
        assert!(summaries.try_recv().is_err());
        // The task that writes the summary must be asleep before its time can come.
        while clock.sleepers() == 0 {
            std::thread::yield_now();
        }
        clock.advance(Duration::from_nanos(1));
        assert_eq!(summaries.recv_timeout(Duration::from_secs(10)), Ok(986));
        assert_eq!(ask(MAX_LINES - 1), MAX_LINES - 1);
        // Nothing was left out of this period: no summary.
        clock.advance(PERIOD);
        assert_eq!((ask(MAX_LINES), clock.sleepers()), (MAX_LINES, 0));
        assert!(summaries.try_recv().is_err());
    }
}
