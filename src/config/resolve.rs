//! From what was written to what it means.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;

use super::Config;
use super::error::{ConfigError, Problem};
use super::filters::{self, FilterKind};
use super::on_disk::{Absent, Kind, NamedPath};
use super::places::Places;
use super::raw::{OneOrMany, RawConfig, RawRoute, Timeout};
use super::recover::{self, Faults};
use super::route::{Route, RouteDraft, Source};
use super::sink::size_up_to;
use crate::address::ListenAddr;
use crate::duration;
use crate::http::files::FilesSource;
use crate::http::proxy::ProxySource;
use crate::http::server::{MAX_CONNECTIONS, MAX_TOTAL};
use crate::limit::Size;
use crate::words::shorten;

/// See [`Loader::parse`](super::Loader::parse).
pub(super) fn parse(
    text: &str,
    name: &str,
    base: &Path,
    custom_kinds: &BTreeSet<String>,
    absent: Absent,
) -> Result<Config, ConfigError> {
    let mut faults = Faults::default();
    let tree = recover::parse(text, &mut faults);
    let whole = (text, tree.get_ref());
    let raw: Option<RawConfig> = recover::read(tree.get_ref(), tree.span(), whole, &mut faults);
    let mut named = filters::read(text, tree.get_ref(), custom_kinds, &mut faults);
    let Some(raw) = raw.filter(|_| faults.readable_to.is_none()) else {
        return Err(ConfigError::at(name, text, faults.into_problems()));
    };
    for kind in custom_kinds {
        let options = toml::Table::new();
        named.kinds.entry(kind.clone()).or_insert_with(|| FilterKind::Custom { kind: kind.clone(), options });
    }
    let mut resolver = Resolver { base, faults, on_disk: Vec::new() };
    let mut config = resolver.config(raw, &named.kinds);
    let mut warnings = Vec::new();
    if absent != Absent::Unseen {
        for path in std::mem::take(&mut resolver.on_disk) {
            match path.fault() {
                Some(text) if absent == Absent::Warning => warnings.push(Problem::new(Some(path.at), text)),
                Some(text) => resolver.problem(path.at, text),
                None => {}
            }
        }
    }
    if !resolver.faults.is_empty() {
        return Err(ConfigError::at(name, text, resolver.faults.into_problems()));
    }
    let used: BTreeSet<&str> =
        config.routes.iter().flat_map(|route| &route.filters).map(|filter| filter.name.as_str()).collect();
    let unused = named.places.iter().filter(|(name, _)| !used.contains(name.as_str()));
    warnings.extend(unused.map(|(filter, place)| {
        let advice = format!("[filter.{filter}] is not used; name it in the filters of a [[route]]");
        Problem::new(Some(place.clone()), advice)
    }));
    warnings.sort_by_key(|warning| warning.at.as_ref().map(|at| at.start));
    config.warnings = warnings.iter().map(|warning| warning.render(name, text)).collect();
    Ok(config)
}

/// Collects what is wrong and goes on, so that all of it is told at once.
pub(super) struct Resolver<'a> {
    pub(super) base: &'a Path,
    pub(super) faults: Faults,
    /// What must be there when the server starts.
    on_disk: Vec<NamedPath>,
}

