//! The quota server: gRPC over HTTP/2. Leases are in memory, and so are limits, unless a store keeps them. Servers on one
//! shared store stand in for each other: one of them leads and answers.
//!
//! ```no_run
//! use sluicegate::quota::server::{QuotaServer, QuotaServerSettings};
//! use sluicegate::rt::{self, Listener};
//!
//! let listener = Listener::bind_tcp("127.0.0.1:9190".parse()?)?;
//! let settings = QuotaServerSettings { limits: vec!["egress=100m".parse()?], ..Default::default() };
//! rt::block_on(QuotaServer::new(settings, vec![listener])?.run());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod connection;
mod deadline;
mod keeping;
#[cfg(feature = "redis")]
mod kept_leases;
#[cfg(feature = "redis")]
mod leading;
#[cfg(feature = "redis")]
mod lease_record;
mod limits;
mod messages;
mod metrics;
mod preface;
mod reflection;
mod router;
mod schedules;
mod service;
mod shared_book;
#[cfg(feature = "redis")]
mod shared_limits;
mod status;
mod store;
mod watch;

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::FutureExt;

use super::book::{Book, BookSettings};
use super::endpoint::Endpoint;
use super::id::Id;
use super::limit::{NamedLimit, ResourceLimit};
use crate::clock::Clock;
use crate::rt::serve::{Stage, Stages, Tasks};
use crate::rt::{self, Listener, Slots};
use crate::tls::ServerTls;
use crate::token::Token;
use limits::Limits;
pub use metrics::QuotaServerMetrics;
use router::Router;
pub use schedules::QuotaSchedule;
use shared_book::{NotLeader, SharedBook};
pub use store::{QuotaStore, QuotaStoreError};

/// Settings of a quota server.
#[derive(Clone, Debug)]
pub struct QuotaServerSettings {
    /// Timeouts and bounds. Default: leases of 30 s, 10 000 clients, 1 000 resources.
    pub book: BookSettings,
    /// Limits at the start. Default none.
    pub limits: Vec<NamedLimit>,
    /// Those of them that follow the time of the week. Default none.
    pub schedules: Vec<QuotaSchedule>,
    /// Where limits that are set by hand are kept. They go over `limits` and `schedules`. Default in memory.
    pub store: QuotaStore,
    /// Where clients reach this server, which the others on a shared store tell them. Default: the first listener's TCP
    /// address.
    pub advertise: Option<Endpoint>,
    /// The token that callers must send; the health service needs none. Default none.
    pub token: Option<Token>,
    /// Default none: plain HTTP/2.
    pub tls: Option<ServerTls>,
    /// How long calls may continue after the server began to drain. Default 5 s.
    pub drain: Duration,
    /// Concurrent connections. At the limit the next one replaces one that is silent or has not sent the token; if there
    /// is none, it is closed unread. Default 11 000.
    pub max_connections: usize,
}

impl Default for QuotaServerSettings {
    fn default() -> Self {
        let book = BookSettings::default();
        Self {
            // Clients, reconnecting ones whose last connection is not yet known to be dead, and people.
            max_connections: book.most_clients + book.most_clients / 10,
            book,
            limits: Vec::new(),
            schedules: Vec::new(),
            store: QuotaStore::default(),
            advertise: None,
            token: None,
            tls: None,
            drain: Duration::from_secs(5),
        }
    }
}

text_error! {
    /// Why a quota server cannot start, and what to do.
    QuotaServerError
}

caused_error! {
    /// Why callers should not be sent to a quota server now.
    NotReady {
        /// Whether it drains, and will stop; otherwise it neither leads nor knows who does, which passes.
        is_draining: draining,
    }
}

/// A quota server, not yet running.
///
/// ```
/// use sluicegate::quota::server::{QuotaServer, QuotaServerSettings};
/// use sluicegate::rt::Listener;
///
/// let settings = QuotaServerSettings { limits: vec!["api=100/s".parse()?], ..Default::default() };
/// let server = QuotaServer::new(settings, vec![Listener::bind_tcp("127.0.0.1:0".parse()?)?])?;
/// let handle = server.handle();
/// assert_eq!((server.local_addrs().len(), handle.readiness()), (1, Ok(())));
/// // Then rt::block_on(server.run()), until somebody calls
/// handle.drain();
/// assert!(handle.readiness().unwrap_err().is_draining());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct QuotaServer {
    listeners: Vec<Listener>,
    shared: Arc<Shared>,
}

opaque!(QuotaServer);

/// Stops a running server. Clones are for the same server.
#[derive(Clone)]
pub struct QuotaServerHandle(Arc<Shared>);

opaque!(QuotaServerHandle);

/// What all connections share.
struct Shared {
    router: Router,
    book: Arc<SharedBook>,
    tls: Option<ServerTls>,
    drain: Duration,
    /// Callers need no token, or authenticate by certificate.
    trusts_connections: bool,
    slots: Arc<Slots>,
    stages: Stages,
    /// Listeners and connections.
    tasks: Arc<Tasks>,
}

/// Checks that a quota server may listen at `addr`: a loopback address, or any with a token or mutual TLS.
///
/// # Errors
/// The address is reachable from other machines, and there is neither a token nor mutual TLS.
pub fn permitted(
    addr: SocketAddr,
    token: Option<&Token>,
    tls: Option<&ServerTls>,
) -> Result<(), QuotaServerError> {
    let is_protected = token.is_some() || tls.is_some_and(ServerTls::asks_clients);
    if is_protected || addr.ip().to_canonical().is_loopback() {
        Ok(())
    } else {
        Err(QuotaServerError(format!(
            "the quota server does not go to {addr}, where other machines reach it, without a token or mutual \
             TLS: give it --token-file, or --tls-cert, --tls-key and --client-ca, or choose 127.0.0.1 or [::1]"
        )))
    }
}

