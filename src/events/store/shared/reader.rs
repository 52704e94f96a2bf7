//! The task that reads the streams of a route, and keeps them and the store together.

use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_lite::FutureExt;

use super::calls::{self, PATIENCE};
use super::following::Followed;
use super::{NONE_HEARD, Shared};
use crate::clock::{Clock, Instant, Sleep};
use crate::events::channel::Channel;
use crate::events::encoding::jittered;
use crate::events::event::StreamName;
use crate::events::hub::Hub;
use crate::events::store::{StoreState, Times};
use crate::rt;
use crate::shared_store::{LinkError, LogEntries, Tail};

/// How long the reader waits for entries before it looks whether the streams are still those that it reads.
const WAIT: Duration = Duration::from_secs(1);

/// The most entries that are read at once, and the most of one stream; one of each stream at least.
const MOST: usize = 400;
const MOST_OF_ONE: usize = 100;

/// The most streams that the store is asked of at once.
const LOOKS: usize = 500;

/// How often the store is told to keep the numbers of the streams.
const KEEP: Duration = Duration::from_secs(600);

/// The first time to wait after a failure, and the longest.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

pub(super) struct Reader {
    pub(super) shared: Arc<Shared>,
    hub: Weak<Hub>,
    pub(super) route: String,
    pub(super) clock: Arc<dyn Clock>,
    kept: Option<Instant>,
    /// The process of the store that the connection which waits is to.
    process: String,
}

/// A stream that is read: its name, and the run that it was joined in.
type Read = (String, Arc<Channel>, String);

impl Reader {
    pub(super) fn new(shared: Arc<Shared>, hub: &Arc<Hub>, clock: Arc<dyn Clock>) -> Self {
        let route = hub.route().to_owned();
        Self { shared, hub: Arc::downgrade(hub), route, clock, kept: None, process: String::new() }
    }

