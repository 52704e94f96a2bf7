//! Describes a configuration, for `check` and the start of a server.

use std::fmt::Write;
use std::path::{Component, Path, PathBuf};

use sluicegate::config::words::spell_end_of_stream;
use sluicegate::config::{
    Config, FilterKind, FollowLinks, HalfClose, Pace, Route, SinkSettings, Source, Tcp, TcpSource,
    TracingSettings,
};
use sluicegate::duration;
use sluicegate::limit::{Budget, Burst, Interval, Rate, Size};
use sluicegate::tracing::CollectorUrl;

/// Describes `config`, which was read from `file`.
pub(super) fn of(config: &Config, file: &str) -> String {
    let mut text = format!("{file} is valid.\n\n");
    for addr in &config.listen {
        line(&mut text, "listen", &addr.to_string());
    }
    if let Some(admin) = &config.admin {
        let token = if admin.token_file().is_some() { ", with a token" } else { "" };
        line(&mut text, "admin", &format!("{}{token}", admin.listen()));
    }
    if let Some(quota) = &config.quota {
        line(
            &mut text,
            "quota",
            &format!("a share of {} from {}, as client {}", quota.resource, quota.server, quota.client),
        );
    }
    if let Some(tracing) = &config.tracing {
        line(&mut text, "tracing", &self::tracing(tracing));
    }
    let of_client = config
        .server
        .client_connections
        .map_or_else(String::new, |most| format!(", {most} per client address"));
    line(&mut text, "connections", &format!("at most {}{of_client}", config.server.max_connections));
    if let Some(pace) = connection_pace(&config.server.sink) {
        line(&mut text, "connection", &pace);
    }
    for (name, budget) in [("server", config.server.limits.server), ("client", config.server.limits.client)] {
        if let Some(pace) = shared(budget) {
            line(&mut text, name, &pace);
        }
    }
    if config.server.limits.client.rate.is_some() || config.server.limits.server.rate.is_some() {
        line(&mut text, "client key", &config.server.limits.key.to_string());
    }
    let total = config.server.egress_total.map(|total| format!(", total {}", Size::new(total)));
    let total = total.unwrap_or_else(|| ", total a quarter of the memory".to_owned());
    line(&mut text, "sink", &sink(&config.server.sink, &total));
    let timeouts = format!(
        "head {}, idle {}, drain {}",
        duration::spell(config.server.header_timeout),
        duration::spell(config.server.idle_timeout),
        duration::spell(config.server.drain)
    );
    line(&mut text, "timeouts", &timeouts);
    if config.server.half_close != HalfClose::default() {
        line(&mut text, "half-close", &config.server.half_close.to_string());
    }
    if !config.server.trusted.networks().is_empty() {
        let peers: Vec<String> = config.server.trusted.networks().iter().map(ToString::to_string).collect();
        line(&mut text, "trusted", &peers.join(", "));
    }
    for route in &config.routes {
        let _ = writeln!(text, "\n{}", route.path);
        line(&mut text, "source", &source(&route.source));
        line(&mut text, "pace", &pace_of(route));
        for (name, budget) in [("total", route.limits.total), ("client", route.limits.client)] {
            if let Some(pace) = shared(budget) {
                line(&mut text, name, &pace);
            }
        }
        if !route.filters.is_empty() {
            let filters: Vec<String> =
                route.filters.iter().map(|filter| with_kind(&filter.name, &filter.kind)).collect();
            line(&mut text, "filters", &filters.join(", "));
        }
    }
    for port in &config.tcp {
        let _ = writeln!(text, "\ntcp:{}", port.listen);
        line(&mut text, "source", &tcp_source(&port.source));
        line(&mut text, "pace", &tcp_pace(port));
        for (name, budget) in [("total", port.limits.total), ("client", port.limits.client)] {
            if let Some(pace) = shared(budget) {
                line(&mut text, name, &pace);
            }
        }
    }
    text
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
        TcpSource::Relay { to, connect_timeout, .. } => {
            format!("relay to {to}, connect timeout {}", duration::spell(*connect_timeout))
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
            let types: Vec<&str> = files.types.keys().map(String::as_str).collect();
            let types =
                if types.is_empty() { String::new() } else { format!(", types of {}", types.join(", ")) };
            format!("files in {}, index {}{listed}{dotted}{links}{types}", files.root.display(), files.index)
        }
        Source::Events(events) => {
            let publishers = match &events.publish_token_file {
                Some(file) => format!("with the token in {}", file.display()),
                None => "from this machine".to_owned(),
            };
            let rate = events.rate.map_or(String::new(), |rate| {
                format!("; {} a second, {} at once", rate.per_second(), events.burst)
            });
            let sizes = [events.queue_bytes, events.log_bytes].map(|bytes| Size::new(bytes as u64));
            format!(
                "event streams, published {publishers}; up to {} events ({}) wait {} for a subscriber, {} ({}) are \
                 kept {}{rate}",
                events.queue,
                sizes[0],
                duration::spell(events.ttl),
                events.log,
                sizes[1],
                duration::spell(events.log_ttl)
            )
        }
        Source::Proxy(proxy) => format!(
            "backend {}, Host {}, timeouts: connect {}, response {}, read {}",
            proxy.upstream,
            proxy.host,
            duration::spell(proxy.connect_timeout),
            duration::spell(proxy.response_timeout),
            duration::spell(proxy.read_timeout)
        ),
    }
}

