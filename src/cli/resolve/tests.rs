//! Flags of `serve` and `proxy` to configurations.

use std::time::Duration;

use argh::FromArgs;
use sluicegate::config::{
    FilesSource, FollowLinks, OnFull, ProxySource, SharedLimits, SinkSettings, Source, UploadLimits,
};
use sluicegate::limit::{Budget, Rate};

use super::*;
use crate::cli::args::{Events, Proxy, Serve, Tcp};

mod events;
mod tcp;

fn typed<T: FromArgs>(args: &str) -> T {
    T::from_args(&["sluicegate"], &args.split_whitespace().collect::<Vec<_>>()).unwrap()
}

fn read<T: FromArgs + Flags>(args: &str) -> Result<Config, CliError> {
    flags(&typed::<T>(args))
}

/// Expects each of the arguments to be refused as a usage error that begins with the text.
fn refused<T: FromArgs + Flags>(cases: &[(&str, &str)]) {
    for (args, expected) in cases {
        match read::<T>(args) {
            Err(CliError::Usage(text)) => assert!(text.starts_with(expected), "{args}: {text}"),
            other => panic!("{args}: {other:?}"),
        }
    }
}

#[test]
fn nothing_typed_is_the_default() {
    let config = read::<Serve>(".").unwrap();
    let default = Config { routes: config.routes.clone(), ..Config::default() };
    assert_eq!(config, default);
    assert_eq!(config.routes[0].path.as_str(), "/");
    assert_eq!(config.routes[0].source, Source::Files(FilesSource::new(".")));
    let config = read::<Proxy>("http://127.0.0.1:9000").unwrap();
    let upstream = ProxySource::new("http://127.0.0.1:9000".parse().unwrap());
    assert_eq!(config.routes[0].source, Source::Proxy(upstream));
}

#[test]
fn every_flag_sets_its_setting() {
    let config = read::<Proxy>(
        "http://127.0.0.1:9000 --upstream-host client --trusted-proxy 10.0.0.0/8 --trusted-proxy ::1 --ignore-accel \
         --keep-location --no-via --max-response-head 64k --max-response-fields 200 --tunnel-timeout 9s \
         --connect-timeout 1s --response-timeout 2s --read-timeout 3s --idle-connections 0 \
         --idle-connection-timeout 4s --rate 60 --burst 256 --end-of-stream paced --filter rate \
         --filter count --listen [::1]:0 --listen unix:a.sock --log-level debug --log-format text --access-log a.log --access-log-format combined --drain 0s \
         --server-rate 10m --client-rate 2m --client-burst 1m --client-key header:x-key \
         --max-connections 7 --client-connections 3 --connection-rate 1m --connection-burst 128 \
         --egress-buffer 32k --egress-total 10m --on-full close --stall-timeout 7s --min-drain-rate 1k \
         --unsent 8k --send-buffer 16k --header-timeout 5s --idle-timeout 6s --upload-rate 2k --upload-burst 3k --max-body 4m",
    )
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
    assert_eq!((source.max_response_head, source.max_response_fields), (65_536, 200));
    assert_eq!(source.tunnel_timeout, seconds(9));
    let route = &config.routes[0];
    assert_eq!(route.upload, Budget::of(Rate::or_unlimited(2_048)).with_burst(3_072));
    assert_eq!((config.server.max_body.bytes(), route.max_body), (Some(4 << 20), None));
    let pace = &route.pace;
    assert_eq!((pace.rate.last(), pace.burst.bytes()), (Rate::or_unlimited(61_440), 262_144));
    assert_eq!(sluicegate::config::words::spell_end_of_stream(pace.end_of_stream), "paced");
    let filters: Vec<&str> = config.routes[0].filters.iter().map(|filter| filter.name.as_str()).collect();
    assert_eq!(filters, ["rate", "count"]);
    let listen: Vec<String> = config.listen.iter().map(ToString::to_string).collect();
    assert_eq!(listen, ["[::1]:0", "unix:a.sock"]);
    assert_eq!(config.log_level, log::LevelFilter::Debug);
    assert_eq!(config.log_format, sluicegate::logging::LogFormat::Text);
    let access_log = (config.access_log.to.to_string(), config.access_log.format.to_string());
    assert_eq!(access_log, ("a.log".to_owned(), "combined".to_owned()));
    assert_eq!(
        [config.server.drain, config.server.header_timeout, config.server.idle_timeout],
        [seconds(0), seconds(5), seconds(6)]
    );
    assert_eq!((config.server.max_connections, config.server.trusted.networks().len()), (7, 2));
    let sink = SinkSettings {
        buffer: 32_768,
        rate: Rate::or_unlimited(1 << 20),
        burst: 131_072,
        report_only: false,
        on_full: OnFull::Close,
        stall_timeout: seconds(7),
        min_drain_rate: Rate::or_unlimited(1024),
        unsent: 8192,
        send_buffer: Some(16_384),
    };
    assert_eq!((config.server.sink, config.server.egress_total), (sink, Some(10 << 20)));
    assert_eq!(config.server.client_connections, Some(3));
    let limits = SharedLimits {
        upload: UploadLimits::default(),
        server: Budget::of(Rate::or_unlimited(10 << 20)),
        client: Budget::of(Rate::or_unlimited(2 << 20)).with_burst(1 << 20),
        key: "header:x-key".parse().unwrap(),
        own: Vec::new(),
    };
    assert_eq!(config.server.limits, limits);

    let flags =
        ". --list --index start.html --rate off --dot-files --follow-links anywhere --media-type TS=a/b";
    let config = read::<Serve>(flags).unwrap();
    let Source::Files(files) = &config.routes[0].source else { panic!() };
    let mut expected = FilesSource { list: true, index: "start.html".to_owned(), ..FilesSource::new(".") };
    (expected.dot_files, expected.follow_links) = (true, FollowLinks::Anywhere);
    expected.add_type("ts", "a/b").unwrap();
    assert_eq!(*files, expected);
    assert_eq!(config.routes[0].pace.rate.last(), None);
}

