//! The configuration of a server, and how it is read.

use std::collections::{BTreeMap, BTreeSet};

use log::LevelFilter;

use super::filters::{self, FilterKind};
use super::listen::{self, Listen, TlsTables};
use super::overlay::OverlaySource;
use super::route::{self, Route, Source};
use super::schedules::Schedules;
use super::sources;
use super::tcp::Tcp;
use super::words;
use crate::address::ListenAddr;
use crate::admin::AdminSource;
use crate::events::EventStore;
use crate::http::server::Settings;
use crate::http::{ClassName, ClassSettings, LimitOf, LimitSchedule};
use crate::keys::{Absent, ConfigError, Draft, FaultKind, Keys, Place, Reading};
use crate::live_limits::LimitSources;
use crate::logging::{AccessLogSettings, LogFormat};
use crate::quota::QuotaSource;
use crate::schedule::Zone;
use crate::sink::OnFull;
use crate::tls::TlsSettings;
use crate::tracing::TracingSettings;
use crate::words::shorten;

/// Everything that a server is made from.
///
/// ```
/// use sluicegate::config::{Config, FilesSource, Route, RoutePath, Source};
/// use sluicegate::limit::Rate;
///
/// let mut route = Route::new(RoutePath::root(), Source::Files(FilesSource::new("src")));
/// route.pace.rate = Rate::or_unlimited(61_440).into();
/// let config = Config { routes: vec![route], ..Config::default() };
/// assert_eq!(config.listen[0].to_string(), "127.0.0.1:8080");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Addresses for HTTP. Default: 127.0.0.1:8080, so that nothing is public unasked; none, if a file has
    /// `[[tcp]]` and no `[[route]]`.
    pub listen: Vec<Listen>,
    /// TLS by name, for `listen`, the admin listener and ports of raw TCP. Default none.
    pub tls: BTreeMap<String, TlsSettings>,
    /// Addresses whose HTTP clients are sent to the first of `listen` with TLS. Default none.
    pub http_redirect: Vec<Listen>,
    /// Least severe level that is logged. Default info.
    pub log_level: LevelFilter,
    /// Form of log lines. Default text on a terminal, JSON elsewhere.
    pub log_format: LogFormat,
    /// The access log. Default off.
    pub access_log: AccessLogSettings,
    /// The time zone of rules that name none. Default UTC.
    pub time_zone: Zone,
    /// Settings of all connections.
    pub server: Settings,
    /// Shared limits that follow the time of the week: of the server, classes, routes and ports of raw TCP. Default none.
    pub schedules: Vec<LimitSchedule>,
    /// Classes of clients; the first that has a client is its class. Default none.
    pub classes: Vec<ClassSettings>,
    /// Listener for metrics and health. Default none.
    pub admin: Option<AdminSource>,
    /// Fleet limit of which the server sends at most its share, besides its own limits. Default none.
    pub quota: Option<QuotaSource>,
    /// Export of spans of traced events. Default none.
    pub tracing: Option<TracingSettings>,
    /// Routes in the order of the file. The longest path that matches a request wins.
    pub routes: Vec<Route>,
    /// Ports of raw TCP.
    pub tcp: Vec<Tcp>,
    /// Limits that were set by hand and saved, over those of the configuration. Default: none, and none can be saved.
    pub overlay: OverlaySource,
    /// Where the limits were given, for lists. Default: nowhere.
    pub limit_sources: LimitSources,
    /// Probable mistakes that do no harm, one line each, to be shown to the user.
    pub warnings: Vec<String>,
}

impl Default for Config {
    /// Listens on 127.0.0.1:8080 and has no routes.
    fn default() -> Self {
        Self {
            listen: listen::default_addresses(),
            tls: BTreeMap::new(),
            http_redirect: Vec::new(),
            log_level: LevelFilter::Info,
            log_format: LogFormat::default(),
            access_log: AccessLogSettings::default(),
            time_zone: Zone::default(),
            server: Settings::default(),
            classes: Vec::new(),
            schedules: Vec::new(),
            admin: None,
            quota: None,
            tracing: None,
            routes: Vec::new(),
            tcp: Vec::new(),
            overlay: OverlaySource::default(),
            limit_sources: LimitSources::default(),
            warnings: Vec::new(),
        }
    }
}