/// The limit of each connection, if there is one.
pub(super) fn connection_pace(sink: &SinkSettings) -> Option<String> {
    let report = if sink.report_only { ", only reported" } else { "" };
    sink.rate.map(|rate| format!("{}, {}{report}", rate_of(rate), burst(Burst::new(sink.burst))))
}

/// The limit that responses share, if there is one.
pub(super) fn shared(budget: Budget) -> Option<String> {
    let rate = budget.rate?;
    let burst =
        if budget.burst == 0 { String::new() } else { format!(", {}", burst(Burst::new(budget.burst))) };
    let report = if budget.report_only { ", only reported" } else { "" };
    Some(format!("{}{burst}{report}", rate_of(rate)))
}

/// The buffers of readers, and when they are given up.
fn sink(sink: &SinkSettings, total: &str) -> String {
    let buffer = Size::new(sink.buffer as u64);
    let unsent = Size::new(sink.unsent as u64);
    let kernel = sink
        .send_buffer
        .map_or_else(String::new, |bytes| format!(", send buffer {}", Size::new(bytes as u64)));
    let least =
        sink.min_drain_rate.map_or_else(String::new, |rate| format!(" or less than {}", rate_of(rate)));
    format!(
        "buffer {buffer}{total}, unsent {unsent}{kernel}, on full {}, closed if a reader takes nothing for {}{least}",
        sink.on_full,
        duration::spell(sink.stall_timeout)
    )
}

/// The pace of a route's responses.
pub(super) fn pace_of(route: &Route) -> String {
    let pace = pace(&route.pace);
    let pace = match &route.source {
        Source::Proxy(proxy) if proxy.honour_accel => format!("{pace}; X-Accel-Limit-Rate overrides it"),
        _ => pace,
    };
    if route.limits.report_only { format!("{pace}, only reported") } else { pace }
}

fn pace(pace: &Pace) -> String {
    let Some(rate) = pace.rate else { return "unlimited".to_owned() };
    let burst =
        if pace.burst == Burst::default() { String::new() } else { format!(", {}", burst(pace.burst)) };
    let interval = match pace.interval {
        Interval::DEFAULT => String::new(),
        other => format!(", interval {}", duration::spell(other.duration())),
    };
    format!("{}{burst}{interval}, end of stream {}", rate_of(rate), spell_end_of_stream(pace.end_of_stream))
}

fn rate_of(rate: Rate) -> String {
    format!("{rate} ({} bytes/s)", rate.bytes_per_second())
}

fn burst(burst: Burst) -> String {
    format!("burst {burst} ({} bytes)", burst.bytes())
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
