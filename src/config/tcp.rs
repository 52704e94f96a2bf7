//! `[[tcp]]`: raw TCP at a pace, a file for whoever connects or a relay.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::Pace;
use super::limits::{RawBudget, RouteLimits};
use super::on_disk::{self, Kind};
use super::raw::{EndOfStreamWord, Parsed, Timeout};
use super::resolve::Resolver;
use crate::address::{HostPort, ListenAddr};
use crate::limit::{Burst, Rate, RateOrOff};

/// A TCP port and what it serves.
#[derive(Clone, Debug, PartialEq)]
pub struct Tcp {
    /// Where connections are taken.
    pub listen: SocketAddr,
    /// Where its bytes come from.
    pub source: TcpSource,
    /// At which pace each client gets them.
    pub pace: Pace,
    /// What all streams share, and those to one client. Weights and `report_only` mean nothing here.
    pub limits: RouteLimits,
}

/// Where a port's bytes come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TcpSource {
    /// A file, sent to each client from its start.
    File {
        /// The file, which is there at the start. It may come and go afterwards.
        path: PathBuf,
        /// Whether it goes on as it grows, and with the file that takes its place.
        follow: bool,
    },
    /// A peer that each client is connected to.
    Relay {
        /// The peer.
        to: HostPort,
        /// Pace of what each client sends; `None` is unlimited.
        upload: Option<Rate>,
        /// For resolving and connecting. Default 5 s.
        connect_timeout: Duration,
    },
}

impl TcpSource {
    /// Whether its file, if it has one, is there, is a regular file, and can be read.
    ///
    /// # Errors
    /// The text says which it is not, and what to do.
    pub fn check_file(&self) -> Result<(), String> {
        match self {
            Self::File { path, .. } => on_disk::file(path),
            Self::Relay { .. } => Ok(()),
        }
    }

    /// The default of `connect_timeout`: a backend is near.
    pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
}

/// `[[tcp]]` as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTcp {
    listen: Spanned<Parsed<ListenAddr>>,
    file: Option<Spanned<String>>,
    to: Option<Spanned<Parsed<HostPort>>>,
    rate: Option<RateOrOff>,
    burst: Option<Spanned<Burst>>,
    end_of_stream: Option<Spanned<EndOfStreamWord>>,
    #[serde(default)]
    limits: RawTcpLimits,
    // For `file`.
    follow: Option<Spanned<bool>>,
    // For `to`.
    upload_rate: Option<Spanned<RateOrOff>>,
    connect_timeout: Option<Spanned<Timeout>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table such as { total = { rate = \"20m\" } }")]
struct RawTcpLimits {
    #[serde(default)]
    total: RawBudget,
    #[serde(default)]
    client: RawBudget,
}

impl Resolver<'_> {
    /// The ports, none of which may clash with `http` or one another.
    pub(super) fn tcp(&mut self, raw: Vec<Spanned<RawTcp>>, http: &[ListenAddr]) -> Vec<Tcp> {
        let mut ports: Vec<Tcp> = Vec::new();
        for raw in raw {
            let place = raw.span();
            let raw = raw.into_inner();
            let at = raw.listen.span();
            let Some(port) = self.port(place, raw) else { continue };
            let addr = ListenAddr::Tcp(port.listen);
            let taken = http.iter().any(|other| addr.clashes_with(other))
                || ports.iter().any(|other| addr.clashes_with(&ListenAddr::Tcp(other.listen)));
            if taken {
                self.problem(
                    at,
                    format!("listen in [[tcp]]: {addr} is listened on already; choose another port"),
                );
            }
            ports.push(port);
        }
        ports
    }

    fn port(&mut self, whole: Range<usize>, raw: RawTcp) -> Option<Tcp> {
        let at = raw.listen.span();
        let (listen, name) = match raw.listen.into_inner().0 {
            ListenAddr::Unix { .. } => {
                self.problem(at, "listen in [[tcp]]: a Unix socket is not TCP; write 127.0.0.1:7070");
                (SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), "[[tcp]]".to_owned())
            }
            ListenAddr::Tcp(listen) if self.faults.is_told(&at) => (listen, "[[tcp]]".to_owned()),
            ListenAddr::Tcp(listen) => (listen, format!("[[tcp]] {listen}")),
        };
        let is_file = raw.file.is_some();
        let misplaced = [
            ("follow", "file", raw.follow.as_ref().map(Spanned::span).filter(|_| !is_file)),
            ("upload_rate", "to", raw.upload_rate.as_ref().map(Spanned::span).filter(|_| is_file)),
            ("connect_timeout", "to", raw.connect_timeout.as_ref().map(Spanned::span).filter(|_| is_file)),
        ];
        for (key, only, at) in misplaced {
            if let Some(at) = at {
                self.problem(at, format!("{key} in {name}: does something with {only} only; leave it out"));
            }
        }
        let source = match (raw.file, raw.to) {
            (Some(file), None) => Some(TcpSource::File {
                path: self.path(format!("file in {name}"), file, Kind::File),
                follow: raw.follow.is_some_and(Spanned::into_inner),
            }),
            (None, Some(to)) => Some(TcpSource::Relay {
                to: to.into_inner().0,
                upload: raw.upload_rate.and_then(|rate| rate.into_inner().0),
                connect_timeout: self.timeout(
                    &format!("connect_timeout in {name}"),
                    raw.connect_timeout,
                    TcpSource::CONNECT_TIMEOUT,
                ),
            }),
            (Some(_), Some(to)) => {
                self.problem(to.span(), format!("{name} has both file and to; leave one out"));
                None
            }
            (None, None) => {
                self.problem(whole, format!("{name} has neither file nor to; say where its bytes come from"));
                None
            }
        };
        let rate = raw.rate.and_then(|RateOrOff(rate)| rate);
        let (at_burst, burst) = (raw.burst.as_ref().map(Spanned::span), raw.burst.map(Spanned::into_inner));
        let at_end = raw.end_of_stream.as_ref().map(Spanned::span);
        let end_of_stream = raw.end_of_stream.map(|word| word.into_inner().0);
        let pace = Pace::given(rate, burst, end_of_stream, rate.is_some()).unwrap_or_else(|faults| {
            for fault in faults {
                let at = if fault.key == "burst" { &at_burst } else { &at_end };
                let text = format!("{} in {name}: {}", fault.key, fault.text);
                self.problem(at.clone().unwrap_or_default(), text);
            }
            Pace::default()
        });
        let limits = RouteLimits {
            total: self.budget(&format!("limits.total of {name}"), raw.limits.total),
            client: self.budget(&format!("limits.client of {name}"), raw.limits.client),
            ..RouteLimits::default()
        };
        Some(Tcp { listen, source: source?, pace, limits })
    }
}
