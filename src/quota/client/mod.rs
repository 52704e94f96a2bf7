//! The quota client: keeps leases on shares in the background, and spends them locally.
//!
//! ```no_run
//! use sluicegate::quota::client::{QuotaClient, QuotaClientSettings, ResourceUse};
//! use sluicegate::rt;
//!
//! let settings = QuotaClientSettings::new("http://127.0.0.1:9190".parse()?, "web-1".parse()?)
//!     .using(ResourceUse::new("api".parse()?));
//! let client = QuotaClient::start(settings)?;
//! let api = client.allocation("api").unwrap();
//! rt::block_on(async {
//!     api.acquire(1).await?;
//!     // … the request …
//!     client.close().await;
//!     Ok::<(), Box<dyn std::error::Error>>(())
//! })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod allocation;
mod backoff;
mod channel;
mod fleet;
mod local_bucket;
mod metrics;
mod runtime;
mod servers;
mod session;
mod settings;
mod share;
mod shared_bucket;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use event_listener::Event;
use futures_lite::FutureExt;

use crate::clock::{Clock, Instant, Sleep};
use crate::rt;
use crate::sync::Mutex;
use allocation::Inner;
use backoff::Jitter;
use runtime::Spawner;

pub use allocation::{Acquire, Allocation, Changes, Closed};
pub use channel::{Calls, Channel, Connector, leader_of};
pub use fleet::{FleetError, FleetShare, all_clients};
pub use local_bucket::Depth;
pub use metrics::QuotaMetrics;
pub use runtime::{Connecting, Io, Runtime, Task};
pub use servers::Hops;
pub use settings::{QuotaClientSettings, ResourceUse, SettingsError};
pub use share::{Grant, LeasedShare, Share, ShareState};

/// A client of a quota server. Clones are the same client; when the last is dropped, it unregisters in the background.
///
/// ```no_run
/// use sluicegate::quota::client::{QuotaClient, QuotaClientSettings, ResourceUse};
///
/// let settings = QuotaClientSettings::new("http://127.0.0.1:9190".parse()?, "web-1".parse()?)
///     .using(ResourceUse::new("api".parse()?));
/// let client = QuotaClient::start(settings)?;
/// if let Some(error) = client.trouble() {
///     eprintln!("the quota server is not reached: {error}");
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct QuotaClient(Arc<Owner>);

impl fmt::Debug for QuotaClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuotaClient")
            .field("id", &self.0.0.settings.client)
            .field("is_connected", &self.is_connected())
            .finish_non_exhaustive()
    }
}

/// Closes the client when the last clone is dropped.
struct Owner(Arc<Shared>);

/// State shared by the client and its task.
struct Shared {
    settings: QuotaClientSettings,
    /// Distinguishes this run of the client from others with the same id.
    instance: String,
    allocations: BTreeMap<String, Arc<Inner>>,
    clock: Arc<dyn Clock>,
    bell: Arc<Event>,
    chance: Mutex<Jitter>,
    sequence: AtomicU64,
    /// End of the lease, in nanoseconds of an [`Instant`]; 0 before the first.
    lease_until: AtomicU64,
    connected: AtomicBool,
    /// Why it is not connected.
    last_error: Mutex<Option<String>>,
    closing: AtomicBool,
    ended: AtomicBool,
    stage_changed: Event,
}

