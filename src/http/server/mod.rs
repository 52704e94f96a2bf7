//! The server: listeners, connections, stages from running to stopped.

mod accept;
mod account;
mod admission;
mod announcing;
mod answer_content;
mod charges;
mod clients;
mod closer;
mod connection;
mod connection_fields;
mod connection_log;
mod date;
mod driver;
mod drops;
mod exchange;
mod exchanges;
mod glance;
mod h1;
mod h2;
#[cfg(feature = "tls")]
mod handshake;
mod lingering;
mod observer;
mod pacing;
mod port;
mod published_wait;
mod redirect;
mod refusals;
mod registry;
mod report;
mod request_rules;
mod respond;
mod response;
mod schedules;
mod serve;
mod settings;
mod setup;
mod shedding;
mod simulated;
mod small_file;
mod sole;
mod spread;
mod stream_watch;
mod target;
mod transfer;
mod tunnel;
mod upload;
mod upload_record;
mod uploading;

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use http::Extensions;

pub use super::MAX_HEAD;
use super::budgets::Budgets;
use super::route::Route;
use super::routing::Routes;
use crate::clock::Clock;
use crate::filter::Counts;
use crate::logging::AccessLog;
use crate::proxy_protocol::HeaderCounts;
use crate::rt::serve::{Stage, Stages, Tasks};
use crate::rt::{self, Listener};
use crate::sink::SinkCounts;
use crate::sync::{Mutex, RwLock};
use crate::tcp::Service;
use crate::telemetry::Telemetry;
use crate::tls::ServerTls;
pub(crate) use glance::Glance;
pub use observer::{Observed, Observer};
pub use port::Port;
pub(crate) use simulated::ConnectionTask;
pub(crate) use sole::SoleServer;

use accept::{Entry, Serves};
use admission::IdleConnections;
use clients::{Clients, Refusal};
use connection_log::LogBounds;
use drops::DropLog;
use registry::Registry;
use setup::Setup;
use shedding::Shedding;

pub use report::{ConnectionReport, PaceBy, Protocol, TransferReport, UploadReport};
pub use settings::{HalfClose, Settings};

/// An HTTP server: HTTP/1.0, HTTP/1.1, and HTTP/2 by prior knowledge.
///
/// ```no_run
/// use sluicegate::http::route::Route;
/// use sluicegate::http::server::{Server, Settings};
/// use sluicegate::limit::Rate;
/// use sluicegate::rt::{self, Listener};
///
/// let listener = Listener::bind_tcp("127.0.0.1:8080".parse()?)?;
/// let route = Route::files("/", "fixtures/site")?.rate(Rate::new(60 * 1024)?);
/// let server = Server::new(Settings::default(), vec![listener], vec![route]);
/// rt::block_on(server.run());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Server {
    listeners: Vec<(Listener, Entry)>,
    shared: Arc<Shared>,
}

opaque!(Server);

/// State shared by all connections of a server.
struct Shared {
    setup: RwLock<Arc<Setup>>,
    /// Locked for the whole of a reload, which may wait for a disk.
    reloading: Mutex<()>,
    /// Locked while limits are read and set, after `reloading` where both are.
    changing: Mutex<()>,
    /// Sums over the sinks of all connections.
    egress: Arc<SinkCounts>,
    shedding: Shedding,
    clients: Clients,
    drops: DropLog,
    log_bounds: LogBounds,
    calendar: pacing::Calendar,
    /// Learns of each exchange that ended.
    observer: Option<Arc<dyn Observer>>,
    headers: HeaderCounts,
    budgets: Budgets,
    ports: RwLock<Vec<Arc<Port>>>,
    telemetry: Telemetry,
    clock: Arc<dyn Clock>,
    stages: Stages,
    /// Another process listens in the place of this one, which drains.
    has_successor: AtomicBool,
    /// Listeners and connections.
    tasks: Arc<Tasks>,
    connections: AtomicUsize,
    refused: AtomicUsize,
    next_connection: Arc<AtomicU64>,
    registry: Registry,
    idle: IdleConnections,
    /// Set where one source answers every request.
    sole: Option<sole::Sole>,
    /// Values of the program's own, found by their types.
    extensions: RwLock<Extensions>,
}

/// A handle to a running server: drains and stops it, and reports on it. Clones are of the same server.
#[derive(Clone)]
pub struct Handle(Arc<Shared>);

opaque!(Handle);

