//! Subscribers that come: new ones, those that come again, and those that are suspended and stay so.

use bytes::Bytes;
use serde::Serialize;

use super::super::counts::Count;
use super::super::encoding;
use super::super::event::{OPEN, PAUSE, RESUME};
use super::super::log::{Located, Log};
use super::super::queue::{Gap, Lost, Queue};
use super::super::subscriber::{Pause, Phase, Subscriber};
use super::{Stream, StreamContext};
use crate::budget::ClientKey;

/// What chance gives a subscriber.
pub(in crate::events) struct RandomIds {
    pub(in crate::events) id: String,
    pub(in crate::events) token: String,
    pub(in crate::events) random: u64,
}

/// A wish to subscribe.
#[derive(Clone)]
pub(in crate::events) struct SubscribeRequest {
    pub(in crate::events) client: ClientKey,
    /// Given to it before, or of its own choice.
    pub(in crate::events) token: Option<String>,
    pub(in crate::events) last_id: Option<String>,
    pub(in crate::events) window: Option<usize>,
    /// The path it asked for, under which it finds `poll` and `ack`.
    pub(in crate::events) path: String,
}

/// What became of it.
#[derive(Debug)]
pub(in crate::events) enum Subscribed {
    /// A place among the subscribers, and the number of its connection.
    Stream { key: usize, connection: u64, is_new: bool },
    /// It is suspended: the `sluicegate.pause` event.
    Suspended(Bytes),
}

#[derive(Serialize)]
struct Opening<'a> {
    subscriber: &'a str,
    token: &'a str,
    last_id: Option<&'a str>,
    window: Option<usize>,
    known: bool,
}

#[derive(Serialize)]
struct Paused<'a> {
    reason: Pause,
    subscriber: &'a str,
    last_id: Option<String>,
    poll: String,
}

impl Stream {
    /// Whether a wish to subscribe needs a place that is not there yet.
    pub(in crate::events) fn is_new(&self, visit: &SubscribeRequest) -> bool {
        self.known(visit).is_none()
    }

    /// The subscriber whose token `visit` brings. Nothing else makes one known: an address is shared and an id
    /// can be guessed, and who is known is told the token.
    fn known(&self, visit: &SubscribeRequest) -> Option<usize> {
        self.tokens.get(visit.token.as_ref()?).copied()
    }

    /// Subscribes a new client, or one that comes again.
    pub(in crate::events) fn subscribe(
        &mut self,
        visit: &SubscribeRequest,
        fresh: RandomIds,
        context: &StreamContext<'_>,
    ) -> Subscribed {
        let StreamContext { now, settings, counts, .. } = context;
        let window = visit.window.map(|window| window.clamp(1, settings.window));
        let last = visit.last_id.as_deref().map(|id| self.log.locate(id));
        let received = match last {
            Some(Located::At(seq)) => Some(seq),
            _ => None,
        };
        let known = self.known(visit);
        let mut kind = OPEN;
        let key = match known {
            Some(key) => {
                let subscriber = &mut self.subscribers[key];
                if let Phase::Suspended(suspension) = &mut subscriber.phase {
                    suspension.since = *now;
                    if !suspension.may_resume {
                        counts.add(Count::retries, 1);
                        let known = suspension.position.max(received.unwrap_or(0));
                        let pause = paused(subscriber, &self.log, known, &visit.path, context, fresh.random);
                        return Subscribed::Suspended(pause);
                    }
                    let position = suspension.position.max(received.unwrap_or(0));
                    subscriber.queue = Queue::new(position, window, &self.log);
                    counts.add(Count::resumes, 1);
                    kind = RESUME;
                } else if subscriber.queue.window() == window {
                    subscriber.queue.rewind(received, &self.log);
                } else {
                    let position = received.unwrap_or(subscriber.queue.acked());
                    subscriber.queue = Queue::new(position, window, &self.log);
                }
                subscriber.settle(context);
                subscriber.phase = Phase::Live;
                subscriber.connection += 1;
                self.leave_idle(key);
                key
            }
            None => {
                let token = visit.token.clone().unwrap_or(fresh.token);
                let position = match last {
                    None => self.log.head(),
                    Some(Located::At(seq)) => seq,
                    Some(Located::Unknown) => self.log.first() - 1,
                };
                let queue = Queue::new(position, window, &self.log);
                let mut subscriber = Subscriber::new(fresh.id, token.clone(), visit.client.clone(), queue);
                if last == Some(Located::Unknown) {
                    let before = self.log.id_of(self.log.first());
                    subscriber.unknown = Some(Gap {
                        after: visit.last_id.clone(),
                        before,
                        missing: None,
                        reason: Lost::Unknown,
                    });
                }
                let key = self.subscribers.insert(subscriber);
                self.tokens.insert(token, key);
                key
            }
        };
        let subscriber = &mut self.subscribers[key];
        let last_id = self.log.id_of(subscriber.queue.position());
        let opening = Opening {
            subscriber: &subscriber.id,
            token: &subscriber.token,
            last_id: last_id.as_deref(),
            window,
            known: known.is_some(),
        };
        let retry = encoding::jittered(settings.retry, fresh.random);
        subscriber.opening = Some(encoding::opening(kind, last_id.as_deref(), &opening, retry));
        counts.add(Count::retries, 1);
        Subscribed::Stream { key, connection: subscriber.connection, is_new: known.is_none() }
    }
}

/// The last of a suspended subscriber's stream: why, where to poll what comes behind `known`, and when to
/// come again.
pub(super) fn paused(
    subscriber: &Subscriber,
    log: &Log,
    known: u64,
    path: &str,
    context: &StreamContext<'_>,
    random: u64,
) -> Bytes {
    let Phase::Suspended(suspension) = &subscriber.phase else { return Bytes::new() };
    let last_id = log.id_of(known);
    let mut poll = format!("{path}/poll?token={}", subscriber.token);
    if let Some(id) = &last_id {
        poll.push_str("&after=");
        poll.extend(percent_encoding::utf8_percent_encode(id, percent_encoding::NON_ALPHANUMERIC));
    }
    let event = Paused { reason: suspension.why, subscriber: &subscriber.id, last_id, poll };
    let retry = Some(encoding::jittered(context.settings.suspend_retry, random));
    encoding::control(PAUSE, &event, retry)
}
