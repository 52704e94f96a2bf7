//! What a server is set to.

use std::sync::LazyLock;
use std::time::Duration;

use crate::http::SharedLimits;
use crate::http::peer::TrustedPeers;
use crate::keys::{Keys, LIKE, MAX_COUNT};
use crate::limit::Size;
use crate::rt;
use crate::sink::SinkSettings;
use crate::words::spelt;

/// The largest [`egress_total`](Settings::egress_total) that can be set: 16 TiB.
const MAX_TOTAL: Size = Size::new(16 << 40);

/// What happens when an HTTP/1 client closes its half of the connection while its response is under way.
///
/// The client may have sent all it will and still read, or be gone: a browser whose user left closes both
/// halves, and only a write to it finds that out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HalfClose {
    /// The response continues until a write fails, or no byte was sent for `idle_timeout`.
    #[default]
    Serve,
    /// The response is given up at once and the connection reset, as nginx does for clients of its backends.
    Abort,
}

spelt!(
    HalfClose,
    "a rule for clients that close their half",
    [("serve", HalfClose::Serve), ("abort", HalfClose::Abort)]
);

/// What holds for all of a server's connections.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// How long transfers may go on after the server was told to drain. Default 30 s.
    pub drain: Duration,
    /// Connections served at a time; further ones are answered 503. Default 10 000. The last eighth is for clients that
    /// have less than their fair share, which is what each would have with one client more; others are answered 429.
    pub max_connections: usize,
    /// How long a head may take, from its first byte or from the start of the connection. Default 30 s.
    pub header_timeout: Duration,
    /// How long a connection may stay open between two requests. Default 60 s.
    pub idle_timeout: Duration,
    /// What is done for a client of HTTP/1 that closes its half while its answer is under way. Default: it is
    /// served.
    pub half_close: HalfClose,
    /// Whether each response gets a line in the log, of target `access`. Default false.
    pub access_log: bool,
    /// What all responses share, and those of each client. Default: no limit.
    pub limits: SharedLimits,
    /// What a connection may hold, how fast it may write, and when its reader is given up.
    pub sink: SinkSettings,
    /// Bytes held for all clients together above which new requests are answered 503, until it is below 80 % of that.
    /// Clients that hold less than their fair share of it are served, until twice as much is held. Default, and
    /// `None`: a quarter of the memory there is.
    pub egress_total: Option<u64>,
    /// Connections of one client address (of IPv6, one /64) at a time; further ones are answered 429. A
    /// trusted peer's count for the clients it asks for, while a request of theirs is under way there.
    /// Default: no bound but `max_connections`.
    pub client_connections: Option<usize>,
    /// Peers whose `Forwarded` and `X-Forwarded-*` fields are believed. Default none.
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
            access_log: keys.switch("access_log").unwrap_or(default.access_log),
            limits: SharedLimits::read(&limits),
            sink: SinkSettings::read(&sink, &limits.table("connection", LIKE)),
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
            access_log: false,
            limits: SharedLimits::default(),
            sink: SinkSettings::default(),
            egress_total: None,
            client_connections: None,
            trusted: TrustedPeers::default(),
        }
    }
}
