//! From a configuration to a server: opens the folders, makes the filters, binds the addresses.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use http::HeaderValue;

use super::files::Files;
use super::proxy::{HostPolicy, Proxy, ProxyOptions, Upstream};
use super::route::Route;
use super::server::{Server, Settings};
use crate::config::{
    self, Config, FilterKind, GzipSettings, ListenAddr, MediaRange, ReplaceSettings, Source,
};
use crate::filter::{
    CountFactory, Counts, FilterFactory, GzipFactory, GzipLevel, MediaTypes, OptionError, ReplaceFactory,
};
use crate::limit::Limit;
use crate::rt::{self, Listener};

/// Makes a filter from the keys of its table; the error's text says what is wrong with them.
type MakeFilter = dyn Fn(&toml::Table) -> Result<Arc<dyn FilterFactory>, String>;

/// Kinds of filter that a program adds to those of the crate, for use by name in a configuration.
///
/// [`loader`](Self::loader) reads files that use them; [`Server::from_config`] makes them.
///
/// ```
/// use std::sync::Arc;
/// use sluicegate::filter::{Count, Counts, named};
/// use sluicegate::http::FilterKinds;
///
/// let kinds = FilterKinds::default().with("tally", |_options| {
///     Ok(Arc::new(named(|| Count::new(Counts::default()))))
/// });
/// let text = "[[route]]\npath = '/'\nfiles = 'src'\nfilters = ['tally']";
/// assert!(kinds.loader().parse(text, "example.toml", ".").is_ok());
/// ```
#[derive(Default)]
pub struct FilterKinds(BTreeMap<String, Box<MakeFilter>>);

impl FilterKinds {
    /// The same kinds and one more.
    #[must_use]
    pub fn with(
        mut self,
        name: &str,
        make: impl Fn(&toml::Table) -> Result<Arc<dyn FilterFactory>, String> + 'static,
    ) -> Self {
        self.0.insert(name.to_owned(), Box::new(make));
        self
    }

    /// A loader of configurations that knows these kinds.
    pub fn loader(&self) -> config::Loader {
        self.0.keys().fold(config::Loader::new(), |loader, name| loader.filter_kind(name))
    }
}

/// Why a configuration could not become a server. The text says where and what to do.
#[derive(Debug)]
pub struct AssemblyError(String);

impl fmt::Display for AssemblyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for AssemblyError {}

impl Server {
    /// The server that `config` describes, its addresses bound, not yet running.
    ///
    /// # Errors
    /// An address cannot be listened on, a folder cannot be opened, or a filter of `kinds` refuses its
    /// options.
    pub fn from_config(config: &Config, kinds: &FilterKinds) -> Result<Self, AssemblyError> {
        let routes = config.routes.iter().map(|given| route(given, kinds)).collect::<Result<_, _>>()?;
        let listeners = config.listen.iter().map(bind).collect::<Result<_, _>>()?;
        let settings = Settings {
            drain: config.drain,
            max_connections: config.max_connections,
            header_timeout: config.header_timeout,
            idle_timeout: config.idle_timeout,
            access_log: config.access_log,
            trusted: config.trusted_proxies.iter().copied().collect(),
            ..Settings::default()
        };
        Ok(Self::new(settings, listeners, routes))
    }
}

fn bind(addr: &ListenAddr) -> Result<Listener, AssemblyError> {
    use std::io::ErrorKind::{AddrInUse, AddrNotAvailable, NotFound, PermissionDenied};
    let bound = match addr {
        ListenAddr::Tcp(addr) => Listener::bind_tcp(*addr),
        ListenAddr::Unix(path) => Listener::bind_unix(path),
    };
    bound.map_err(|error| {
        let remedy = match error.kind() {
            AddrInUse => "something listens there already; stop it, or choose another address or port 0",
            AddrNotAvailable => "no interface of this machine has that address",
            PermissionDenied => "ports below 1024 and other people's folders need privileges",
            NotFound => "the folder of the socket does not exist; create it",
            _ => "choose another address",
        };
        AssemblyError(format!("cannot listen on {addr}: {error}: {remedy}"))
    })
}

fn route(given: &config::Route, kinds: &FilterKinds) -> Result<Route, AssemblyError> {
    let path = given.path.as_str();
    let failed = |error: &dyn fmt::Display| AssemblyError(format!("route {path}: {error}"));
    let mut route = match &given.source {
        Source::Files(source) => {
            let files = Files::new(&source.root)
                .map_err(|error| failed(&format!("folder {}: {error}", source.root.display())))?;
            Route::folder(path, files.index(source.index.as_str()).list(source.list))
        }
        Source::Proxy(source) => {
            let upstream: Upstream = source.upstream.as_str().parse().map_err(|error| failed(&error))?;
            let options = ProxyOptions {
                host: match &source.host {
                    config::HostPolicy::Upstream => HostPolicy::Upstream,
                    config::HostPolicy::Client => HostPolicy::Client,
                    config::HostPolicy::Literal(host) => HostPolicy::Literal(
                        HeaderValue::from_str(host.as_str()).map_err(|error| failed(&error))?,
                    ),
                },
                pace: given.pace.rate,
                honour_accel: source.honour_accel,
                connect_timeout: source.connect_timeout,
                head_timeout: source.response_timeout,
                read_timeout: source.read_timeout,
                idle_timeout: source.idle_connection_timeout,
                idle_connections: source.idle_connections,
                ..ProxyOptions::new(upstream)
            };
            Route::proxy(path, Proxy::new(options, rt::clock()))
        }
    };
    route =
        route.rate(given.pace.rate).burst(given.pace.burst.bytes()).end_of_stream(given.pace.end_of_stream);
    for filter in &given.filters {
        let wrong = |error: &dyn fmt::Display| failed(&format!("filter {}: {error}", filter.name));
        route = match &filter.kind {
            FilterKind::RoutePace => route.pace_here(),
            FilterKind::Rate(pace) => {
                route.pace(Limit::new(pace.rate).with_burst(pace.burst.bytes()), pace.end_of_stream)
            }
            FilterKind::Count => route.filter(CountFactory::new(Counts::default())),
            FilterKind::Gzip(settings) => route.filter(gzip(settings).map_err(|error| wrong(&error))?),
            FilterKind::Replace(settings) => route.filter(replace(settings).map_err(|error| wrong(&error))?),
            FilterKind::Custom { kind, options } => {
                let make = kinds.0.get(kind).ok_or_else(|| wrong(&format!("no kind {kind} was added")))?;
                route.shared_filter(make(options).map_err(|error| wrong(&error))?)
            }
        };
    }
    Ok(route)
}

fn gzip(settings: &GzipSettings) -> Result<GzipFactory, OptionError> {
    let factory =
        GzipFactory::new().level(GzipLevel::new(settings.level)?).min_size(settings.min_size.bytes());
    Ok(match &settings.types {
        Some(types) => factory.types(media_types(types)?),
        None => factory,
    })
}

fn replace(settings: &ReplaceSettings) -> Result<ReplaceFactory, OptionError> {
    let factory = ReplaceFactory::new(settings.from.clone(), settings.to.clone())?;
    Ok(match &settings.types {
        Some(types) => factory.types(media_types(types)?),
        None => factory,
    })
}

fn media_types(ranges: &[MediaRange]) -> Result<MediaTypes, OptionError> {
    MediaTypes::parse(ranges.iter().map(MediaRange::as_str))
}
