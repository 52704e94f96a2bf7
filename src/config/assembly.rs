//! Makes a server from a configuration: opens folders, creates filters, binds addresses.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;

use super::document::Config;
use super::filters::FilterKind;
use super::loader::Loader;
use super::route::{self, Source};
use super::tcp::{Tcp, TcpSource};
use crate::address::ListenAddr;
use crate::admin::Admin;
use crate::events::EventSettings;
use crate::excerpt::excerpt;
use crate::filter::{CountFactory, Counts, FilterFactory, GzipFactory, ReplaceFactory};
use crate::http::HostPattern;
use crate::http::classes::PreparedClass;
use crate::http::files::Files;
use crate::http::proxy::Proxy;
use crate::http::route::Route;
use crate::http::server::{Handle, Server};
use crate::limit::{Buffers, Limit};
use crate::live_limits::LimitBook;
use crate::logging::AccessLog;
use crate::rt::{self, Listener, Listeners};
use crate::sync::Mutex;
use crate::tcp::Service;
use crate::tls::{NamedTls, ServerTls, TlsSettings};
use crate::tracing::Tracer;

/// Creates a filter from the keys of its table; the error says what is wrong with them.
type MakeFilter = dyn Fn(&toml::Table) -> Result<Arc<dyn FilterFactory>, String>;

/// Kinds of filter that a program adds, for use by name in a configuration.
///
/// [`loader`](Self::loader) reads files that use them; [`Server::from_config`] creates them.
///
/// ```
/// use std::sync::Arc;
/// use sluicegate::filter::{Count, Counts, factory_fn};
/// use sluicegate::config::FilterKinds;
///
/// let kinds = FilterKinds::default().with("tally", |_options| {
///     Ok(Arc::new(factory_fn(|| Count::new(Counts::default()))))
/// });
/// let text = "[[route]]\npath = '/'\nfiles = 'src'\nfilters = ['tally']";
/// assert!(kinds.loader().parse(text, "example.toml", ".").is_ok());
/// ```
#[derive(Default)]
pub struct FilterKinds(BTreeMap<String, Box<MakeFilter>>);

opaque!(FilterKinds);

impl FilterKinds {
    /// Adds the kind `name`.
    #[must_use]
    pub fn with(
        mut self,
        name: &str,
        make: impl Fn(&toml::Table) -> Result<Arc<dyn FilterFactory>, String> + 'static,
    ) -> Self {
        self.0.insert(name.to_owned(), Box::new(make));
        self
    }

    /// Returns a loader that knows these kinds.
    pub fn loader(&self) -> Loader {
        self.0.keys().fold(Loader::new(), |loader, name| loader.filter_kind(name))
    }
}

text_error! {
    /// Why a server could not be made from a configuration. The text says where, and what to do.
    AssemblyError
}

impl AssemblyError {
    pub(super) fn of(error: impl fmt::Display) -> Self {
        Self(error.to_string())
    }
}

/// The configuration in force, which a reload compares with.
#[derive(Clone)]
pub(super) struct Origin(pub(super) Arc<Mutex<Config>>);

impl Server {
    /// Makes the server that `config` describes and binds its addresses. It does not run yet.
    ///
    /// # Errors
    /// An address cannot be listened on, a folder or a file cannot be opened, or a filter of `kinds` refuses its
    /// options.
    pub fn from_config(config: &Config, kinds: &FilterKinds) -> Result<Self, AssemblyError> {
        Self::from_config_on(config, kinds, &mut Listeners::default())
    }

