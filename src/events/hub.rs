//! The streams of one route. Publishing wakes exactly the connections that have something to send.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use super::channel::{Channel, ConnectionInfo, Reader};
use super::counts::{Count, EventCounts, EventGauges};
use super::delivery_trace::Tracing;
use super::event::StreamName;
use super::hub_error::HubError;
use super::log::Located;
use super::shared_rate::SharedRate;
use super::slots::Slots;
use super::store::{Ack, Store};
use super::stream::{RandomIds, Stream, StreamContext, SubscribeRequest, Subscribed};
use super::subscriber::Phase;
use crate::budget::ClientKey;
use crate::clock::{Clock, Instant, Sleep};
use crate::events::EventSettings;
use crate::rt::{self, SplitMix64};
use crate::sync::{Mutex, RwLock};
use crate::tracing::Tracer;

const SWEEP: Duration = Duration::from_secs(1);

/// Shortest time between two log lines about filling queues.
const QUIET: Duration = Duration::from_secs(10);

/// Event streams by name.
///
/// ```
/// use sluicegate::clock::SystemClock;
/// use sluicegate::events::{Draft, EventSettings, Hub, StreamName};
/// use sluicegate::rt;
///
/// let hub = Hub::new("/events", EventSettings::default(), SystemClock::shared());
/// let name = StreamName::new("news").ok_or("no name")?;
/// let published = rt::block_on(hub.publish(&name, vec![Draft::new("hello", 64 << 10)?]))?;
/// assert_eq!(published.ids.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Hub {
    /// The route's path, for the log.
    route: String,
    settings: RwLock<Arc<EventSettings>>,
    pub(super) streams: RwLock<HashMap<StreamName, Arc<Channel>>>,
    pub(super) store: Store,
    pub(super) slots: Slots,
    pub(super) counts: EventCounts,
    shared_rate: SharedRate,
    pub(super) tracing: OnceLock<Tracing>,
    pub(super) clock: Arc<dyn Clock>,
    closing: AtomicBool,
    /// Whether no events can come, since the store is out of reach or takes none.
    pub(super) stalled: AtomicBool,
    rng: SplitMix64,
    /// When filling queues were last logged, and how many filled and were suspended since.
    logged: Mutex<(Option<Instant>, usize, usize)>,
}

impl Hub {
    /// Creates a hub for streams below the path `route`, in memory whatever the settings say.
    pub fn new(route: &str, settings: EventSettings, clock: Arc<dyn Clock>) -> Arc<Self> {
        Self::with_store(route, settings, clock, Store::Memory)
    }

    pub(super) fn with_store(
        route: &str,
        settings: EventSettings,
        clock: Arc<dyn Clock>,
        store: Store,
    ) -> Arc<Self> {
        let hub = Arc::new(Self {
            route: route.to_owned(),
            settings: RwLock::default(),
            streams: RwLock::default(),
            store,
            slots: Slots::default(),
            counts: EventCounts::default(),
            shared_rate: SharedRate::default(),
            tracing: OnceLock::new(),
            clock,
            closing: AtomicBool::new(false),
            stalled: AtomicBool::new(false),
            rng: SplitMix64::new(),
            logged: Mutex::default(),
        });
        hub.set(settings);
        hub
    }

    /// Spawns the periodic sweep; it ends with the last `Arc`.
    pub(super) fn start_sweeping(self: &Arc<Self>) {
        let (hub, clock): (Weak<Self>, _) = (Arc::downgrade(self), Arc::clone(&self.clock));
        rt::spawn(async move {
            loop {
                Sleep::lasting(Arc::clone(&clock), SWEEP).await;
                let Some(hub) = hub.upgrade() else { return };
                hub.sweep();
            }
        });
    }

    /// Sets the tracer: from now on traced events get spans. Only the first call has an effect.
    pub fn trace(&self, tracer: Arc<Tracer>) {
        _ = self.tracing.set(Tracing { tracer, route: self.route.as_str().into() });
    }

    /// Records all deliveries as they stand, for the shutdown: no more acknowledgements will come.
    pub fn end_traces(&self) {
        let channels = self.channels();
        channels
            .iter()
            .for_each(|channel| self.with_context(|context| channel.with(|stream| stream.give_up(context))));
    }

