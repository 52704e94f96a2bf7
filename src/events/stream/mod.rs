//! One stream: its log, its subscribers, and what each is sent next. Pure: passed the time and random values.

mod followed;
mod idle;
mod keeping;
mod polling;
mod subscribing;

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use slab::Slab;

use self::followed::Followed;
use self::idle::Idle;
use super::counts::{Count, EventCounts};
use super::encoding;
use super::event::{Draft, FLOWING, GAP, STALLED};
use super::hub_error::HubError;
use super::log::{Log, Staged};
use super::queue::{Gap, Lost, Next};
use super::subscriber::{Phase, QueueState, Subscriber};
use crate::budget::ClientKey;
use crate::clock::Instant;
use crate::tracing::Origin;

pub(super) use super::subscriber::StreamContext;
pub(super) use followed::{Adopted, Change, Claimed};
pub(super) use polling::{After, Polled};

/// Random values for a new subscriber.
pub(super) struct RandomIds {
    pub(super) id: String,
    pub(super) token: String,
    pub(super) random: u64,
}

#[derive(Clone)]
pub(super) struct SubscribeRequest {
    pub(super) client: ClientKey,
    /// The token that the server gave it before, or one of its own choice.
    pub(super) token: Option<String>,
    pub(super) last_id: Option<String>,
    pub(super) window: Option<usize>,
    /// The path of the request; `poll` and `ack` are below it.
    pub(super) path: String,
}

#[derive(Debug)]
pub(super) enum Subscribed {
    /// The subscriber's key, and the number of its connection.
    Stream { key: usize, connection: u64, is_new: bool },
    /// The subscriber is suspended: the `sluicegate.pause` event.
    Suspended(Bytes),
}

/// What a subscriber's connection does next.
#[derive(Debug)]
pub(super) enum Take {
    Bytes(Bytes),
    /// The last bytes of the stream.
    End(Bytes),
    /// Wait until an event is published or something changes.
    Idle,
    /// Wait for an acknowledgement.
    Window,
    /// Wait for a token until this instant.
    Until(Instant),
}

/// The result of checking all queues: keys of subscribers.
#[derive(Debug, Default)]
pub(super) struct QueueCheck {
    /// Newly above 80 %.
    pub(super) filling: Vec<usize>,
    /// Full for too long: suspended.
    pub(super) suspended: Vec<usize>,
}

#[derive(Debug)]
pub(super) struct PublishResult {
    /// The events' ids, in the order of the batch.
    pub(super) ids: Vec<Box<str>>,
    pub(super) checked: QueueCheck,
    /// Origins of the traced events among them.
    pub(super) traced: Vec<Arc<Origin>>,
}

#[derive(Debug)]
pub(super) struct Stream {
    name: Box<str>,
    log: Log,
    subscribers: Slab<Subscriber>,
    tokens: HashMap<String, usize>,
    /// Invariant: exactly the subscribers whose `idle` is set.
    idle: Idle,
    /// The number of the last event that the store had when it was asked.
    due: u64,
    /// How often it began anew with what a store has.
    generation: u64,
    /// The number of the newest connection.
    connections: u64,
    /// The subscribers that a shared store knows; `None` without such a store.
    followed: Option<Box<Followed>>,
}

impl Stream {
    /// A stream without events. A shared store knows its subscribers by what `name_of` makes of their tokens.
    pub(super) fn new(name: &str, incarnation: &str, name_of: Option<fn(&str) -> String>) -> Self {
        Self {
            name: name.into(),
            log: Log::new(incarnation),
            subscribers: Slab::new(),
            tokens: HashMap::new(),
            idle: Idle::default(),
            due: 0,
            generation: 0,
            connections: 0,
            followed: name_of.map(|name_of| Box::new(Followed::new(name_of))),
        }
    }

