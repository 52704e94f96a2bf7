//! Applies a new configuration to a running server, and lists what changed.

mod classes;
mod limits;
mod schedules;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::assembly::{self, AssemblyError, FilterKinds, Origin};
use super::document::Config;
use super::filters::FilterKind;
use super::pace::Pace;
use super::route::Route;
use super::tcp::{Tcp, TcpSource};
use crate::duration;
use crate::http::SharedLimits;
use crate::http::server::{Handle, Settings};
use crate::limit::{RateOrOff, Size};
use crate::live_limits::LimitBook;
use crate::sink::SinkSettings;
use crate::tls::{NamedTls, TlsSettings};
use crate::tracing::Tracer;

type Tables = BTreeMap<String, TlsSettings>;

/// How many changes are listed one by one.
const MAX_TOLD: usize = 50;

/// What a reload changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reloaded {
    /// Each change, such as `limit of the server: off → 10m`.
    pub changes: Vec<String>,
    /// Keys whose change takes effect only after a restart.
    pub needs_restart: Vec<&'static str>,
}

/// All changes on one line, or the first fifty and how many more there are.
impl fmt::Display for Reloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.changes.len() {
            0 => f.write_str("nothing changed"),
            n if n <= MAX_TOLD => f.write_str(&self.changes.join("; ")),
            n => write!(f, "{}; and {} more", self.changes[..MAX_TOLD].join("; "), n - MAX_TOLD),
        }
    }
}

impl Handle {
    /// Applies `config` to the running server, except for the addresses that it listens on.
    ///
    /// Limits change at once, for transfers in progress too: a route whose path stays keeps its live limits, set to
    /// those of `config` even where the API had changed them, and limits of single clients end unless they are saved in
    /// its overlay. Routes, sources, filters and keys apply to new requests, timeouts and the sink's settings to new
    /// connections. Requests in progress finish under the settings they began with, on removed routes too.
    /// Blocks on the file system, where it opens folders.
    ///
    /// # Errors
    /// A folder cannot be opened, or a filter of `kinds` refuses its options. Nothing is changed then.
    pub fn reload(&self, config: &Config, kinds: &FilterKinds) -> Result<Reloaded, AssemblyError> {
        self.reloading(|| {
            let mut counts = self.counts();
            let tracer = self.extension::<Arc<Tracer>>();
            let prepared = assembly::classes(config)?;
            let routes = assembly::routes(config, kinds, &mut counts, tracer.as_ref())?;
            let live = self.extension::<NamedTls>().unwrap_or_default();
            let tls = assembly::tls(config, &live)?;
            let access = assembly::access_log(config, self.access_log().as_ref())?;
            let given = config.given_limits();
            let origin = self.extension::<Origin>();
            let mut origin = origin.as_ref().map(|origin| origin.0.lock());
            // Folders are open by now: nothing blocks while limits are locked.
            let changes = self.changing(|| {
                let (before, own) = (limits::in_force(self), limits::own(self));
                let keys = self.budgets().key_changes(&prepared);
                self.budgets().set_own(&config.server.limits.own);
                // Before the rules that name them.
                self.budgets().set_classes(prepared);
                self.replace(config.server.clone(), routes, counts, access);
                if let Some(old) = origin.as_deref() {
                    self.set_ports(&old.tcp, config);
                }
                let ports = origin.as_deref().map_or(&[][..], |old| &old.tcp);
                self.set_schedules(&schedules::of_running(config, ports));
                if let Some(book) = LimitBook::of(self) {
                    book.replace(given, config.limit_sources.clone());
                }
                let sources = &config.limit_sources;
                let mut changes = limits::changes(&before, &limits::in_force(self), sources);
                changes.extend(limits::own_changes(own, limits::own(self), sources));
                changes.extend(keys);
                changes.extend(set_tls(&live, &tls));
                changes
            });
            let mut reloaded = Reloaded { changes, needs_restart: vec![] };
            if let Some(old) = origin.as_deref_mut() {
                reloaded.changes.extend(classes::changes(&old.classes, &config.classes));
                reloaded.changes.extend(schedules::changes(&old.schedules, &config.schedules));
                reloaded.changes.extend(route_changes(&old.routes, &config.routes));
                reloaded.changes.extend(tls_changes(&old.tls, &config.tls));
                reloaded.changes.extend(setting_changes(old, config));
                reloaded.needs_restart = fixed_changes(old, config);
                *old = Config {
                    listen: old.listen.clone(),
                    http_redirect: old.http_redirect.clone(),
                    admin: old.admin.clone(),
                    tcp: old.tcp.clone(),
                    quota: old.quota.clone(),
                    tracing: old.tracing.clone(),
                    ..config.clone()
                };
            }
            Ok(reloaded)
        })
    }