impl Config {
    /// Reads all keys of `draft` and checks them against one another.
    pub(super) fn read(
        draft: &Draft,
        custom_kinds: &BTreeSet<String>,
        absent: Absent,
    ) -> Result<Self, ConfigError> {
        let reading = Reading::new(draft, absent);
        let keys = Keys::top(&reading);
        let named = filters::read(&keys.table("filter", " [filter.NAME] for each filter"), custom_kinds);
        let server = Settings::read(&keys);
        let log_level = keys.parse_with("log_level", words::parse_log_level);
        let log_format = keys.parse("log_format");
        let access_log = AccessLogSettings::read(&keys);
        let mut tls = TlsTables::read(&keys.table("tls", " [tls.NAME] for each set of certificates"));
        let listen = listen::read(&keys, !keys.has("route") && keys.has("tcp"), &mut tls);
        let http_redirect = listen::read_redirect(&keys, &listen);
        let tables = keys.tables("route");
        let has_events = tables.iter().any(|route| route.has("events")) || keys.failed(&["route"]);
        let time_zone: Zone = keys.parse("time_zone").unwrap_or_default();
        let class_tables = keys.tables("class");
        let classes = ClassSettings::read_all(&keys, &server.limits);
        let mut schedules = shared_schedules(&keys, &server, (&class_tables, &classes), &time_zone);
        let mut above = above_routes(&keys, &classes, &time_zone);
        let routes = read_routes(tables, &filter_kinds(&named, custom_kinds), &mut above, &mut schedules);
        let listeners = route::Listeners { listen: &listen, http_redirect: &http_redirect };
        above.check_redirects(&keys, &routes, &listeners);
        let http = listen.iter().chain(&http_redirect);
        let mut taken: Vec<ListenAddr> = http.clone().map(|listen| listen.address.clone()).collect();
        let tcp = read_ports(&keys, (&mut taken, &mut tls), &time_zone, &mut schedules);
        check_sink(&keys, &server, &routes, &tcp);
        check_trusted(&keys, &server, http, &tcp);
        check_certificates(&keys, &reading, (&server, &classes), (&listen, &tcp), &tls);
        check_smooth(&keys, &server, &routes);
        let overlay = Self::read_overlay(&keys, draft.path.as_deref());
        let admin = read_admin(&keys, &taken, &mut tls);
        let tracing = read_tracing(&keys, has_events);
        let quota = read_quota(&keys, &classes);
        check_is_something(&keys, &reading, routes.len() + tcp.len());
        warn_of_unused(&reading, &named, &routes);
        Ok(Self {
            limit_sources: sources::of(draft, &classes, &routes),
            listen,
            tls: tls.finish(&reading),
            http_redirect,
            log_level: log_level.unwrap_or(LevelFilter::Info),
            log_format: log_format.unwrap_or_default(),
            access_log,
            time_zone,
            server,
            classes,
            schedules,
            admin,
            quota,
            tracing,
            routes,
            tcp,
            overlay,
            warnings: reading.finish()?,
        })
    }
}

/// All that a route's `filters` may name: the tables, and the kinds that a program adds, without options.
fn filter_kinds(named: &filters::Named, custom_kinds: &BTreeSet<String>) -> BTreeMap<String, FilterKind> {
    let mut kinds: BTreeMap<String, FilterKind> =
        named.iter().map(|(name, (_, kind))| (name.clone(), kind.clone())).collect();
    for kind in custom_kinds {
        let options = toml::Table::new();
        kinds.entry(kind.clone()).or_insert_with(|| FilterKind::Custom { kind: kind.clone(), options });
    }
    kinds
}

/// Tells that nothing is served, if nothing else is wrong.
fn check_is_something(keys: &Keys<'_>, reading: &Reading<'_>, served: usize) {
    if served == 0 && reading.is_good() {
        let text = "nothing to serve; add a [[route]] with a path and files, proxy or events";
        keys.table_fault(Place::Whole, text);
    }
}

