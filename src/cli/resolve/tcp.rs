//! `sluicegate tcp`: what it means.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use sluicegate::address::ListenAddr;
use sluicegate::config::words::{parse_end_of_stream, parse_log_level};
use sluicegate::config::{Config, Pace, RouteLimits, SharedLimits, SinkDraft, Tcp, TcpSource, budget_of};
use sluicegate::duration;
use sluicegate::http::server::MAX_TOTAL;
use sluicegate::limit::{Budget, Rate};
use sluicegate::sink::{MAX_BUFFER, MAX_IN_KERNEL};

use super::{CliError, Flags, admin, count, route_faults, set, sink, size, timeout};
use crate::cli::{args, quota};

/// Where `tcp` listens unless told otherwise.
const DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7070);

/// The configuration of `sluicegate tcp`.
pub(in crate::cli) fn tcp(typed: &args::Tcp) -> Result<Config, CliError> {
    let flags = Flags::default();
    let listen = match flags.read("listen", &typed.listen, str::parse) {
        None => DEFAULT,
        Some(ListenAddr::Tcp(addr)) => addr,
        Some(ListenAddr::Unix { .. }) => {
            let text = "--listen: a Unix socket is not TCP; write 127.0.0.1:7070";
            flags.together::<()>(Err(CliError::Usage(text.to_owned())));
            DEFAULT
        }
    };
    let source = flags.together(source(&flags, typed));
    let pace = flags.together(pace(&flags, typed)).unwrap_or_default();
    let port = source.map(|source| Tcp { listen, source, pace, limits: RouteLimits::default() });
    let mut config = Config { listen: Vec::new(), tcp: port.into_iter().collect(), ..Config::default() };
    set_server_flags!(flags, config, typed, &[ListenAddr::Tcp(listen)]);
    flags.finish(config)
}

fn source(flags: &Flags, typed: &args::Tcp) -> Result<TcpSource, CliError> {
    let usage = |text: &str| Err(CliError::Usage(text.to_owned()));
    let upload = flags.read("upload-rate", &typed.upload_rate, Rate::parse_or_off);
    let connect_timeout = flags.read("connect-timeout", &typed.connect_timeout, timeout);
    match (&typed.file, flags.read("to", &typed.to, str::parse)) {
        (Some(_), Some(_)) => usage("--file and --to: give one of them, not both"),
        (None, None) => usage("nothing to serve: give --file FILE or --to HOST:PORT"),
        (None, Some(_)) if typed.follow => usage("--follow: does something with --file only"),
        (Some(_), None) if upload.is_some() => usage("--upload-rate: does something with --to only"),
        (Some(_), None) if connect_timeout.is_some() => {
            usage("--connect-timeout: does something with --to only")
        }
        (Some(_), None) if typed.idle_timeout.is_some() => {
            usage("--idle-timeout: does something with --to only")
        }
        (Some(file), None) => Ok(TcpSource::File { path: file.into(), follow: typed.follow }),
        (None, Some(to)) => Ok(TcpSource::Relay {
            to,
            upload: upload.flatten(),
            connect_timeout: connect_timeout.unwrap_or(TcpSource::CONNECT_TIMEOUT),
        }),
    }
}

fn pace(flags: &Flags, typed: &args::Tcp) -> Result<Pace, CliError> {
    let rate = flags.read("rate", &typed.rate, Rate::parse_or_off).flatten();
    let burst = flags.read("burst", &typed.burst, str::parse);
    let end_of_stream = flags.read("end-of-stream", &typed.end_of_stream, parse_end_of_stream);
    Pace::given(rate, burst, end_of_stream, rate.is_some()).map_err(route_faults)
}

#[cfg(test)]
mod tests {
    use super::*;
    use argh::FromArgs;
    use std::time::Duration;

    fn resolve(args: &str) -> Result<Config, CliError> {
        tcp(&args::Tcp::from_args(&["sluicegate"], &args.split(' ').collect::<Vec<_>>()).unwrap())
    }

    #[test]
    fn every_flag_sets_its_setting() {
        let config = resolve("--file app.log").unwrap();
        let source = TcpSource::File { path: "app.log".into(), follow: false };
        let listen = "127.0.0.1:7070".parse().unwrap();
        let port = Tcp { listen, source, pace: Pace::default(), limits: RouteLimits::default() };
        assert_eq!(config, Config { listen: Vec::new(), tcp: vec![port], ..Config::default() });

        let config = resolve(
            "--to [::1]:22 --upload-rate 64k --connect-timeout 2s --idle-timeout 3s --rate 60 --burst 256 \
             --end-of-stream paced --listen [::1]:0 --server-rate 1m",
        )
        .unwrap();
        let port = &config.tcp[0];
        let to = "[::1]:22".parse().unwrap();
        let (upload, connect_timeout) = (Rate::or_unlimited(65_536), Duration::from_secs(2));
        assert_eq!(port.source, TcpSource::Relay { to, upload, connect_timeout });
        assert_eq!((port.pace.rate, port.pace.burst.bytes()), (Rate::or_unlimited(61_440), 262_144));
        assert_eq!(port.listen.to_string(), "[::1]:0");
        assert_eq!(config.idle_timeout, Duration::from_secs(3));
        assert_eq!(config.limits.server.rate, Rate::or_unlimited(1 << 20));
        let source = resolve("--file a --follow").unwrap().tcp.remove(0).source;
        assert_eq!(source, TcpSource::File { path: "a".into(), follow: true });
    }

    #[test]
    fn what_does_not_go_together_is_a_usage_error() {
        for (args, expected) in [
            ("--rate 60", "nothing to serve: give --file FILE or --to HOST:PORT"),
            ("--file a --to b:1", "--file and --to: give one"),
            ("--to b", "--to: \"b\" is not a host with a port"),
            ("--to b:1 --follow", "--follow: does something with --file only"),
            ("--file a --upload-rate 60", "--upload-rate: does something with --to only"),
            ("--file a --idle-timeout 1m", "--idle-timeout: does something with --to only"),
            ("--file a --burst 64k", "--burst: without a rate"),
            ("--file a --listen unix:s", "--listen: a Unix socket is not TCP"),
            ("--file a --admin 127.0.0.1:7070", "--admin: "),
            ("--file a --on-full close", "--on-full: \"close\" is for readers that cannot hold the pace"),
        ] {
            match resolve(args) {
                Err(CliError::Usage(text)) => assert!(text.starts_with(expected), "{args}: {text}"),
                other => panic!("{args}: {other:?}"),
            }
        }
    }
}