    /// Reads a configuration by `read` and applies it as [`reload`](Self::reload) does. No limit is saved over the admin API meanwhile,
    /// so that none is lost between the reading and the applying. Blocks.
    ///
    /// # Errors
    /// Those of `read` and of `reload`. Nothing is changed then.
    pub fn reload_by<E: From<AssemblyError>>(
        &self,
        kinds: &FilterKinds,
        read: impl FnOnce() -> Result<Config, E>,
    ) -> Result<(Config, Reloaded), E> {
        let reload = || {
            let config = read()?;
            let reloaded = self.reload(&config, kinds)?;
            Ok((config, reloaded))
        };
        match LimitBook::of(self) {
            Some(book) => book.reloading(reload),
            None => reload(),
        }
    }

    /// Sets the limits of the ports to those of `config`. `ports` are the running ones, in order.
    fn set_ports(&self, ports: &[Tcp], config: &Config) {
        for (live, old) in self.ports().iter().zip(ports) {
            if let Some(new) = config.tcp.iter().find(|new| is_same(old, new)) {
                live.service().take_over(&assembly::port(new));
            }
        }
    }
}

/// Has the listeners of `live` use the certificates and settings of `new`. A table that is gone goes on as it was, since its
/// listeners do. Describes what clients see of it.
fn set_tls(live: &NamedTls, new: &NamedTls) -> Vec<String> {
    let mut changes = Vec::new();
    for (name, live) in live.iter() {
        let Some(new) = new.of(Some(name)) else { continue };
        if live.differs(&new) {
            changes.push(format!("certificates of tls {name} replaced"));
        }
        live.adopt(&new);
    }
    changes
}

/// Whether two ports differ only in limits, which can be changed.
fn is_same(old: &Tcp, new: &Tcp) -> bool {
    let fixed = |port: &Tcp| {
        let mut source = port.source.clone();
        if let TcpSource::Relay { upload, .. } = &mut source {
            *upload = None;
        }
        let entry = (port.listen, port.tls.clone(), port.proxy_protocol);
        (entry, source, port.pace.interval, port.pace.end_of_stream, port.pace.catch_up)
    };
    fixed(old) == fixed(new)
}

fn route_changes(old: &[Route], new: &[Route]) -> Vec<String> {
    // Changes of limits are described apart.
    let rest = |route: &Route| {
        let Route {
            hosts, source, headers, error_pages, rules, upload_rules, limits, max_body, smooth, ..
        } = route.clone();
        let rules = (rules, upload_rules);
        (hosts, source, headers, error_pages, filters(route), rules, limits.weight, max_body, smooth)
    };
    differences(old, new, |route| format!("route {}", route.name()), |was, route| rest(was) != rest(route))
}

/// Lists what of `new` was added or differs from its like in `old`, which has the same name, and what is gone.
fn differences<T>(
    old: &[T],
    new: &[T],
    name: impl Fn(&T) -> String,
    differs: impl Fn(&T, &T) -> bool,
) -> Vec<String> {
    let named = |all: &[T]| all.iter().map(&name).collect::<Vec<_>>();
    let (old_names, new_names) = (named(old), named(new));
    let come = new.iter().zip(&new_names).filter_map(|(one, name)| {
        match old_names.iter().position(|known| known == name).map(|at| &old[at]) {
            None => Some(format!("{name} added")),
            Some(was) if differs(was, one) => Some(format!("{name} changed")),
            Some(_) => None,
        }
    });
    let gone = old_names.iter().filter(|name| !new_names.contains(name));
    come.chain(gone.map(|name| format!("{name} removed"))).collect()
}