impl Resolver<'_> {
    pub(super) fn problem(&mut self, at: Range<usize>, text: impl Into<String>) {
        self.faults.push(Problem::new(Some(at), text));
    }

    /// The path `named`, which must be there when the server starts; `key` says where it stands.
    pub(super) fn path(&mut self, key: impl Into<String>, named: Spanned<String>, kind: Kind) -> PathBuf {
        let at = named.span();
        let path = self.base.join(named.into_inner());
        self.on_disk.push(NamedPath { at, key: key.into(), path: path.clone(), kind });
        path
    }

    /// The address `addr`, whose folder must be there when the server starts.
    pub(super) fn address(&mut self, key: &str, at: Range<usize>, addr: ListenAddr) -> ListenAddr {
        let addr = addr.relative_to(self.base);
        if let ListenAddr::Unix { path, .. } = &addr {
            self.on_disk.push(NamedPath { at, key: key.to_owned(), path: path.clone(), kind: Kind::Socket });
        }
        addr
    }

    /// The configuration; of no worth if there are problems afterwards.
    fn config(&mut self, raw: RawConfig, kinds: &BTreeMap<String, FilterKind>) -> Config {
        let default = Config::default();
        let tcp_alone = raw.route.is_empty() && !raw.tcp.is_empty();
        let serves_nothing = raw.route.is_empty() && raw.tcp.is_empty();
        let has_events = raw.route.iter().any(|route| route.get_ref().events.is_some());
        let lost_routes = self.faults.has_lost(&["route", "tcp", "events"]);
        if let Some(listen) = raw.listen.as_ref().filter(|_| tcp_alone && !lost_routes) {
            let text = "listen is for HTTP, and there is no [[route]]; leave it out, or add one";
            self.problem(listen.span(), text);
        }
        let listen = match raw.listen {
            None if tcp_alone => Vec::new(),
            None => default.listen,
            Some(listen) => self.listen(listen),
        };
        let routes = self.routes(raw.route, kinds);
        let tcp = self.tcp(raw.tcp, &listen);
        let egress_total = self.size("total in [sink]", &raw.sink.total, MAX_TOTAL);
        let sink = self.sink(raw.limits.connection, raw.sink, &routes, &tcp);
        let limits = self.shared_limits(raw.limits.server, raw.limits.client);
        let most = self.count("client_connections", raw.client_connections.clone(), 0, 1);
        let taken = tcp.iter().map(|port| ListenAddr::Tcp(port.listen));
        let taken: Vec<ListenAddr> = listen.iter().cloned().chain(taken).collect();
        let admin = self.admin(raw.admin, raw.admin_token_file, &taken);
        let config = Config {
            listen,
            log_level: raw.log_level.map_or(default.log_level, |level| level.0),
            access_log: raw.access_log.unwrap_or(default.access_log),
            drain: raw.drain.map_or(default.drain, |drain| drain.get_ref().0),
            max_connections: self.count("max_connections", raw.max_connections, default.max_connections, 1),
            header_timeout: self.timeout("header_timeout", raw.header_timeout, default.header_timeout),
            idle_timeout: self.timeout("idle_timeout", raw.idle_timeout, default.idle_timeout),
            half_close: raw.half_close.map_or(default.half_close, |word| word.0),
            trusted_proxies: raw.trusted_proxies.map_or(default.trusted_proxies, |list| {
                list.0.into_iter().map(|(_, network)| network).collect()
            }),
            client_connections: raw.client_connections.map(|_| most),
            limits,
            sink,
            egress_total: egress_total.map(|bytes| bytes as u64),
            admin,
            quota: self.quota(raw.quota),
            tracing: self.tracing(raw.tracing, has_events || lost_routes),
            routes,
            tcp,
            warnings: Vec::new(),
        };
        if serves_nothing && self.faults.is_empty() {
            self.faults.push(Problem::new(
                None,
                "nothing to serve; add a [[route]] with a path and files, proxy or events",
            ));
        }
        config
    }

    fn listen(&mut self, listen: Spanned<OneOrMany<ListenAddr>>) -> Vec<ListenAddr> {
        let whole = listen.span();
        let mut addrs: Vec<ListenAddr> = Vec::new();
        for (at, addr) in listen.into_inner().0 {
            let addr = self.address("listen", at.clone().unwrap_or(whole.clone()), addr);
            if addrs.iter().any(|other| addr.clashes_with(other)) {
                self.problem(at.unwrap_or(whole.clone()), format!("listen has {addr} twice; leave one out"));
            } else {
                addrs.push(addr);
            }
        }
        if addrs.is_empty() {
            self.problem(whole, "listen is empty; give an address, or leave it out for 127.0.0.1:8080");
        }
        addrs
    }

    pub(super) fn size(&mut self, key: &str, value: &Option<Spanned<Size>>, most: Size) -> Option<usize> {
        let value = value.as_ref()?;
        size_up_to(*value.get_ref(), most)
            .map_err(|error| self.problem(value.span(), format!("{key}: {error}")))
            .ok()
    }

    fn routes(&mut self, raw: Vec<Spanned<RawRoute>>, kinds: &BTreeMap<String, FilterKind>) -> Vec<Route> {
        let mut routes: Vec<Route> = Vec::new();
        let mut paths = BTreeSet::new();
        for raw in raw {
            let whole = raw.span();
            let raw = raw.into_inner();
            let path = &raw.path.get_ref().0;
            if !paths.insert(path.clone()) {
                let text = format!(
                    "a [[route]] for {:?} stands above already; leave one out",
                    shorten(path.as_str())
                );
                self.problem(raw.path.span(), text);
            }
            routes.extend(self.route(whole, raw, kinds));
        }
        routes
    }

    fn route(
        &mut self,
        whole: Range<usize>,
        mut raw: RawRoute,
        kinds: &BTreeMap<String, FilterKind>,
    ) -> Option<Route> {
        let name = match self.faults.is_told(&raw.path.span()) {
            true => "[[route]]".to_owned(),
            false => format!("[[route]] {:?}", shorten(raw.path.get_ref().0.as_str())),
        };
        let source = self.source(&name, &whole, &mut raw);
        let mut limits = std::mem::take(&mut raw.limits);
        // Two spellings of the same.
        let rate = self.one_of(&name, "rate", raw.rate.take(), limits.response.rate.take());
        let burst = self.one_of(&name, "burst", raw.burst.take(), limits.response.burst.take());
        let limits = self.route_limits(&name, limits, rate.is_some());
        let filters = raw.filters.unwrap_or_default();
        let places = Places {
            path: raw.path.span(),
            burst: burst.as_ref().map(Spanned::span),
            end_of_stream: raw.end_of_stream.as_ref().map(Spanned::span),
            filters: filters.iter().map(Spanned::span).collect(),
        };
        // What has no source could have had one that may set a rate: that it needs one is not said.
        let is_known = source.is_some();
        let draft = RouteDraft {
            path: raw.path.into_inner().0,
            source: source.unwrap_or_else(|| {
                Source::Proxy(ProxySource::new(crate::http::proxy::UpstreamUrl::unknown()))
            }),
            rate: rate.and_then(|rate| rate.into_inner().0),
            burst: burst.map(Spanned::into_inner),
            limits,
            end_of_stream: raw.end_of_stream.map(|word| word.into_inner().0),
            filters: filters.into_iter().map(Spanned::into_inner).collect(),
        };
        match draft.finish(kinds) {
            Ok(route) => is_known.then_some(route),
            Err(faults) => {
                for fault in faults {
                    let at = places.of(&fault).unwrap_or(whole.clone());
                    self.problem(at, format!("{} in {name}: {}", fault.key, fault.text));
                }
                None
            }
        }
    }

    /// Where a route's content comes from, if it says so, and once.
    fn source(&mut self, name: &str, whole: &Range<usize>, raw: &mut RawRoute) -> Option<Source> {
        match (raw.files.clone(), raw.proxy.clone(), raw.events.take()) {
            (Some(files), None, None) => Some(self.files(name, files, raw)),
            (None, Some(proxy), None) => Some(self.proxy(name, &proxy, raw)),
            (None, None, Some(events)) => {
                self.misplaced(name, "events", raw);
                Some(self.events(name, events))
            }
            (Some(_), Some(proxy), None) => {
                self.problem(proxy.span(), format!("{name} has both files and proxy; leave one out"));
                None
            }
            (_, _, Some(events)) => {
                self.problem(events.span(), format!("{name} has events and another source; leave one out"));
                None
            }
            (None, None, None) => {
                let text = format!("{name} has no files, proxy or events; say where its content comes from");
                self.problem(whole.clone(), text);
                None
            }
        }
    }

    fn files(&mut self, name: &str, files: Spanned<String>, raw: &RawRoute) -> Source {
        self.misplaced(name, "files", raw);
        let mut source = FilesSource::new(self.path(format!("files in {name}"), files, Kind::Folder));
        if let Some(index) = &raw.index {
            match FilesSource::check_index(index.get_ref()) {
                Ok(()) => source.index.clone_from(index.get_ref()),
                Err(error) => self.problem(index.span(), format!("index in {name}: {error}")),
            }
        }
        if let Some(list) = &raw.list {
            source.list = *list.get_ref();
        }
        if let Some(dot_files) = &raw.dot_files {
            source.dot_files = *dot_files.get_ref();
        }
        if let Some(links) = &raw.follow_links {
            source.follow_links = links.get_ref().0;
        }
        for (extension, media_type) in raw.types.iter().flat_map(|types| types.get_ref()) {
            if let Err(error) = source.add_type(extension, media_type.get_ref()) {
                self.problem(media_type.span(), format!("types in {name}: {error}"));
            }
        }
        Source::Files(source)
    }

    /// Keys that do nothing for this kind of source.
    pub(super) fn misplaced(&mut self, name: &str, source: &str, raw: &RawRoute) {
        for (key, other, at) in raw.misplaced(source) {
            let text =
                format!("{key} in {name}: does nothing with {source}, only with {other}; leave it out");
            self.problem(at, text);
        }
    }

    pub(super) fn timeout(
        &mut self,
        key: &str,
        value: Option<Spanned<Timeout>>,
        default: Duration,
    ) -> Duration {
        let Some(value) = value else { return default };
        duration::positive(value.get_ref().0).unwrap_or_else(|error| {
            self.problem(value.span(), format!("{key}: {error}"));
            default
        })
    }

    pub(super) fn count(
        &mut self,
        key: &str,
        value: Option<Spanned<i64>>,
        default: usize,
        least: usize,
    ) -> usize {
        let Some(value) = value else { return default };
        match usize::try_from(*value.get_ref()) {
            Ok(number) if (least..=MAX_CONNECTIONS).contains(&number) => number,
            _ => {
                self.problem(
                    value.span(),
                    format!("{key}: is not a number from {least} to {MAX_CONNECTIONS}"),
                );
                default
            }
        }
    }
}