    /// Like [`from_config`](Self::from_config), on the sockets that were handed on and stand in `listeners`.
    ///
    /// # Errors
    /// Those of `from_config`.
    pub fn from_config_on(
        config: &Config,
        kinds: &FilterKinds,
        listeners: &mut Listeners,
    ) -> Result<Self, AssemblyError> {
        let mut counts = BTreeMap::new();
        let tracer = config.tracing.as_ref().map(|given| Tracer::new(given, rt::clock()).map(Arc::new));
        let tracer = tracer.transpose().map_err(AssemblyError::of)?;
        let routes = routes(config, kinds, &mut counts, tracer.as_ref())?;
        let tls = tls(config, &NamedTls::default())?;
        let access = access_log(config, None)?;
        let server = Self::assembled(config.server.clone(), Vec::new(), routes, counts, access);
        let server = server.with_classes(&config.classes).map_err(AssemblyError::of)?;
        let server = config.listen.iter().try_fold(server, |server, given| {
            let server = server.with_listener(bind(&given.address, listeners)?, tls.of(given.tls.as_deref()));
            Ok(if given.proxy_protocol { server.with_proxy_protocol() } else { server })
        })?;
        let secured = server.tls_port().unwrap_or(443);
        let server = config.http_redirect.iter().try_fold(server, |server, given| {
            let server = server.with_redirect(bind(&given.address, listeners)?, secured);
            Ok::<_, AssemblyError>(if given.proxy_protocol { server.with_proxy_protocol() } else { server })
        })?;
        let server = server.with_extension(Origin(Arc::new(Mutex::new(config.clone()))));
        let book = LimitBook::default();
        book.replace(config.given_limits(), config.limit_sources.clone());
        let server = server.with_extension(book);
        let server = match tracer {
            Some(tracer) => server.with_extension(tracer),
            None => server,
        };
        let server = config.tcp.iter().try_fold(server, |server, given| {
            let faulty = |error| AssemblyError(format!("tcp:{}: {error}", given.listen));
            given.source.check_file().map_err(faulty)?;
            let listener = bind(&ListenAddr::Tcp(given.listen), listeners)?;
            let server = server.with_tls_port(listener, tls.of(given.tls.as_deref()), port(given));
            Ok(if given.proxy_protocol { server.with_proxy_protocol() } else { server })
        })?;
        Ok(server.with_extension(tls).with_schedules(&config.schedules))
    }
}

impl Admin {
    /// Binds the admin listener that `config` describes; `None` if it has none.
    ///
    /// # Errors
    /// The address cannot be listened on, a token file cannot be used, or both hold the same token.
    pub fn from_config(config: &Config, server: Handle) -> Result<Option<Self>, AssemblyError> {
        Self::from_config_on(config, server, &mut Listeners::default())
    }

    /// Like [`from_config`](Self::from_config), on the socket that was handed on, if it stands in `listeners`.
    ///
    /// # Errors
    /// Those of `from_config`.
    pub fn from_config_on(
        config: &Config,
        server: Handle,
        listeners: &mut Listeners,
    ) -> Result<Option<Self>, AssemblyError> {
        let Some(source) = &config.admin else { return Ok(None) };
        let [token, read_only] = source.tokens().map_err(AssemblyError::of)?;
        let listener = bind(source.listen(), listeners)?;
        let tls = server.extension::<NamedTls>().and_then(|tls| tls.of(source.tls()));
        let admin = Self::new(vec![listener], token, server);
        admin.map(|admin| Some(admin.with_tls(tls).with_read_only(read_only))).map_err(AssemblyError::of)
    }
}

/// Makes the TLS of `config`: reads certificates and keys. It is for `live`, if there is one of the name already.
pub(super) fn tls(config: &Config, live: &NamedTls) -> Result<NamedTls, AssemblyError> {
    let make = |(name, settings): (&String, &TlsSettings)| {
        let tls = live
            .of(Some(name))
            .map_or_else(|| ServerTls::from_settings(name, settings), |live| live.renewed(settings));
        let tls = tls.map_err(|error| AssemblyError(format!("[tls.{name}]: {error}")))?;
        Ok((name.clone(), tls))
    };
    config.tls.iter().map(make).collect()
}

/// Opens the access log of `config`, or goes on with `live` if that writes to the same place.
pub(super) fn access_log(
    config: &Config,
    live: Option<&AccessLog>,
) -> Result<Option<AccessLog>, AssemblyError> {
    let settings = &config.access_log;
    if let Some(adapted) = live.and_then(|live| live.adapted(settings)) {
        return Ok(Some(adapted));
    }
    AccessLog::open(settings, rt::clock()).map_err(|error| {
        let remedy = match error.kind() {
            io::ErrorKind::NotFound => "its folder does not exist; create it",
            io::ErrorKind::PermissionDenied => "change the permissions of its folder, or the user",
            _ => "choose another file",
        };
        AssemblyError(format!(
            "access_log: cannot open {}: {error}: {remedy}",
            excerpt(&settings.to.to_string(), 300)
        ))
    })
}

/// Makes the classes of clients of `config`: reads their keys.
pub(super) fn classes(config: &Config) -> Result<Vec<PreparedClass>, AssemblyError> {
    config.classes.iter().map(|class| class.prepare().map_err(AssemblyError::of)).collect()
}

