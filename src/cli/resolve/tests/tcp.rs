//! Flags of `tcp`.

use std::time::Duration;

use sluicegate::config::{self, Pace, RouteLimits, TcpSource};
use sluicegate::proxy_protocol::ProxyVersion;

use super::*;

#[test]
fn every_flag_sets_its_setting() {
    let config = read::<Tcp>("--file Cargo.toml").unwrap();
    let source = TcpSource::File { path: "Cargo.toml".into(), follow: false };
    let listen = "127.0.0.1:7070".parse().unwrap();
    let port = config::Tcp {
        listen,
        tls: None,
        proxy_protocol: false,
        source,
        pace: Pace::default(),
        limits: RouteLimits::default(),
    };
    assert_eq!(config, Config { listen: Vec::new(), tcp: vec![port], ..Config::default() });

    let config = read::<Tcp>(
        "--to [::1]:22 --upload-rate 64k --connect-timeout 2s --idle-timeout 3s --rate 60 --burst 256 \
         --end-of-stream paced --send-proxy v2 --listen [::1]:0 --server-rate 1m",
    )
    .unwrap();
    let port = &config.tcp[0];
    let to = "[::1]:22".parse().unwrap();
    let (upload, connect_timeout) = (Rate::or_unlimited(65_536), Duration::from_secs(2));
    let send_proxy = Some(ProxyVersion::V2);
    assert_eq!(port.source, TcpSource::Relay { to, upload, connect_timeout, send_proxy });
    assert_eq!((port.pace.rate.last(), port.pace.burst.bytes()), (Rate::or_unlimited(61_440), 262_144));
    assert_eq!(port.listen.to_string(), "[::1]:0");
    assert_eq!(config.server.idle_timeout, Duration::from_secs(3));
    assert_eq!(config.server.limits.server.rate, Rate::or_unlimited(1 << 20));
    let source = read::<Tcp>("--file Cargo.lock --follow").unwrap().tcp.remove(0).source;
    assert_eq!(source, TcpSource::File { path: "Cargo.lock".into(), follow: true });
}

#[test]
fn conflicting_flags_are_a_usage_error() {
    refused::<Tcp>(&[
        ("--rate 60", "nothing to serve: give --file FILE or --to HOST:PORT"),
        ("--file a --to b:1", "--file and --to: give one"),
        ("--to b", "--to: \"b\" is not a host with a port"),
        ("--to b:1 --follow", "--follow: does something with --file only"),
        ("--file a --upload-rate 60", "--upload-rate: does something with --to only"),
        ("--file a --idle-timeout 1m", "--idle-timeout: does something with --to only"),
        ("--file a --send-proxy v1", "--send-proxy: does something with --to only"),
        ("--to b:1 --send-proxy v3", "--send-proxy: \"v3\" is not a version of the PROXY protocol"),
        ("--file a --burst 64k", "--burst: without a rate"),
        ("--file a --listen unix:s", "--listen: a Unix socket is not TCP"),
        ("--file a --admin 127.0.0.1:7070", "--admin: "),
        ("--file a --on-full close", "--on-full: \"close\" is for readers that cannot hold the pace"),
    ]);
}
