//! The figures of all connections, and whether they meet the goal.
//!
//! Pure.

use std::time::Duration;

use super::chunks::Chunks;
use super::compare::{Comparison, Side, compare};
use super::pace::{End, rate};
use super::target::Target;
use super::timeline::Timeline;
use super::windows::{Gap, Seconds, longest_gap, seconds};
use crate::limit::Rate;

/// What one connection received. Times are since the start of the run.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectionTrace {
    /// Arrivals of content.
    pub timeline: Timeline,
    /// When the first request was sent; `None` if none was.
    pub asked: Option<Duration>,
    /// When the first byte of the first response arrived, of its head or content.
    pub answered: Option<Duration>,
    /// Complete responses.
    pub responses: u64,
    /// Connections opened, one after the other where the server closed them.
    pub dials: u64,
    /// How it ended.
    pub end: End,
    /// Why it failed, if it did.
    pub failure: Option<String>,
}

/// What the connections to one URL received.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetTraces {
    /// The URL.
    pub target: Target,
    /// Each connection.
    pub connections: Vec<ConnectionTrace>,
}

/// A run.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// One URL, or two requested at the same time.
    pub probed: Vec<TargetTraces>,
    /// Its length, from the first request.
    pub lasted: Duration,
    /// Whether it was stopped early.
    pub interrupted: bool,
}

/// What the figures should be.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Goal {
    /// The rate that is expected.
    pub rate: Option<Rate>,
    /// Whether `rate` is of all connections to a URL together, not of each.
    pub shared: bool,
    /// How far the rate may be off, in percent.
    pub tolerance: Option<f64>,
}

/// The figures of a timeline.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Measures {
    /// Bytes of content.
    pub bytes: u64,
    /// Bytes per second, without the chunk that starts the clock; `None` if the time is too short.
    pub rate: Option<f64>,
    /// The chunks, if it has any.
    pub chunks: Option<Chunks>,
    /// The best and the worst second, if it lasted at least one.
    pub seconds: Option<Seconds>,
    /// The longest time without a byte.
    pub gap: Option<Gap>,
    /// From the first request to the first byte of its answer.
    pub first_byte: Option<Duration>,
    /// From the first request to the end.
    pub lasted: Duration,
}

/// The figures of all connections to one URL.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Each connection.
    pub connections: Vec<Measures>,
    /// All of them together.
    pub together: Measures,
    /// The arrivals of all connections.
    pub timeline: Timeline,
    /// Jain's fairness index: 1 if all connections are served alike, 1/n if one gets everything. `None` for one
    /// connection.
    pub jain: Option<f64>,
}

/// The figures of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// One for each URL.
    pub summaries: Vec<Summary>,
    /// How the two URLs differ: the pair of connections that differs most.
    pub comparison: Option<Comparison>,
    /// What misses the goal, in words; `None` without a tolerance.
    pub misses: Option<Vec<String>>,
}

impl Outcome {
    /// The reasons of failures, each with the number of connections.
    pub fn failures(&self) -> Vec<(String, usize)> {
        let mut found: Vec<(String, usize)> = Vec::new();
        for probed in &self.probed {
            for failure in probed.connections.iter().filter_map(|seen| seen.failure.as_ref()) {
                let words = format!("{}: {failure}", probed.target);
                match found.iter_mut().find(|(known, _)| *known == words) {
                    Some((_, count)) => *count += 1,
                    None => found.push((words, 1)),
                }
            }
        }
        found
    }

    /// Whether any content arrived.
    pub fn has_content(&self) -> bool {
        self.probed.iter().flat_map(|probed| &probed.connections).any(|seen| seen.timeline.total() > 0)
    }

    /// The figures.
    pub fn report(&self, goal: &Goal) -> Report {
        let summaries: Vec<Summary> = self.probed.iter().map(|probed| self.summary(probed)).collect();
        let comparison = self.comparison(&summaries);
        let misses =
            goal.tolerance.map(|tolerance| self.misses(goal, tolerance, &summaries, comparison.as_ref()));
        Report { summaries, comparison, misses }
    }

    fn summary(&self, probed: &TargetTraces) -> Summary {
        let connections: Vec<Measures> = probed.connections.iter().map(|seen| self.measures(seen)).collect();
        let timeline = Timeline::sum(probed.connections.iter().map(|seen| &seen.timeline));
        let whole = probed.connections.iter().all(|seen| seen.end == End::Whole);
        let all = ConnectionTrace {
            timeline,
            asked: probed.connections.iter().filter_map(|seen| seen.asked).min(),
            answered: probed.connections.iter().filter_map(|seen| seen.answered).min(),
            responses: 0,
            dials: 0,
            end: if whole { End::Whole } else { End::At(self.lasted) },
            failure: None,
        };
        let mut together = self.measures(&all);
        // Exact for each, and so for their sum; in the merged timeline the first chunks of the others would count.
        if let Some(rates) = connections.iter().map(Measures::rate_or_none_came).collect::<Option<Vec<_>>>() {
            together.rate = Some(rates.iter().sum());
        }
        let jain = (connections.len() > 1).then(|| {
            let shares: Vec<f64> = connections.iter().map(Measures::overall).collect();
            jain(&shares)
        });
        Summary { connections, together, timeline: all.timeline, jain }
    }

