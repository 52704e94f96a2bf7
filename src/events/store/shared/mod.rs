//! A store in Redis or Valkey, which several servers share.
//!
//! A script of the store checks, numbers and keeps a batch, so that all servers have one order, the same ids and the same bounds. Each server reads each
//! stream once, by one connection that waits for entries, and keeps what it read in memory, where its subscribers read it: the log
//! in memory is a copy of the one in the store.
//!
//! A store that began again, or was flushed, may have lost what it took last. So a stream has runs, in which nothing can have been lost, and a
//! server joins it in each before it publishes: what is lost and the server has, it gives back, and where others went on meanwhile
//! its subscribers hear of a gap. Ids have the run in them, so that none is given twice.
//!
//! A subscriber that may go on at another server has a record in the store, which belongs to one server at a time: whoever it comes to takes it,
//! and the one before is told by a log of notices of its own, and ends the connection that it has.

mod calls;
mod following;
mod keeper;
mod reader;
mod subscriber_calls;
mod subscribers;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use event_listener::Event as Changed;
use futures_lite::FutureExt;

use self::calls::{Calls, Unpublished};
use self::following::Followed;
use self::keeper::Keeper;
use self::reader::Reader;
use super::{StoreError, StoreState};
use crate::clock::{Clock, Sleep};
use crate::events::channel::Channel;
use crate::events::event::{Draft, StreamName};
use crate::events::hub::Hub;
use crate::events::hub_error::HubError;
use crate::events::log::Located;
use crate::rt;
use crate::shared_store::{LinkError, RedisSource, hashed};
use crate::sync::Mutex;

/// The most bytes of events that are on their way to the store, unless one batch has more.
const MAX_BYTES: usize = 32 << 20;

/// How long a request waits for the store, or for a stream to be read from it.
const OPENING: Duration = Duration::from_secs(5);

/// How often a reader that waits is woken for a stream that it may not have seen.
const AGAIN: Duration = Duration::from_millis(50);

/// The place before all notices.
const NONE_HEARD: &str = "0-0";

/// How often a batch is tried, in as many runs of the stream.
const TRIES: usize = 4;

pub(in crate::events) struct RedisStore {
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
}

struct Shared {
    calls: Calls,
    state: Mutex<State>,
    /// Bytes on their way.
    under_way: AtomicUsize,
    /// There is something for the reader to do.
    work: Changed,
    /// The state of the store is another one, or events were read.
    turned: Changed,
    /// What this server is called in records of subscribers, as no other one is.
    server: String,
    /// How often it took a subscriber.
    tenures: AtomicU64,
    /// There may be something to write of subscribers.
    subscribers_changed: Changed,
}

struct State {
    store: StoreState,
    /// Why the store took no batch lately, though it answers: it is full, or another one's copy.
    refusing: Option<String>,
    closing: bool,
    /// The connection that waits.
    tail: Option<i64>,
    /// Somebody found that a stream is not as it was: the reader is to look.
    recheck: bool,
    /// The streams that are read.
    followed: HashMap<String, Followed>,
    /// The last notice that was read.
    heard: String,
    /// Whether subscribers could not be looked up or written lately, which was logged.
    cannot_follow: bool,
}

/// What the store calls the subscriber with this token, which is a secret.
pub(super) fn name_of(token: &str) -> String {
    hashed(token)
}

/// Bytes on their way, until it is dropped.
struct UnderWay<'a>(&'a AtomicUsize, usize);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Ordering::Relaxed);
    }
}