    pub(super) fn publish(
        &mut self,
        batch: Vec<Draft>,
        context: &StreamContext<'_>,
    ) -> Result<PublishResult, HubError> {
        let mut staged = Staged::after(&self.log);
        let ids = self.log.stage(&mut staged, batch, context.now, context.settings)?;
        let (checked, traced) = self.append(staged.into_events(), context);
        Ok(PublishResult { ids, checked, traced })
    }

    /// Records the loss of traced events that left the log, for each subscriber that did not have them.
    fn record_lost(&mut self, context: &StreamContext<'_>) {
        let gone = self.log.gone();
        if !gone.is_empty() {
            self.subscribers.iter_mut().for_each(|(_, subscriber)| subscriber.missed(&gone, context));
        }
    }

    /// Records all deliveries as they stand; acknowledgements are no longer waited for.
    pub(super) fn give_up(&mut self, context: &StreamContext<'_>) {
        for (_, subscriber) in &mut self.subscribers {
            subscriber.settle(context);
            subscriber.give_up(Instant::MAX, context);
        }
    }

    /// Checks all queues; suspends subscribers whose queue was full for too long.
    fn check_queues(&mut self, context: &StreamContext<'_>) -> QueueCheck {
        let StreamContext { now, settings, counts, .. } = context;
        let mut checked = QueueCheck::default();
        for (key, subscriber) in &mut self.subscribers {
            if subscriber.queue.depth(&self.log) as usize > settings.queue / 2 {
                subscriber.queue.pass(*now, &self.log, settings.ttl);
                subscriber.settle(context);
            }
            match subscriber.check_queue(&self.log, settings, *now) {
                QueueState::Fine => {}
                QueueState::Filling => checked.filling.push(key),
                QueueState::Full(why) => {
                    subscriber.suspend(why, *now);
                    counts.add(Count::suspensions, 1);
                    checked.suspended.push(key);
                }
            }
        }
        checked.suspended.iter().for_each(|key| self.note(*key));
        checked
    }

    /// Does what is due: drops old events, suspends subscribers whose queues stay full, forgets subscribers. Returns the
    /// check of the queues, and the clients of forgotten subscribers.
    pub(super) fn sweep(&mut self, context: &StreamContext<'_>) -> (QueueCheck, Vec<ClientKey>) {
        self.log.trim(context.now, context.settings);
        self.record_lost(context);
        // A subscriber that has not acknowledged for so long will not.
        let patience = context.now - (Instant::ZERO + context.settings.ttl);
        for (_, subscriber) in &mut self.subscribers {
            subscriber.give_up(Instant::ZERO + patience, context);
        }
        let checked = self.check_queues(context);
        self.renew(context);
        let forgotten: Vec<usize> = self
            .subscribers
            .iter()
            .filter(|(_, subscriber)| subscriber.is_forgotten(context.settings, context.now))
            .map(|(key, _)| key)
            .collect();
        (checked, forgotten.into_iter().map(|key| self.forget(key, context)).collect())
    }

    /// Evicts one subscriber without a connection: of `client` if that is given, else any that is away. Returns its
    /// client, or `None` if there is none.
    pub(super) fn forget_one(
        &mut self,
        client: Option<&ClientKey>,
        context: &StreamContext<'_>,
    ) -> Option<ClientKey> {
        self.idle.first(client).map(|key| self.forget(key, context))
    }

    fn forget(&mut self, key: usize, context: &StreamContext<'_>) -> ClientKey {
        self.note_forgotten(key, context);
        self.remove(key, context)
    }

    fn remove(&mut self, key: usize, context: &StreamContext<'_>) -> ClientKey {
        self.leave_idle(key);
        self.unfollow(key);
        let mut subscriber = self.subscribers.remove(key);
        subscriber.give_up(Instant::MAX, context);
        self.tokens.remove(&subscriber.token);
        if subscriber.turn.is_some() {
            context.shared_rate.give_back();
        }
        subscriber.client
    }

