//! One subscriber's position in the log: what is next, what was sent, what was acknowledged. Pure.
//!
//! It holds numbers, never events. With a window, at most that many events are unacknowledged; without one, events that
//! the sink has flushed count as acknowledged.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::event::Event;
use super::log::Log;
use crate::clock::Instant;
use crate::tracing::Origin;

/// Why events are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Lost {
    /// They expired, in the log or while queued for this subscriber.
    Expired,
    /// The log was full.
    Evicted,
    /// The id to resume after is unknown: never published, or the log of that time is gone.
    Unknown,
}

/// Missing events as reported to a subscriber: those between `after` and `before`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Gap {
    /// The last id before the gap; `None` at the beginning of the stream.
    pub after: Option<String>,
    /// The first id after the gap; `None` if nothing was published since.
    pub before: Option<String>,
    /// Number of missing events; `None` if unknown.
    pub missing: Option<u64>,
    /// The reason.
    pub reason: Lost,
}

#[derive(Debug)]
pub(super) enum Next {
    Event(Arc<Event>),
    /// Returned once; then what follows.
    Gap(Gap),
    WindowFull,
    Nothing,
}

/// Runs of writes whose latency is measured separately: further ones are merged.
const MAX_RUNS: usize = 32;

#[derive(Debug)]
pub(super) struct Queue {
    /// The number of the next event.
    next: u64,
    /// The head when the subscriber joined: older events are a replay, which does not count against the queue.
    joined: u64,
    /// Bytes of all events before the first queued one.
    taken: u64,
    acked: u64,
    /// Up to this number another server may have sent events: they can be acknowledged, too.
    elsewhere: u64,
    measure: Measure,
    /// Passed over and not reported yet: the first number, and the reason.
    lost: Option<(u64, Lost)>,
    /// Traced events passed over since the last call of [`missed`](Queue::missed).
    missed: Vec<(u64, Arc<Origin>)>,
}

#[derive(Debug)]
enum Measure {
    /// At most this many events are unacknowledged; so many entries there are at most.
    Window { most: usize, sent: BTreeMap<u64, Sent>, out: usize },
    /// Acknowledged when the sink has flushed them.
    Writes(VecDeque<Run>),
}

#[derive(Debug)]
struct Sent {
    at: Instant,
    /// Whether it was sent on this connection; else on an earlier one.
    out: bool,
}

/// Consecutively written events.
#[derive(Debug)]
struct Run {
    through: u64,
    at: Instant,
    /// Flushes of the sink when the whole run was handed over; `None` before.
    flushes: Option<u64>,
}

impl Queue {
    /// The queue of a subscriber that has everything up to `position`.
    pub(super) fn new(position: u64, window: Option<usize>, log: &Log) -> Self {
        let measure = match window {
            Some(most) => Measure::Window { most: most.max(1), sent: BTreeMap::new(), out: 0 },
            None => Measure::Writes(VecDeque::new()),
        };
        Self {
            next: position + 1,
            joined: log.head(),
            taken: log.published(),
            acked: position,
            elsewhere: 0,
            measure,
            lost: None,
            missed: Vec::new(),
        }
    }

    /// What is next at `now`. Events are queued no longer than `ttl`. An event counts as sent only after
    /// [`sent`](Self::sent).
    pub(super) fn next(&mut self, now: Instant, log: &Log, ttl: Duration) -> Next {
        self.pass(now, log, ttl);
        if let Some((from, reason)) = self.lost.take() {
            return Next::Gap(Gap {
                after: log.id_of(from - 1),
                before: log.id_of(self.next),
                missing: Some(self.next - from),
                reason,
            });
        }
        match log.get(self.next) {
            Some(_) if self.is_full() => Next::WindowFull,
            Some(event) => Next::Event(Arc::clone(event)),
            None => Next::Nothing,
        }
    }

    /// Passes over events that left the log or expired; [`next`](Self::next) then reports the gap. Returns how many.
    pub(super) fn pass(&mut self, now: Instant, log: &Log, ttl: Duration) -> u64 {
        let from = self.next;
        self.next = self.next.max(log.first());
        while let Some(event) = log.get(self.next) {
            let waits_too_long = event.seq > self.joined && now >= event.born + ttl;
            if event.is_live(now) && !waits_too_long {
                break;
            }
            self.missed.extend(event.origin.iter().map(|origin| (event.seq, Arc::clone(origin))));
            self.next += 1;
        }
        self.settle_taken(log);
        if self.next == from {
            return 0;
        }
        let reason = if from <= log.evicted() { Lost::Evicted } else { Lost::Expired };
        self.lost.get_or_insert((from, reason));
        if let Measure::Window { sent, out, .. } = &mut self.measure {
            // An event that should be sent again and cannot be: it will not be acknowledged.
            let next = self.next;
            sent.retain(|seq, _| *seq < from || *seq >= next);
            *out = sent.values().filter(|sent| sent.out).count();
        }
        self.next - from
    }

    fn settle_taken(&mut self, log: &Log) {
        let first = self.next.max(self.joined + 1);
        self.taken = log.get(first).map_or(log.published(), |event| event.before);
    }

    fn is_full(&self) -> bool {
        matches!(&self.measure, Measure::Window { most, out, .. } if out >= most)
    }

