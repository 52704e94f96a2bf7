//! One stream: its log and its subscribers, and what each may do. Pure: told the time and, where something
//! must not be guessed, what chance said.

mod idle;
mod polling;
mod subscribing;

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use slab::Slab;

use self::idle::Idle;
use self::subscribing::paused;
use super::counts::{Count, EventCounts};
use super::delivery_trace::Tracing;
use super::encoding;
use super::event::{Draft, GAP};
use super::log::{Located, Log, LogBounds, NotPublished};
use super::queue::{Lost, Next};
use super::shared_rate::SharedRate;
use super::subscriber::{Phase, QueueState, Subscriber};
use crate::budget::ClientKey;
use crate::clock::Instant;
use crate::events::EventSettings;
use crate::tracing::Origin;

pub(super) use idle::Rank;
pub(super) use polling::{After, Polled};
pub(super) use subscribing::{RandomIds, SubscribeRequest, Subscribed};

/// What does not come from the stream itself.
pub(in crate::events) struct StreamContext<'a> {
    pub(in crate::events) now: Instant,
    pub(in crate::events) settings: &'a EventSettings,
    pub(in crate::events) counts: &'a EventCounts,
    pub(in crate::events) shared_rate: &'a SharedRate,
    pub(in crate::events) tracing: Option<&'a Tracing>,
}

/// What a subscriber's stream does next.
#[derive(Debug)]
pub(in crate::events) enum Take {
    Bytes(Bytes),
    /// The last bytes of the stream.
    End(Bytes),
    /// Nothing until something is published or changed.
    Idle,
    /// Nothing until an acknowledgement.
    Window,
    /// Nothing before this instant, for want of tokens.
    Until(Instant),
}

/// What was found when queues were looked at, by the places of their subscribers.
#[derive(Debug, Default)]
pub(in crate::events) struct QueueCheck {
    /// Above 80 %, and not before.
    pub(in crate::events) filling: Vec<usize>,
    /// Full for too long: moved to polling.
    pub(in crate::events) suspended: Vec<usize>,
}

/// What publishing led to.
#[derive(Debug)]
pub(in crate::events) struct PublishResult {
    /// The events' ids, in the order of the batch.
    pub(in crate::events) ids: Vec<Box<str>>,
    pub(in crate::events) judged: QueueCheck,
    /// Those among the events that are traced.
    pub(in crate::events) traced: Vec<Arc<Origin>>,
}

/// Why a subscriber was not obeyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::events) enum SubscriberError {
    /// The token is nobody's here.
    UnknownToken,
    /// The event was never sent to this subscriber.
    NeverSent,
}

#[derive(Debug)]
pub(in crate::events) struct Stream {
    name: Box<str>,
    log: Log,
    subscribers: Slab<Subscriber>,
    tokens: HashMap<String, usize>,
    /// Those without a connection: exactly the subscribers whose `idle` is set.
    idle: Idle,
}

impl Stream {
    pub(in crate::events) fn new(name: &str, incarnation: &str) -> Self {
        Self {
            name: name.into(),
            log: Log::new(incarnation),
            subscribers: Slab::new(),
            tokens: HashMap::new(),
            idle: Idle::default(),
        }
    }

    /// Publishes a batch.
    pub(in crate::events) fn publish(
        &mut self,
        batch: Vec<Draft>,
        context: &StreamContext<'_>,
    ) -> Result<PublishResult, NotPublished> {
        let before = self.log.head();
        let mut traced = Vec::new();
        let ids = self.log.publish(batch, context.now, &bounds(context.settings), |event| {
            if let Some(tracing) = context.tracing {
                tracing.mark(event, &self.name);
                traced.extend(event.origin.clone());
            }
        })?;
        context.counts.add(Count::published, self.log.head() - before);
        self.tell_gone(context);
        Ok(PublishResult { ids, judged: self.judge(context), traced })
    }

    /// Has the tracer told of traced events that left the log, for each subscriber that did not have them.
    fn tell_gone(&mut self, context: &StreamContext<'_>) {
        let gone = self.log.gone();
        if !gone.is_empty() {
            self.subscribers.iter_mut().for_each(|(_, subscriber)| subscriber.missed(&gone, context));
        }
    }

