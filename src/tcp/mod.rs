//! Raw TCP at a pace: a file for each client, or a relay to an upstream.
//!
//! A stream takes the path of a response without its framing: source, chain, gate, body, sink. The
//! [server](crate::http::server) accepts and counts connections. Knows no HTTP.

mod file;
mod record;
mod relay;
mod send_body;
mod shared_conn;
mod tail;
mod watch;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::{AsyncWriteExt, future};

use crate::budget::{ClientKey, Clients, Gate, Node};
use crate::clock::{Clock, Sleep};
use crate::filter::{Chain, EndOfStream, RateFilter};
use crate::limit::{Budget, Buffers, Carryovers, CatchUp, Interval, Limit, Rate, Rates, Weight};
use crate::proxy_protocol::{self, ProxyVersion};
use crate::rt::serve::Stages;
use crate::rt::{self, Connect, Socket};
use crate::sink::{Sink, Wire};

pub(crate) use record::Record;

use tail::Tail;
use watch::Watch;

/// Names of the nodes in logs and on the admin listener.
const TCP: &str = "tcp";
const TCP_CLIENT: &str = "tcp_client";
const UPLOAD_TCP: &str = "upload_tcp";
const UPLOAD_TCP_CLIENT: &str = "upload_tcp_client";

/// What a TCP listener serves, and at which pace.
///
/// ```
/// use sluicegate::limit::Rate;
/// use sluicegate::tcp::Service;
///
/// let logs = Service::file("app.log").follow().rate(Rate::new(60 * 1024)?);
/// let database = Service::relay("127.0.0.1", 5432).upload_rate(Rate::new(1 << 20)?);
/// assert_eq!(logs.limit().rate(), Some(Rate::new(61_440)?));
/// assert_eq!(database.upload().rate(), Some(Rate::new(1_048_576)?));
/// # Ok::<(), sluicegate::limit::ZeroRate>(())
/// ```
pub struct Service {
    source: Source,
    limit: Limit,
    upload: Limit,
    interval: Interval,
    end_of_stream: EndOfStream,
    catch_up: Option<CatchUp>,
    clients: Clients,
    /// The same for what clients send.
    upload_clients: Clients,
    /// Allowance carried over to the next stream of the same client, down and up.
    carryovers: [Carryovers; 2],
}

enum Source {
    File { path: PathBuf, watch: Option<Arc<Watch>> },
    Relay { to: Connect, timeout: Duration, send_proxy: Option<ProxyVersion> },
}

/// The client of a stream.
pub(crate) struct Client {
    /// What it is charged by.
    pub(crate) key: ClientKey,
    /// Its address; `None` on a Unix socket.
    pub(crate) source: Option<SocketAddr>,
    /// The address that it connected to.
    pub(crate) destination: Option<SocketAddr>,
}

impl Service {
    fn new(source: Source) -> Self {
        let clients = |all, each| {
            Clients::new(Node::root(all, Budget::default(), rt::clock()), each, Budget::default())
        };
        Self {
            source,
            limit: Limit::unlimited(),
            upload: Limit::unlimited(),
            interval: Interval::DEFAULT,
            end_of_stream: EndOfStream::default(),
            catch_up: None,
            clients: clients(TCP, TCP_CLIENT),
            upload_clients: clients(UPLOAD_TCP, UPLOAD_TCP_CLIENT),
            carryovers: Default::default(),
        }
    }

