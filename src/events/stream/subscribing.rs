//! Subscribing: new subscribers, reconnecting ones, and suspended ones.

use bytes::Bytes;
use serde::Serialize;

use super::super::counts::Count;
use super::super::encoding;
use super::super::event::{OPEN, RESUME};
use super::super::log::Located;
use super::super::queue::Queue;
use super::super::subscriber::{Phase, Subscriber};
use super::{RandomIds, Stream, StreamContext, SubscribeRequest, Subscribed};

#[derive(Serialize)]
struct Opening<'a> {
    subscriber: &'a str,
    token: &'a str,
    last_id: Option<&'a str>,
    window: Option<usize>,
    known: bool,
}

impl Stream {
    /// Whether a request to subscribe needs a new slot.
    pub(in crate::events) fn is_new(&self, request: &SubscribeRequest) -> bool {
        self.known(request).is_none()
    }

    /// The subscriber with the token of `request`. Only the token identifies one: addresses are shared and ids can be
    /// guessed, while a known subscriber is sent its token.
    fn known(&self, request: &SubscribeRequest) -> Option<usize> {
        self.tokens.get(request.token.as_ref()?).copied()
    }

    /// Subscribes a new client, or reconnects one.
    pub(in crate::events) fn subscribe(
        &mut self,
        request: &SubscribeRequest,
        random_ids: RandomIds,
        context: &StreamContext<'_>,
    ) -> Subscribed {
        let StreamContext { settings, counts, .. } = context;
        let window = request.window.map(|window| window.clamp(1, settings.window));
        let random = random_ids.random;
        let known = self.known(request);
        let (key, kind) = match known {
            Some(key) => match self.reconnect(key, request, window, random, context) {
                Ok(kind) => (key, kind),
                Err(pause) => {
                    self.note(key);
                    return Subscribed::Suspended(pause);
                }
            },
            None => (self.join(request, random_ids, window), OPEN),
        };
        self.connections += 1;
        self.subscribers[key].connection = self.connections;
        // Who brings a token, or acknowledges, may go on at another server, whatever becomes of this one.
        if request.token.is_some() || window.is_some() {
            self.note(key);
        }
        let subscriber = &mut self.subscribers[key];
        let last_id = self.log.id_of(subscriber.queue.position());
        let opening = Opening {
            subscriber: &subscriber.id,
            token: &subscriber.token,
            last_id: last_id.as_deref(),
            window,
            known: known.is_some(),
        };
        let retry = encoding::jittered(settings.retry, random);
        subscriber.opening = Some(encoding::opening(kind, last_id.as_deref(), &opening, retry));
        counts.add(Count::retries, 1);
        Subscribed::Stream { key, connection: subscriber.connection, is_new: known.is_none() }
    }

    /// Reconnects a subscriber. Returns the type of the first event.
    ///
    /// # Errors
    /// It is still suspended: the `sluicegate.pause` event.
    fn reconnect(
        &mut self,
        key: usize,
        request: &SubscribeRequest,
        window: Option<usize>,
        random: u64,
        context: &StreamContext<'_>,
    ) -> Result<&'static str, Bytes> {
        let last = request.last_id.as_ref().map(|id| (id, self.log.locate(id)));
        let (received, unknown) = match last {
            Some((_, Located::At(seq) | Located::Behind(seq))) => (Some(seq), None),
            Some((id, Located::Unknown)) => (None, Some(self.unknown(id.clone()))),
            None => (None, None),
        };
        let is_in_doubt = matches!(last, Some((_, Located::Behind(_))));
        let subscriber = &mut self.subscribers[key];
        let mut kind = OPEN;
        if let Phase::Suspended(suspension) = &mut subscriber.phase {
            suspension.since = context.now;
            let position = suspension.position.max(received.unwrap_or(0));
            if !suspension.may_resume {
                context.counts.add(Count::retries, 1);
                return Err(subscriber.paused(&self.log, position, &request.path, context, random));
            }
            subscriber.queue = Queue::new(position, window, &self.log);
            context.counts.add(Count::resumes, 1);
            kind = RESUME;
        } else if window.is_none() && unknown.is_some() && subscriber.queue.acked() >= self.log.first() {
            // What was written to its connection may not have arrived.
            subscriber.queue = Queue::new(self.log.first() - 1, window, &self.log);
            subscriber.unknown = unknown;
        } else if subscriber.queue.window() == window && !is_in_doubt {
            subscriber.queue.rewind(received, &self.log);
        } else {
            let acked = subscriber.queue.acked();
            let position = match received {
                Some(seq) if is_in_doubt && window.is_some() => seq.min(acked),
                received => received.unwrap_or(acked),
            };
            subscriber.queue = Queue::new(position, window, &self.log);
        }
        subscriber.settle(context);
        subscriber.phase = Phase::Live;
        subscriber.told_stalled = false;
        self.leave_idle(key);
        Ok(kind)
    }

    /// Adds a subscriber, and returns its key.
    fn join(&mut self, request: &SubscribeRequest, ids: RandomIds, window: Option<usize>) -> usize {
        let last = request.last_id.as_ref().map(|id| (id, self.log.locate(id)));
        let (position, unknown) = match last {
            None => (self.log.head(), None),
            Some((_, Located::At(seq) | Located::Behind(seq))) => (seq, None),
            Some((id, Located::Unknown)) => (self.log.first() - 1, Some(self.unknown(id.clone()))),
        };
        let token = request.token.clone().unwrap_or(ids.token);
        let queue = Queue::new(position, window, &self.log);
        let mut subscriber = Subscriber::new(ids.id, token.clone(), request.client.clone(), queue);
        subscriber.unknown = unknown;
        let key = self.subscribers.insert(subscriber);
        self.tokens.insert(token, key);
        key
    }
}
