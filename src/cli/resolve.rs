//! From what was typed to a configuration: the flags are the short form of the file.

use std::collections::BTreeMap;

use sluicegate::address::ListenAddr;
use sluicegate::config::words::{parse_end_of_stream, parse_log_level};
use sluicegate::config::{
    Absent, AdminSource, Config, FilesSource, Loader, ProxySource, Route, RouteDraft, RouteFault,
    SharedLimits, SinkDraft, SinkSettings, Source, Tcp, budget_of, check_folder, size_up_to,
};
use sluicegate::duration;
use sluicegate::http::server::{MAX_CONNECTIONS, MAX_TOTAL};
use sluicegate::limit::{Budget, Rate, Size, UnitError};
use sluicegate::sink::{MAX_BUFFER, MAX_IN_KERNEL};

use super::CliError;
use super::args::{Proxy, Run, Serve};
use super::quota;

/// Sets what is the same for all commands that serve: argh has no flags that two commands share.
macro_rules! set_server_flags {
    ($flags:ident, $config:ident, $typed:ident, $taken:expr) => {
        $config.access_log = $typed.access_log;
        set(&mut $config.log_level, $flags.read("log-level", &$typed.log_level, parse_log_level));
        set(&mut $config.drain, $flags.read("drain", &$typed.drain, duration::parse));
        set(
            &mut $config.max_connections,
            $flags.read("max-connections", &$typed.max_connections, |text| count(text, 1)),
        );
        $config.client_connections =
            $flags.read("client-connections", &$typed.client_connections, |text| count(text, 1));
        $config.admin = admin(&$flags, &$typed.admin, &$typed.admin_token_file, $taken);
        let quota = quota::source(quota::Typed {
            server: $typed.quota.as_deref(),
            resource: $typed.quota_resource.as_deref(),
            client: $typed.client_id.as_deref(),
            token_file: $typed.quota_token_file.as_deref(),
            safe_share: $typed.quota_safe_share.as_deref(),
        });
        $config.quota = $flags.together(quota).flatten();
        let client_burst = $flags.read("client-burst", &$typed.client_burst, str::parse);
        let client_rate = $flags.read("client-rate", &$typed.client_rate, Rate::parse_or_off).flatten();
        let client = budget_of(client_rate, client_burst)
            .map_err(|error| CliError::Usage(format!("--client-burst: {error}")));
        $config.limits = SharedLimits {
            server: Budget::of($flags.read("server-rate", &$typed.server_rate, Rate::parse_or_off).flatten()),
            client: $flags.together(client).unwrap_or_default(),
            key: Default::default(),
        };
        let draft = SinkDraft {
            report_only: false,
            rate: $flags.read("connection-rate", &$typed.connection_rate, Rate::parse_or_off).flatten(),
            burst: $flags.read("connection-burst", &$typed.connection_burst, str::parse),
            buffer: $flags.read("egress-buffer", &$typed.egress_buffer, |text| size(text, MAX_BUFFER)),
            on_full: $flags.read("on-full", &$typed.on_full, str::parse),
            stall_timeout: $flags.read("stall-timeout", &$typed.stall_timeout, timeout),
            min_drain_rate: $flags
                .read("min-drain-rate", &$typed.min_drain_rate, Rate::parse_or_off)
                .flatten(),
            unsent: $flags.read("unsent", &$typed.unsent, |text| size(text, MAX_IN_KERNEL)),
            send_buffer: $flags.read("send-buffer", &$typed.send_buffer, |text| size(text, MAX_IN_KERNEL)),
        };
        $config.sink = $flags.together(sink(draft, &$config.routes, &$config.tcp)).unwrap_or_default();
        let total = $flags.read("egress-total", &$typed.egress_total, |text| size(text, MAX_TOTAL));
        $config.egress_total = total.map(|bytes| bytes as u64);
        set(&mut $config.idle_timeout, $flags.read("idle-timeout", &$typed.idle_timeout, timeout));
    };
}

/// And what is the same for `serve` and `proxy`.
macro_rules! set_http_flags {
    ($flags:ident, $config:ident, $typed:ident) => {
        set(&mut $config.listen, listen(&$flags, &$typed.listen));
        set_server_flags!($flags, $config, $typed, &$config.listen);
        set(&mut $config.limits.key, $flags.read("client-key", &$typed.client_key, str::parse));
        set(&mut $config.half_close, $flags.read("half-close", &$typed.half_close, str::parse));
        set(&mut $config.header_timeout, $flags.read("header-timeout", &$typed.header_timeout, timeout));
    };
}