impl RedisStore {
    /// A store at `source` for the streams below `route`. Reads the files of the source, and blocks meanwhile.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(in crate::events) fn new(
        source: RedisSource,
        route: &str,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StoreError> {
        let shown = source.to_string();
        let calls =
            Calls::new(source, route).map_err(|error| StoreError(format!("store {shown}: {error}")))?;
        let state = State {
            store: StoreState::Opening,
            refusing: None,
            closing: false,
            tail: None,
            recheck: false,
            followed: HashMap::new(),
            heard: NONE_HEARD.to_owned(),
            cannot_follow: false,
        };
        let mut server = [0; 8];
        rt::random(&mut server);
        let shared = Shared {
            calls,
            state: Mutex::new(state),
            under_way: AtomicUsize::new(0),
            work: Changed::new(),
            turned: Changed::new(),
            server: format!("{:016x}", u64::from_ne_bytes(server)),
            tenures: AtomicU64::new(1),
            subscribers_changed: Changed::new(),
        };
        Ok(Self { shared: Arc::new(shared), clock })
    }

    /// Spawns what reads the streams for `hub`, whose store this is, and what writes of its subscribers.
    pub(in crate::events) fn start(&self, hub: &Arc<Hub>) {
        rt::spawn(Keeper::new(Arc::clone(&self.shared), hub).run());
        rt::spawn(Reader::new(Arc::clone(&self.shared), hub, Arc::clone(&self.clock)).run());
    }

    pub(in crate::events) async fn publish(
        &self,
        hub: &Hub,
        name: &StreamName,
        channel: &Arc<Channel>,
        batch: Vec<Draft>,
    ) -> Result<Vec<Box<str>>, HubError> {
        match self.shared.state.lock().store {
            StoreState::Ready => {}
            StoreState::Closed => return Err(HubError::Closing),
            StoreState::Opening | StoreState::Failed(_) => return Err(HubError::StoreDown),
        }
        let bytes: usize = batch.iter().map(Draft::size).sum();
        let before = self.shared.under_way.fetch_add(bytes, Ordering::Relaxed);
        let _under_way = UnderWay(&self.shared.under_way, bytes);
        if before > 0 && before + bytes > MAX_BYTES {
            return Err(HubError::StoreDown);
        }
        for _ in 0..TRIES {
            let Some(run) = self.shared.run_of(name, channel) else {
                // A stream that begins with this batch, or was not read here.
                self.shared.follow(hub, name, true).await.map_err(|error| self.down(hub, &error))?;
                continue;
            };
            let incarnation = channel.with(|stream| stream.log().incarnation().to_owned());
            let calls = &self.shared.calls;
            match calls.publish(name.as_str(), &batch, &incarnation, &run, &hub.settings()).await {
                Ok(ids) => {
                    self.shared.takes(hub);
                    return Ok(ids);
                }
                Err(Unpublished::Refused(error)) => return Err(error),
                Err(Unpublished::Lost) => self.joined_again(name, channel, &run).await?,
                Err(Unpublished::Failed(error)) if error.is_refusal() => {
                    return Err(self.down(hub, &error));
                }
                Err(Unpublished::Failed(error)) => {
                    log::warn!(route = hub.route(), error:%; "a publication failed at the store");
                    return Err(HubError::StoreFailed);
                }
            }
        }
        Err(HubError::StoreDown)
    }

    /// Notes why nothing was published.
    fn down(&self, hub: &Hub, error: &LinkError) -> HubError {
        if error.is_refusal() {
            self.shared.refuses(hub.route(), error.to_string());
        }
        HubError::StoreDown
    }

    /// Has the reader join a stream anew that it had in the run `run`.
    async fn joined_again(
        &self,
        name: &StreamName,
        channel: &Arc<Channel>,
        run: &str,
    ) -> Result<(), HubError> {
        let is_joined = || self.shared.run_of(name, channel).is_none_or(|now| now != run);
        let joined = async {
            while !is_joined() {
                self.recheck().await;
                if matches!(self.shared.state.lock().store, StoreState::Failed(_) | StoreState::Closed) {
                    return Err(HubError::StoreDown);
                }
            }
            Ok(())
        };
        joined.or(self.late()).await
    }

