//! Subscribing: new subscribers, reconnecting ones, and suspended ones.

use serde::Serialize;

use super::super::counts::Count;
use super::super::encoding;
use super::super::event::{OPEN, RESUME};
use super::super::log::Located;
use super::super::queue::{Gap, Lost, Queue};
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
        let StreamContext { now, settings, counts, .. } = context;
        let window = request.window.map(|window| window.clamp(1, settings.window));
        let last = request.last_id.as_deref().map(|id| self.log.locate(id));
        let received = match last {
            Some(Located::At(seq)) => Some(seq),
            _ => None,
        };
        let known = self.known(request);
        let mut kind = OPEN;
        let key = match known {
            Some(key) => {
                let subscriber = &mut self.subscribers[key];
                if let Phase::Suspended(suspension) = &mut subscriber.phase {
                    suspension.since = *now;
                    if !suspension.may_resume {
                        counts.add(Count::retries, 1);
                        let known = suspension.position.max(received.unwrap_or(0));
                        let random = random_ids.random;
                        let pause = subscriber.paused(&self.log, known, &request.path, context, random);
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
                let token = request.token.clone().unwrap_or(random_ids.token);
                let position = match last {
                    None => self.log.head(),
                    Some(Located::At(seq)) => seq,
                    Some(Located::Unknown) => self.log.first() - 1,
                };
                let queue = Queue::new(position, window, &self.log);
                let mut subscriber =
                    Subscriber::new(random_ids.id, token.clone(), request.client.clone(), queue);
                if last == Some(Located::Unknown) {
                    let before = self.log.id_of(self.log.first());
                    subscriber.unknown = Some(Gap {
                        after: request.last_id.clone(),
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
        let retry = encoding::jittered(settings.retry, random_ids.random);
        subscriber.opening = Some(encoding::opening(kind, last_id.as_deref(), &opening, retry));
        counts.add(Count::retries, 1);
        Subscribed::Stream { key, connection: subscriber.connection, is_new: known.is_none() }
    }
}
