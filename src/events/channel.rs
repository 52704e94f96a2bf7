//! A stream behind a lock, with the wakers of its connections and polls. The lock is held for arithmetic only; wakers
//! are called without it.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Waker};

use super::counts::EventGauges;
use super::event::{Draft, Event};
use super::hub_error::HubError;
use super::log::Log;
use super::stream::{
    Adopted, Claimed, PublishResult, QueueCheck, RandomIds, Stream, StreamContext, SubscribeRequest,
    Subscribed, Take,
};
use super::subscriber::Phase;
use crate::budget::ClientKey;
use crate::sink::SinkState;
use crate::sync::Mutex;
use crate::tracing::Origin;

pub(super) struct Channel(Mutex<State>);

struct State {
    stream: Stream,
    /// By the keys of subscribers.
    readers: Vec<Reader>,
    /// Polls that wait for an event, by number.
    pollers: HashMap<u64, Waker>,
    next_poller: u64,
}

/// The connection that a subscriber's stream is sent on.
#[derive(Clone)]
pub(super) struct ConnectionInfo {
    pub(super) sink: Arc<SinkState>,
    /// The peer's address; `None` on a Unix socket.
    pub(super) peer: Option<SocketAddr>,
    /// Flushes of the sink after which everything before was sent: 1 for a connection with one response at a time, 2 over
    /// HTTP/2, where a flush may have begun before.
    pub(super) depth: u64,
}

/// A subscriber's connection.
#[derive(Default)]
pub(super) struct Reader {
    waker: Option<Waker>,
    waits: Waits,
    info: Option<ConnectionInfo>,
}

/// What a connection waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Waits {
    /// For its sink or its own timer.
    #[default]
    Elsewhere,
    Event,
    Ack,
}

impl Reader {
    pub(super) fn of(info: Option<&ConnectionInfo>) -> Self {
        Self { info: info.cloned(), ..Self::default() }
    }
}

impl Channel {
    /// A channel of a stream without events. See [`Stream::new`].
    pub(super) fn new(name: &str, incarnation: &str, name_of: Option<fn(&str) -> String>) -> Self {
        let stream = Stream::new(name, incarnation, name_of);
        Self(Mutex::new(State { stream, readers: Vec::new(), pollers: HashMap::new(), next_poller: 0 }))
    }

    /// Publishes a batch, and wakes the connections and polls that wait for events.
    pub(super) fn publish(
        &self,
        batch: Vec<Draft>,
        context: &StreamContext<'_>,
    ) -> Result<PublishResult, HubError> {
        let mut state = self.0.lock();
        let done = state.stream.publish(batch, context)?;
        let due = state.due(&done.checked);
        drop(state);
        due.into_iter().for_each(Waker::wake);
        Ok(done)
    }

    /// Publishes events that have their numbers, and wakes the connections and polls that wait for events. Returns the check of the
    /// queues, and the origins of the traced events.
    pub(super) fn append(
        &self,
        events: Vec<Event>,
        context: &StreamContext<'_>,
    ) -> (QueueCheck, Vec<Arc<Origin>>) {
        let mut state = self.0.lock();
        let done = state.stream.append(events, context);
        let due = state.due(&done.0);
        drop(state);
        due.into_iter().for_each(Waker::wake);
        done
    }

    /// See [`Stream::stand`]. Wakes all that may have to hear of it.
    pub(super) fn stand(&self, log: Log, due: u64, context: &StreamContext<'_>) {
        self.with(|stream| stream.stand(log, due, context));
        self.wake_all();
    }

    /// See [`Stream::is_read`].
    pub(super) fn is_read(&self) -> bool {
        self.with(|stream| stream.is_read())
    }

    /// See [`Stream::sweep`].
    pub(super) fn sweep(&self, context: &StreamContext<'_>) -> (QueueCheck, Vec<ClientKey>) {
        let mut state = self.0.lock();
        let (checked, forgotten) = state.stream.sweep(context);
        let due = state.woken(&checked, |_| false);
        drop(state);
        due.into_iter().for_each(Waker::wake);
        (checked, forgotten)
    }

