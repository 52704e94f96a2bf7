//! Describes a configuration, for `check` and the start of a server.

mod classes;
mod overlay;
mod rules;
mod served;

use std::fmt::Write;
use std::path::{Component, Path, PathBuf};

use sluicegate::config::words::spell_end_of_stream;
use sluicegate::config::{
    Config, EventSettings, FilterKind, FollowLinks, HalfClose, LimitOf, MaxBody, Pace, QuotaSource, Route,
    SharedLimits, SinkSettings, Source, Tcp, TcpSource, TracingSettings,
};
use sluicegate::duration;
use sluicegate::http::HostPattern;
use sluicegate::http::proxy::{ProxySource, UpstreamUrl};
use sluicegate::http::server::Settings;
use sluicegate::limit::{Budget, Burst, Interval, Rate, Size};
use sluicegate::proxy_protocol::ProxyVersion;
use sluicegate::tls::ClientTlsSettings;
use sluicegate::tracing::CollectorUrl;

pub(super) use classes::in_short as class_limits;
pub(super) use rules::Moment;

/// Describes `config`, which was read from `file`, with the rules that hold at `moment`.
pub(super) fn of(config: &Config, file: &str, moment: &Moment) -> String {
    let mut text = format!("{file} is valid.\n\n");
    if let Some(at) = moment.shown(config) {
        line(&mut text, "at", &at);
    }
    addresses(&mut text, config);
    limits(&mut text, config, moment);
    bounds(&mut text, &config.server);
    for class in &config.classes {
        classes::describe(&mut text, class);
        scheduled(&mut text, config, &LimitOf::Class(class.name.to_string()), moment);
    }
    for route in &config.routes {
        served::route(&mut text, config, route, moment);
    }
    for (nth, port) in config.tcp.iter().enumerate() {
        served::port(&mut text, config, (nth, port), moment);
    }
    overlay::describe(&mut text, &config.overlay);
    text
}

/// Where it listens, and whom it tells or asks.
fn addresses(text: &mut String, config: &Config) {
    for addr in &config.listen {
        line(text, "listen", &addr.to_string());
    }
    for addr in &config.http_redirect {
        line(text, "redirect", &format!("{addr}, to https"));
    }
    if let Some(admin) = &config.admin {
        let token = if admin.token_file().is_some() { ", with a token" } else { "" };
        let tls = admin.tls().map_or_else(String::new, |tls| format!(", TLS {tls}"));
        line(text, "admin", &format!("{}{tls}{token}", admin.listen()));
    }
    if let Some(QuotaSource { resource, servers, client, classes, .. }) = &config.quota {
        line(text, "quota", &format!("a share of {resource} from {servers}, as client {client}"));
        for (class, resource) in classes {
            line(text, "quota", &format!("class {class}: a share of {resource}"));
        }
    }
    if let Some(tracing) = &config.tracing {
        line(text, "tracing", &self::tracing(tracing));
    }
}

/// The limits above all routes.
fn limits(text: &mut String, config: &Config, moment: &Moment) {
    let server = &config.server;
    let of_client = server.client_connections.map(|most| format!(", {most} per client address"));
    let most = format!("at most {}{}", server.max_connections, of_client.unwrap_or_default());
    line(text, "connections", &most);
    if let Some(pace) = connection_pace(&server.sink) {
        line(text, "connection", &pace);
    }
    let SharedLimits { server: all, client, key, upload, own: _ } = &server.limits;
    budgets(text, [("server", *all), ("client", *client)]);
    budgets(text, [("uploads", upload.server), ("upload client", upload.client)]);
    scheduled(text, config, &LimitOf::Server, moment);
    if [client, all, &upload.client, &upload.server].iter().any(|budget| budget.rate.is_some()) {
        line(text, "client key", &key.to_string());
    }
}

/// What is bounded for all connections.
fn bounds(text: &mut String, server: &Settings) {
    let total = server.egress_total.map(|total| Size::new(total).to_string());
    let total = total.as_deref().unwrap_or("a quarter of the memory");
    line(text, "sink", &sink(&server.sink, total));
    let [head, idle, drain] = [server.header_timeout, server.idle_timeout, server.drain].map(duration::spell);
    line(text, "timeouts", &format!("head {head}, idle {idle}, drain {drain}"));
    if server.max_body != MaxBody::OFF {
        line(text, "max body", &server.max_body.to_string());
    }
    if server.half_close != HalfClose::default() {
        line(text, "half-close", &server.half_close.to_string());
    }
    let trusted: Vec<String> = server.trusted.networks().iter().map(ToString::to_string).collect();
    if !trusted.is_empty() {
        line(text, "trusted", &trusted.join(", "));
    }
}

/// A line for each time of the schedules of the limits `of`.
fn scheduled(text: &mut String, config: &Config, of: &LimitOf, moment: &Moment) {
    for time in rules::schedules(config, of, moment) {
        line(text, "schedule", &time);
    }
}

/// A line for each of these that is a limit.
fn budgets<const N: usize>(text: &mut String, budgets: [(&str, Budget); N]) {
    for (name, budget) in budgets {
        if let Some(pace) = shared(budget) {
            line(text, name, &pace);
        }
    }
}