    /// Changes the settings, also for current subscribers.
    pub fn set(&self, settings: EventSettings) {
        self.shared_rate.set(settings.total_rate, settings.total_burst);
        let mut streams = self.streams.write();
        for name in &settings.names {
            if let Some(name) = StreamName::new(name) {
                streams.entry(name.clone()).or_insert_with(|| self.new_channel(&name));
            }
        }
        drop(streams);
        *self.settings.write() = Arc::new(settings);
    }

    /// The current settings.
    pub fn settings(&self) -> Arc<EventSettings> {
        Arc::clone(&self.settings.read())
    }

    /// The counters.
    pub fn counts(&self) -> &EventCounts {
        &self.counts
    }

    /// The path of the route.
    pub fn route(&self) -> &str {
        &self.route
    }

    /// Ends all streams with a `retry:`, and refuses new ones.
    pub fn close(self: &Arc<Self>) {
        self.closing.store(true, Ordering::SeqCst);
        self.store.close(self);
        self.streams.read().values().for_each(|channel| channel.wake_all());
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    pub(super) fn with_context<T>(&self, then: impl FnOnce(&StreamContext<'_>) -> T) -> T {
        let settings = self.settings();
        let now = self.clock.now();
        let tracing = self.tracing.get();
        then(&StreamContext {
            now,
            settings: &settings,
            counts: &self.counts,
            shared_rate: &self.shared_rate,
            tracing,
            is_stalled: self.stalled.load(Ordering::Relaxed),
        })
    }

    pub(super) fn new_channel(&self, name: &StreamName) -> Arc<Channel> {
        Arc::new(Channel::new(name.as_str(), &hex::<5>(), self.store.name_of()))
    }

    /// A token for a subscriber that brings none.
    pub(super) fn fresh_token(&self) -> String {
        hex::<16>()
    }

    pub(super) fn jitter(&self) -> u64 {
        self.rng.next_u64()
    }

    pub(super) fn channel(&self, name: &StreamName) -> Result<Arc<Channel>, HubError> {
        self.streams.read().get(name).map(Arc::clone).ok_or(HubError::UnknownStream)
    }

    /// Takes a slot for a subscriber or waiting poll of `client`. If none is free, evicts a subscriber without a
    /// connection: of this client first, of others only one that is away.
    pub(super) fn take_slot(&self, client: &ClientKey, channel: &Channel) -> Result<(), HubError> {
        if self.is_closing() {
            return Err(HubError::Closing);
        }
        let settings = self.settings();
        loop {
            let full = match self.slots.take(client, settings.client_streams, settings.subscribers) {
                Ok(()) => return Ok(()),
                Err(full) => full,
            };
            let made =
                self.evict(Some(client), channel) || full == HubError::Full && self.evict(None, channel);
            if !made {
                self.counts.add(Count::refused, 1);
                return Err(full);
            }
        }
    }

    /// Evicts an idle subscriber of `client`, or of any client; of this channel first.
    fn evict(&self, client: Option<&ClientKey>, channel: &Channel) -> bool {
        let forgotten = self.with_context(|context| {
            let forget_one = |channel: &Channel| channel.with(|stream| stream.forget_one(client, context));
            forget_one(channel)
                .or_else(|| self.streams.read().values().find_map(|channel| forget_one(channel)))
        });
        forgotten.map(|client| self.release_slot(&client)).is_some()
    }

    pub(super) fn release_slot(&self, client: &ClientKey) {
        self.slots.release(client);
    }

    /// Subscribes to a channel, unless the subscriber is suspended.
    pub(super) fn subscribe(
        &self,
        channel: &Channel,
        request: &SubscribeRequest,
        info: Option<&ConnectionInfo>,
    ) -> Result<Subscribed, HubError> {
        let random_ids = RandomIds { id: hex::<4>(), token: self.fresh_token(), random: self.jitter() };
        let is_new = channel.with(|stream| stream.is_new(request));
        if is_new {
            self.take_slot(&request.client, channel)?;
        } else if self.is_closing() {
            return Err(HubError::Closing);
        }
        let reader = Reader::of(info);
        let subscribed = self.with_context(|context| channel.subscribe(request, random_ids, reader, context));
        // The subscriber may have been added or forgotten in between.
        match (is_new, matches!(subscribed, Subscribed::Stream { is_new: true, .. })) {
            (true, false) => self.release_slot(&request.client),
            (false, true) => self.slots.force(&request.client),
            _ => {}
        }
        Ok(subscribed)
    }

    /// Counts the subscribers of the stream `name`: those that are connected, and those that are remembered besides.
    pub(crate) fn readers(&self, name: &StreamName) -> (usize, usize) {
        let count = |stream: &mut Stream| {
            let live = stream.subscribers().filter(|(_, one)| matches!(one.phase, Phase::Live)).count();
            (live, stream.subscribers().count() - live)
        };
        self.channel(name).map_or((0, 0), |channel| channel.with(count))
    }

    /// Whether a subscriber that has the event `id` can be sent all events after it.
    pub(crate) fn can_resume(&self, name: &StreamName, id: &str) -> bool {
        let holds = |stream: &mut Stream| match stream.log().locate(id) {
            Located::At(seq) | Located::Behind(seq) => seq + 1 >= stream.log().first(),
            Located::Unknown => false,
        };
        self.channel(name).is_ok_and(|channel| channel.with(holds))
    }

    /// Acknowledges everything up to the event `id` for the subscriber with `token`. Completes at once, unless several servers share
    /// the streams: then when the store has it.
    ///
    /// Cancel safe: the acknowledgement may count all the same.
    ///
    /// # Errors
    /// There is no such stream, no such subscriber, or the event was not sent to it; or the store fails: acknowledge again.
    pub async fn ack(&self, name: &StreamName, token: &str, id: &str) -> Result<(), HubError> {
        let channel = self.channel(name)?;
        let here = self.with_context(|context| channel.ack(token, id, context));
        self.store.acknowledge(self, name, &channel, Ack { token, id, here }).await
    }

    /// Does what is due by now. Returns how many subscribers were forgotten.
    pub fn sweep(&self) -> usize {
        let channels = self.channels();
        let mut gone = 0;
        let (mut filling, mut suspended) = (0, 0);
        for channel in channels {
            let (checked, forgotten) = self.with_context(|context| channel.sweep(context));
            gone += forgotten.len();
            forgotten.iter().for_each(|client| self.release_slot(client));
            filling += checked.filling.len();
            suspended += checked.suspended.len();
        }
        self.log_queues(filling, suspended);
        let settings = self.settings();
        // A strong count of 1 is the map's alone: publishers and subscribers hold the channel while they use it.
        self.streams.write().retain(|name, channel| {
            let is_named = || settings.names.iter().any(|given| given == name.as_str());
            Arc::strong_count(channel) > 1 || !channel.is_idle() || is_named()
        });
        self.store.follow();
        self.store.follow_subscribers();
        gone
    }

    /// Logs filling queues and suspensions, at most every 10 s.
    pub(super) fn log_queues(&self, filling: usize, suspended: usize) {
        if filling + suspended == 0 {
            return;
        }
        let now = self.clock.now();
        let mut logged = self.logged.lock();
        logged.1 += filling;
        logged.2 += suspended;
        if logged.0.is_some_and(|last| now - last < QUIET) {
            return;
        }
        let (_, filling, suspended) = std::mem::replace(&mut *logged, (Some(now), 0, 0));
        drop(logged);
        log::warn!(route = self.route.as_str(), filling, suspended; "subscribers are too slow");
    }

    /// The state of the streams. Reads the kernel's table of connections, so it is slow: not for the path of an event.
    pub fn gauges(&self) -> EventGauges {
        let (mut gauges, peers) = self.own_gauges();
        gauges.unsent = rt::unsent(&peers).unwrap_or(0);
        gauges
    }

    /// The state of the streams, apart from what the kernel holds; and the peers of their connections.
    pub(crate) fn own_gauges(&self) -> (EventGauges, HashSet<SocketAddr>) {
        let channels = self.channels();
        let (streams, store_ready) = (channels.len() as u64, self.store_fault().is_none());
        let mut gauges = EventGauges { streams, store_ready, ..EventGauges::default() };
        let mut peers = HashSet::new();
        for channel in &channels {
            self.with_context(|context| channel.measure(context, &mut gauges, &mut peers));
        }
        (gauges, peers)
    }
}

impl Drop for Hub {
    /// Records the spans of a removed route too.
    fn drop(&mut self) {
        self.end_traces();
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("route", &self.route).finish_non_exhaustive()
    }
}

/// `N` random bytes in hexadecimal.
fn hex<const N: usize>() -> String {
    let mut bytes = [0; N];
    rt::random(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