    fn enter_idle(&mut self, key: usize, now: Instant) {
        let subscriber = &mut self.subscribers[key];
        let rank = (matches!(subscriber.phase, Phase::Suspended(_)), now);
        if subscriber.idle.replace(rank).is_none() {
            self.idle.add(&subscriber.client, rank, key);
        }
    }

    fn leave_idle(&mut self, key: usize) {
        let subscriber = &mut self.subscribers[key];
        if let Some(rank) = subscriber.idle.take() {
            self.idle.remove(&subscriber.client, rank, key);
        }
    }

    /// The gap for a client that continues after an id that is not known.
    fn unknown(&self, id: String) -> Gap {
        let before = self.log.id_of(self.log.first());
        Gap { after: Some(id), before, missing: None, reason: Lost::Unknown }
    }

    /// The subscriber at `key`, if `connection` is still its current one.
    fn of(&mut self, key: usize, connection: u64) -> Option<&mut Subscriber> {
        self.subscribers.get_mut(key).filter(|subscriber| subscriber.connection == connection)
    }

    /// Notes that a subscriber's connection polled for more after `flushes` flushes of its sink; `depth` further flushes
    /// mean that everything before was sent.
    pub(super) fn asked(&mut self, at: (usize, u64), flushes: u64, depth: u64, context: &StreamContext<'_>) {
        if let Some(subscriber) = self.of(at.0, at.1) {
            context.counts.note_acknowledged(subscriber.queue.asked(flushes, depth, context.now));
            subscriber.settle(context);
        }
    }

    /// Takes what a subscriber's connection sends next. `path` is that of its request.
    pub(super) fn take(
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
            return Take::End(subscriber.paused(&self.log, sent, path, context, random));
        }
        if subscriber.told_stalled != context.is_stalled {
            subscriber.told_stalled = context.is_stalled;
            let kind = if context.is_stalled { STALLED } else { FLOWING };
            return Take::Bytes(encoding::control(kind, &serde_json::json!({}), None));
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
                let turn = *subscriber.turn.get_or_insert_with(|| shared_rate.reserve(*now));
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

    /// Notes the end of a subscriber's connection. Returns false if another connection replaced it, or the subscriber
    /// was forgotten.
    pub(super) fn disconnected(&mut self, at: (usize, u64), now: Instant) -> bool {
        let Some(subscriber) = self.of(at.0, at.1) else { return false };
        match &mut subscriber.phase {
            Phase::Suspended(suspension) => {
                suspension.untold = false;
                suspension.since = now;
            }
            phase => *phase = Phase::Away { since: now },
        }
        self.enter_idle(at.0, now);
        self.note(at.0);
        true
    }

    /// Acknowledges for the subscriber with this token. Returns its key: it may be sent more now.
    pub(super) fn ack(
        &mut self,
        token: &str,
        id: &str,
        context: &StreamContext<'_>,
    ) -> Result<usize, HubError> {
        let key = *self.tokens.get(token).ok_or(HubError::UnknownToken)?;
        let seq = self.log.number_of(id).ok_or(HubError::NeverSent)?;
        let subscriber = &mut self.subscribers[key];
        if let Phase::Suspended(suspension) = &mut subscriber.phase {
            suspension.since = context.now;
            if seq > suspension.position.max(suspension.sent) {
                return Err(HubError::NeverSent);
            }
            suspension.position = suspension.position.max(seq);
        }
        let took = subscriber.queue.ack(seq, context.now).ok_or(HubError::NeverSent)?;
        context.counts.add(Count::acks, 1);
        context.counts.note_acknowledged(took);
        subscriber.settle(context);
        Ok(key)
    }

    pub(super) fn log(&self) -> &Log {
        &self.log
    }

    pub(super) fn subscribers(&self) -> impl Iterator<Item = (usize, &Subscriber)> {
        self.subscribers.iter()
    }
}

/// Counts events that a subscriber was told are missing.
fn note_lost(counts: &EventCounts, missing: u64, reason: Lost) {
    let lost = if reason == Lost::Expired { Count::expired } else { Count::dropped };
    counts.add(lost, missing);
}