    fn measures(&self, seen: &ConnectionTrace) -> Measures {
        let chunks = Chunks::of(&seen.timeline);
        let asked = seen.asked.unwrap_or_default();
        let until = match seen.end {
            End::Whole => seen.timeline.last().or(seen.answered).unwrap_or(asked),
            End::At(end) => end,
        };
        Measures {
            bytes: seen.timeline.total(),
            rate: rate(&seen.timeline, chunks.as_ref(), seen.end),
            seconds: seconds(&seen.timeline, chunks.as_ref(), seen.end),
            gap: longest_gap(&seen.timeline, seen.end),
            first_byte: seen.answered.map(|answered| answered.saturating_sub(asked)),
            lasted: until.saturating_sub(asked),
            chunks,
        }
    }

    fn comparison(&self, summaries: &[Summary]) -> Option<Comparison> {
        let [one, other] = self.probed.as_slice() else { return None };
        let side = |at: usize, n: usize| -> Option<Side<'_>> {
            let seen = self.probed[at].connections.get(n)?;
            let measures = summaries.get(at)?.connections.get(n)?;
            let chunks = measures.chunks.as_ref();
            Some(Side { timeline: &seen.timeline, chunks, rate: measures.rate, end: seen.end })
        };
        let count = one.connections.len().min(other.connections.len());
        let pairs = (0..count).filter_map(|n| compare(side(0, n)?, side(1, n)?));
        pairs.max_by(|a, b| badness(a).total_cmp(&badness(b)))
    }

    fn misses(
        &self,
        goal: &Goal,
        tolerance: f64,
        summaries: &[Summary],
        comparison: Option<&Comparison>,
    ) -> Vec<String> {
        let mut misses = Vec::new();
        for (probed, summary) in self.probed.iter().zip(summaries) {
            let Some(wished) = goal.rate else { break };
            let each =
                if goal.shared { std::slice::from_ref(&summary.together) } else { &summary.connections };
            let short = each.iter().filter(|measures| measures.rate.is_none()).count();
            if short > 0 {
                misses.push(format!(
                    "{}: {}what came is too short to tell a rate",
                    probed.target,
                    of_several(short, each.len())
                ));
            }
            let errors = each.iter().filter_map(|measures| Some(error(measures.rate?, wished)));
            let errors: Vec<f64> = errors.filter(|error| error.abs() > tolerance).collect();
            let worst = errors.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs()));
            if let Some(worst) = worst {
                misses.push(format!(
                    "{}: {}the rate is {worst:+.2} % off, {tolerance} % are allowed",
                    probed.target,
                    of_several(errors.len(), each.len())
                ));
            }
        }
        if comparison.is_some_and(|comparison| !comparison.agree()) {
            misses.push("the two timelines do not agree".to_owned());
        }
        if self.probed.len() == 2 && comparison.is_none() {
            misses.push("there is nothing to compare".to_owned());
        }
        if self.interrupted {
            misses.push("the run was cut short".to_owned());
        }
        misses
    }
}

impl Summary {
    /// The usual time between chunks, the longest of all connections; zero where there are none.
    pub fn usual_interval(&self) -> Duration {
        let chunks = self.connections.iter().filter_map(|measures| measures.chunks.as_ref());
        chunks.map(|chunks| chunks.usual).max().unwrap_or_default()
    }
}

impl Measures {
    /// Bytes per second of the whole time, the first chunk and the wait for it included.
    pub fn overall(&self) -> f64 {
        if self.lasted.is_zero() { 0.0 } else { self.bytes as f64 / self.lasted.as_secs_f64() }
    }

    /// The rate; zero if no bytes arrived.
    fn rate_or_none_came(&self) -> Option<f64> {
        if self.bytes == 0 { Some(0.0) } else { self.rate }
    }
}

/// How far `rate` is off `wished`, in percent.
pub fn error(rate: f64, wished: Rate) -> f64 {
    (rate / wished.bytes_per_second() as f64 - 1.0) * 100.0
}

fn of_several(some: usize, all: usize) -> String {
    if all == 1 { String::new() } else { format!("on {some} of {all} connections ") }
}

/// A comparison that disagrees ranks above all that agree.
fn badness(comparison: &Comparison) -> f64 {
    if comparison.lengths.is_some() {
        return f64::INFINITY;
    }
    comparison.lead as f64 / comparison.chunk.max(1) as f64
}

/// Jain's fairness index: (Σx)² ÷ (n·Σx²). 1 if there are no bytes at all.
pub fn jain(shares: &[f64]) -> f64 {
    let sum: f64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    if squares == 0.0 { 1.0 } else { sum * sum / (shares.len() as f64 * squares) }
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
