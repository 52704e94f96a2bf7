//! One subscriber: connected, away, or suspended. Pure: passed the time.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;

use super::counts::EventCounts;
use super::delivery_trace::{DeliveryTrace, TraceContext, Tracing};
use super::encoding;
use super::event::{Event, PAUSE};
use super::log::Log;
use super::queue::{Gap, Queue};
use super::shared_rate::SharedRate;
use crate::budget::ClientKey;
use crate::clock::Instant;
use crate::events::{EventSettings, EventUnit};
use crate::limit::{INTERVAL, TokenBucket};
use crate::tracing::{Origin, Outcome};

/// How long a queue may exceed its bounds before its subscriber is suspended: one interval, as for the buffer of a
/// sink. A burst that the reader keeps up with is not a stall.
pub(super) const PATIENCE: Duration = INTERVAL;

/// How long a suspended subscriber is remembered after its last request: it reconnects after its `retry:`, and must still be
/// known then.
pub(super) fn suspended_ttl(settings: &EventSettings) -> Duration {
    settings.ttl + settings.suspend_retry * 2
}

/// What a stream is passed with each call: time, settings, counters, shared rate and tracer.
pub(super) struct StreamContext<'a> {
    pub(super) now: Instant,
    pub(super) settings: &'a EventSettings,
    pub(super) counts: &'a EventCounts,
    pub(super) shared_rate: &'a SharedRate,
    pub(super) tracing: Option<&'a Tracing>,
    /// Whether no events can come, since the store is out of reach.
    pub(super) is_stalled: bool,
}

/// Eviction order among a client's idle subscribers: those that are away before those that poll (`true`), and of each
/// kind the one that lost its stream first.
pub(super) type Rank = (bool, Instant);

/// Why a subscriber is suspended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pause {
    QueueFull,
    QueueBytesFull,
}

impl Pause {
    /// As clients are told, and stores.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::QueueBytesFull => "queue_bytes_full",
        }
    }

    pub(super) fn of(word: &str) -> Option<Self> {
        [Self::QueueFull, Self::QueueBytesFull].into_iter().find(|pause| pause.word() == word)
    }
}

#[derive(Debug)]
pub(super) enum Phase {
    Live,
    /// Lost its connection; unacknowledged events are kept for it.
    Away {
        since: Instant,
    },
    /// Was too slow; it must poll.
    Suspended(Suspension),
}

/// State of a subscriber that must poll until it has caught up.
#[derive(Debug)]
pub(super) struct Suspension {
    pub(super) why: Pause,
    /// When it last sent a request.
    pub(super) since: Instant,
    /// The last event that it is known to have.
    pub(super) position: u64,
    /// The last event that it was sent.
    pub(super) sent: u64,
    /// Up to here gaps were reported and counted: it may poll the same range again.
    pub(super) told: u64,
    /// A poll reached the head.
    pub(super) may_resume: bool,
    /// Its connection is still open, and has not sent the pause event yet.
    pub(super) untold: bool,
}

#[derive(Debug)]
pub(super) struct Subscriber {
    /// Its name in logs and in its `sluicegate.open` event.
    pub(super) id: String,
    /// The secret that identifies it.
    pub(super) token: String,
    /// The client whose slot it has.
    pub(super) client: ClientKey,
    pub(super) queue: Queue,
    pub(super) phase: Phase,
    /// Number of its current connection, which no other one of the stream has; 0 if it had none here.
    pub(super) connection: u64,
    /// The first event of its connection, until it is sent.
    pub(super) opening: Option<Bytes>,
    /// Whether its connection was told that no events can come.
    pub(super) told_stalled: bool,
    /// A gap to report first: the id that it resumed after is unknown.
    pub(super) unknown: Option<Gap>,
    bucket: Option<TokenBucket<EventUnit>>,
    /// Its reserved turn under the shared rate.
    pub(super) turn: Option<Instant>,
    full_since: Option<Instant>,
    /// Whether its queue is above 80 %, which was logged.
    pub(super) warned: bool,
    /// Its eviction rank, if it has no connection.
    pub(super) idle: Option<Rank>,
    delivery_trace: DeliveryTrace,
    /// How a shared store knows it, once it does.
    pub(super) known: Option<Box<Known>>,
}

/// How a shared store knows a subscriber.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) name: Box<str>,
    /// Which of the times it is that it is this server's: what was written in an earlier one says nothing any more.
    pub(super) tenure: u64,
    /// When its record was last to be written.
    pub(super) written: Option<Instant>,
}