mod flags;
mod tcp;

pub(super) use flags::Flags;
pub(super) use tcp::tcp;

/// The same for the flags about the route.
macro_rules! route_from {
    ($flags:ident, $draft:expr, $typed:ident) => {
        $flags.together(route(RouteDraft {
            rate: $flags.read("rate", &$typed.rate, Rate::parse_or_off).flatten(),
            burst: $flags.read("burst", &$typed.burst, str::parse),
            end_of_stream: $flags.read("end-of-stream", &$typed.end_of_stream, parse_end_of_stream),
            filters: $typed.filter.clone(),
            ..$draft
        }))
    };
}

/// The configuration of `sluicegate serve`.
pub(super) fn serve(typed: &Serve) -> Result<Config, CliError> {
    let flags = Flags::default();
    let mut files = FilesSource::new(&typed.dir);
    files.list = typed.list;
    if let Some(index) =
        flags.read("index", &typed.index, |name| FilesSource::check_index(name).map(|()| name.to_owned()))
    {
        files.index = index;
    }
    files.dot_files = typed.dot_files;
    set(&mut files.follow_links, flags.read("follow-links", &typed.follow_links, str::parse));
    for text in &typed.media_type {
        let added = match text.split_once('=') {
            Some((extension, media_type)) => files.add_type(extension, media_type),
            None => Err(format!("{text:?} gives no type: write EXTENSION=TYPE, as in ts=video/mp2t")),
        };
        flags.together(added.map_err(|error| CliError::Usage(format!("--media-type: {error}"))));
    }
    let root = files.root.clone();
    let mut config = Config {
        routes: route_from!(flags, RouteDraft::new(Source::Files(files)), typed).into_iter().collect(),
        ..Config::default()
    };
    set_http_flags!(flags, config, typed);
    // The command is right; the folder may not be.
    flags.together(check_folder(&root).map_err(CliError::Failed));
    flags.finish(config)
}

/// The configuration of `sluicegate proxy`.
pub(super) fn proxy(typed: &Proxy) -> Result<Config, CliError> {
    let flags = Flags::default();
    let upstream = typed.url.parse().map_err(CliError::Usage)?;
    let mut proxy = ProxySource {
        honour_accel: !typed.ignore_accel,
        map_location: !typed.keep_location,
        via: !typed.no_via,
        ..ProxySource::new(upstream)
    };
    set(&mut proxy.host, flags.read("host", &typed.host, str::parse));
    set(&mut proxy.connect_timeout, flags.read("connect-timeout", &typed.connect_timeout, timeout));
    set(&mut proxy.response_timeout, flags.read("response-timeout", &typed.response_timeout, timeout));
    set(&mut proxy.read_timeout, flags.read("read-timeout", &typed.read_timeout, timeout));
    set(
        &mut proxy.idle_connections,
        flags.read("idle-connections", &typed.idle_connections, |text| count(text, 0)),
    );
    let head = flags.read("max-response-head", &typed.max_response_head, |text| {
        let size = text.parse().map_err(|error: UnitError| error.to_string())?;
        ProxySource::check_response_head(size)
    });
    set(&mut proxy.max_response_head, head);
    let fields = flags.read("max-response-fields", &typed.max_response_fields, |text| {
        let number = text.parse().map_err(|_| format!("{text:?} is not a number from 1 to 4096"))?;
        ProxySource::check_response_fields(number)
    });
    set(&mut proxy.max_response_fields, fields);
    set(&mut proxy.tunnel_timeout, flags.read("tunnel-timeout", &typed.tunnel_timeout, timeout));
    let kept = flags.read("idle-connection-timeout", &typed.idle_connection_timeout, timeout);
    set(&mut proxy.idle_connection_timeout, kept);

    let mut config = Config {
        routes: route_from!(flags, RouteDraft::new(Source::Proxy(proxy)), typed).into_iter().collect(),
        ..Config::default()
    };
    config.trusted_proxies = flags.all("trusted-proxy", &typed.trusted_proxy, str::parse);
    set_http_flags!(flags, config, typed);
    flags.finish(config)
}

