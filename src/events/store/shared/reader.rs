//! The task that reads the streams of a route, and keeps them and the store together.

use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_lite::FutureExt;

use super::Shared;
use super::calls::{self, Found, Held, PATIENCE};
use crate::clock::{Clock, Instant, Sleep};
use crate::events::channel::Channel;
use crate::events::encoding::jittered;
use crate::events::event::StreamName;
use crate::events::hub::Hub;
use crate::events::store::{StoreState, Times};
use crate::shared_store::{LinkError, LogEntries, Tail};

/// How long the reader waits for entries before it looks whether the streams are still those that it reads.
const WAIT: Duration = Duration::from_secs(1);

/// The most entries of a stream that are read at once.
const MOST: usize = 100;

/// How often the store is told to keep the numbers of the streams.
const KEEP: Duration = Duration::from_secs(600);

/// The first time to wait after a failure, and the longest.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

pub(super) struct Reader {
    shared: Arc<Shared>,
    hub: Weak<Hub>,
    route: String,
    clock: Arc<dyn Clock>,
    kept: Option<Instant>,
}

/// Streams that are read, by name.
type Followed = Vec<(String, Arc<Channel>)>;

impl Reader {
    pub(super) fn new(shared: Arc<Shared>, hub: &Arc<Hub>, clock: Arc<dyn Clock>) -> Self {
        Self { shared, hub: Arc::downgrade(hub), route: hub.route().to_owned(), clock, kept: None }
    }

    /// Reads until the hub is gone or closes.
    pub(super) async fn run(mut self) {
        let mut wait = RETRY.0;
        loop {
            let Err(error) = self.session().await else { break };
            if self.shared.state.lock().tail.take().is_some() {
                // It was there.
                wait = RETRY.0;
            }
            self.fail(&error);
            let random = self.hub.upgrade().map_or(0, |hub| hub.jitter());
            let sleep = Sleep::lasting(Arc::clone(&self.clock), jittered(wait, random));
            sleep.or(self.closing()).await;
            wait = (wait * 2).min(RETRY.1);
        }
        self.shared.turn(StoreState::Closed);
    }

    fn open_hub(&self) -> Option<Arc<Hub>> {
        self.hub.upgrade().filter(|_| !self.shared.state.lock().closing)
    }

    async fn closing(&self) {
        loop {
            let more = self.shared.work.listen();
            if self.open_hub().is_none() {
                return;
            }
            more.await;
        }
    }

    /// Reads by one connection. Returns when the hub closes.
    async fn session(&mut self) -> Result<(), LinkError> {
        let shared = Arc::clone(&self.shared);
        let link = &shared.calls.link;
        let mut tail = link.tail(PATIENCE).await?;
        let Some(hub) = self.open_hub() else { return Ok(()) };
        if self.compare(&hub, true).await.is_err() {
            // The connection for calls may be from before, and nobody noticed that it broke.
            self.compare(&hub, true).await?;
        }
        self.shared.state.lock().tail = Some(tail.id());
        if self.shared.state.lock().store != StoreState::Ready {
            log::info!(route = self.route.as_str(), store:% = link.source(); "the store of the streams is there");
        }
        self.shared.turn(StoreState::Ready);
        hub.set_stalled(false);
        drop(hub);
        let mut looked = self.clock.now();
        loop {
            let Some(hub) = self.open_hub() else { return Ok(()) };
            let is_changed = self.read(&hub, &mut tail).await?;
            if is_changed || self.clock.now() - looked >= WAIT {
                looked = self.clock.now();
                self.compare(&hub, false).await?;
                self.probe(&hub).await;
            }
        }
    }

    /// The streams that are read. Forgets those that are gone.
    fn followed(&self) -> Followed {
        let mut state = self.shared.state.lock();
        state.followed.retain(|_, channel| channel.strong_count() > 0);
        let followed = state.followed.iter();
        followed.filter_map(|(name, channel)| Some((name.clone(), channel.upgrade()?))).collect()
    }

    /// Reads once. Returns whether a stream is another one than it was.
    async fn read(&self, hub: &Arc<Hub>, tail: &mut Tail) -> Result<bool, LinkError> {
        let more = self.shared.work.listen();
        let followed = self.followed();
        if followed.is_empty() {
            let wait = Sleep::lasting(Arc::clone(&self.clock), WAIT);
            wait.or(more).await;
            return Ok(false);
        }
        let after = followed.iter().map(|(name, channel)| {
            let head = channel.with(|stream| stream.log().head());
            (self.shared.calls.log_key(name), format!("{head}-0"))
        });
        let after: Vec<_> = after.collect();
        // It may wait long: what nobody uses any more is to be forgotten meanwhile.
        drop(followed);
        let read = tail.read(&after, MOST, WAIT, PATIENCE).await?;
        let mut is_changed = false;
        for log in read {
            is_changed |= self.arrived(hub, log)?;
        }
        self.shared.turned.notify(usize::MAX);
        Ok(is_changed)
    }