/// Warns of tables of filters that no route names.
fn warn_of_unused(reading: &Reading<'_>, named: &filters::Named, routes: &[Route]) {
    let used: BTreeSet<&str> =
        routes.iter().flat_map(|route| &route.filters).map(|filter| filter.name.as_str()).collect();
    for (name, (at, _)) in named.iter().filter(|(name, _)| !used.contains(name.as_str())) {
        let text = format!("[filter.{name}] is not used; name it in the filters of a [[route]]");
        reading.note(FaultKind::Warning, at.clone(), text);
    }
}

/// What routes are read below: the classes that they may name, and the time zone of rules that name none.
fn above_routes(keys: &Keys<'_>, classes: &[ClassSettings], zone: &Zone) -> route::Above {
    let mut above = route::Above::default();
    above.zone.clone_from(zone);
    above.classes = classes.iter().map(|class| class.name.clone()).collect();
    above.are_classes_bad = keys.failed(&["class"]);
    above
}

/// Reads all `[[route]]`, and adds the schedules of their limits.
fn read_routes(
    tables: Vec<Keys<'_>>,
    kinds: &BTreeMap<String, FilterKind>,
    above: &mut route::Above,
    schedules: &mut Vec<LimitSchedule>,
) -> Vec<Route> {
    let mut routes = Vec::new();
    for table in tables {
        let route = Route::read(table.clone(), kinds, above);
        check_store(&table, route.as_ref(), &routes);
        // Also of a route that could not be read: its keys are known.
        let of_route = Schedules::of_route(&table.table("limits", ROUTE_LIMITS), &above.zone);
        if let Some(route) = route {
            schedules.extend(of_route.named(&LimitOf::Route(route.name()), route.limits.in_order()));
            routes.push(route);
        }
    }
    routes
}

/// Reads all `[[tcp]]`, and adds their addresses to those taken and the schedules of their limits.
fn read_ports(
    keys: &Keys<'_>,
    (taken, tls): (&mut Vec<ListenAddr>, &mut TlsTables),
    zone: &Zone,
    schedules: &mut Vec<LimitSchedule>,
) -> Vec<Tcp> {
    let mut ports = Vec::new();
    for table in keys.tables("tcp") {
        let port = Tcp::read(table.clone(), taken, tls);
        let of_port = Schedules::of_route(&table.table("limits", ROUTE_LIMITS), zone);
        if let Some(port) = port {
            let of = LimitOf::Port(ports.len(), format!("tcp:{}", port.listen));
            schedules.extend(of_port.named(&of, port.limits.in_order()));
            taken.push(ListenAddr::Tcp(port.listen));
            ports.push(port);
        }
    }
    ports
}

/// Checks that the proxies are named that announce clients to listeners.
fn check_trusted<'a>(
    keys: &Keys<'_>,
    server: &Settings,
    http: impl Iterator<Item = &'a Listen>,
    tcp: &[Tcp],
) {
    let announced = tcp.iter().filter(|port| port.proxy_protocol).map(|port| port.listen);
    listen::check_trusted(keys, server, http.filter_map(Listen::announced_at).chain(announced));
}

/// Checks that clients are asked for certificates where classes or the limit of each client go by them.
fn check_certificates(
    keys: &Keys<'_>,
    reading: &Reading<'_>,
    (server, classes): (&Settings, &[ClassSettings]),
    (listen, tcp): (&[Listen], &[Tcp]),
    tls: &TlsTables,
) {
    let ports = tcp.iter().map(|port| (format!("[[tcp]] {}", port.listen), port.tls.as_deref()));
    let served = listen.iter().map(|listen| (listen.address.to_string(), listen.tls.as_deref()));
    let served = served.chain(ports);
    listen::check_class_certificates(keys, reading, classes, served.clone().filter_map(|(_, tls)| tls), tls);
    listen::check_client_key(keys, reading, server, served, tls);
}

/// Reads the admin listener with its TLS.
fn read_admin(keys: &Keys<'_>, taken: &[ListenAddr], tls: &mut TlsTables) -> Option<AdminSource> {
    let admin = AdminSource::read(keys, taken);
    let admin_tls = tls.choose_by(Some(keys), "admin_tls", None);
    if admin.is_none() && admin_tls.is_some() && !keys.has("admin") {
        let text = format!(
            "there is nothing to secure; give {} too, or leave it out",
            keys.flag_or("admin", "admin")
        );
        keys.fault("admin_tls", text);
    }
    admin.map(|admin| admin.with_tls(admin_tls))
}