/// The configuration of `sluicegate run`.
pub(super) fn run(typed: &Run) -> Result<Config, CliError> {
    // What was typed is looked at first: a wrong flag is a wrong flag, whatever the file is like.
    let flags = Flags::default();
    let log_level = flags.read("log-level", &typed.log_level, parse_log_level);
    let listen = listen(&flags, &typed.listen);
    flags.finish(())?;
    let mut config = load(&typed.file, Absent::Fault)?;
    if listen.is_some() && config.routes.is_empty() {
        let text =
            "--listen: it is for HTTP, and the file has no [[route]]; set listen of its [[tcp]] instead";
        return Err(CliError::Usage(text.to_owned()));
    }
    set(&mut config.log_level, log_level);
    set(&mut config.listen, listen);
    Ok(config)
}

/// The configuration in `file`.
pub(super) fn load(file: &str, absent: Absent) -> Result<Config, CliError> {
    Loader::new().absent(absent).load(file).map_err(|error| CliError::Failed(error.to_string()))
}

/// The route of a command that has one: for every path.
pub(super) fn route(draft: RouteDraft) -> Result<Route, CliError> {
    draft.finish(&BTreeMap::new()).map_err(route_faults)
}

/// The faults of a route or a port, each with its flag.
fn route_faults(faults: Vec<RouteFault>) -> CliError {
    let flag = |key: &str| if key == "filters" { "filter".to_owned() } else { key.replace('_', "-") };
    let texts = faults.iter().map(|fault| format!("--{}: {}", flag(fault.key), fault.text));
    CliError::Usage(texts.collect::<Vec<_>>().join("\n"))
}

/// The sink of a command's connections.
pub(super) fn sink(draft: SinkDraft, routes: &[Route], tcp: &[Tcp]) -> Result<SinkSettings, CliError> {
    draft.finish(routes, tcp).map_err(|faults| {
        let texts = faults.iter().map(|fault| {
            let flag = match fault.key {
                "burst" => "connection-burst",
                "buffer" => "egress-buffer",
                _ => "on-full",
            };
            format!("--{flag}: {}", fault.text)
        });
        CliError::Usage(texts.collect::<Vec<_>>().join("\n"))
    })
}

/// The admin listener, if one was typed.
pub(super) fn admin(
    flags: &Flags,
    addr: &Option<String>,
    token_file: &Option<String>,
    clients: &[ListenAddr],
) -> Option<AdminSource> {
    let Some(listen) = flags.read("admin", addr, str::parse) else {
        if token_file.is_some() {
            let text = "--admin-token-file: it protects nothing; give --admin too, or leave it out";
            flags.together::<()>(Err(CliError::Usage(text.to_owned())));
        }
        return None;
    };
    let source = AdminSource::new(listen, token_file.as_ref().map(Into::into), clients);
    flags.together(source.map_err(|error| CliError::Usage(format!("--admin: {error}"))))
}

/// The addresses typed, if any were.
pub(super) fn listen(flags: &Flags, typed: &[String]) -> Option<Vec<ListenAddr>> {
    let addrs: Vec<ListenAddr> = flags.all("listen", typed, str::parse);
    for (index, addr) in addrs.iter().enumerate() {
        if addrs[..index].iter().any(|other| addr.clashes_with(other)) {
            let text = format!("--listen: {addr} stands here twice; leave one out");
            flags.together::<()>(Err(CliError::Usage(text)));
        }
    }
    (!addrs.is_empty()).then_some(addrs)
}

pub(super) fn set<T>(setting: &mut T, typed: Option<T>) {
    if let Some(typed) = typed {
        *setting = typed;
    }
}

pub(super) fn timeout(text: &str) -> Result<std::time::Duration, duration::DurationError> {
    duration::parse(text).and_then(duration::positive)
}

pub(super) fn size(text: &str, most: Size) -> Result<usize, String> {
    text.parse().map_err(|error: UnitError| error.to_string()).and_then(|size| size_up_to(size, most))
}

pub(super) fn count(text: &str, least: usize) -> Result<usize, String> {
    let is_plain = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    let number = text.parse().ok().filter(|number| is_plain && (least..=MAX_CONNECTIONS).contains(number));
    number.ok_or_else(|| format!("{text:?} is not a number from {least} to {MAX_CONNECTIONS}"))
}

#[cfg(test)]
mod tests;