    /// Has the tracer told of all deliveries as they stand: no acknowledgement is waited for any more.
    pub(in crate::events) fn give_up(&mut self, context: &StreamContext<'_>) {
        for (_, subscriber) in &mut self.subscribers {
            subscriber.settle(context);
            subscriber.give_up(Instant::MAX, context);
        }
    }

    /// Suspends those whose queue is full for too long.
    fn judge(&mut self, context: &StreamContext<'_>) -> QueueCheck {
        let StreamContext { now, settings, counts, .. } = context;
        let mut judged = QueueCheck::default();
        for (key, subscriber) in &mut self.subscribers {
            if subscriber.queue.depth(&self.log) as usize > settings.queue / 2 {
                subscriber.queue.pass(*now, &self.log, settings.ttl);
                subscriber.settle(context);
            }
            match subscriber.judge(&self.log, settings, *now) {
                QueueState::Fine => {}
                QueueState::Filling => judged.filling.push(key),
                QueueState::Full(why) => {
                    subscriber.suspend(why, *now);
                    counts.add(Count::suspensions, 1);
                    judged.suspended.push(key);
                }
            }
        }
        judged
    }

    /// What time brings: events that grow old, queues that stay full, subscribers that are forgotten.
    /// Gives what was found, and the clients of those that were forgotten.
    pub(in crate::events) fn sweep(&mut self, context: &StreamContext<'_>) -> (QueueCheck, Vec<ClientKey>) {
        self.log.trim(context.now, &bounds(context.settings));
        self.tell_gone(context);
        // Who has not acknowledged for that long will not.
        let patience = context.now - (Instant::ZERO + context.settings.ttl);
        for (_, subscriber) in &mut self.subscribers {
            subscriber.give_up(Instant::ZERO + patience, context);
        }
        let judged = self.judge(context);
        let forgotten: Vec<usize> = self
            .subscribers
            .iter()
            .filter(|(_, subscriber)| subscriber.is_forgotten(context.settings, context.now))
            .map(|(key, _)| key)
            .collect();
        (judged, forgotten.into_iter().map(|key| self.forget(key, context)).collect())
    }

    /// Makes room by forgetting a subscriber without a connection: one of `client`'s if that is given, else any
    /// that is away. Gives its client, or none if there is nobody to forget.
    pub(in crate::events) fn forget_one(
        &mut self,
        client: Option<&ClientKey>,
        context: &StreamContext<'_>,
    ) -> Option<ClientKey> {
        self.idle.first(client).map(|key| self.forget(key, context))
    }

    fn forget(&mut self, key: usize, context: &StreamContext<'_>) -> ClientKey {
        self.leave_idle(key);
        let mut subscriber = self.subscribers.remove(key);
        subscriber.give_up(Instant::MAX, context);
        self.tokens.remove(&subscriber.token);
        if subscriber.turn.is_some() {
            context.shared_rate.give_back();
        }
        subscriber.client
    }

    /// Has a subscriber counted among those that have no connection.
    fn rest(&mut self, key: usize, now: Instant) {
        let subscriber = &mut self.subscribers[key];
        let rank = (matches!(subscriber.phase, Phase::Suspended(_)), now);
        if subscriber.idle.replace(rank).is_none() {
            self.idle.add(&subscriber.client, rank, key);
        }
    }

    /// Has a subscriber no longer counted among them.
    fn leave_idle(&mut self, key: usize) {
        let subscriber = &mut self.subscribers[key];
        if let Some(rank) = subscriber.idle.take() {
            self.idle.remove(&subscriber.client, rank, key);
        }
    }

    /// The subscriber at `key`, if this connection is still its.
    fn of(&mut self, key: usize, connection: u64) -> Option<&mut Subscriber> {
        self.subscribers.get_mut(key).filter(|subscriber| subscriber.connection == connection)
    }

    /// The connection of a subscriber asks for more, with so many flushes seen by its sink, where `depth` of
    /// them mean that all before went on.
    pub(in crate::events) fn asked(
        &mut self,
        at: (usize, u64),
        flushes: u64,
        depth: u64,
        context: &StreamContext<'_>,
    ) {
        if let Some(subscriber) = self.of(at.0, at.1) {
            context.counts.note_acknowledged(subscriber.queue.asked(flushes, depth, context.now));
            subscriber.settle(context);
        }
    }

