//! One subscriber's place in the log: what comes next, what was sent, what was acknowledged. Pure.
//!
//! It holds numbers, never events. With a window at most so many events are out unacknowledged; without
//! one what the sink took counts as acknowledged.

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
    /// They grew too old, in the log or while they waited for this subscriber.
    Expired,
    /// The log had no room for them any more.
    Evicted,
    /// The id to resume from is not known: it was never there, or the log of that time is gone.
    Unknown,
}

/// What is missing, as the subscriber is told: events behind `after` and before `before`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// The last id before the gap; none if it begins the stream.
    pub after: Option<String>,
    /// The first id behind it; none if nothing came since.
    pub before: Option<String>,
    /// How many events are missing; none if nobody knows.
    pub missing: Option<u64>,
    /// Why.
    pub reason: Lost,
}

/// What there is for a subscriber.
#[derive(Debug)]
pub(super) enum Next {
    Event(Arc<Event>),
    /// Told once; then what follows it.
    Gap(Gap),
    /// The window is full.
    WindowFull,
    Nothing,
}

/// Runs of writes whose way is told apart: more are told together.
const MAX_RUNS: usize = 32;

#[derive(Debug)]
pub(super) struct Queue {
    /// The next event to look at.
    next: u64,
    /// What was live when the subscriber came: older events are a replay, which no queue is full of.
    joined: u64,
    /// The cost of all events before the first that counts as queued.
    taken: u64,
    /// Acknowledged up to here.
    acked: u64,
    measure: Measure,
    /// Passed over and not told yet: the first number, and why.
    lost: Option<(u64, Lost)>,
    /// Traced events passed over in the log, until [`missed`](Queue::missed) is asked.
    missed: Vec<(u64, Arc<Origin>)>,
}

#[derive(Debug)]
enum Measure {
    /// At most so many unacknowledged. The book has as many lines at most.
    Window { most: usize, sent: BTreeMap<u64, Sent>, out: usize },
    /// Acknowledged when the sink has flushed them.
    Writes(VecDeque<Run>),
}

#[derive(Debug)]
struct Sent {
    at: Instant,
    /// Sent on this connection; else on one before.
    out: bool,
}

/// Events written one after the other.
#[derive(Debug)]
struct Run {
    through: u64,
    at: Instant,
    /// How many flushes the sink had seen when all of the run was on its way; none before.
    flushes: Option<u64>,
}

impl Queue {
    /// A subscriber that has everything up to `position`.
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
            measure,
            lost: None,
            missed: Vec::new(),
        }
    }

    /// What comes next at `now`. Events wait no longer than `ttl`. An event counts as sent only when
    /// [`sent`](Self::sent) says so.
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

    /// Passes over what cannot be had any more; the gap is told by the next call of [`next`](Self::next).
    /// Gives how many events were passed over.
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
            // What was sent before and is to be sent again, and cannot be: nobody will acknowledge it.
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

    /// Notes that the event with this number is on its way.
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
                        // The older one's time is kept: age must not look younger than it is.
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

    /// Says that more is asked for, with all that was sent on its way and so many flushes seen; and that
    /// runs are through when the sink has flushed `depth` times since. Gives how long each run took.
    pub(super) fn asked(&mut self, flushes: u64, depth: u64, now: Instant) -> Vec<Duration> {
        if let Measure::Writes(runs) = &mut self.measure
            && let Some(last) = runs.back_mut()
        {
            last.flushes.get_or_insert(flushes);
        }
        self.flushed(flushes, depth, now)
    }

    /// The same without anything being asked for.
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

    /// Acknowledges everything up to `seq`. Gives how long each event was out; `None` if the event with this
    /// number was never sent.
    pub(super) fn ack(&mut self, seq: u64, now: Instant) -> Option<Vec<Duration>> {
        if seq <= self.acked {
            return Some(Vec::new());
        }
        let mut took = Vec::new();
        match &mut self.measure {
            Measure::Window { sent, out, .. } => {
                if !sent.contains_key(&seq) {
                    return None;
                }
                let behind = sent.split_off(&(seq + 1));
                for sent in std::mem::replace(sent, behind).into_values() {
                    *out -= usize::from(sent.out);
                    took.push(now - sent.at);
                }
            }
            Measure::Writes(runs) => {
                if seq >= self.next {
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
        // Acknowledged from an earlier connection: it need not be sent again.
        self.next = self.next.max(seq + 1);
        Some(took)
    }

    /// Begins again behind what is acknowledged, and behind `received` where the sink is the measure, on a
    /// new connection.
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

    /// Events that wait, those of a replay excepted.
    pub(super) fn depth(&self, log: &Log) -> u64 {
        (log.head() + 1).saturating_sub(self.next.max(self.joined + 1))
    }

    /// Their cost.
    pub(super) fn depth_bytes(&self, log: &Log) -> u64 {
        log.published().saturating_sub(self.taken)
    }

    /// The number of the last event that was sent or told to be missing, or that the subscriber came with.
    pub(super) fn position(&self) -> u64 {
        self.lost.map_or(self.next, |(from, _)| from) - 1
    }

    /// The number of the next event to look at.
    pub(super) fn ahead(&self) -> u64 {
        self.next
    }

    /// Takes out the traced events that were passed over since this was asked last, because they were too old.
    pub(super) fn missed(&mut self) -> Vec<(u64, Arc<Origin>)> {
        std::mem::take(&mut self.missed)
    }

    pub(super) fn acked(&self) -> u64 {
        self.acked
    }

    /// Since when the oldest event that was sent and not acknowledged is out.
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
