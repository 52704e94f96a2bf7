//! One subscriber: connected, away for a moment, or suspended. Pure: told the time.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;

use super::delivery_trace::{DeliveryTrace, TraceContext};
use super::event::Event;
use super::log::Log;
use super::queue::{Gap, Queue};
use super::stream::{Rank, StreamContext};
use crate::budget::ClientKey;
use crate::clock::Instant;
use crate::events::EventSettings;
use crate::limit::{INTERVAL, TokenBucket};
use crate::tracing::{Origin, Outcome};

/// How long a queue may be over its bounds before its subscriber is suspended: one interval, as for the
/// buffer of a sink. A burst that a reader takes as it comes is no stall.
pub(super) const PATIENCE: Duration = INTERVAL;

/// Why a subscriber is suspended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Pause {
    /// More events wait for it than may.
    QueueFull,
    /// More bytes do.
    QueueBytesFull,
}

#[derive(Debug)]
pub(super) enum Phase {
    /// Has a stream.
    Live,
    /// Lost its stream; what it has not acknowledged is kept for it.
    Away { since: Instant },
    /// Was too slow, and polls.
    Suspended(Suspension),
}

/// A subscriber that polls until it is at the head.
#[derive(Debug)]
pub(super) struct Suspension {
    pub(super) why: Pause,
    /// When it was last heard of.
    pub(super) since: Instant,
    /// What it is known to have.
    pub(super) position: u64,
    /// The last event that was put on its stream.
    pub(super) sent: u64,
    /// Up to here it was told what is missing, and that was counted: it may poll the same again.
    pub(super) told: u64,
    /// An answer to its poll went to the head.
    pub(super) may_resume: bool,
    /// Its stream is still there, and has not said so yet.
    pub(super) untold: bool,
}

#[derive(Debug)]
pub(super) struct Subscriber {
    /// What logs and its own `sluicegate.open` event call it.
    pub(super) id: String,
    /// What it proves itself with.
    pub(super) token: String,
    /// Whose place it has.
    pub(super) client: ClientKey,
    pub(super) queue: Queue,
    pub(super) phase: Phase,
    /// Counts its connections: an older one that is still there has been taken over.
    pub(super) connection: u64,
    /// What it is told before anything else.
    pub(super) opening: Option<Bytes>,
    /// What it came asking for and is not to be had.
    pub(super) unknown: Option<Gap>,
    bucket: Option<TokenBucket>,
    /// The turn it was given under the cap for all.
    pub(super) turn: Option<Instant>,
    full_since: Option<Instant>,
    /// Above 80 %, and the log knows.
    pub(super) warned: bool,
    /// Its rank among those without a connection, if it is one of them.
    pub(super) idle: Option<Rank>,
    delivery_trace: DeliveryTrace,
}

/// What is to be said of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum QueueState {
    Fine,
    /// Above 80 %, and it was not before.
    Filling,
    /// Full for too long.
    Full(Pause),
}

fn told<'a>(subscriber: &'a str, context: &StreamContext<'a>) -> TraceContext<'a> {
    TraceContext { subscriber, now: context.now, tracing: context.tracing }
}

impl Subscriber {
    pub(super) fn new(id: String, token: String, client: ClientKey, queue: Queue) -> Self {
        Self {
            id,
            token,
            client,
            queue,
            phase: Phase::Live,
            connection: 1,
            opening: None,
            unknown: None,
            bucket: None,
            turn: None,
            full_since: None,
            warned: false,
            idle: None,
            delivery_trace: DeliveryTrace::default(),
        }
    }

    /// When its own rate lets one more event go: now, if that is not later than `now`.
    pub(super) fn ready_at(&mut self, settings: &EventSettings, now: Instant) -> Instant {
        let Some(rate) = settings.rate else {
            self.bucket = None;
            return now;
        };
        let bucket = self.bucket.get_or_insert_with(|| TokenBucket::new(rate, settings.burst, now));
        if bucket.max_burst() != settings.burst.max(1) {
            *bucket = TokenBucket::new(rate, settings.burst, now).starting_with(bucket.available());
        }
        bucket.set_rate(rate, now);
        if bucket.available() > 0 { now } else { bucket.available_at(1) }
    }

