//! From what was typed to a configuration: the flags are the short form of the file.

use std::collections::BTreeMap;
use std::fmt::Display;

use sluicegate::config::words::{parse_end_of_stream, parse_log_level, parse_on_full};
use sluicegate::config::{
    AdminSource, Config, FilesSource, ListenAddr, MOST_BUFFER, MOST_CONNECTIONS, MOST_IN_KERNEL, MOST_TOTAL,
    ProxySource, Route, RouteDraft, SharedLimits, SinkDraft, SinkSettings, Source, Tcp, budget_of, duration,
    size_up_to,
};
use sluicegate::limit::{Budget, Rate, Size, UnitError};

use super::CliError;
use super::args::{Proxy, Run, Serve};
use super::quota;

/// Sets what is the same for all commands that serve: argh has no flags that two commands share.
macro_rules! set_server_flags {
    ($config:ident, $typed:ident, $taken:expr) => {
        $config.access_log = $typed.access_log;
        set(&mut $config.log_level, flag("log-level", &$typed.log_level, parse_log_level)?);
        set(&mut $config.drain, flag("drain", &$typed.drain, duration::parse)?);
        set(
            &mut $config.max_connections,
            flag("max-connections", &$typed.max_connections, |text| count(text, 1))?,
        );
        $config.client_connections =
            flag("client-connections", &$typed.client_connections, |text| count(text, 1))?;
        $config.admin = admin(&$typed.admin, &$typed.admin_token_file, $taken)?;
        $config.quota = quota::source(quota::Typed {
            server: $typed.quota.as_deref(),
            resource: $typed.quota_resource.as_deref(),
            client: $typed.client_id.as_deref(),
            token_file: $typed.quota_token_file.as_deref(),
            safe_share: $typed.quota_safe_share.as_deref(),
        })?;
        let client_burst = flag("client-burst", &$typed.client_burst, str::parse)?;
        let client_rate = flag("client-rate", &$typed.client_rate, Rate::parse_or_off)?.flatten();
        $config.limits = SharedLimits {
            server: Budget::of(flag("server-rate", &$typed.server_rate, Rate::parse_or_off)?.flatten()),
            client: budget_of(client_rate, client_burst)
                .map_err(|error| CliError::Usage(format!("--client-burst: {error}")))?,
            key: Default::default(),
        };
        let draft = SinkDraft {
            report_only: false,
            rate: flag("connection-rate", &$typed.connection_rate, Rate::parse_or_off)?.flatten(),
            burst: flag("connection-burst", &$typed.connection_burst, str::parse)?,
            buffer: flag("egress-buffer", &$typed.egress_buffer, |text| size(text, MOST_BUFFER))?,
            on_full: flag("on-full", &$typed.on_full, parse_on_full)?,
            stall_timeout: flag("stall-timeout", &$typed.stall_timeout, timeout)?,
            min_drain_rate: flag("min-drain-rate", &$typed.min_drain_rate, Rate::parse_or_off)?.flatten(),
            unsent: flag("unsent", &$typed.unsent, |text| size(text, MOST_IN_KERNEL))?,
            send_buffer: flag("send-buffer", &$typed.send_buffer, |text| size(text, MOST_IN_KERNEL))?,
        };
        $config.sink = sink(draft, &$config.routes, &$config.tcp)?;
        let total = flag("egress-total", &$typed.egress_total, |text| size(text, MOST_TOTAL))?;
        $config.egress_total = total.map(|bytes| bytes as u64);
        set(&mut $config.idle_timeout, flag("idle-timeout", &$typed.idle_timeout, timeout)?);
    };
}

/// And what is the same for `serve` and `proxy`.
macro_rules! set_http_flags {
    ($config:ident, $typed:ident) => {
        set(&mut $config.listen, listen(&$typed.listen)?);
        set_server_flags!($config, $typed, &$config.listen);
        set(&mut $config.limits.key, flag("client-key", &$typed.client_key, str::parse)?);
        set(&mut $config.header_timeout, flag("header-timeout", &$typed.header_timeout, timeout)?);
    };
}

mod tcp;

pub(super) use tcp::tcp;

/// The same for the flags about the route.
macro_rules! route_from {
    ($draft:expr, $typed:ident) => {
        route(RouteDraft {
            rate: flag("rate", &$typed.rate, Rate::parse_or_off)?.flatten(),
            burst: flag("burst", &$typed.burst, str::parse)?,
            end_of_stream: flag("end-of-stream", &$typed.end_of_stream, parse_end_of_stream)?,
            filters: $typed.filter.clone(),
            ..$draft
        })?
    };
}