#[test]
fn a_bad_value_names_its_flag_and_is_a_usage_error() {
    refused::<Serve>(&[
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
        (". --client-key ip", "--client-key: \"ip\" does not identify a client"),
        (". --connection-rate 0", "--connection-rate: \"0\" is not a rate"),
        (". --connection-burst 64k", "--connection-burst: without a rate of connections"),
        (". --connection-rate 60 --connection-burst 0", "--connection-burst: with none nothing"),
        (". --egress-buffer 64", "--egress-buffer: \"64\" is not a size"),
        (". --egress-buffer 65m", "--egress-buffer: 65m is not a size from 1B to 64m"),
        (". --egress-total 0B", "--egress-total: 0B is not a size from 1B to"),
        (". --unsent 0B", "--unsent: 0B is not a size from 1B to 1g"),
        (". --send-buffer 2g", "--send-buffer: 2g is not a size from 1B to 1g"),
        (". --on-full drop", "--on-full: \"drop\" is not a rule for a full buffer; known here: wait, close"),
        (". --on-full close", "--on-full: \"close\" is for readers that cannot hold the pace"),
        (". --rate 1m --on-full close", "--egress-buffer: for \"close\" it must hold one chunk"),
        (". --stall-timeout 0s", "--stall-timeout: \"0s\" is not a duration"),
        (". --min-drain-rate 0", "--min-drain-rate: \"0\" is not a rate"),
        (". --log-level loud", "--log-level: \"loud\" is not a log level"),
        (
            ". --follow-links up",
            "--follow-links: \"up\" is not a way to follow links; known here: inside, anywhere",
        ),
        (
            ". --media-type ts",
            "--media-type: \"ts\" gives no type: write EXTENSION=TYPE, as in ts=video/mp2t",
        ),
        (". --media-type ts=", "--media-type: \"\" is not a media type"),
        (". --index a/b", "--index: \"a/b\" is not a plain file name"),
    ]);
    assert!(matches!(read::<Proxy>("gopher://h"), Err(CliError::Usage(_))));
    assert!(matches!(read::<Serve>("none-such"), Err(CliError::Failed(_))));
    assert!(matches!(run(&typed("none-such.toml --log-level loud")), Err(CliError::Usage(_))));
    assert!(matches!(run(&typed("none-such.toml")), Err(CliError::Failed(_))));
}