    /// Reads until the hub is gone or closes. Ends then at once, also while the store does not answer: nothing of this server is on its
    /// way to the store but what publishers wait for.
    pub(super) async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let closing = closing(Arc::clone(&shared), self.hub.clone());
        self.read_on().or(closing).await;
        shared.turn(StoreState::Closed);
    }

    async fn read_on(&mut self) {
        let mut wait = RETRY.0;
        loop {
            let Err(error) = self.session().await else { return };
            if self.shared.state.lock().tail.take().is_some() {
                // It was there.
                wait = RETRY.0;
            }
            self.fail(&error);
            let random = self.hub.upgrade().map_or(0, |hub| hub.jitter());
            Sleep::lasting(Arc::clone(&self.clock), jittered(wait, random)).await;
            wait = (wait * 2).min(RETRY.1);
        }
    }

    fn open_hub(&self) -> Option<Arc<Hub>> {
        self.hub.upgrade().filter(|_| !self.shared.state.lock().closing)
    }

    /// Reads by one connection. Returns when the hub closes.
    async fn session(&mut self) -> Result<(), LinkError> {
        let shared = Arc::clone(&self.shared);
        let link = &shared.calls.link;
        let mut tail = link.tail(PATIENCE).await?;
        let Some(hub) = self.open_hub() else { return Ok(()) };
        self.process = shared.calls.process(&mut tail).await?;
        if self.compare(&hub).await.is_err() {
            // The connection for calls may be from before, and nobody noticed that it broke.
            link.reset();
            self.compare(&hub).await?;
        }
        {
            let mut state = self.shared.state.lock();
            // What it was told of subscribers meanwhile may be lost, and what it had written of them.
            (state.tail, state.heard) = (Some(tail.id()), NONE_HEARD.to_owned());
        }
        hub.channels().iter().for_each(|channel| channel.with(|stream| stream.renew_all()));
        if self.shared.state.lock().store != StoreState::Ready {
            log::info!(route = self.route.as_str(), store:% = link.source(); "the store of the streams is there");
        }
        // First what subscribers hear: then they are sent what is published.
        let is_refusing = shared.state.lock().refusing.is_some();
        hub.set_stalled(is_refusing);
        self.shared.turn(StoreState::Ready);
        self.shared.subscribers_changed.notify(usize::MAX);
        drop(hub);
        let mut looked = self.clock.now();
        loop {
            let Some(hub) = self.open_hub() else { return Ok(()) };
            let is_changed = self.read(&hub, &mut tail).await?;
            if is_changed || self.shared.state.lock().recheck || self.clock.now() - looked >= WAIT {
                looked = self.clock.now();
                self.compare(&hub).await?;
                self.probe(&hub).await;
            }
        }
    }

    /// The streams that are read. Forgets those that are gone.
    fn followed(&self) -> Vec<Read> {
        let mut state = self.shared.state.lock();
        state.followed.retain(|_, followed| followed.channel.strong_count() > 0);
        let read = |(name, followed): (&String, &Followed)| {
            Some((name.clone(), followed.channel.upgrade()?, followed.run.name.clone()))
        };
        state.followed.iter().filter_map(read).collect()
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
        let after = followed.iter().map(|(name, channel, _)| {
            let head = channel.with(|stream| stream.log().head());
            (self.shared.calls.log_key(name), format!("{head}-0"))
        });
        let notices = (self.shared.notices(), self.shared.state.lock().heard.clone());
        let after: Vec<_> = after.chain([notices]).collect();
        // It may wait long: what nobody uses any more is to be forgotten meanwhile.
        drop(followed);
        let most = (MOST / after.len()).clamp(1, MOST_OF_ONE);
        let read = tail.read(&after, most, WAIT, PATIENCE).await?;
        let mut is_changed = false;
        for (key, entries) in read {
            if key == self.shared.notices() {
                self.shared.hear(hub, entries);
            } else {
                is_changed |= self.arrived(hub, (key, entries))?;
            }
        }
        self.shared.turned.notify(usize::MAX);
        Ok(is_changed)
    }

    fn arrived(&self, hub: &Arc<Hub>, (key, entries): LogEntries) -> Result<bool, LinkError> {
        let Some(name) = self.shared.calls.name_of(&key).and_then(StreamName::new) else { return Ok(false) };
        let Ok(channel) = hub.channel(&name) else { return Ok(false) };
        let run = self.shared.of_followed(name.as_str(), &channel, |followed| followed.run.clone());
        let Some(run) = run else {
            return Ok(false);
        };
        let (incarnation, due) = channel.with(|stream| (stream.log().incarnation().to_owned(), stream.due()));
        let times = Times::of(&*self.clock);
        let (mut events, mut is_changed) = (Vec::new(), false);
        for entry in entries {
            let (event, of) = calls::event(&incarnation, entry)?;
            // Published in another run: what this server has may not be what came before.
            if event.seq > due && of != run.tag {
                is_changed = true;
                break;
            }
            events.push(run.event(event, &of, &incarnation, &times));
        }
        hub.append(&channel, events);
        Ok(is_changed)
    }

    /// Compares the streams with what the store has, joins those that are not as they were, and looks for new ones.
    async fn compare(&mut self, hub: &Arc<Hub>) -> Result<(), LinkError> {
        let now = self.clock.now();
        let keeps = self.kept.is_none_or(|kept| now - kept >= KEEP);
        let followed = self.followed();
        for read in followed.chunks(LOOKS) {
            let names: Vec<&str> = read.iter().map(|(name, ..)| name.as_str()).collect();
            let looked = self.shared.calls.look(&names, keeps).await?;
            if looked.process != self.process {
                return Err(LinkError::odd(
                    "another server answers at this address, or it has changed its part",
                ));
            }
            for ((name, channel, run), (of, found, head)) in read.iter().zip(&looked.streams) {
                let is_same = channel.with(|stream| {
                    let is_same =
                        stream.log().incarnation() == of && run == found && *head >= stream.log().head();
                    if is_same {
                        stream.set_due(*head);
                    }
                    is_same
                });
                if !is_same {
                    self.join(hub, name, channel).await?;
                    // After a FLUSHALL notices have any number.
                    self.shared.state.lock().heard = NONE_HEARD.to_owned();
                    channel.with(|stream| stream.renew_all());
                }
            }
        }
        if keeps {
            self.kept = Some(now);
        }
        self.look_for_new(hub).await?;
        self.shared.state.lock().recheck = false;
        self.shared.turned.notify(usize::MAX);
        Ok(())
    }

    async fn look_for_new(&self, hub: &Arc<Hub>) -> Result<(), LinkError> {
        let names = hub.settings().names.clone();
        let others = hub.names();
        for name in names.iter().chain(&others).filter_map(|name| StreamName::new(name)) {
            let is_followed =
                hub.channel(&name).is_ok_and(|channel| self.shared.run_of(&name, &channel).is_some());
            if !is_followed {
                let is_named = names.iter().any(|given| given == name.as_str());
                self.shared.follow(hub, &name, is_named).await?;
            }
        }
        Ok(())
    }

    /// Tries whether a store that took no events does again.
    async fn probe(&self, hub: &Arc<Hub>) {
        if self.shared.state.lock().refusing.is_none() {
            return;
        }
        let probed = self.shared.calls.probe().await;
        if probed.is_ok() {
            log::info!(route = self.route.as_str(); "the store of the streams takes events again");
            self.shared.takes(hub);
        } else {
            // Below the lock: what was published meanwhile says that it takes events.
            let state = self.shared.state.lock();
            hub.set_stalled(state.refusing.is_some());
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

/// Completes when the hub closes or is gone.
async fn closing(shared: Arc<Shared>, hub: Weak<Hub>) {
    rt::wait_until(&shared.work, || shared.state.lock().closing || hub.strong_count() == 0).await;
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_lite::future;

    use super::*;
    use crate::clock::ManualClock;
    use crate::events::EventSettings;
    use crate::events::store::{RedisStore, Store};
    use crate::rt::Listener;

    #[test]
    fn it_ends_at_once_when_the_hub_closes_also_while_the_store_does_not_answer() {
        rt::block_on(async {
            // Accepts, and says nothing.
            let listener = Listener::bind_tcp(([127, 0, 0, 1], 0).into()).unwrap();
            let source = format!("redis://{}", listener.local_addr().unwrap()).parse().unwrap();
            let clock: Arc<dyn Clock> = Arc::new(ManualClock::new());
            let redis = RedisStore::new(source, "/", Arc::clone(&clock)).unwrap();
            let shared = Arc::clone(&redis.shared);
            let hub = Hub::with_store("/", EventSettings::default(), Arc::clone(&clock), Store::Redis(redis));
            let mut reading = pin!(Reader::new(shared, &hub, clock).run());
            let accepted = async { Some(listener.accept().await.unwrap()) };
            let socket = accepted.or(async {
                reading.as_mut().await;
                None
            });
            let _socket = socket.await.expect("it connects");
            assert!(future::poll_once(reading.as_mut()).await.is_none());
            hub.close();
            assert!(future::poll_once(reading).await.is_some());
            assert_eq!(hub.store.state(), StoreState::Closed);
        });
    }
}