    /// Does what wakes nobody.
    pub(super) fn with<T>(&self, then: impl FnOnce(&mut Stream) -> T) -> T {
        then(&mut self.0.lock().stream)
    }

    pub(super) fn subscribe(
        &self,
        request: &SubscribeRequest,
        random_ids: RandomIds,
        reader: Reader,
        context: &StreamContext<'_>,
    ) -> Subscribed {
        let mut state = self.0.lock();
        let subscribed = state.stream.subscribe(request, random_ids, context);
        let mut before = None;
        if let Subscribed::Stream { key, .. } = subscribed {
            if state.readers.len() <= key {
                state.readers.resize_with(key + 1, Reader::default);
            }
            before = std::mem::replace(&mut state.readers[key], reader).waker;
        }
        drop(state);
        // A replaced connection ends.
        before.into_iter().for_each(Waker::wake);
        subscribed
    }

    /// Takes what a subscriber's connection sends next; wakes the task when there may be more.
    pub(super) fn take(
        &self,
        at: (usize, u64),
        path: &str,
        random: u64,
        cx: &mut Context<'_>,
        context: &StreamContext<'_>,
    ) -> Take {
        let mut state = self.0.lock();
        let take = state.stream.take(at, path, random, context);
        let waits = match take {
            Take::Idle => Waits::Event,
            Take::Window => Waits::Ack,
            Take::Bytes(_) | Take::End(_) | Take::Until(_) => Waits::Elsewhere,
        };
        if let (Some(reader), false) = (state.readers.get_mut(at.0), matches!(take, Take::End(_))) {
            reader.waits = waits;
            if reader.waker.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker())) {
                reader.waker = Some(cx.waker().clone());
            }
        }
        take
    }

    pub(super) fn disconnected(&self, at: (usize, u64), context: &StreamContext<'_>) {
        let mut state = self.0.lock();
        if state.stream.disconnected(at, context.now) {
            state.readers[at.0] = Reader::default();
        }
    }

    pub(super) fn ack(&self, token: &str, id: &str, context: &StreamContext<'_>) -> Result<(), HubError> {
        let mut state = self.0.lock();
        let key = state.stream.ack(token, id, context)?;
        let waker = state.waiting_for_ack(key);
        drop(state);
        waker.into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// See [`Stream::acknowledged_elsewhere`]. Wakes its connection.
    pub(super) fn acknowledged_elsewhere(
        &self,
        name: &str,
        seq: u64,
        generation: u64,
        context: &StreamContext<'_>,
    ) {
        let mut state = self.0.lock();
        let key = state.stream.acknowledged_elsewhere(name, seq, generation, context);
        let waker = key.and_then(|key| state.waiting_for_ack(key));
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }

    /// See [`Stream::taken`]. Its connection ends.
    pub(super) fn taken(&self, name: &str, tenure: u64, context: &StreamContext<'_>) -> Option<ClientKey> {
        let mut state = self.0.lock();
        let (key, client) = state.stream.taken(name, tenure, context)?;
        let before = state.ended(key);
        drop(state);
        before.into_iter().for_each(Waker::wake);
        Some(client)
    }

    /// See [`Stream::adopt`]. The connection of one that is gone ends.
    pub(super) fn adopt(
        &self,
        claimed: Claimed,
        token: &str,
        client: &ClientKey,
        last_id: Option<&str>,
        context: &StreamContext<'_>,
    ) -> Adopted {
        let mut state = self.0.lock();
        let adopted = state.stream.adopt(claimed, token, client, last_id, context);
        let mut before = None;
        if let Adopted::Inserted { gone: Some((key, _)) } = &adopted {
            before = state.ended(*key);
        }
        drop(state);
        before.into_iter().for_each(Waker::wake);
        adopted
    }

    /// Assigns a number to a waiting poll.
    pub(super) fn waiting(&self) -> u64 {
        let mut state = self.0.lock();
        state.next_poller += 1;
        state.next_poller
    }

    /// Wakes the task at the next event.
    pub(super) fn wait(&self, number: u64, cx: &mut Context<'_>) {
        self.0.lock().pollers.insert(number, cx.waker().clone());
    }

    pub(super) fn wait_no_more(&self, number: u64) {
        self.0.lock().pollers.remove(&number);
    }

    pub(super) fn wake_all(&self) {
        let mut state = self.0.lock();
        let mut due: Vec<Waker> = state.readers.iter_mut().filter_map(Reader::wake).collect();
        due.extend(state.pollers.drain().map(|(_, waker)| waker));
        drop(state);
        due.into_iter().for_each(Waker::wake);
    }

    /// Whether it has neither events nor subscribers.
    pub(super) fn is_idle(&self) -> bool {
        let state = self.0.lock();
        state.stream.log().len() == 0 && state.stream.subscribers().next().is_none()
    }

    /// Adds its state to `gauges`, and the peers of its connections to `peers`.
    pub(super) fn measure(
        &self,
        context: &StreamContext<'_>,
        gauges: &mut EventGauges,
        peers: &mut HashSet<SocketAddr>,
    ) {
        let mut state = self.0.lock();
        let State { stream, readers, .. } = &mut *state;
        gauges.logged += stream.log().len() as u64;
        gauges.logged_bytes += stream.log().bytes();
        for (key, subscriber) in stream.subscribers() {
            match subscriber.phase {
                Phase::Live => gauges.subscribers += 1,
                Phase::Away { .. } => gauges.away += 1,
                Phase::Suspended(_) => gauges.suspended += 1,
            }
            if let Some(info) = readers.get(key).and_then(|reader| reader.info.as_ref()) {
                gauges.sink_buffered += info.sink.counts().buffered();
                gauges.would_block += info.sink.counts().would_block();
                peers.extend(info.peer);
            }
            if let Some(oldest) = subscriber.queue.oldest() {
                gauges.oldest_unacknowledged = gauges.oldest_unacknowledged.max(context.now - oldest);
            }
            if matches!(subscriber.phase, Phase::Live) {
                let saturation = subscriber.saturation(stream.log(), context.settings);
                gauges.queued += subscriber.queue.depth(stream.log());
                gauges.saturation = gauges.saturation.max(saturation);
                gauges.saturated += u64::from(saturation > 0.8);
            }
        }
    }
}