/// Reads `[tracing]`, which is of use with streams of events.
fn read_tracing(keys: &Keys<'_>, has_events: bool) -> Option<TracingSettings> {
    let tracing = keys.table("tracing", " such as { otlp = \"http://127.0.0.1:4318\" }");
    let is_given = keys.has("tracing");
    if is_given && !has_events {
        let text = "[tracing] is for streams of events, and no [[route]] has any; leave it out";
        tracing.table_fault(None, text);
    }
    is_given.then(|| TracingSettings::read(&tracing))
}

/// Reads `[quota]`.
fn read_quota(keys: &Keys<'_>, classes: &[ClassSettings]) -> Option<QuotaSource> {
    let quota = keys.table("quota", "");
    let names: Vec<&str> = classes.iter().map(|class| class.name.as_str()).collect();
    keys.has("quota").then(|| QuotaSource::read(&quota, &names)).flatten()
}

/// Completes "expected a table" for the limits of a route.
const ROUTE_LIMITS: &str = " such as { total = { rate = \"20m\" } }";

/// Reads the schedules of the limits of the server and of classes.
fn shared_schedules(
    keys: &Keys<'_>,
    server: &Settings,
    (tables, classes): (&[Keys<'_>], &[ClassSettings]),
    zone: &Zone,
) -> Vec<LimitSchedule> {
    let of_server = Schedules::of_server(&keys.table("limits", ""), zone);
    let mut all: Vec<_> = of_server.clone().named(&LimitOf::Server, server.limits.in_order()).collect();
    for table in tables {
        let limits = table.table("limits", ROUTE_LIMITS);
        let of_class = Schedules::of_class(&limits, zone).inheriting(&limits, &of_server);
        let name: Option<ClassName> = table.parse("name");
        if let Some(class) = name.and_then(|name| classes.iter().find(|class| class.name == name)) {
            all.extend(of_class.named(&LimitOf::Class(class.name.to_string()), class.limits.in_order()));
        }
    }
    all
}

/// A reader of a smooth response is not slow because the kernel holds its bytes back.
fn check_smooth(keys: &Keys<'_>, server: &Settings, routes: &[Route]) {
    if server.sink.on_full == OnFull::Close
        && let Some(route) = routes.iter().find(|route| route.smooth)
    {
        let text = format!(
            "\"close\" would reset readers of route {:?}, whose bytes smooth = true has the kernel hold back; leave one out",
            shorten(&route.name())
        );
        keys.table("sink", "").fault("on_full", text);
    }
}

/// Checks that no other route keeps its streams in the same store.
fn check_store(table: &Keys<'_>, route: Option<&Route>, before: &[Route]) {
    let store = |route: &Route| match &route.source {
        Source::Events(events) => {
            Some(events.store.clone()).filter(|store| matches!(store, EventStore::File(_)))
        }
        _ => None,
    };
    let Some(own) = route.and_then(store) else { return };
    if let Some(other) = before.iter().find(|other| store(other).as_ref() == Some(&own)) {
        let text = format!("it is that of route {:?}; give each a file of its own", shorten(&other.name()));
        table.table("events", "").fault("store", text);
    }
}

/// Checks what happens to slow readers against the paces of all that is served.
fn check_sink(keys: &Keys<'_>, server: &Settings, routes: &[Route], tcp: &[Tcp]) {
    let sink = keys.table("sink", "");
    if sink.failed(&["buffer"]) || keys.table("limits", "").table("connection", "").failed(&["rate"]) {
        return;
    }
    let named = |route: &Route| (format!("route {:?}", shorten(&route.name())), route.fastest());
    let ports = tcp.iter().map(|port| (format!("[[tcp]] {}", port.listen), port.pace.limit()));
    for fault in server.sink.check(routes.iter().map(named).chain(ports)) {
        sink.fault_near(fault.key, &["on_full"], fault.text);
    }
}