impl QuotaServer {
    /// Creates a server on `listeners`. Connections queue from now on. Reads the store, and blocks meanwhile.
    ///
    /// # Errors
    /// A listener is reachable from other machines without protection, a limit is invalid, or the store cannot be read.
    pub fn new(settings: QuotaServerSettings, listeners: Vec<Listener>) -> Result<Self, QuotaServerError> {
        for addr in listeners.iter().filter_map(Listener::local_addr) {
            permitted(addr, settings.token.as_ref(), settings.tls.as_ref())?;
        }
        let clock: Arc<dyn Clock> = rt::clock();
        let now = clock.now();
        // The standard library's source of randomness.
        let epoch = RandomState::new().build_hasher().finish();
        let failed = |error: &dyn fmt::Display| QuotaServerError(error.to_string());
        let by_hand = settings.store.load().map_err(|error| failed(&error))?;
        #[cfg(feature = "redis")]
        let shared = leading::shared_limits(&settings, &listeners)?;
        let limits = Limits::new(settings.limits, settings.store, by_hand);
        #[cfg(feature = "redis")]
        let limits = limits.sharing(shared);
        let mut book = Book::new(settings.book, epoch, now);
        limits.fill(&mut book, now, |_| None).map_err(|error| failed(&error))?;
        let book = SharedBook::new(book, clock).with_limits(limits).with_schedules(settings.schedules);
        #[cfg(feature = "redis")]
        book.follow();
        let book = Arc::new(book);
        book.apply_schedules(book.clock().calendar());
        let asks_clients = settings.tls.as_ref().is_some_and(ServerTls::asks_clients);
        let trusts_connections = settings.token.is_none() || asks_clients;
        let router = Router::new(Arc::clone(&book), settings.token).map_err(|_| {
            let text = "the embedded gRPC service description cannot be read; rebuild the program";
            QuotaServerError(text.to_owned())
        })?;
        let shared = Shared {
            router,
            book,
            tls: settings.tls,
            drain: settings.drain,
            trusts_connections,
            slots: Slots::new(settings.max_connections),
            stages: Stages::default(),
            tasks: Arc::default(),
        };
        Ok(Self { listeners, shared: Arc::new(shared) })
    }

    /// The TCP addresses listened on, with their actual ports.
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(Listener::local_addr).collect()
    }

    /// Limits that were set by hand, and those that were deleted (`None`), as the store has them.
    pub fn set_by_hand(&self) -> Vec<(Id, Option<ResourceLimit>)> {
        self.shared.book.limits.set_by_hand()
    }

    /// A handle that stops this server.
    pub fn handle(&self) -> QuotaServerHandle {
        QuotaServerHandle(Arc::clone(&self.shared))
    }

    /// Serves until a [`QuotaServerHandle`] drains or stops it and all connections have ended.
    ///
    /// Not cancel safe: if dropped it stops accepting, but its connections continue.
    pub async fn run(self) {
        let shared = self.shared;
        shared.router.set_serving(true).await;
        for listener in self.listeners {
            let (shared, task) = (Arc::clone(&shared), shared.tasks.begin());
            rt::spawn(async move {
                connection::accept(listener, shared).await;
                drop(task);
            });
        }
        let draining = shared.stages.reached(Stage::Draining);
        let ruled = shared.book.sweep().or(shared.book.follow_schedules());
        #[cfg(feature = "redis")]
        let ruled = ruled.or(shared.book.lead()).or(shared.book.keep_leases());
        ruled.or(draining).await;
        #[cfg(feature = "redis")]
        shared.book.give_up_the_lead().await;
        shared.router.set_serving(false).await;
        shared.book.ending.notify(usize::MAX);
        shared.stages.drained(&shared.tasks, rt::clock(), shared.drain).await;
        shared.stages.reach(Stage::Stopped);
        shared.tasks.idle().await;
    }
}

impl QuotaServerHandle {
    /// Drains: accepts no connections, ends streams with UNAVAILABLE, lets calls continue for the drain time, then stops.
    pub fn drain(&self) {
        self.0.stages.reach(Stage::Draining);
    }

    /// Closes all connections now.
    pub fn stop(&self) {
        self.0.stages.reach(Stage::Stopped);
    }

    /// The server's counters.
    pub fn metrics(&self) -> QuotaServerMetrics {
        QuotaServerMetrics(Arc::clone(&self.0))
    }

    /// Whether callers should be sent here.
    ///
    /// # Errors
    /// Why not: the server drains, or it neither leads nor knows who does.
    pub fn readiness(&self) -> Result<(), NotReady> {
        if self.0.stages.has_reached(Stage::Draining) {
            return Err(NotReady::draining("draining: no new connections are taken"));
        }
        match self.0.book.leading(|_, _| ()) {
            Err(NotLeader { leader: None }) => {
                Err(NotReady::other("no leader: no quota server on the store is known to lead"))
            }
            Ok(()) | Err(NotLeader { leader: Some(_) }) => Ok(()),
        }
    }

    /// Waits until the server drains or has stopped.
    pub async fn draining(&self) {
        self.0.stages.reached(Stage::Draining).await;
    }

    /// Waits until the server has stopped.
    pub async fn stopped(&self) {
        self.0.stages.reached(Stage::Stopped).await;
    }

    /// Number of live clients.
    pub fn clients(&self) -> usize {
        self.0.book.with(|book, now| {
            book.advance(now);
            book.live()
        })
    }
}