#[derive(Serialize)]
struct Paused<'a> {
    reason: &'static str,
    subscriber: &'a str,
    last_id: Option<String>,
    poll: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum QueueState {
    Fine,
    /// Newly above 80 %.
    Filling,
    /// Full for too long.
    Full(Pause),
}

fn trace_context<'a>(subscriber: &'a str, context: &StreamContext<'a>) -> TraceContext<'a> {
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
            connection: 0,
            opening: None,
            told_stalled: false,
            unknown: None,
            bucket: None,
            turn: None,
            full_since: None,
            warned: false,
            idle: None,
            delivery_trace: DeliveryTrace::default(),
            known: None,
        }
    }

    /// When its own rate allows one more event; `now` at the earliest.
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

    /// Consumes the token of an event that is sent.
    pub(super) fn spend(&mut self) {
        self.turn = None;
        if let Some(bucket) = &mut self.bucket {
            bucket.consume(1);
        }
    }

    /// Notes that an event is sent to it.
    pub(super) fn sent(&mut self, event: &Event, context: &StreamContext<'_>) {
        self.queue.sent(event, context.now);
        self.delivery_trace.written(event, trace_context(&self.id, context));
    }

    /// Records deliveries that its queue knows to be acknowledged or passed over.
    pub(super) fn settle(&mut self, context: &StreamContext<'_>) {
        let trace = trace_context(&self.id, context);
        // Without a connection it may still get them, by poll or when it reconnects.
        let is_live = matches!(self.phase, Phase::Live);
        for (seq, origin) in self.queue.missed().iter().filter(|_| is_live) {
            self.delivery_trace.lost(*seq, origin, Outcome::Expired, trace);
        }
        self.delivery_trace.acknowledged(self.queue.acked(), trace);
    }

    /// Records that everything up to `position` arrived.
    pub(super) fn has(&mut self, position: u64, context: &StreamContext<'_>) {
        self.delivery_trace.acknowledged(position, trace_context(&self.id, context));
    }

    /// Records those traced events of `gone`, which is in order, that left the log before they were written here.
    pub(super) fn missed(&mut self, gone: &[(u64, Arc<Origin>, Outcome)], context: &StreamContext<'_>) {
        // A suspended one gets them by poll, or a gap there.
        if matches!(self.phase, Phase::Suspended(_)) {
            return;
        }
        let ahead = gone.partition_point(|(seq, ..)| *seq < self.queue.ahead());
        for (seq, origin, outcome) in &gone[ahead..] {
            self.delivery_trace.lost(*seq, origin, *outcome, trace_context(&self.id, context));
        }
    }

    /// Records events last written before `before` as unacknowledged.
    pub(super) fn give_up(&mut self, before: Instant, context: &StreamContext<'_>) {
        self.delivery_trace.give_up(before, trace_context(&self.id, context));
    }

    /// Fill level of its queue: 1 is full.
    pub(super) fn saturation(&self, log: &Log, settings: &EventSettings) -> f64 {
        let share = |held: u64, most: usize| held as f64 / most.max(1) as f64;
        share(self.queue.depth(log), settings.queue)
            .max(share(self.queue.depth_bytes(log), settings.queue_bytes))
    }

    /// Checks its queue, if it is connected.
    pub(super) fn check_queue(&mut self, log: &Log, settings: &EventSettings, now: Instant) -> QueueState {
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

    /// Suspends it: from now on it must poll.
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

    /// The last event of its stream if it is suspended: the reason, where to poll for events after `known`, and when to
    /// reconnect.
    pub(super) fn paused(
        &self,
        log: &Log,
        known: u64,
        path: &str,
        context: &StreamContext<'_>,
        random: u64,
    ) -> Bytes {
        let Phase::Suspended(suspension) = &self.phase else { return Bytes::new() };
        let last_id = log.id_of(known);
        let mut poll = format!("{path}/poll?token={}", self.token);
        if let Some(id) = &last_id {
            poll.push_str("&after=");
            poll.extend(percent_encoding::utf8_percent_encode(id, percent_encoding::NON_ALPHANUMERIC));
        }
        let event = Paused { reason: suspension.why.word(), subscriber: &self.id, last_id, poll };
        let retry = Some(encoding::jittered(context.settings.suspend_retry, random));
        encoding::control(PAUSE, &event, retry)
    }

    /// Whether it can be forgotten: it was away, or suspended and silent, for too long.
    pub(super) fn is_forgotten(&self, settings: &EventSettings, now: Instant) -> bool {
        match &self.phase {
            Phase::Live => false,
            Phase::Away { since } => now - *since >= settings.ttl,
            Phase::Suspended(suspension) => {
                !suspension.untold && now - suspension.since >= suspended_ttl(settings)
            }
        }
    }
}