    /// Completes when the stream `name` is read as far as the store has it, or there is none; at once if it is read, and has the event
    /// `id`.
    pub(in crate::events) async fn opened(
        &self,
        hub: &Hub,
        name: &StreamName,
        id: Option<&str>,
    ) -> Result<(), HubError> {
        let has = |channel: &Channel, id| channel.with(|stream| stream.log().locate(id) != Located::Unknown);
        let followed =
            || hub.channel(name).ok().filter(|channel| self.shared.run_of(name, channel).is_some());
        let is_open = |channel: &Channel| channel.is_read() && id.is_none_or(|id| has(channel, id));
        if followed().is_some_and(|channel| is_open(&channel)) {
            return Ok(());
        }
        let open = async {
            self.turned(|| self.state() != StoreState::Opening).await;
            let named = hub.settings().names.iter().any(|given| given == name.as_str());
            let channel = match followed() {
                Some(channel) => channel,
                None => match self.shared.follow(hub, name, named).await {
                    Ok(Some(channel)) => channel,
                    Ok(None) => return Ok(()),
                    Err(_) => return Err(HubError::StoreDown),
                },
            };
            while !self.shared.is_current(name, &channel).await? {
                self.recheck().await;
            }
            self.read_up(&channel).await
        };
        open.or(self.late()).await
    }

    /// Completes when memory has what the store was last found to have of a stream.
    async fn read_up(&self, channel: &Channel) -> Result<(), HubError> {
        while !channel.is_read() {
            if self.shared.state.lock().store == StoreState::Closed {
                return Err(HubError::Closing);
            }
            self.shared.wake().await;
            self.turned(|| channel.is_read()).or(self.again()).await;
        }
        Ok(())
    }

    /// Has the reader look at once at what the store has. Completes when it did, or after a while.
    async fn recheck(&self) {
        self.shared.state.lock().recheck = true;
        self.shared.wake().await;
        self.turned(|| !self.shared.state.lock().recheck).or(self.again()).await;
    }

    async fn again(&self) {
        Sleep::lasting(Arc::clone(&self.clock), AGAIN).await;
    }

    async fn late<T>(&self) -> Result<T, HubError> {
        Sleep::lasting(Arc::clone(&self.clock), OPENING).await;
        Err(HubError::StoreDown)
    }

    pub(in crate::events) fn close(&self) {
        self.shared.state.lock().closing = true;
        self.shared.work.notify(usize::MAX);
        self.shared.subscribers_changed.notify(usize::MAX);
    }

    pub(in crate::events) fn state(&self) -> StoreState {
        let state = self.shared.state.lock();
        match (&state.store, &state.refusing) {
            (StoreState::Ready, Some(why)) => StoreState::Failed(why.clone()),
            (store, _) => store.clone(),
        }
    }

    pub(in crate::events) async fn turned(&self, is_awaited: impl Fn() -> bool) {
        rt::wait_until(&self.shared.turned, is_awaited).await;
    }
}

impl Drop for RedisStore {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    /// Has the reader look for streams that are new.
    async fn wake(&self) {
        let tail = self.state.lock().tail;
        self.work.notify(usize::MAX);
        if let Some(tail) = tail {
            // If it fails, the reader looks within a second.
            let _ = self.calls.link.wake(tail, calls::PATIENCE).await;
        }
    }

    fn refuses(&self, route: &str, why: String) {
        let why = format!("store {}: {why}", self.calls.link.source());
        let mut state = self.state.lock();
        if state.refusing.as_ref() != Some(&why) {
            log::error!(route, error = why.as_str(); "the store of the streams takes no events");
        }
        state.refusing = Some(why);
    }

    /// Notes that the store took something.
    fn takes(&self, hub: &Hub) {
        let mut state = self.state.lock();
        if state.refusing.take().is_some() {
            hub.set_stalled(false);
        }
    }

    fn turn(&self, store: StoreState) {
        self.state.lock().store = store;
        self.turned.notify(usize::MAX);
    }
}
