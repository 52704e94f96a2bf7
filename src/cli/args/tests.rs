//! The help tells the defaults of the configuration.

use sluicegate::config::words::spell_end_of_stream;
use sluicegate::config::{Config, EventSettings, FilesSource, Pace, ProxySource};
use sluicegate::duration::spell;
use sluicegate::limit::{Burst, RateOrOff, Size};
use sluicegate::quota::DEFAULT_RESOURCE;
use sluicegate::quota::server::QuotaServerSettings;

use super::*;

/// The help of a command, with single spaces.
fn help(command: &str) -> String {
    let words: Vec<&str> = command.split(' ').chain(["--help"]).collect();
    let early = Sluicegate::from_args(&["sluicegate"], &words).unwrap_err();
    assert_eq!(early.status, Ok(()));
    early.output.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `flag` and its explanation, up to the end of what is said about its default.
fn default_of<'a>(help: &'a str, flag: &str) -> &'a str {
    let (_, explanation) =
        help.split_once(&format!(" {flag} ")).unwrap_or_else(|| panic!("{flag} in {help}"));
    let (_, default) = explanation.split_once("(default ").unwrap();
    default.split_once(')').unwrap().0
}

#[test]
fn the_defaults_in_the_help_are_those_of_the_configuration() {
    let config = Config::default();
    let pace = Pace::default();
    for command in ["serve", "proxy"] {
        let help = help(command);
        for (flag, default) in [
            ("--rate", pace.rate.to_string()),
            ("--burst", pace.burst.bytes().to_string()),
            ("--interval", spell(pace.interval.duration())),
            ("--end-of-stream", spell_end_of_stream(pace.end_of_stream).to_owned()),
            ("--listen", config.listen[0].to_string()),
            ("--log-level", config.log_level.as_str().to_lowercase()),
            ("--log-format", config.log_format.to_string()),
            ("--drain", spell(config.server.drain)),
            ("--max-connections", config.server.max_connections.to_string()),
            (
                "--client-connections",
                config.server.client_connections.map_or("none".to_owned(), |n| n.to_string()),
            ),
            ("--connection-rate", RateOrOff(config.server.sink.rate).to_string()),
            ("--connection-burst", Burst::new(config.server.sink.burst).to_string()),
            ("--egress-buffer", Size::new(config.server.sink.buffer as u64).to_string()),
            ("--on-full", config.server.sink.on_full.to_string()),
            ("--stall-timeout", spell(config.server.sink.stall_timeout)),
            ("--min-drain-rate", RateOrOff(config.server.sink.min_drain_rate).to_string()),
            ("--unsent", Size::new(config.server.sink.unsent as u64).to_string()),
            ("--header-timeout", spell(config.server.header_timeout)),
            ("--idle-timeout", spell(config.server.idle_timeout)),
            ("--half-close", config.server.half_close.to_string()),
        ] {
            assert_eq!(default_of(&help, flag), default, "{command} {flag}");
        }
        assert_eq!((config.admin.clone(), default_of(&help, "--admin")), (None, "none"));
        assert_eq!(default_of(&help, "--admin-token-file"), "none");
        assert_eq!((config.quota.clone(), default_of(&help, "--quota")), (None, "none"));
        assert_eq!(default_of(&help, "--quota-resource"), DEFAULT_RESOURCE);
        assert_eq!((config.server.egress_total, config.server.sink.send_buffer), (None, None));
        assert_eq!(default_of(&help, "--egress-total"), "a quarter of the memory");
        assert_eq!(default_of(&help, "--send-buffer"), "the kernel's choice");
        assert_eq!(default_of(&help, "--access-log"), config.access_log.to.to_string());
        assert_eq!(default_of(&help, "--access-log-format"), config.access_log.format.to_string());
    }
    let files = FilesSource::new(".");
    assert_eq!(default_of(&help("serve"), "--index"), files.index);
    assert_eq!(default_of(&help("serve"), "--list"), if files.list { "yes" } else { "no" });

    let proxy = ProxySource::new("http://h".parse().unwrap());
    let help = help("proxy");
    for (flag, default) in [
        ("--upstream-host", proxy.host.to_string()),
        ("--connect-timeout", spell(proxy.connect_timeout)),
        ("--response-timeout", spell(proxy.response_timeout)),
        ("--read-timeout", spell(proxy.read_timeout)),
        ("--max-response-head", Size::new(proxy.max_response_head as u64).to_string()),
        ("--max-response-fields", proxy.max_response_fields.to_string()),
        ("--tunnel-timeout", spell(proxy.tunnel_timeout)),
        ("--idle-connections", proxy.idle_connections.to_string()),
        ("--idle-connection-timeout", spell(proxy.idle_connection_timeout)),
        ("--ignore-accel", if proxy.honour_accel { "no" } else { "yes" }.to_owned()),
        ("--keep-location", if proxy.map_location { "no" } else { "yes" }.to_owned()),
        ("--no-via", if proxy.via { "no" } else { "yes" }.to_owned()),
    ] {
        assert_eq!(default_of(&help, flag), default, "{flag}");
    }
}

#[test]
fn a_flag_and_its_value_may_be_joined_by_an_equals_sign() {
    let split = |args: &[&str]| split_equals(args.iter().map(OsString::from)).unwrap();
    assert_eq!(split(&["serve", "--rate=60", "a=b"]), ["serve", "--rate", "60", "a=b"]);
    assert_eq!(split(&["--x=a=b", "--", "--y=c"]), ["--x", "a=b", "--", "--y=c"]);
}

#[test]
fn the_defaults_in_the_help_of_events_are_those_of_its_settings() {
    let help = help("events");
    let default = EventSettings::default();
    for (flag, value) in [
        ("--queue", default.queue.to_string()),
        ("--ttl", spell(default.ttl)),
        ("--log", default.log.to_string()),
        ("--log-ttl", spell(default.log_ttl)),
        ("--event-burst", default.burst.to_string()),
        ("--suspend", default.suspend.to_string()),
    ] {
        assert_eq!(default_of(&help, flag), value, "{flag}");
    }
}

#[test]
fn the_defaults_in_the_help_of_a_quota_server_are_those_of_its_settings() {
    let help = help("quota serve");
    let QuotaServerSettings { book, drain, .. } = QuotaServerSettings::default();
    for (flag, value) in [
        ("--heartbeat-timeout", spell(book.heartbeat_timeout)),
        ("--max-clients", book.most_clients.to_string()),
        ("--max-resources", book.most_resources.to_string()),
        ("--drain", spell(drain)),
    ] {
        assert_eq!(default_of(&help, flag), value, "{flag}");
    }
    assert_eq!(book.learning, book.heartbeat_timeout);
}