    /// What goes next on a connection of a subscriber. `path` is where it asked.
    pub(in crate::events) fn take(
        &mut self,
        at: (usize, u64),
        path: &str,
        random: u64,
        context: &StreamContext<'_>,
    ) -> Take {
        let StreamContext { now, settings, counts, shared_rate, .. } = context;
        let Some(subscriber) =
            self.subscribers.get_mut(at.0).filter(|subscriber| subscriber.connection == at.1)
        else {
            return Take::End(Bytes::new());
        };
        if let Some(opening) = subscriber.opening.take() {
            return Take::Bytes(opening);
        }
        if let Phase::Suspended(suspension) = &mut subscriber.phase {
            suspension.untold = false;
            suspension.since = *now;
            counts.add(Count::retries, 1);
            let sent = suspension.sent;
            return Take::End(paused(subscriber, &self.log, sent, path, context, random));
        }
        let gap = subscriber.unknown.take();
        let next = match gap {
            Some(gap) => Next::Gap(gap),
            None => subscriber.queue.next(*now, &self.log, settings.ttl),
        };
        subscriber.settle(context);
        match next {
            Next::Gap(gap) => {
                note_lost(counts, gap.missing.unwrap_or(0), gap.reason);
                counts.add(Count::gaps, 1);
                Take::Bytes(encoding::control(GAP, &gap, None))
            }
            Next::Event(event) => {
                let ready = subscriber.ready_at(settings, *now);
                if ready > *now {
                    return Take::Until(ready);
                }
                let turn = *subscriber.turn.get_or_insert_with(|| shared_rate.turn(*now));
                if turn > *now {
                    return Take::Until(turn);
                }
                subscriber.spend();
                subscriber.sent(&event, context);
                counts.add(Count::delivered, 1);
                counts.written_now(*now - event.born);
                Take::Bytes(event.wire.clone())
            }
            Next::WindowFull => Take::Window,
            Next::Nothing => Take::Idle,
        }
    }

    /// A connection of a subscriber ended. False if another one has taken it over, or it is forgotten.
    pub(in crate::events) fn disconnected(&mut self, at: (usize, u64), now: Instant) -> bool {
        let Some(subscriber) = self.of(at.0, at.1) else { return false };
        match &mut subscriber.phase {
            Phase::Suspended(suspension) => {
                suspension.untold = false;
                suspension.since = now;
            }
            phase => *phase = Phase::Away { since: now },
        }
        self.rest(at.0, now);
        true
    }

    /// Acknowledges for the subscriber with this token. Gives who may have more now.
    pub(in crate::events) fn ack(
        &mut self,
        token: &str,
        id: &str,
        context: &StreamContext<'_>,
    ) -> Result<usize, SubscriberError> {
        let key = *self.tokens.get(token).ok_or(SubscriberError::UnknownToken)?;
        let Located::At(seq) = self.log.locate(id) else { return Err(SubscriberError::NeverSent) };
        let subscriber = &mut self.subscribers[key];
        if let Phase::Suspended(suspension) = &mut subscriber.phase {
            suspension.since = context.now;
            if seq > suspension.position.max(suspension.sent) {
                return Err(SubscriberError::NeverSent);
            }
            suspension.position = suspension.position.max(seq);
        }
        let took = subscriber.queue.ack(seq, context.now).ok_or(SubscriberError::NeverSent)?;
        context.counts.add(Count::acks, 1);
        context.counts.note_acknowledged(took);
        subscriber.settle(context);
        Ok(key)
    }

    pub(in crate::events) fn log(&self) -> &Log {
        &self.log
    }

    pub(in crate::events) fn subscribers(&self) -> impl Iterator<Item = (usize, &Subscriber)> {
        self.subscribers.iter()
    }
}

/// Counts events that a subscriber was told to be missing.
fn note_lost(counts: &EventCounts, missing: u64, reason: Lost) {
    let lost = if reason == Lost::Expired { Count::expired } else { Count::dropped };
    counts.add(lost, missing);
}

fn bounds(settings: &EventSettings) -> LogBounds {
    LogBounds { count: settings.log, bytes: settings.log_bytes, ttl: settings.log_ttl }
}