    /// Sends each client the file at `path`, up to its length when the client connects.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::new(Source::File { path: path.into(), watch: None })
    }

    /// Keeps sending as the file grows, like `tail -F`, also after it is truncated or replaced. Has no effect on a
    /// relay.
    #[must_use]
    pub fn follow(mut self) -> Self {
        if let Source::File { path, watch } = &mut self.source {
            *watch = Some(Watch::new(path.clone()));
        }
        self
    }

    /// Connects each client to `host` (a name or an address) and relays bytes both ways.
    pub fn relay(host: &str, port: u16) -> Self {
        let to = Connect { host: host.to_owned(), port, receive_buffer: None };
        Self::new(Source::Relay { to, timeout: Duration::from_secs(5), send_proxy: None })
    }

    /// Sets the timeout of resolving and connecting. Default 5 s.
    #[must_use]
    pub fn connect_timeout(mut self, most: Duration) -> Self {
        if let Source::Relay { timeout, .. } = &mut self.source {
            *timeout = most;
        }
        self
    }

    /// Sends a relay's target the client's address first, in a PROXY header of this version. Default: none is sent.
    #[must_use]
    pub fn send_proxy(mut self, version: impl Into<Option<ProxyVersion>>) -> Self {
        if let Source::Relay { send_proxy, .. } = &mut self.source {
            *send_proxy = version.into();
        }
        self
    }

    /// Sets the pace of what each client is sent, or [`Rates`] by the bytes that it was sent; `None` is unlimited, the default.
    #[must_use]
    pub fn rate(self, rate: impl Into<Rates>) -> Self {
        self.limit.set_rates(rate.into());
        self
    }

    /// Sets how much time that a stream did not use it may make up at once, towards the client. Default: one interval.
    #[must_use]
    pub fn catch_up(mut self, catch_up: Option<CatchUp>) -> Self {
        self.catch_up = catch_up;
        self
    }

    /// Lets the first `bytes` of each stream leave ahead of the pace. Default 0.
    #[must_use]
    pub fn burst(self, bytes: u64) -> Self {
        self.limit.set_burst(bytes);
        self
    }

    /// Sets how often a chunk of each stream leaves, in both directions of a relay. Default 200 ms.
    #[must_use]
    pub fn interval(mut self, interval: Interval) -> Self {
        self.interval = interval;
        self
    }

    /// Sets when the remainder of less than a chunk leaves at the end of the stream.
    #[must_use]
    pub fn end_of_stream(mut self, rule: EndOfStream) -> Self {
        self.end_of_stream = rule;
        self
    }

    /// Sets the pace of what each client of a relay sends. Bytes above it stay unread, so TCP flow control slows the
    /// sender. Default: unlimited.
    #[must_use]
    pub fn upload_rate(self, rate: impl Into<Option<Rate>>) -> Self {
        self.upload.set_rate(rate.into());
        self
    }

    /// Sets the budget of all streams together. Default: no limit.
    #[must_use]
    pub fn total(self, budget: impl Into<Budget>) -> Self {
        self.clients.parent().set(budget);
        self
    }

    /// Sets the budget of all streams to one client. Default: no limit.
    #[must_use]
    pub fn per_client(self, budget: impl Into<Budget>) -> Self {
        self.clients.set(budget);
        self
    }

    /// Sets the budget of what all clients of a relay send together. Default: no limit.
    #[must_use]
    pub fn upload_total(self, budget: impl Into<Budget>) -> Self {
        self.upload_clients.parent().set(budget);
        self
    }

    /// Sets the budget of what one client of a relay sends, on all its connections. Default: no limit.
    #[must_use]
    pub fn upload_per_client(self, budget: impl Into<Budget>) -> Self {
        self.upload_clients.set(budget);
        self
    }

    /// The live limit of what each client is sent.
    pub fn limit(&self) -> &Limit {
        &self.limit
    }

    /// The live limit of what each client of a relay sends.
    pub fn upload(&self) -> &Limit {
        &self.upload
    }

    /// The live nodes of clients, below the node of all streams.
    pub fn clients(&self) -> &Clients {
        &self.clients
    }

    /// The live nodes of what clients send, below the node of all that is sent to the relay.
    pub fn upload_clients(&self) -> &Clients {
        &self.upload_clients
    }

    /// Whether what clients send is read: it is a relay.
    pub(crate) fn takes_uploads(&self) -> bool {
        matches!(self.source, Source::Relay { .. })
    }

    /// Copies the limits of `other`, also for streams under way.
    pub(crate) fn take_over(&self, other: &Self) {
        self.limit.set_like(&other.limit);
        self.upload.set(other.upload.budget());
        self.clients.parent().set(other.clients.parent().budget());
        self.clients.reset(other.clients.budget());
        self.upload_clients.parent().set(other.upload_clients.parent().budget());
        self.upload_clients.reset(other.upload_clients.budget());
    }

    /// Size of the kernel's receive buffer for a client, if its upload is paced.
    pub(crate) fn receive_buffer(&self) -> Option<usize> {
        Buffers::before(self.upload.rate(), self.interval).receive
    }

    /// Serves one client to the end of its stream. `server` and `uploads` are the nodes of clients of the whole server, for
    /// what they are sent and what they send.
    ///
    /// On an error, or if the future is dropped before the end, the connection is reset unless the client was sent
    /// everything.
    pub(crate) async fn serve<W: Wire + Send + 'static>(
        &self,
        sink: Sink<W>,
        client: &Client,
        (server, uploads): (&Clients, &Clients),
        idle: Duration,
        stages: &Arc<Stages>,
        record: &Arc<Record>,
    ) -> Result<(), StreamError> {
        let state = Arc::clone(sink.state());
        let gate = Gate::of_client(Some(&self.clients), server, &client.key, Weight::default());
        let paced = |limit: &Limit, left: &Carryovers, catch_up| {
            let filter = RateFilter::new(limit.clone()).interval(self.interval).catch_up(catch_up);
            let filter = filter.end_of_stream(self.end_of_stream);
            Chain::new().then(filter.with_carryover(left.of(&client.key).on_new_connection()))
        };
        let [left_down, left_up] = &self.carryovers;
        let down = paced(&self.limit, left_down, self.catch_up);
        let fail = |error: String| {
            state.abort();
            Err(StreamError::Source(error))
        };
        match &self.source {
            Source::File { path, watch } => {
                let follow = watch.as_ref().map(|watch| (watch.follow(record.clock()), Arc::clone(stages)));
                match Tail::open(path, follow).await {
                    Ok(tail) => file::serve(sink, tail, down, gate, record).await,
                    Err(error) => fail(format!("{}: {error}", path.display())),
                }
            }
            Source::Relay { to, timeout, send_proxy } => {
                let header = send_proxy
                    .map(|version| proxy_protocol::header(version, client.source, client.destination));
                let header = header.unwrap_or_default();
                match self.connect(to, *timeout, &header, record.clock()).await {
                    Ok(upstream) => {
                        let key = &client.key;
                        let gate_up =
                            Gate::of_client(Some(&self.upload_clients), uploads, key, Weight::default());
                        let up = (paced(&self.upload, left_up, None), gate_up);
                        relay::relay(sink, upstream, (down, gate), up, idle, record).await
                    }
                    Err(error) => fail(format!("{}:{}: {error}", to.host, to.port)),
                }
            }
        }
    }

    /// Connects to the target, and sends it `header` first.
    async fn connect(
        &self,
        to: &Connect,
        timeout: Duration,
        header: &[u8],
        clock: &Arc<dyn Clock>,
    ) -> io::Result<Socket> {
        let buffers = Buffers::before(self.limit.rate(), self.interval);
        let to = Connect { receive_buffer: buffers.receive, ..to.clone() };
        let patience = async {
            Sleep::lasting(Arc::clone(clock), timeout).await;
            Err(io::Error::new(io::ErrorKind::TimedOut, "no connection within connect_timeout"))
        };
        let connecting = async {
            let mut socket = rt::connect(&to).await?;
            socket.write_all(header).await?;
            Ok(socket)
        };
        future::or(connecting, patience).await
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("limit", &self.limit).finish_non_exhaustive()
    }
}

/// Why a stream was cut short.
#[derive(Debug)]
pub(crate) enum StreamError {
    /// The source failed; the bytes before were sent.
    Source(String),
    /// The other end of a direction failed: it closed the connection, or did not read.
    Client(io::Error),
    /// Nothing moved in either direction for the idle timeout.
    Idle,
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(text) => f.write_str(text),
            Self::Client(error) => error.fmt(f),
            Self::Idle => f.write_str("nothing moved for idle_timeout"),
        }
    }
}