    fn arrived(&self, hub: &Arc<Hub>, (key, entries): LogEntries) -> Result<bool, LinkError> {
        let name = self.shared.calls.name_of(&key).and_then(StreamName::new);
        let Some(channel) = name.and_then(|name| hub.channel(&name).ok()) else { return Ok(false) };
        let incarnation = channel.with(|stream| stream.log().incarnation().to_owned());
        let times = Times::of(&*self.clock);
        let (mut events, mut is_changed) = (Vec::new(), false);
        for entry in entries {
            match calls::event(&incarnation, entry)? {
                Some(event) => events.push(event.event(&times)),
                None => is_changed = true,
            }
        }
        hub.append(&channel, events);
        Ok(is_changed)
    }

    /// Compares the streams with what the store has: gives back what it lost, and begins those anew that are others there. With
    /// `content` by their last events, too, as after a connection was lost.
    async fn compare(&mut self, hub: &Arc<Hub>, content: bool) -> Result<(), LinkError> {
        let now = self.clock.now();
        let keeps = self.kept.is_none_or(|kept| now - kept >= KEEP);
        let followed = self.followed();
        let held: Vec<Held> = followed.iter().map(|(name, channel)| held(name, channel, content)).collect();
        if !held.is_empty() {
            let found = self.shared.calls.look(&held, keeps).await?;
            if keeps {
                self.kept = Some(now);
            }
            for (((name, channel), held), found) in followed.iter().zip(&held).zip(found) {
                let is_other = match found {
                    Found::Same => false,
                    Found::Less(head) => !self.give_back(channel, held, head).await?,
                    Found::Other => true,
                };
                if is_other && let Some(name) = StreamName::new(name) {
                    self.follow(hub, &name, true).await?;
                }
            }
        }
        let names = hub.settings().names.clone();
        let others = hub.names();
        for name in names.iter().chain(&others).filter_map(|name| StreamName::new(name)) {
            let is_followed = hub.channel(&name).is_ok_and(|channel| self.shared.follows(&name, &channel));
            if !is_followed {
                let is_named = names.iter().any(|given| given == name.as_str());
                self.follow(hub, &name, is_named).await?;
            }
        }
        Ok(())
    }

    async fn follow(&self, hub: &Arc<Hub>, name: &StreamName, begins: bool) -> Result<(), LinkError> {
        match self.shared.follow(hub, name, begins).await {
            Ok(_) => Ok(()),
            Err(_) => Err(LinkError::odd("a stream cannot be opened there")),
        }
    }

    /// Gives the store back what it lost behind the number `head`. Returns false if somebody went on with the stream.
    async fn give_back(&self, channel: &Channel, held: &Held, head: u64) -> Result<bool, LinkError> {
        let events = channel.with(|stream| stream.events_after(head));
        log::warn!(route = self.route.as_str(), events = events.len(); "the store lost events: it is given back what is in memory");
        self.shared.calls.restore(held, head, &events, &Times::of(&*self.clock)).await
    }

    /// Tries whether a store that took no events does again.
    async fn probe(&self, hub: &Arc<Hub>) {
        if self.shared.state.lock().refusing.is_none() {
            return;
        }
        match self.shared.calls.probe().await {
            Ok(()) => {
                self.shared.state.lock().refusing = None;
                log::info!(route = self.route.as_str(); "the store of the streams takes events again");
                hub.set_stalled(false);
            }
            Err(_) => hub.set_stalled(true),
        }
    }

    fn fail(&self, error: &LinkError) {
        let text = format!("store {}: {error}", self.shared.calls.link.source());
        let was_ready = !matches!(self.shared.state.lock().store, StoreState::Failed(_));
        if was_ready {
            log::error!(route = self.route.as_str(), error = text.as_str(); "the store of the streams cannot be reached: nothing can be published");
        }
        self.shared.turn(StoreState::Failed(text));
        if let Some(hub) = self.hub.upgrade() {
            hub.set_stalled(true);
        }
    }
}

fn held(name: &str, channel: &Channel, content: bool) -> Held {
    channel.with(|stream| {
        let log = stream.log();
        let last = log.get(log.head()).filter(|_| content);
        Held {
            name: name.to_owned(),
            incarnation: log.incarnation().to_owned(),
            head: log.head(),
            last: last.map(|event| {
                let kind = event.kind.as_deref().unwrap_or_default().to_owned();
                (kind, String::from_utf8_lossy(&event.data).into_owned())
            }),
        }
    })
}
