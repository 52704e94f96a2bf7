//! `[[tcp]]`: raw TCP at a pace, a file for whoever connects or a relay.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::error::shorten;
use super::limits::{RawBudget, RouteLimits};
use super::on_disk::{self, Kind};
use super::raw::{EndOfStreamWord, Parsed, Timeout};
use super::resolve::Resolver;
use super::{ListenAddr, Pace};
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

/// A host with a port: `db:5432`, `127.0.0.1:22`, `[::1]:22`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// A name or an address, without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

impl FromStr for HostPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = |why: &str| {
            Err(format!(
                "{:?} is not a host with a port: {why}; write 127.0.0.1:5432 or [::1]:5432",
                shorten(text)
            ))
        };
        let Some((host, port)) = text.rsplit_once(':') else { return bad("the port is missing") };
        let Some(port) = port.parse().ok().filter(|port| *port != 0) else {
            return bad("the port is not a number from 1 to 65535");
        };
        let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        match inner {
            Some(inner) if inner.parse::<std::net::Ipv6Addr>().is_ok() => {
                Ok(Self { host: inner.to_owned(), port })
            }
            Some(_) => bad("in the brackets is no IPv6 address"),
            None if host.is_empty() => bad("the host is missing"),
            None if host.contains(':') => bad("an IPv6 address stands in brackets"),
            None if host.chars().all(is_name) => Ok(Self { host: host.to_owned(), port }),
            None => bad("the host has characters that no name has"),
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
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
        for (key, at) in [
            ("burst", raw.burst.as_ref().map(Spanned::span)),
            ("end_of_stream", raw.end_of_stream.as_ref().map(Spanned::span)),
        ] {
            if let (None, Some(at)) = (rate, at) {
                self.problem(at, format!("{key} in {name}: without a rate nothing is paced; set a rate too"));
            }
        }
        let pace = Pace {
            rate,
            burst: raw.burst.map_or_else(Burst::default, Spanned::into_inner),
            end_of_stream: raw.end_of_stream.map_or_else(Default::default, |word| word.into_inner().0),
        };
        let limits = RouteLimits {
            total: self.budget(&format!("limits.total of {name}"), raw.limits.total),
            client: self.budget(&format!("limits.client of {name}"), raw.limits.client),
            ..RouteLimits::default()
        };
        Some(Tcp { listen, source: source?, pace, limits })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_have_ports() {
        for good in ["db:5432", "127.0.0.1:22", "[::1]:22", "a-b.c_d:1"] {
            assert_eq!(good.parse::<HostPort>().map(|host| host.to_string()), Ok(good.to_owned()));
        }
        for (bad, expected) in [
            ("db", "the port is missing"),
            ("db:", "not a number from 1"),
            ("db:0", "not a number from 1"),
            ("db:99999", "not a number from 1"),
            (":22", "the host is missing"),
            ("::1:22", "stands in brackets"),
            ("[db]:22", "no IPv6 address"),
            ("http://db:22", "stands in brackets"),
            ("d b:22", "no name has"),
        ] {
            let error = bad.parse::<HostPort>().unwrap_err();
            assert!(error.contains(expected), "{bad}: {error}");
        }
    }
}
