//! `[[tcp]]`: raw TCP at a pace, a file for each client or a relay.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::listen::TlsTables;
use super::pace::{Pace, RouteLimits};
use crate::address::{HostPort, ListenAddr};
use crate::keys::{Keys, PathKind, check_file};
use crate::limit::Rate;
use crate::proxy_protocol::ProxyVersion;

/// A port of raw TCP.
#[derive(Clone, Debug, PartialEq)]
pub struct Tcp {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// The name of its TLS, one of [`Config::tls`](super::Config::tls); `None` without TLS.
    pub tls: Option<String>,
    /// Whether each connection must begin with a PROXY header of a trusted proxy.
    pub proxy_protocol: bool,
    /// What each client is sent.
    pub source: TcpSource,
    /// Pace of each stream.
    pub pace: Pace,
    /// Limits that all streams share, and those to one client. Weights and `report_only` have no effect.
    pub limits: RouteLimits,
}

/// What a port's clients are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TcpSource {
    /// A file, from its start.
    File {
        /// The file, which must exist at startup and may be replaced afterwards.
        path: PathBuf,
        /// Whether to continue as it grows or is replaced.
        follow: bool,
    },
    /// A peer that each client is connected to.
    Relay {
        /// The peer.
        to: HostPort,
        /// Rate of what each client sends; `None` is unlimited.
        upload: Option<Rate>,
        /// Time limit for resolving and connecting. Default 5 s.
        connect_timeout: Duration,
        /// The version of the PROXY header that the peer is sent; `None` without one.
        send_proxy: Option<ProxyVersion>,
    },
}

impl TcpSource {
    /// Checks that its file, if it has one, is a regular file that can be read.
    ///
    /// # Errors
    /// The text says what it is instead, and what to do.
    pub(super) fn check_file(&self) -> Result<(), String> {
        match self {
            Self::File { path, .. } => check_file(path),
            Self::Relay { .. } => Ok(()),
        }
    }

    /// Default of `connect_timeout`: a backend is near.
    pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
}

impl Tcp {
    /// Reads a `[[tcp]]`. `taken` are the addresses that others listen on.
    pub(super) fn read(keys: Keys<'_>, taken: &[ListenAddr], tls: &mut TlsTables) -> Option<Self> {
        keys.require("listen");
        let listen = match keys.parse::<ListenAddr>("listen") {
            Some(ListenAddr::Unix { .. }) => {
                keys.fault("listen", "a Unix socket is not TCP; write 127.0.0.1:7070");
                None
            }
            Some(ListenAddr::Tcp(addr)) => Some(addr),
            None => None,
        };
        let keys = match &listen {
            Some(addr) => keys.named(format!("[[tcp]] {addr}")),
            None => keys,
        };
        if let Some(addr) =
            listen.map(ListenAddr::Tcp).filter(|addr| taken.iter().any(|other| addr.clashes_with(other)))
        {
            keys.fault("listen", format!("{addr} is listened on already; choose another port"));
        }
        let only = |key, is_so| match is_so {
            true => keys.clone(),
            false => keys.without_effect(&format!(
                "does something with {} only; leave it out",
                keys.flag_or(key, key)
            )),
        };
        let is_file = keys.has("file");
        let of_file = only("file", is_file);
        let of_relay = only("to", !is_file);
        match (is_file, keys.has("to")) {
            (true, true) => {
                keys.table_fault_at("to", format!("{} has both file and to; leave one out", keys.name()))
            }
            (false, false) => {
                let text = format!("{} has neither file nor to; say where its bytes come from", keys.name());
                keys.table_fault(None, text);
            }
            _ => {}
        }
        let tls = tls.choose(Some(&keys), None);
        let proxy_protocol = keys.switch("proxy_protocol").unwrap_or_default();
        let path = keys.path("file", PathKind::File);
        let to = keys.parse("to");
        let pace = Pace::read(&keys, keys.rates("rate").unwrap_or_default());
        if !pace.is_limit() {
            Pace::note_unused(&keys);
        }
        let limits = keys.table("limits", " such as { total = { rate = \"20m\" } }");
        if is_file && limits.has("upload") {
            limits.fault("upload", "does something with to only; leave it out");
        }
        let limits = RouteLimits::read(&limits);
        let follow = of_file.switch("follow").unwrap_or_default();
        let upload = of_relay.rate("upload_rate").flatten();
        let connect_timeout = of_relay.timeout("connect_timeout").unwrap_or(TcpSource::CONNECT_TIMEOUT);
        let send_proxy = of_relay.parse("send_proxy");
        let source = match (path, to) {
            (Some(path), _) => TcpSource::File { path, follow },
            (None, to) => TcpSource::Relay { to: to?, upload, connect_timeout, send_proxy },
        };
        let is_whole = !keys.failed(&["rate"]);
        Some(Self { listen: listen?, tls, proxy_protocol, source, pace, limits }).filter(|_| is_whole)
    }
}