/// The configuration of `sluicegate serve`.
pub(super) fn serve(typed: &Serve) -> Result<Config, CliError> {
    let mut files = FilesSource::new(&typed.dir);
    files.list = typed.list;
    if let Some(index) =
        flag("index", &typed.index, |name| FilesSource::check_index(name).map(|()| name.to_owned()))?
    {
        files.index = index;
    }
    let mut config = Config {
        routes: vec![route_from!(RouteDraft::new(Source::Files(files)), typed)],
        ..Config::default()
    };
    set_http_flags!(config, typed);
    Ok(config)
}

/// The configuration of `sluicegate proxy`.
pub(super) fn proxy(typed: &Proxy) -> Result<Config, CliError> {
    let upstream = typed.url.parse().map_err(CliError::Usage)?;
    let mut proxy = ProxySource {
        honour_accel: !typed.ignore_accel,
        map_location: !typed.keep_location,
        via: !typed.no_via,
        ..ProxySource::new(upstream)
    };
    set(&mut proxy.host, flag("host", &typed.host, str::parse)?);
    set(&mut proxy.connect_timeout, flag("connect-timeout", &typed.connect_timeout, timeout)?);
    set(&mut proxy.response_timeout, flag("response-timeout", &typed.response_timeout, timeout)?);
    set(&mut proxy.read_timeout, flag("read-timeout", &typed.read_timeout, timeout)?);
    set(
        &mut proxy.idle_connections,
        flag("idle-connections", &typed.idle_connections, |text| count(text, 0))?,
    );
    let kept = flag("idle-connection-timeout", &typed.idle_connection_timeout, timeout)?;
    set(&mut proxy.idle_connection_timeout, kept);

    let mut config = Config {
        routes: vec![route_from!(RouteDraft::new(Source::Proxy(proxy)), typed)],
        ..Config::default()
    };
    config.trusted_proxies = all("trusted-proxy", &typed.trusted_proxy, str::parse)?;
    set_http_flags!(config, typed);
    Ok(config)
}