impl Server {
    /// A server of `routes` on `listeners`, not yet running. Connections queue from now on.
    pub fn new(settings: Settings, listeners: Vec<Listener>, routes: Vec<Route>) -> Self {
        Self::assembled(settings, listeners, routes, BTreeMap::new(), None)
    }

    /// A server of `routes` whose filters add to `counts`, and whose responses leave lines in `access`.
    pub(crate) fn assembled(
        settings: Settings,
        listeners: Vec<Listener>,
        routes: Vec<Route>,
        counts: BTreeMap<String, Counts>,
        access: Option<AccessLog>,
    ) -> Self {
        let shared = Shared::new(settings, routes, (counts, access), rt::clock());
        let http = |listener| (listener, Entry::new(None, Serves::Http));
        Self { listeners: listeners.into_iter().map(http).collect(), shared: Arc::new(shared) }
    }

    /// Adds a listener of HTTP, inside TLS if there is one: HTTP/2 or HTTP/1.1, as the client chooses (ALPN).
    #[must_use]
    pub fn with_listener(mut self, listener: Listener, tls: Option<ServerTls>) -> Self {
        let tls = tls.map(|tls| tls.for_listener());
        self.listeners.push((listener, Entry::new(tls, Serves::Http)));
        self
    }

    /// The port of the first listener of HTTP inside TLS.
    pub fn tls_port(&self) -> Option<u16> {
        let is_secured = |entry: &Entry| entry.tls.is_some() && matches!(entry.serves, Serves::Http);
        let mut secured = self.listeners.iter().filter(|(_, entry)| is_secured(entry));
        secured.find_map(|(listener, _)| listener.local_addr()).map(|addr| addr.port())
    }

    /// Adds a listener whose requests are all answered 308, to the same address with `https` and `port`.
    #[must_use]
    pub fn with_redirect(mut self, listener: Listener, port: u16) -> Self {
        self.listeners.push((listener, Entry::new(None, Serves::Redirect(port))));
        self
    }

    /// Adds a listener of raw TCP. Its connections are counted, limited, drained and reported with the others.
    ///
    /// # Panics
    /// If the listener is a Unix socket, whose clients have no addresses.
    #[must_use]
    pub fn with_port(self, listener: Listener, service: Service) -> Self {
        self.with_tls_port(listener, None, service)
    }

    /// Adds a listener of raw TCP inside TLS, if there is one. See [`with_port`](Self::with_port).
    ///
    /// # Panics
    /// If the listener is a Unix socket.
    #[must_use]
    pub fn with_tls_port(mut self, listener: Listener, tls: Option<ServerTls>, service: Service) -> Self {
        let addr = listener.local_addr().expect("a port is one of TCP");
        let name = format!("tcp:{addr}");
        let number = self.shared.telemetry.route(&name);
        service.clients().share(self.shared.budgets.idle());
        service.upload_clients().share(self.shared.budgets.idle());
        let port = Arc::new(Port::new(addr, name, number, service));
        self.shared.ports.write().push(Arc::clone(&port));
        let tls = tls.map(|tls| tls.for_listener());
        self.listeners.push((listener, Entry::new(tls, Serves::Tcp(port))));
        self
    }

    /// Requires a PROXY header, of version 1 or 2, of each connection to the listener that was added last: a peer that is not
    /// in [`Settings::trusted`] is refused, and so is a connection that begins with anything else. The client that the header
    /// announces is the connection's. A peer of a Unix socket is trusted; who may connect is up to its permissions.
    ///
    /// # Panics
    /// If there is no listener.
    #[must_use]
    pub fn with_proxy_protocol(mut self) -> Self {
        let (_, entry) = self.listeners.last_mut().expect("there is a listener");
        entry.headers = Some(Arc::default());
        self
    }