/// Makes the routes of `config`. Counters of `count` filters are added to `counts` by name.
pub(super) fn routes(
    config: &Config,
    kinds: &FilterKinds,
    counts: &mut BTreeMap<String, Counts>,
    tracer: Option<&Arc<Tracer>>,
) -> Result<Vec<Route>, AssemblyError> {
    config.routes.iter().map(|given| route(given, kinds, counts, tracer)).collect()
}

/// Makes the service of a TCP port.
pub(super) fn port(given: &Tcp) -> Service {
    let service = match &given.source {
        TcpSource::File { path, follow: false } => Service::file(path),
        TcpSource::File { path, follow: true } => Service::file(path).follow(),
        TcpSource::Relay { to, upload, connect_timeout, send_proxy } => {
            let relay = Service::relay(&to.host, to.port).upload_rate(*upload);
            relay.connect_timeout(*connect_timeout).send_proxy(*send_proxy)
        }
    };
    let limits = &given.limits;
    let service = service.total(limits.total).per_client(limits.client);
    let service = service.upload_total(limits.upload_total).upload_per_client(limits.upload_client);
    let pace = &given.pace;
    let service = service.rate(pace.rate.clone()).burst(pace.burst.bytes()).catch_up(pace.catch_up);
    service.interval(pace.interval).end_of_stream(pace.end_of_stream)
}

/// Listens at `addr`: on the socket handed on for it, if it stands in `listeners`, else on a new one.
///
/// # Errors
/// The address cannot be listened on. The text says why, and what to do.
pub fn bind(addr: &ListenAddr, listeners: &mut Listeners) -> Result<Listener, AssemblyError> {
    use std::io::ErrorKind::{AddrInUse, AddrNotAvailable, AlreadyExists, NotFound, PermissionDenied};
    let is_tcp = matches!(addr, ListenAddr::Tcp(_));
    let bound = match addr {
        ListenAddr::Tcp(addr) => listeners.tcp(*addr),
        ListenAddr::Unix { path, mode } => listeners.unix(path, *mode),
    };
    bound.map_err(|error| {
        let remedy = match error.kind() {
            AddrInUse => "something listens there already; stop it, or choose another address or port 0",
            AlreadyExists => "move it away, or choose another path",
            AddrNotAvailable => "no interface of this machine has that address",
            PermissionDenied if is_tcp => {
                "ports below 1024 need CAP_NET_BIND_SERVICE; grant it, or choose a higher port"
            }
            PermissionDenied => "change the permissions of its folder, or the user",
            NotFound => "the folder of the socket does not exist; create it",
            _ => "choose another address",
        };
        AssemblyError(format!("cannot listen on {addr}: {error}: {remedy}"))
    })
}

fn route(
    given: &route::Route,
    kinds: &FilterKinds,
    counts: &mut BTreeMap<String, Counts>,
    tracer: Option<&Arc<Tracer>>,
) -> Result<Route, AssemblyError> {
    let (path, name) = (given.path.as_str(), given.name());
    let failed = |error: &dyn fmt::Display| AssemblyError(format!("route {name}: {error}"));
    let route = match &given.source {
        Source::Files(source) => {
            let files = Files::new(&source.root)
                .map_err(|error| failed(&format!("folder {}: {error}", source.root.display())))?;
            let files = files.index(source.index.as_str()).list(source.list);
            let files = files.dot_files(source.dot_files).follow_links(source.follow_links);
            let types = source.types.iter();
            Route::folder(path, types.fold(files, |files, (name, media)| files.media_type(name, media)))
        }
        Source::Events(settings) => events((path, &name), &with_names(settings, &given.hosts), tracer)
            .map_err(|error| failed(&error))?,
        Source::Redirect(source) => Route::redirect(path, source.clone()),
        Source::Refuse(source) => Route::refuse(path, *source),
        Source::Proxy(source) => {
            let buffers = Buffers::before(given.fastest_pace(), given.pace.interval);
            let proxy = Proxy::try_new(source.clone(), buffers, rt::clock());
            Route::proxy(path, proxy.map_err(|error| failed(&error))?)
        }
    };
    let types = match &given.source {
        Source::Files(files) => files.types.clone(),
        _ => BTreeMap::new(),
    };
    let paged = route.error_pages(&given.error_pages, &types);
    paced(paged.map_err(|error| failed(&format!("error_pages: {error}")))?, given, kinds, counts)
}