    /// Takes the token of an event that goes.
    pub(super) fn spend(&mut self) {
        self.turn = None;
        if let Some(bucket) = &mut self.bucket {
            bucket.consume(1);
        }
    }

    /// Notes that an event is on its way to it.
    pub(super) fn sent(&mut self, event: &Event, context: &StreamContext<'_>) {
        self.queue.sent(event, context.now);
        self.delivery_trace.written(event, told(&self.id, context));
    }

    /// Has the tracer told of what its queue knows by now: acknowledged, or passed over.
    pub(super) fn settle(&mut self, context: &StreamContext<'_>) {
        let told = told(&self.id, context);
        // Who has no stream may have it yet, by poll or when it comes again.
        let is_live = matches!(self.phase, Phase::Live);
        for (seq, origin) in self.queue.missed().iter().filter(|_| is_live) {
            self.delivery_trace.missed(*seq, origin, Outcome::Expired, told);
        }
        self.delivery_trace.acknowledged(self.queue.acked(), told);
    }

    /// Has the tracer told that everything up to `position` arrived.
    pub(super) fn has(&mut self, position: u64, context: &StreamContext<'_>) {
        self.delivery_trace.acknowledged(position, told(&self.id, context));
    }

    /// Has the tracer told of those traced events among `gone` that left the log before they were written here.
    /// They are in order.
    pub(super) fn missed(&mut self, gone: &[(u64, Arc<Origin>, Outcome)], context: &StreamContext<'_>) {
        // One that is suspended has them by poll, or is told there.
        if matches!(self.phase, Phase::Suspended(_)) {
            return;
        }
        let ahead = gone.partition_point(|(seq, ..)| *seq < self.queue.ahead());
        for (seq, origin, outcome) in &gone[ahead..] {
            self.delivery_trace.missed(*seq, origin, *outcome, told(&self.id, context));
        }
    }

    /// Has the tracer wait no more for acknowledgements of what was written last before `before`.
    pub(super) fn give_up(&mut self, before: Instant, context: &StreamContext<'_>) {
        self.delivery_trace.give_up(before, told(&self.id, context));
    }

    /// How full its queue is: 1 is full.
    pub(super) fn saturation(&self, log: &Log, settings: &EventSettings) -> f64 {
        let share = |held: u64, most: usize| held as f64 / most.max(1) as f64;
        share(self.queue.depth(log), settings.queue)
            .max(share(self.queue.depth_bytes(log), settings.queue_bytes))
    }

    /// Looks at its queue, if it has a stream.
    pub(super) fn judge(&mut self, log: &Log, settings: &EventSettings, now: Instant) -> QueueState {
        if !matches!(self.phase, Phase::Live) {
            return QueueState::Fine;
        }
        let why = if self.queue.depth(log) > settings.queue as u64 {
            Some(Pause::QueueFull)
        } else if self.queue.depth_bytes(log) > settings.queue_bytes as u64 {
            Some(Pause::QueueBytesFull)
        } else {
            None
        };
        match why {
            None => self.full_since = None,
            Some(why) => {
                let since = *self.full_since.get_or_insert(now);
                if now - since >= PATIENCE {
                    return QueueState::Full(why);
                }
            }
        }
        let filling = self.saturation(log, settings) > 0.8;
        let was = std::mem::replace(&mut self.warned, filling);
        if filling && !was { QueueState::Filling } else { QueueState::Fine }
    }

    /// Moves it to polling.
    pub(super) fn suspend(&mut self, why: Pause, now: Instant) {
        self.full_since = None;
        self.warned = false;
        self.phase = Phase::Suspended(Suspension {
            why,
            since: now,
            position: self.queue.acked(),
            sent: self.queue.position(),
            told: self.queue.position(),
            may_resume: false,
            untold: true,
        });
    }

    /// Whether nobody will ask for it any more: it has been away, or suspended and silent, for too long.
    pub(super) fn is_forgotten(&self, settings: &EventSettings, now: Instant) -> bool {
        match &self.phase {
            Phase::Live => false,
            Phase::Away { since } => now - *since >= settings.ttl,
            Phase::Suspended(suspension) => {
                // It comes again after its `retry:`, and must find itself known then.
                let patience = settings.ttl + settings.suspend_retry * 2;
                !suspension.untold && now - suspension.since >= patience
            }
        }
    }
}