    /// The TCP addresses listened on for HTTP, with their real ports.
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.addrs_of(|serves| matches!(serves, Serves::Http))
    }

    /// The TCP addresses whose requests are redirected, with their real ports.
    pub fn redirect_addrs(&self) -> Vec<SocketAddr> {
        self.addrs_of(|serves| matches!(serves, Serves::Redirect(_)))
    }

    fn addrs_of(&self, wanted: impl Fn(&Serves) -> bool) -> Vec<SocketAddr> {
        let of = self.listeners.iter().filter(|(_, entry)| wanted(&entry.serves));
        of.filter_map(|(listener, _)| listener.local_addr()).collect()
    }

    /// Live counts of the configuration's `count` filters, by name.
    ///
    /// Routes that name the same filter are counted together. Each filter has a line in the log when the server ends.
    pub fn counts(&self) -> BTreeMap<String, Counts> {
        self.handle().counts()
    }

    /// A handle to this server.
    pub fn handle(&self) -> Handle {
        Handle(Arc::clone(&self.shared))
    }

    /// Serves until a [`Handle`] drains or stops the server and all connections have ended. The listeners are closed by
    /// then, and Unix sockets removed.
    ///
    /// *Cancel safety*: none. Dropped while it runs, the listeners and connections go on.
    pub async fn run(self) {
        for (listener, entry) in self.listeners {
            let (shared, task) = (Arc::clone(&self.shared), self.shared.tasks.begin());
            rt::spawn(async move {
                accept::accept(listener, entry, shared).await;
                drop(task);
            });
        }
        let shared = self.shared;
        shared.follow_if_any();
        shared.reached(Stage::Draining).await;
        let patience = shared.setup().settings.drain;
        shared.stages.drained(&shared.tasks, Arc::clone(&shared.clock), patience).await;
        shared.reach(Stage::Stopped);
        shared.tasks.idle().await;
        shared.drops.sweep();
        if let Some(access) = shared.setup().access.clone() {
            rt::blocking(move || access.close()).await;
        }
        for (name, counts) in &shared.setup().counts {
            log::info!(
                filter = name.as_str(), streams = counts.streams(), ended = counts.ended(), bytes = counts.bytes();
                "counted"
            );
        }
    }
}

impl Handle {
    /// Accepts no new connections, lets transfers go on for the drain time, then stops.
    pub fn drain(&self) {
        self.0.reach(Stage::Draining);
    }

    /// Drains while another process listens on the same sockets: it takes what is queued there, and connections that
    /// are idle stay open for one more request each, whose response says `Connection: close`, or until they have been
    /// idle for too long. So no client sends a request on a connection that is just being closed.
    pub fn hand_over(&self) {
        self.0.has_successor.store(true, Ordering::SeqCst);
        self.drain();
    }

    /// Ends all connections now.
    pub fn stop(&self) {
        self.0.reach(Stage::Stopped);
    }

    /// See [`Server::counts`].
    pub fn counts(&self) -> BTreeMap<String, Counts> {
        self.0.setup().counts.clone()
    }

    /// How long transfers may go on once the server drains, as it is set now.
    pub fn drain_time(&self) -> Duration {
        self.0.setup().settings.drain
    }

    /// Whether the server drains or has stopped, and accepts no new connections.
    pub fn is_draining(&self) -> bool {
        self.0.stages.has_reached(Stage::Draining)
    }

    /// The live budgets that the server's responses share.
    pub fn budgets(&self) -> &Budgets {
        &self.0.budgets
    }

    /// The server's counts, with the content so far of responses under way. Visits all connections: meant for a few
    /// calls per second.
    pub fn telemetry(&self) -> &Telemetry {
        self.0.registry.count_content();
        &self.0.telemetry
    }
}

impl Shared {
    fn new(
        settings: Settings,
        routes: Vec<Route>,
        (counts, access): (BTreeMap<String, Counts>, Option<AccessLog>),
        clock: Arc<dyn Clock>,
    ) -> Self {
        let telemetry = Telemetry::default();
        let routes = Routes::new(routes, |path| telemetry.route(path));
        let budgets = Budgets::new(&settings.limits, settings.sink.limit(), Arc::clone(&clock));
        routes.iter().for_each(|route| route.share(budgets.idle()));
        Self {
            egress: Arc::default(),
            shedding: Shedding::default(),
            clients: Clients::default(),
            drops: DropLog::default(),
            log_bounds: LogBounds::new(&clock),
            calendar: Default::default(),
            observer: None,
            headers: HeaderCounts::default(),
            budgets,
            ports: RwLock::default(),
            setup: RwLock::new(Setup::new(settings, routes, counts, access)),
            reloading: Mutex::default(),
            changing: Mutex::default(),
            telemetry,
            clock,
            stages: Stages::default(),
            has_successor: AtomicBool::new(false),
            tasks: Arc::default(),
            connections: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            next_connection: Arc::new(AtomicU64::new(1)),
            registry: Registry::default(),
            idle: IdleConnections::default(),
            sole: None,
            extensions: RwLock::default(),
        }
    }

    fn has_reached(&self, stage: Stage) -> bool {
        self.stages.has_reached(stage)
    }

    /// Waits until the server is at `stage` or beyond.
    fn reached(&self, stage: Stage) -> impl Future<Output = ()> + '_ {
        self.stages.reached(stage)
    }
}

#[cfg(test)]
mod tests;