    pub(super) fn sent(&mut self, event: &Event, now: Instant) {
        self.next = event.seq + 1;
        if event.seq > self.joined {
            self.taken = event.before + event.cost();
        }
        match &mut self.measure {
            Measure::Window { sent, out, .. } => {
                sent.insert(event.seq, Sent { at: now, out: true });
                *out += 1;
            }
            Measure::Writes(runs) => match runs.back_mut() {
                Some(last) if last.flushes.is_none() => last.through = event.seq,
                _ => {
                    if runs.len() == MAX_RUNS {
                        // The earlier time is kept, so that the age is not underestimated.
                        let newest = runs.pop_back();
                        if let (Some(last), Some(newest)) = (runs.back_mut(), newest) {
                            (last.through, last.flushes) = (newest.through, newest.flushes);
                        }
                    }
                    runs.push_back(Run { through: event.seq, at: now, flushes: None });
                }
            },
        }
    }

    /// Marks the last run as handed over after `flushes` flushes; a run is complete after `depth` more. Returns the latencies
    /// of completed runs.
    pub(super) fn asked(&mut self, flushes: u64, depth: u64, now: Instant) -> Vec<Duration> {
        if let Measure::Writes(runs) = &mut self.measure
            && let Some(last) = runs.back_mut()
        {
            last.flushes.get_or_insert(flushes);
        }
        self.flushed(flushes, depth, now)
    }

    /// Completes runs after `flushes` flushes, without handing over. Returns the latencies of completed runs.
    pub(super) fn flushed(&mut self, flushes: u64, depth: u64, now: Instant) -> Vec<Duration> {
        let Measure::Writes(runs) = &mut self.measure else { return Vec::new() };
        let mut took = Vec::new();
        while let Some(run) = runs.front()
            && run.flushes.is_some_and(|seen| flushes >= seen + depth)
        {
            self.acked = self.acked.max(run.through);
            took.push(now - run.at);
            runs.pop_front();
        }
        took
    }

    /// Notes that another server may have sent events up to `seq`.
    pub(super) fn sent_elsewhere(&mut self, seq: u64) {
        self.elsewhere = self.elsewhere.max(seq);
    }

    /// Acknowledges everything up to `seq`. Returns how long each event was unacknowledged; `None` if `seq` was never sent.
    pub(super) fn ack(&mut self, seq: u64, now: Instant) -> Option<Vec<Duration>> {
        if seq <= self.acked {
            return Some(Vec::new());
        }
        let mut took = Vec::new();
        let is_sent_elsewhere = seq <= self.elsewhere;
        match &mut self.measure {
            Measure::Window { sent, out, .. } => {
                if !sent.contains_key(&seq) && !is_sent_elsewhere {
                    return None;
                }
                let behind = sent.split_off(&(seq + 1));
                for sent in std::mem::replace(sent, behind).into_values() {
                    *out -= usize::from(sent.out);
                    took.push(now - sent.at);
                }
            }
            Measure::Writes(runs) => {
                if seq >= self.next && !is_sent_elsewhere {
                    return None;
                }
                while let Some(run) = runs.front()
                    && run.through <= seq
                {
                    took.push(now - run.at);
                    runs.pop_front();
                }
            }
        }
        self.acked = seq;
        // Acknowledged from an earlier connection: not sent again.
        self.next = self.next.max(seq + 1);
        Some(took)
    }

    /// Restarts on a new connection after what is acknowledged, or without a window after `received`.
    pub(super) fn rewind(&mut self, received: Option<u64>, log: &Log) {
        match &mut self.measure {
            Measure::Window { sent, out, .. } => {
                sent.values_mut().for_each(|sent| sent.out = false);
                *out = 0;
            }
            Measure::Writes(runs) => {
                runs.clear();
                self.acked = received.unwrap_or(self.acked).min(log.head());
            }
        }
        self.next = self.acked + 1;
        self.lost = None;
        (self.joined, self.taken) = (log.head(), log.published());
    }

    /// Queued events, without a replay.
    pub(super) fn depth(&self, log: &Log) -> u64 {
        (log.head() + 1).saturating_sub(self.next.max(self.joined + 1))
    }

    pub(super) fn depth_bytes(&self, log: &Log) -> u64 {
        log.published().saturating_sub(self.taken)
    }

    /// The number of the last event that was sent or reported missing, or that the subscriber joined with.
    pub(super) fn position(&self) -> u64 {
        self.lost.map_or(self.next, |(from, _)| from) - 1
    }

    /// The number of the next event.
    pub(super) fn ahead(&self) -> u64 {
        self.next
    }

    /// Takes the traced events that were passed over as expired since the last call.
    pub(super) fn missed(&mut self) -> Vec<(u64, Arc<Origin>)> {
        std::mem::take(&mut self.missed)
    }

    pub(super) fn acked(&self) -> u64 {
        self.acked
    }

    /// When the oldest unacknowledged event was sent.
    pub(super) fn oldest(&self) -> Option<Instant> {
        match &self.measure {
            Measure::Window { sent, .. } => sent.values().next().map(|sent| sent.at),
            Measure::Writes(runs) => runs.front().map(|run| run.at),
        }
    }

    pub(super) fn window(&self) -> Option<usize> {
        match &self.measure {
            Measure::Window { most, .. } => Some(*most),
            Measure::Writes(_) => None,
        }
    }
}