/// Removes `.` and `folder/..` from the paths of `config`. A `..` after a symbolic link stays: it leads elsewhere.
pub(super) fn normalise_paths(config: &mut Config) {
    let roots = config.routes.iter_mut().filter_map(|route| match &mut route.source {
        Source::Files(files) => Some(&mut files.root),
        _ => None,
    });
    let files = config.tcp.iter_mut().filter_map(|port| match &mut port.source {
        TcpSource::File { path, .. } => Some(path),
        TcpSource::Relay { .. } => None,
    });
    for path in roots.chain(files) {
        *path = normalised(path);
    }
}

fn normalised(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        let is_folder = matches!(plain.components().next_back(), Some(Component::Normal(_)));
        match part {
            Component::CurDir => {}
            Component::ParentDir if is_folder && !plain.is_symlink() => _ = plain.pop(),
            part => plain.push(part),
        }
    }
    if plain.as_os_str().is_empty() { PathBuf::from(".") } else { plain }
}

/// The source of a TCP port.
pub(super) fn tcp_source(source: &TcpSource) -> String {
    match source {
        TcpSource::File { path, follow } => {
            format!("file {}{}", path.display(), if *follow { ", followed" } else { "" })
        }
        TcpSource::Relay { to, connect_timeout, send_proxy, .. } => {
            let (header, timeout) = (proxy_header(*send_proxy), duration::spell(*connect_timeout));
            format!("relay to {to}{header}, connect timeout {timeout}")
        }
    }
}

/// The pace of a TCP port, down and up.
pub(super) fn tcp_pace(port: &Tcp) -> String {
    let down = pace(&port.pace);
    match &port.source {
        TcpSource::Relay { upload: Some(rate), .. } => format!("{down}; upload {}", rate_of(*rate)),
        _ => down,
    }
}

/// The export of spans.
fn tracing(settings: &TracingSettings) -> String {
    let to = settings.otlp.as_ref().map(CollectorUrl::for_traces);
    let to = to.as_deref().unwrap_or("where OTEL_EXPORTER_OTLP_ENDPOINT says, or port 4318 here");
    format!("spans of events to {to}, at most {} waiting", settings.queue)
}

fn line(text: &mut String, name: &str, value: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "  {name:<12} {value}");
}

/// Columns before the value of a line.
const LABEL_WIDTH: usize = 15;

/// Columns of a terminal.
const COLUMNS: usize = 80;

/// The hosts of a route if there are several, in lines that end within 80 columns if all begin at column `indent`.
pub(super) fn hosts(route: &Route, indent: usize) -> Option<String> {
    if route.hosts.len() < 2 {
        return None;
    }
    let (mut text, mut column) = (String::new(), indent);
    for (at, host) in route.hosts.iter().map(HostPattern::as_str).enumerate() {
        let comma = if at + 1 < route.hosts.len() { "," } else { "" };
        let width = host.len() + comma.len();
        if at > 0 && column + 1 + width > COLUMNS {
            let _ = write!(text, "\n{:indent$}", "");
            column = indent;
        } else if at > 0 {
            text.push(' ');
            column += 1;
        }
        let _ = write!(text, "{host}{comma}");
        column += width;
    }
    Some(text)
}

/// The source of a route.
pub(super) fn source(source: &Source) -> String {
    match source {
        Source::Files(files) => {
            let listed = if files.list { ", folders without it listed" } else { "" };
            let dotted = if files.dot_files { ", dot files too" } else { "" };
            let links = match files.follow_links {
                FollowLinks::Inside => "",
                FollowLinks::Anywhere => ", links followed anywhere",
            };
            let types = files.types.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            let types = if types.is_empty() { types } else { format!(", types of {types}") };
            format!("files in {}, index {}{listed}{dotted}{links}{types}", files.root.display(), files.index)
        }
        Source::Redirect(redirect) => format!("{} to {}", redirect.status.as_u16(), redirect.to),
        Source::Refuse(refusal) => format!("refused with {}", refusal.status.as_u16()),
        Source::Events(events) => {
            let publishers = match &events.publish_token_file {
                Some(file) => format!("with the token in {}", file.display()),
                None => "from this machine".to_owned(),
            };
            let rate =
                events.rate.map(|rate| format!("; {} a second, {} at once", rate.per_second(), events.burst));
            let EventSettings { queue, log, .. } = &**events;
            let [queued, logged] =
                [events.queue_bytes, events.log_bytes].map(|bytes| Size::new(bytes as u64));
            let [ttl, log_ttl] = [events.ttl, events.log_ttl].map(duration::spell);
            format!(
                "event streams, published {publishers}; up to {queue} events ({queued}) wait {ttl} for a subscriber, \
                 {log} ({logged}) are kept {log_ttl}{}",
                rate.unwrap_or_default()
            )
        }
        Source::Proxy(proxy) => {
            let times = [proxy.connect_timeout, proxy.response_timeout, proxy.read_timeout];
            let [connect, response, read] = times.map(duration::spell);
            let urls: Vec<_> = proxy.upstreams().map(ToString::to_string).collect();
            let (backends, urls, host) =
                (if urls.len() > 1 { "backends" } else { "backend" }, urls.join(", "), &proxy.host);
            format!(
                "{backends} {urls}{}, Host {host}{}, timeouts: connect {connect}, response {response}, read {read}",
                proxy_header(proxy.send_proxy),
                tls_of(proxy)
            )
        }
    }
}