/// Gives `route` what does not depend on its source: names, fields, paces, limits and filters.
pub(super) fn paced(
    mut route: Route,
    given: &route::Route,
    kinds: &FilterKinds,
    counts: &mut BTreeMap<String, Counts>,
) -> Result<Route, AssemblyError> {
    let name = given.name();
    let failed = |error: &dyn fmt::Display| AssemblyError(format!("route {name}: {error}"));
    route = route.fields(given.headers.clone()).on_hosts(given.hosts.iter().cloned());
    let pace = &given.pace;
    route = route.rate(pace.rate.clone()).burst(pace.burst.bytes()).catch_up(pace.catch_up);
    route = route.interval(pace.interval).end_of_stream(pace.end_of_stream);
    route = route.pace_rules(given.rules.clone()).upload_pace_rules(given.upload_rules.clone());
    let limits = &given.limits;
    route = route.total(limits.total).per_client(limits.client).weight(limits.weight);
    route =
        route.report_only(limits.report_only).upload(given.upload).upload_rates(given.upload_rates.clone());
    route = route.smooth(given.smooth);
    route = route.upload_total(limits.upload_total).upload_per_client(limits.upload_client);
    if let Some(max) = given.max_body {
        route = route.max_body(max);
    }
    for filter in &given.filters {
        let wrong = |error: &dyn fmt::Display| failed(&format!("filter {}: {error}", filter.name));
        route = match &filter.kind {
            FilterKind::RoutePace => route.pace_here(),
            FilterKind::Rate(pace) => {
                let limit = Limit::unlimited().with_burst(pace.burst.bytes());
                limit.set_rates(pace.rate.clone());
                let timing = (pace.interval, pace.end_of_stream, pace.catch_up);
                route.named_pace(&filter.name, limit, timing)
            }
            FilterKind::Count => {
                let counts = counts.entry(filter.name.clone()).or_default();
                route.named_filter(&filter.name, Arc::new(CountFactory::new(counts.clone())))
            }
            FilterKind::Gzip(gzip) => {
                let factory = GzipFactory::new().level(gzip.level).min_size(gzip.min_size.bytes());
                route.named_filter(&filter.name, Arc::new(factory.types(gzip.types.clone())))
            }
            FilterKind::Replace(replace) => {
                let factory = ReplaceFactory::new(replace.from.clone(), replace.to.clone())
                    .map_err(|error| wrong(&error))?;
                route.named_filter(&filter.name, Arc::new(factory.types(replace.types.clone())))
            }
            FilterKind::Custom { kind, options } => {
                let make = kinds.0.get(kind).ok_or_else(|| wrong(&format!("no kind {kind} was added")))?;
                route.named_filter(&filter.name, make(options).map_err(|error| wrong(&error))?)
            }
        };
    }
    Ok(route)
}

/// Settings by which streams may be requested under the names of their route's `hosts`.
fn with_names(settings: &EventSettings, hosts: &[HostPattern]) -> EventSettings {
    let mut settings = settings.clone();
    let names: Vec<String> =
        hosts.iter().filter(|host| !host.is_wildcard()).map(ToString::to_string).collect();
    // Without any name all are admitted, where the address allows; one would shut those of a wildcard out.
    if names.len() == hosts.len() || !settings.server_names.is_empty() {
        settings.server_names.extend(names);
    }
    settings
}

#[cfg(feature = "events")]
fn events(
    (path, name): (&str, &str),
    settings: &EventSettings,
    tracer: Option<&Arc<Tracer>>,
) -> Result<Route, Box<dyn std::error::Error>> {
    use crate::events::Events;
    use crate::token::Token;

    let token = settings.publish_token_file.as_deref().map(Token::from_file).transpose()?;
    let events = Events::open(name, settings.clone(), token, rt::clock())?;
    if let Some(tracer) = tracer {
        events.hub().trace(Arc::clone(tracer));
    }
    Ok(Route::events(path, events))
}

#[cfg(not(feature = "events"))]
fn events(_: (&str, &str), _: &EventSettings, _: Option<&Arc<Tracer>>) -> Result<Route, &'static str> {
    Err("this build has no streams of events: build it with the feature events")
}