/// Spells the filters of a route, its interval and its end-of-stream rule, without rates.
fn filters(route: &Route) -> Vec<String> {
    let bare = |pace: &Pace| format!("{} {:?} {:?}", pace.interval, pace.end_of_stream, pace.catch_up);
    let filters = route.filters.iter().map(|filter| match &filter.kind {
        FilterKind::Rate(pace) => format!("{} {}", filter.name, bare(pace)),
        kind => format!("{} {kind:?}", filter.name),
    });
    // A place for the pace comes with a rate and goes with it.
    filters.filter(|text| !text.ends_with("RoutePace")).chain([bare(&route.pace)]).collect()
}

fn tls_changes<'a>(old: &'a Tables, new: &'a Tables) -> impl Iterator<Item = String> + 'a {
    let changed = |(name, settings): (&'a String, &'a TlsSettings)| match old.get(name) {
        Some(was) if was == settings => None,
        Some(_) => Some(format!("tls {name} changed")),
        None => Some(format!("tls {name} added")),
    };
    let gone = old.keys().filter(|name| !new.contains_key(*name));
    new.iter().filter_map(changed).chain(gone.map(|name| format!("tls {name} removed")))
}

fn setting_changes(old: &Config, new: &Config) -> Vec<String> {
    let pairs = settings(old).into_iter().zip(settings(new));
    pairs
        .filter(|((_, old), (_, new))| old != new)
        .map(|((name, old), (_, new))| format!("{name}: {old} → {new}"))
        .collect()
}

/// Spells the settings that are neither limits nor routes. Without `..`, so that none can be forgotten.
fn settings(config: &Config) -> Vec<(&'static str, String)> {
    let or_none = |value: Option<String>| value.unwrap_or_else(|| "none".to_owned());
    let Settings {
        drain,
        max_connections,
        header_timeout,
        idle_timeout,
        half_close,
        // The program's own is below.
        access_log: _,
        body_timeout,
        max_body,
        limits: SharedLimits { server: _, client: _, key, upload: _, own: _ },
        sink,
        egress_total,
        client_connections,
        trusted,
    } = &config.server;
    // The rate of connections is a limit.
    let SinkSettings {
        rate: _,
        burst: _,
        report_only: _,
        buffer,
        on_full,
        stall_timeout,
        min_drain_rate,
        unsent,
        send_buffer,
    } = sink;
    let trusted: Vec<String> = trusted.networks().iter().map(ToString::to_string).collect();
    let size = |bytes: usize| Size::new(bytes as u64).to_string();
    vec![
        ("log_level", config.log_level.as_str().to_lowercase()),
        ("log_format", config.log_format.to_string()),
        ("access_log", config.access_log.to.to_string()),
        ("access_log_format", config.access_log.format.to_string()),
        ("overlay", or_none(config.overlay.file().map(|file| file.display().to_string()))),
        ("time_zone", config.time_zone.to_string()),
        ("drain", duration::spell(*drain)),
        ("max_connections", max_connections.to_string()),
        ("client_connections", or_none(client_connections.map(|most| most.to_string()))),
        ("header_timeout", duration::spell(*header_timeout)),
        ("idle_timeout", duration::spell(*idle_timeout)),
        ("body_timeout", duration::spell(*body_timeout)),
        ("max_body", max_body.to_string()),
        ("half_close", half_close.to_string()),
        ("trusted_proxies", format!("[{}]", trusted.join(", "))),
        ("client key", key.to_string()),
        ("sink buffer", size(*buffer)),
        ("sink total", or_none(egress_total.map(|total| Size::new(total).to_string()))),
        ("sink on_full", on_full.to_string()),
        ("sink stall_timeout", duration::spell(*stall_timeout)),
        ("sink min_drain_rate", RateOrOff(*min_drain_rate).to_string()),
        ("sink unsent", size(*unsent)),
        ("sink send_buffer", or_none(send_buffer.map(size))),
    ]
}

/// Lists changed keys that a running server cannot apply.
fn fixed_changes(old: &Config, new: &Config) -> Vec<&'static str> {
    let stays = |port: &Tcp| new.tcp.iter().any(|new| is_same(port, new));
    let tcp = old.tcp.len() != new.tcp.len() || !old.tcp.iter().all(stays);
    let fixed = [
        ("listen", old.listen != new.listen),
        ("http_redirect", old.http_redirect != new.http_redirect),
        ("admin", old.admin != new.admin),
        ("tcp", tcp),
        ("quota", old.quota != new.quota),
        ("tracing", old.tracing != new.tracing),
    ];
    fixed.into_iter().filter(|(_, changed)| *changed).map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests;