/// The PROXY header that is sent first, if one is.
fn proxy_header(version: Option<ProxyVersion>) -> String {
    version.map_or_else(String::new, |version| format!(", PROXY header {version}"))
}

/// How backends over TLS are known, if there is one.
fn tls_of(proxy: &ProxySource) -> String {
    if !proxy.upstreams().any(UpstreamUrl::is_tls) {
        return String::new();
    }
    let ClientTlsSettings { ca, identity, name } = &*proxy.tls;
    let ca = ca.as_ref().map_or("the system's authorities".to_owned(), |ca| ca.display().to_string());
    let shown = identity.as_ref().map(|identity| format!(", shown {}", identity.certificate.display()));
    let name = name.as_ref().map(|name| format!(" as {name}"));
    format!(", verified{} by {ca}{}", name.unwrap_or_default(), shown.unwrap_or_default())
}

/// The limit of each connection, if there is one.
pub(super) fn connection_pace(sink: &SinkSettings) -> Option<String> {
    shared(Budget { report_only: sink.report_only, ..Budget::of(sink.rate).with_burst(sink.burst) })
}

/// The limit that responses share, if there is one.
pub(super) fn shared(budget: Budget) -> Option<String> {
    let report = if budget.report_only { ", only reported" } else { "" };
    Some(format!("{}{}{report}", rate_of(budget.rate?), burst(Burst::new(budget.burst))))
}

/// The buffers of readers, and when they are given up.
fn sink(sink: &SinkSettings, total: &str) -> String {
    let size = |bytes: usize| Size::new(bytes as u64);
    let (buffer, unsent, on_full) = (size(sink.buffer), size(sink.unsent), sink.on_full);
    let kernel = sink.send_buffer.map(|bytes| format!(", send buffer {}", size(bytes))).unwrap_or_default();
    let least =
        sink.min_drain_rate.map(|rate| format!(" or less than {}", rate_of(rate))).unwrap_or_default();
    let stall = duration::spell(sink.stall_timeout);
    format!(
        "buffer {buffer}, total {total}, unsent {unsent}{kernel}, on full {on_full}, closed if a reader takes \
         nothing for {stall}{least}"
    )
}

/// The pace of a route's responses.
pub(super) fn pace_of(route: &Route) -> String {
    let smooth = if route.smooth { ", smooth" } else { "" };
    let pace = format!("{}{smooth}", pace(&route.pace));
    let pace = match &route.source {
        Source::Proxy(proxy) if proxy.honour_accel => format!("{pace}; X-Accel-Limit-Rate overrides it"),
        _ => pace,
    };
    if route.limits.report_only { format!("{pace}, only reported") } else { pace }
}

fn pace(pace: &Pace) -> String {
    let Some(last) = pace.rate.last() else { return "unlimited".to_owned() };
    let rate = if pace.rate.is_single() { rate_of(last) } else { pace.rate.to_string() };
    let interval = match pace.interval {
        Interval::DEFAULT => String::new(),
        other => format!(", interval {}", duration::spell(other.duration())),
    };
    let end = spell_end_of_stream(pace.end_of_stream);
    let catch_up = match pace.catch_up {
        Some(time) => format!(", makes up {}", duration::spell(time.duration())),
        None => String::new(),
    };
    format!("{rate}{}{interval}{catch_up}, end of stream {end}", burst(pace.burst))
}

fn rate_of(rate: Rate) -> String {
    format!("{rate} ({} bytes/s)", rate.bytes_per_second())
}

fn burst(burst: Burst) -> String {
    match burst.bytes() {
        0 => String::new(),
        bytes => format!(", burst {burst} ({bytes} bytes)"),
    }
}

/// A filter's name, with its kind unless that is the same.
fn with_kind(name: &str, kind: &FilterKind) -> String {
    let kind = match kind {
        FilterKind::RoutePace => return name.to_owned(),
        FilterKind::Rate(own) => format!("rate {}", pace(own)),
        FilterKind::Count => "count".to_owned(),
        FilterKind::Gzip(gzip) => format!("gzip level {}", gzip.level),
        FilterKind::Replace(_) => "replace".to_owned(),
        FilterKind::Custom { kind, .. } => kind.clone(),
    };
    if kind == name { kind } else { format!("{name} ({kind})") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_loses_its_dots_but_not_those_behind_a_link() {
        for (path, expected) in [
            ("config/../site", "site"),
            ("./a/./b/../c/", "a/c"),
            ("../../site", "../../site"),
            ("a/..", "."),
            ("/srv/config/../site", "/srv/site"),
        ] {
            assert_eq!(normalised(Path::new(path)), Path::new(expected), "{path}");
        }
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/usr/bin", &link).unwrap();
        assert_eq!(normalised(&link.join("../x")), link.join("../x"));
    }
}