impl Reader {
    fn wake(&mut self) -> Option<Waker> {
        self.waits = Waits::Elsewhere;
        self.waker.take()
    }
}

impl State {
    /// Ends the connection of a subscriber that is gone; takes its waker.
    fn ended(&mut self, key: usize) -> Option<Waker> {
        self.readers.get_mut(key).and_then(|reader| std::mem::take(reader).waker)
    }

    /// Takes the waker of a connection that waits for an acknowledgement.
    fn waiting_for_ack(&mut self, key: usize) -> Option<Waker> {
        self.readers.get_mut(key).filter(|reader| reader.waits == Waits::Ack).and_then(Reader::wake)
    }

    /// Takes the wakers of all that wait for an event.
    fn due(&mut self, checked: &QueueCheck) -> Vec<Waker> {
        let mut due = self.woken(checked, |waits| waits == Waits::Event);
        due.extend(self.pollers.drain().map(|(_, waker)| waker));
        due
    }

    /// Takes the wakers of suspended subscribers and of connections that wait for what happened.
    fn woken(&mut self, checked: &QueueCheck, comes: impl Fn(Waits) -> bool) -> Vec<Waker> {
        let mut due: Vec<Waker> =
            self.readers.iter_mut().filter(|reader| comes(reader.waits)).filter_map(Reader::wake).collect();
        due.extend(checked.suspended.iter().filter_map(|key| self.readers.get_mut(*key)?.wake()));
        due
    }
}
