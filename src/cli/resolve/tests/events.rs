//! Flags of `events`.

use sluicegate::config::{EventRate, EventSettings, Suspend, TracingSettings};

use super::*;

fn settings(config: &Config) -> EventSettings {
    let Source::Events(settings) = &config.routes[0].source else { panic!() };
    (**settings).clone()
}

#[test]
fn nothing_typed_is_the_default_and_every_flag_sets_its_setting() {
    let config = read::<Events>("").unwrap();
    assert_eq!((settings(&config), config.routes[0].path.as_str()), (EventSettings::default(), "/events/"));
    let config = read::<Events>(
        "news alerts --publish-token-file Cargo.toml --origin https://a.example --origin https://b.example \
         --server-name c.example --queue 7 --ttl 1s --log 8 --log-ttl 2s --event-rate 9 --event-burst 10 --suspend 429 --rate 60 \
         --otlp http://127.0.0.1:4318 --upload-rate 2k --upload-burst 3k",
    )
    .unwrap();
    let second = std::time::Duration::from_secs(1);
    let expected = EventSettings {
        names: vec!["news".into(), "alerts".into()],
        publish_token_file: Some("Cargo.toml".into()),
        origins: vec!["https://a.example".into(), "https://b.example".into()],
        server_names: vec!["c.example".into()],
        queue: 7,
        batch: 7,
        ttl: second,
        log: 8,
        log_ttl: second * 2,
        rate: EventRate::or_unlimited(9),
        burst: 10,
        suspend: Suspend::TooManyRequests,
        ..EventSettings::default()
    };
    assert_eq!(
        (settings(&config), config.routes[0].pace.rate.last()),
        (expected, Rate::or_unlimited(61_440))
    );
    assert_eq!(config.routes[0].upload, Budget::of(Rate::or_unlimited(2_048)).with_burst(3_072));
    let otlp = "http://127.0.0.1:4318".parse().ok();
    assert_eq!(config.tracing, Some(TracingSettings { otlp, ..TracingSettings::default() }));
}

#[test]
fn a_bad_value_names_its_flag() {
    for (args, expected) in [
        ("a/b", "\"a/b\" is not a stream name"),
        ("--origin app", "--origin: \"app\" is not an origin"),
        ("--server-name a:1", "--server-name: \"a:1\" is not a server name"),
        ("--queue 20000", "--log: it must hold a queue of 20000"),
        ("--event-burst 5", "--event-burst: without a rate"),
        ("--event-rate 0", "--event-rate: \"0\" is not a number"),
        ("--otlp https://a", "--otlp: \"https://a\" is not a collector: TLS to collectors is not supported"),
        ("--suspend 503", "--suspend: \"503\" is not what a suspended subscriber can get"),
    ] {
        let Err(CliError::Usage(text)) = read::<Events>(args) else { panic!("{args}") };
        assert!(text.contains(expected), "{args}: {text}");
    }
}
