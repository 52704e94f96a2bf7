//! Settings of all connections of a server.

use std::sync::LazyLock;
use std::time::Duration;

use crate::http::peer::TrustedPeers;
use crate::http::{MaxBody, SharedLimits};
use crate::keys::{Keys, LIMIT_EXAMPLE, MAX_COUNT};
use crate::limit::Size;
use crate::rt;
use crate::sink::SinkSettings;

/// The largest [`egress_total`](Settings::egress_total) that can be set: 16 TiB.
const MAX_TOTAL: Size = Size::new(16 << 40);

/// What happens when an HTTP/1 client closes its half of the connection during a response.
///
/// The client may have sent everything and still read, or be gone: a browser whose user left closes both halves,
/// which only a write to it finds out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HalfClose {
    /// The response continues until a write fails, or no byte was sent for `idle_timeout`.
    #[default]
    Serve,
    /// The response is dropped at once and the connection reset, as nginx does for clients of its backends.
    Abort,
}

spelt!(
    HalfClose,
    "a rule for clients that close their half",
    [("serve", HalfClose::Serve), ("abort", HalfClose::Abort)]
);

/// Settings of all connections of a server.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// How long transfers in progress may continue once the server drains. Default 30 s.
    pub drain: Duration,
    /// Maximum number of connections; further ones are answered 503. Default 10 000. The last eighth is reserved for
    /// clients below their fair share, which is what each would have with one client more; others are answered 429.
    pub max_connections: usize,
    /// Time in which a request's head must arrive, from its first byte or the start of the connection. Default 30 s.
    pub header_timeout: Duration,
    /// Time after which a connection without a request is closed. Default 60 s.
    pub idle_timeout: Duration,
    /// What happens when an HTTP/1 client closes its half during a response. Default: the response continues.
    pub half_close: HalfClose,
    /// Time in which the client must send something of a request's content that is waited for; waits for limits of uploads
    /// do not count. Default 60 s.
    pub body_timeout: Duration,
    /// The most content of a request, where its route sets nothing else; more is answered 413. Default: any.
    pub max_body: MaxBody,
    /// Whether each response is passed to the logger of [`log`], with target `access`. Default false. The program has an
    /// [`AccessLog`](crate::logging::AccessLog) instead.
    pub access_log: bool,
    /// Limits of all responses, and of those of each client. Default: no limit.
    pub limits: SharedLimits,
    /// Limits on what a connection buffers, how fast it writes, and how slowly it may be read.
    pub sink: SinkSettings,
    /// Bytes buffered for all clients together above which new requests are answered 503, until they fall below 80 % of
    /// it. Clients below their fair share are still served, until twice as much is buffered. Default, and `None`: a
    /// quarter of the machine's or control group's memory.
    pub egress_total: Option<u64>,
    /// Maximum number of connections from one client address (one /64 of IPv6); further ones are answered 429. A
    /// trusted peer's connection counts for the clients whose requests are in progress on it. Default: only
    /// `max_connections`.
    pub client_connections: Option<usize>,
    /// Peers whose `Forwarded` and `X-Forwarded-*` fields are trusted. Default none.
    pub trusted: TrustedPeers,
}

impl Settings {
    /// Reads the keys of the top level, of `[limits]` and of `[sink]`.
    pub(crate) fn read(keys: &Keys<'_>) -> Self {
        let default = Self::default();
        let (limits, sink) = (keys.table("limits", ""), keys.table("sink", ""));
        Self {
            drain: keys.duration("drain").unwrap_or(default.drain),
            max_connections: keys.number("max_connections", 1..=MAX_COUNT).unwrap_or(default.max_connections),
            header_timeout: keys.timeout("header_timeout").unwrap_or(default.header_timeout),
            idle_timeout: keys.timeout("idle_timeout").unwrap_or(default.idle_timeout),
            half_close: keys.parse("half_close").unwrap_or_default(),
            body_timeout: keys.timeout("body_timeout").unwrap_or(default.body_timeout),
            max_body: keys.amount("max_body", str::parse::<MaxBody>).unwrap_or_default(),
            access_log: default.access_log,
            limits: SharedLimits::read(&limits),
            sink: SinkSettings::read(&sink, &limits.table("connection", LIMIT_EXAMPLE)),
            egress_total: sink.size("total", Size::new(1)..=MAX_TOTAL).map(|bytes| bytes as u64),
            client_connections: keys.number("client_connections", 1..=MAX_COUNT),
            trusted: keys.values("trusted_proxies").unwrap_or_default().into_iter().collect(),
        }
    }

    /// [`egress_total`](Self::egress_total) in bytes.
    pub(super) fn max_held(&self) -> u64 {
        static QUARTER: LazyLock<u64> = LazyLock::new(|| rt::memory_limit() / 4);
        self.egress_total.unwrap_or_else(|| *QUARTER)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            drain: Duration::from_secs(30),
            max_connections: 10_000,
            header_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
            half_close: HalfClose::default(),
            body_timeout: Duration::from_secs(60),
            max_body: MaxBody::OFF,
            access_log: false,
            limits: SharedLimits::default(),
            sink: SinkSettings::default(),
            egress_total: None,
            client_connections: None,
            trusted: TrustedPeers::default(),
        }
    }
}