impl QuotaClient {
    /// Starts a client. Its background task connects and keeps trying; nothing here waits for it.
    ///
    /// The task runs on the library's own workers, unless the settings name another [`Runtime`]: then `start` must be called
    /// inside of that, if it asks for it as tokio does.
    ///
    /// # Errors
    /// A weight is out of bounds, or a resource is named twice.
    pub fn start(settings: QuotaClientSettings) -> Result<Self, SettingsError> {
        settings.check()?;
        let clock: Arc<dyn Clock> = rt::clock();
        let bell = Arc::new(Event::new());
        let held = |resource: &ResourceUse| {
            let held = Inner::new(resource, Arc::clone(&bell), Arc::clone(&clock));
            (resource.id.to_string(), Arc::new(held))
        };
        let mut chance = Jitter::new();
        let shared = Arc::new(Shared {
            instance: format!("{:016x}", chance.next()),
            allocations: settings.resources.iter().map(held).collect(),
            settings,
            clock,
            bell,
            chance: Mutex::new(chance),
            sequence: AtomicU64::new(0),
            lease_until: AtomicU64::new(0),
            connected: AtomicBool::new(false),
            last_error: Mutex::default(),
            closing: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            stage_changed: Event::new(),
        });
        let task = Arc::clone(&shared);
        Spawner(shared.settings.connector.runtime.clone()).spawn(async move {
            session::run(Arc::clone(&task)).or(task.watch_lapses()).await;
            task.ended.store(true, Ordering::SeqCst);
            task.stage_changed.notify(usize::MAX);
        });
        Ok(Self(Arc::new(Owner(shared))))
    }

    /// The share of a resource; `None` if the client was not started with it.
    pub fn allocation(&self, resource: &str) -> Option<Allocation> {
        self.0.0.allocations.get(resource).cloned().map(Allocation)
    }

    /// The shares of all resources, by id.
    pub fn allocations(&self) -> impl Iterator<Item = Allocation> + '_ {
        self.0.0.allocations.values().cloned().map(Allocation)
    }

    /// Whether the last heartbeat was answered.
    pub fn is_connected(&self) -> bool {
        self.0.0.connected.load(Ordering::Relaxed)
    }

    /// The error of the last attempt; `None` if the last heartbeat was answered, or none was tried yet.
    pub fn trouble(&self) -> Option<String> {
        self.0.0.last_error.lock().clone()
    }

    /// The client's counters as metric families.
    pub fn metrics(&self) -> QuotaMetrics {
        QuotaMetrics::new(Arc::clone(&self.0.0))
    }

    /// Stops spending and unregisters, so that others get the shares at once. Takes at most 2 s if the server does not
    /// answer.
    pub async fn close(self) {
        let shared = Arc::clone(&self.0.0);
        drop(self);
        shared.close();
        rt::wait_until(&shared.stage_changed, || shared.ended.load(Ordering::SeqCst)).await;
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Shared {
    /// Shortens `time` by up to a fifth at random, so that heartbeats of a fleet started together spread out.
    fn jitter(&self, time: Duration) -> Duration {
        self.chance.lock().shorten(time, 5)
    }

    fn on_answer(&self, lease_until: Instant) {
        self.lease_until.store(lease_until.as_nanos(), Ordering::Relaxed);
        self.connected.store(true, Ordering::Relaxed);
        *self.last_error.lock() = None;
        // `watch_lapses` must see the new lease.
        self.stage_changed.notify(usize::MAX);
    }

    fn on_lost(&self, error: String) {
        self.connected.store(false, Ordering::Relaxed);
        *self.last_error.lock() = Some(error);
    }

    fn close(&self) {
        // First: an unregistered share must not be spent.
        self.allocations.values().for_each(|held| held.close());
        self.closing.store(true, Ordering::SeqCst);
        self.stage_changed.notify(usize::MAX);
    }

    fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    /// Completes with `true` once the client is closed.
    async fn closing(&self) -> bool {
        rt::wait_until(&self.stage_changed, || self.is_closing()).await;
        true
    }

    /// Reports shares that lapse without a message of the server; never completes.
    async fn watch_lapses(&self) {
        loop {
            let listener = self.stage_changed.listen();
            let next = self.allocations.values().filter_map(|held| held.lapses_at()).min();
            match next {
                Some(at) => Sleep::until(Arc::clone(&self.clock), at).or(listener).await,
                None => listener.await,
            }
            self.allocations.values().for_each(|held| held.notify());
        }
    }
}