/// The configuration of `sluicegate run`.
pub(super) fn run(typed: &Run) -> Result<Config, CliError> {
    // What was typed is looked at first: a wrong flag is a wrong flag, whatever the file is like.
    let log_level = flag("log-level", &typed.log_level, parse_log_level)?;
    let listen = listen(&typed.listen)?;
    let mut config = load(&typed.file)?;
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
pub(super) fn load(file: &str) -> Result<Config, CliError> {
    Config::load(file).map_err(|error| CliError::Failed(error.to_string()))
}

/// The route of a command that has one: for every path.
pub(super) fn route(draft: RouteDraft) -> Result<Route, CliError> {
    draft.finish(&BTreeMap::new()).map_err(|faults| {
        let (root, typed): (Vec<_>, Vec<_>) = faults.into_iter().partition(|fault| fault.key == "files");
        match typed.first() {
            Some(fault) if fault.key == "filters" => CliError::Usage(format!("--filter: {}", fault.text)),
            Some(fault) => CliError::Usage(format!("--{}: {}", fault.key.replace('_', "-"), fault.text)),
            // The command is right; the folder is not.
            None => CliError::Failed(root.first().map_or_else(String::new, |fault| fault.text.clone())),
        }
    })
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
    addr: &Option<String>,
    token_file: &Option<String>,
    clients: &[ListenAddr],
) -> Result<Option<AdminSource>, CliError> {
    let Some(listen) = flag("admin", addr, str::parse)? else {
        return match token_file {
            None => Ok(None),
            Some(_) => Err(CliError::Usage(
                "--admin-token-file: it protects nothing; give --admin too, or leave it out".to_owned(),
            )),
        };
    };
    let source = AdminSource::new(listen, token_file.as_ref().map(Into::into), clients);
    source.map(Some).map_err(|error| CliError::Usage(format!("--admin: {error}")))
}

/// The addresses typed, if any were.
pub(super) fn listen(typed: &[String]) -> Result<Option<Vec<ListenAddr>>, CliError> {
    let addrs: Vec<ListenAddr> = all("listen", typed, str::parse)?;
    for (index, addr) in addrs.iter().enumerate() {
        if addrs[..index].iter().any(|other| addr.clashes_with(other)) {
            return Err(CliError::Usage(format!("--listen: {addr} stands here twice; leave one out")));
        }
    }
    Ok((!addrs.is_empty()).then_some(addrs))
}

/// The value of a flag, if it was typed.
pub(super) fn flag<T, E: Display>(
    name: &str,
    typed: &Option<String>,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<Option<T>, CliError> {
    typed.as_deref().map(parse).transpose().map_err(|error| CliError::Usage(format!("--{name}: {error}")))
}

/// The values of a flag that may be typed several times.
fn all<T, E: Display>(
    name: &str,
    typed: &[String],
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<Vec<T>, CliError> {
    let values = typed.iter().map(|text| parse(text)).collect::<Result<_, E>>();
    values.map_err(|error| CliError::Usage(format!("--{name}: {error}")))
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
    let number = text.parse().ok().filter(|number| is_plain && (least..=MOST_CONNECTIONS).contains(number));
    number.ok_or_else(|| format!("{text:?} is not a number from {least} to {MOST_CONNECTIONS}"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use argh::FromArgs;
    use sluicegate::config::OnFull;

    use super::*;

    fn typed<T: FromArgs>(args: &str) -> T {
        T::from_args(&["sluicegate"], &args.split(' ').collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn nothing_typed_is_the_default() {
        let config = serve(&typed(".")).unwrap();
        let default = Config { routes: config.routes.clone(), ..Config::default() };
        assert_eq!(config, default);
        assert_eq!(config.routes[0].path.as_str(), "/");
        assert_eq!(config.routes[0].source, Source::Files(FilesSource::new(".")));
        let config = proxy(&typed("http://127.0.0.1:9000")).unwrap();
        let upstream = ProxySource::new("http://127.0.0.1:9000".parse().unwrap());
        assert_eq!(config.routes[0].source, Source::Proxy(upstream));
    }

    #[test]
    fn every_flag_sets_its_setting() {
        let config = proxy(&typed(
            "http://127.0.0.1:9000 --host client --trusted-proxy 10.0.0.0/8 --trusted-proxy ::1 --ignore-accel \
             --keep-location --no-via \
             --connect-timeout 1s --response-timeout 2s --read-timeout 3s --idle-connections 0 \
             --idle-connection-timeout 4s --rate 60 --burst 256 --end-of-stream paced --filter rate \
             --filter count --listen [::1]:0 --listen unix:a.sock --log-level debug --access-log --drain 0s \
             --server-rate 10m --client-rate 2m --client-burst 1m --client-key header:x-key \
             --max-connections 7 --client-connections 3 --connection-rate 1m --connection-burst 128 \
             --egress-buffer 32k --egress-total 10m --on-full close --stall-timeout 7s --min-drain-rate 1k \
             --unsent 8k --send-buffer 16k --header-timeout 5s --idle-timeout 6s",
        ))
        .unwrap();
        let seconds = Duration::from_secs;
        let Source::Proxy(source) = &config.routes[0].source else { panic!() };
        assert_eq!(source.host.to_string(), "client");
        assert_eq!((source.honour_accel, source.map_location, source.via), (false, false, false));
        assert_eq!(
            [
                source.connect_timeout,
                source.response_timeout,
                source.read_timeout,
                source.idle_connection_timeout
            ],
            [seconds(1), seconds(2), seconds(3), seconds(4)]
        );
        assert_eq!(source.idle_connections, 0);
        let pace = config.routes[0].pace;
        assert_eq!((pace.rate, pace.burst.bytes()), (Rate::new(61_440), 262_144));
        assert_eq!(sluicegate::config::words::spell_end_of_stream(pace.end_of_stream), "paced");
        let filters: Vec<&str> = config.routes[0].filters.iter().map(|filter| filter.name.as_str()).collect();
        assert_eq!(filters, ["rate", "count"]);
        let listen: Vec<String> = config.listen.iter().map(ListenAddr::to_string).collect();
        assert_eq!(listen, ["[::1]:0", "unix:a.sock"]);
        assert_eq!(config.log_level, log::LevelFilter::Debug);
        assert!(config.access_log);
        assert_eq!(
            [config.drain, config.header_timeout, config.idle_timeout],
            [seconds(0), seconds(5), seconds(6)]
        );
        assert_eq!((config.max_connections, config.trusted_proxies.len()), (7, 2));
        let sink = SinkSettings {
            buffer: 32_768,
            rate: Rate::new(1 << 20),
            burst: 131_072,
            report_only: false,
            on_full: OnFull::Close,
            stall_timeout: seconds(7),
            min_drain_rate: Rate::new(1024),
            unsent: 8192,
            send_buffer: Some(16_384),
        };
        assert_eq!((config.sink, config.egress_total), (sink, Some(10 << 20)));
        assert_eq!(config.client_connections, Some(3));
        let limits = SharedLimits {
            server: Budget::of(Rate::new(10 << 20)),
            client: Budget::of(Rate::new(2 << 20)).with_burst(1 << 20),
            key: "header:x-key".parse().unwrap(),
        };
        assert_eq!(config.limits, limits);

        let config = serve(&typed(". --list --index start.html --rate off")).unwrap();
        let Source::Files(files) = &config.routes[0].source else { panic!() };
        assert_eq!((files.list, files.index.as_str()), (true, "start.html"));
        assert_eq!(config.routes[0].pace.rate, None);
    }

    #[test]
    fn a_bad_value_names_its_flag_and_is_a_usage_error() {
        for (args, expected) in [
            (". --rate 60kb", "--rate: \"60kb\" is not a rate"),
            (
                ". --rate 0",
                "--rate: \"0\" is not a rate: at zero nothing would ever leave; for unlimited use `off`",
            ),
            (". --rate -60", "--rate: \"-60\" is not a rate: it is negative"),
            (". --rate 60 --burst 1mbit", "--burst: \"1mbit\" is not a burst"),
            (". --burst 256", "--burst: without a rate"),
            (". --end-of-stream paced", "--end-of-stream: without a rate"),
            (". --filter gzipp", "--filter: no filter is called \"gzipp\"; did you mean \"gzip\"?"),
            (". --filter rate", "--filter: \"rate\" has no rate to keep"),
            ("none-such --rate 60 --filter x", "--filter: no filter is called"),
            (". --listen 8080", "--listen: \"8080\" is not an address"),
            (". --listen 127.0.0.1:1 --listen 127.0.0.1:1", "--listen: 127.0.0.1:1 stands here twice"),
            (". --drain 30", "--drain: \"30\" is not a duration"),
            (". --idle-timeout 0s", "--idle-timeout: \"0s\" is not a duration"),
            (". --max-connections 0", "--max-connections: \"0\" is not a number from 1 to"),
            (". --max-connections +5", "--max-connections: \"+5\" is not a number"),
            (". --client-connections 0", "--client-connections: \"0\" is not a number from 1 to"),
            (". --server-rate 0", "--server-rate: \"0\" is not a rate"),
            (". --client-burst 64k", "--client-burst: without a rate"),
            (". --client-key ip", "--client-key: \"ip\" is not what clients can be told apart by"),
            (". --connection-rate 0", "--connection-rate: \"0\" is not a rate"),
            (". --connection-burst 64k", "--connection-burst: without a rate of connections"),
            (". --connection-rate 60 --connection-burst 0", "--connection-burst: with none nothing"),
            (". --egress-buffer 64", "--egress-buffer: \"64\" is not a size"),
            (". --egress-buffer 65m", "--egress-buffer: 65m is not a size from 1B to 64m"),
            (". --egress-total 0B", "--egress-total: 0B is not a size from 1B to"),
            (". --unsent 0B", "--unsent: 0B is not a size from 1B to 1g"),
            (". --send-buffer 2g", "--send-buffer: 2g is not a size from 1B to 1g"),
            (
                ". --on-full drop",
                "--on-full: \"drop\" is not a rule for a full buffer; known here: wait, close",
            ),
            (". --on-full close", "--on-full: \"close\" is for readers that cannot hold the pace"),
            (". --rate 1m --on-full close", "--egress-buffer: for \"close\" it must hold one chunk"),
            (". --stall-timeout 0s", "--stall-timeout: \"0s\" is not a duration"),
            (". --min-drain-rate 0", "--min-drain-rate: \"0\" is not a rate"),
            (". --log-level loud", "--log-level: \"loud\" is not a log level"),
            (". --index a/b", "--index: \"a/b\" is not a plain file name"),
        ] {
            match serve(&typed(args)) {
                Err(CliError::Usage(text)) => assert!(text.starts_with(expected), "{args}: {text}"),
                other => panic!("{args}: {other:?}"),
            }
        }
        assert!(matches!(proxy(&typed("https://h")), Err(CliError::Usage(_))));
        assert!(matches!(serve(&typed("none-such")), Err(CliError::Failed(_))));
        assert!(matches!(run(&typed("none-such.toml --log-level loud")), Err(CliError::Usage(_))));
        assert!(matches!(run(&typed("none-such.toml")), Err(CliError::Failed(_))));
    }
}
