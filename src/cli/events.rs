//! `sluicegate events`: streams of events at `/events/`.

use argh::FromArgs;
use sluicegate::config::words::{parse_end_of_stream, parse_log_level};
use sluicegate::config::{
    Config, EventRate, EventSettings, RouteDraft, SharedLimits, SinkDraft, Source, TracingSettings, budget_of,
};
use sluicegate::duration;
use sluicegate::http::server::MAX_TOTAL;
use sluicegate::limit::{Budget, Rate};
use sluicegate::sink::{MAX_BUFFER, MAX_IN_KERNEL};

use super::resolve::{Flags, admin, count, listen, route, set, sink, size, timeout};
use super::{CliError, quota};

/// Where the streams are.
const PATH: &str = "/events/";

one_route_command! {
    /// Serve streams of events at /events/NAME: POST publishes, GET subscribes.
    #[argh(subcommand, name = "events", usage = "[options] [--] [NAME ...]", help_triggers("-h", "--help", "help"))]
    Events {
        /// a stream that is there from the start; others come with their first event
        #[argh(positional, arg_name = "NAME")]
        pub(super) names: Vec<String>,

        /// the file with the token that publishers bring; without it only this machine may publish (default none)
        #[argh(option, arg_name = "file")]
        pub(super) publish_token_file: Option<String>,

        /// an origin whose pages may use the streams, such as https://app.example, or * for any; repeatable (default none)
        #[argh(option, arg_name = "origin")]
        pub(super) origin: Vec<String>,

        /// a name by which the streams may be asked for; without it a loopback address answers to localhost alone; repeatable
        /// (default none)
        #[argh(option, arg_name = "name")]
        pub(super) server_name: Vec<String>,

        /// events that may wait for one subscriber; more, and it is moved to polling (default 1000)
        #[argh(option, arg_name = "number")]
        pub(super) queue: Option<String>,

        /// how long an event waits for a subscriber, and one that lost its stream is remembered (default 30s)
        #[argh(option, arg_name = "time")]
        pub(super) ttl: Option<String>,

        /// events of each stream kept for those who resume or poll (default 10000)
        #[argh(option, arg_name = "number")]
        pub(super) log: Option<String>,

        /// how long they are kept (default 5m)
        #[argh(option, arg_name = "time")]
        pub(super) log_ttl: Option<String>,

        /// events per second to one subscriber (default off)
        #[argh(option, arg_name = "number")]
        pub(super) event_rate: Option<String>,

        /// events to one subscriber at once; needs --event-rate (default 100)
        #[argh(option, arg_name = "number")]
        pub(super) event_burst: Option<String>,

        /// what a subscriber that is suspended gets: stream (200, a stream of one pause event) or 429 (default stream)
        #[argh(option, arg_name = "answer")]
        pub(super) suspend: Option<String>,

        /// the collector that spans of events with a sampled traceparent are exported to: http://HOST:4318 (default none)
        #[argh(option, arg_name = "url")]
        pub(super) otlp: Option<String>,
    }
}

/// The configuration of `sluicegate events`.
pub(super) fn events(typed: &Events) -> Result<Config, CliError> {
    let flags = Flags::default();
    let mut settings = EventSettings {
        names: typed.names.clone(),
        origins: typed.origin.clone(),
        server_names: typed.server_name.clone(),
        publish_token_file: typed.publish_token_file.as_ref().map(Into::into),
        ..EventSettings::default()
    };
    let most = |text: &str| count(text, 1);
    set(&mut settings.queue, flags.read("queue", &typed.queue, most));
    set(&mut settings.ttl, flags.read("ttl", &typed.ttl, timeout));
    set(&mut settings.log, flags.read("log", &typed.log, most));
    set(&mut settings.log_ttl, flags.read("log-ttl", &typed.log_ttl, timeout));
    settings.rate =
        flags.read("event-rate", &typed.event_rate, most).and_then(|rate| EventRate::new(rate as u64).ok());
    if typed.event_burst.is_some() && settings.rate.is_none() {
        let text = "--event-burst: without a rate there is nothing to be ahead of; give --event-rate too";
        flags.together::<()>(Err(CliError::Usage(text.to_owned())));
    }
    set(&mut settings.burst, flags.read("event-burst", &typed.event_burst, most).map(|burst| burst as u64));
    set(&mut settings.suspend, flags.read("suspend", &typed.suspend, str::parse));
    // No flag says how large a batch is: it is no larger than the queue.
    settings.batch = settings.batch.min(settings.queue);
    let checked = settings.checked().map_err(|faults| {
        let texts = faults.iter().map(|fault| match fault.key {
            "names" => fault.text.clone(),
            "origins" => format!("--origin: {}", fault.text),
            "server_names" => format!("--server-name: {}", fault.text),
            key => format!("--{}: {}", key.replace('_', "-"), fault.text),
        });
        CliError::Usage(texts.collect::<Vec<_>>().join("\n"))
    });
    let settings = flags.together(checked).unwrap_or_default();
    let path = PATH.parse().map_err(CliError::Usage)?;
    let draft = RouteDraft { path, ..RouteDraft::new(Source::Events(Box::new(settings))) };
    let mut config =
        Config { routes: route_from!(flags, draft, typed).into_iter().collect(), ..Config::default() };
    let otlp = flags.read("otlp", &typed.otlp, str::parse);
    config.tracing = otlp.map(|url| TracingSettings { otlp: Some(url), ..TracingSettings::default() });
    set_http_flags!(flags, config, typed);
    flags.finish(config)
}

#[cfg(test)]
mod tests {
    use sluicegate::config::Suspend;
    use sluicegate::duration::spell;

    use super::super::args::Sluicegate;
    use super::*;

    fn typed(args: &str) -> Result<Config, CliError> {
        let args: Vec<&str> = args.split(' ').filter(|arg| !arg.is_empty()).collect();
        events(&Events::from_args(&["sluicegate"], &args).unwrap())
    }

    fn settings(config: &Config) -> EventSettings {
        let Source::Events(settings) = &config.routes[0].source else { panic!() };
        (**settings).clone()
    }

    #[test]
    fn nothing_typed_is_the_default_and_every_flag_sets_its_setting() {
        let config = typed("").unwrap();
        assert_eq!(
            (settings(&config), config.routes[0].path.as_str()),
            (EventSettings::default(), "/events/")
        );
        let config = typed(
            "news alerts --publish-token-file token --origin https://a.example --origin https://b.example \
             --server-name c.example --queue 7 --ttl 1s --log 8 --log-ttl 2s --event-rate 9 --event-burst 10 --suspend 429 --rate 60 \
             --otlp http://127.0.0.1:4318",
        )
        .unwrap();
        let second = std::time::Duration::from_secs(1);
        let expected = EventSettings {
            names: vec!["news".into(), "alerts".into()],
            publish_token_file: Some("token".into()),
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
        assert_eq!((settings(&config), config.routes[0].pace.rate), (expected, Rate::or_unlimited(61_440)));
        let otlp = "http://127.0.0.1:4318".parse().ok();
        assert_eq!(config.tracing, Some(TracingSettings { otlp, ..TracingSettings::default() }));
    }

    #[test]
    fn a_bad_value_names_its_flag() {
        for (args, expected) in [
            ("a/b", "\"a/b\" is no name of a stream"),
            ("--origin app", "--origin: \"app\" is no origin"),
            ("--server-name a:1", "--server-name: \"a:1\" is no name of a server"),
            ("--queue 20000", "--log: it must hold a queue of 20000"),
            ("--event-burst 5", "--event-burst: without a rate"),
            ("--event-rate 0", "--event-rate: \"0\" is not a number"),
            (
                "--otlp https://a",
                "--otlp: \"https://a\" is not a collector: TLS to collectors is not supported",
            ),
            ("--suspend 503", "--suspend: \"503\" is not what a suspended subscriber can get"),
        ] {
            let Err(CliError::Usage(text)) = typed(args) else { panic!("{args}") };
            assert!(text.contains(expected), "{args}: {text}");
        }
    }

    #[test]
    fn the_defaults_in_the_help_are_those_of_the_configuration() {
        let early = Sluicegate::from_args(&["sluicegate"], &["events", "--help"]).unwrap_err();
        let help = early.output.split_whitespace().collect::<Vec<_>>().join(" ");
        let default = EventSettings::default();
        for (flag, value) in [
            ("--queue", default.queue.to_string()),
            ("--ttl", spell(default.ttl)),
            ("--log", default.log.to_string()),
            ("--log-ttl", spell(default.log_ttl)),
            ("--event-burst", default.burst.to_string()),
            ("--suspend", default.suspend.to_string()),
        ] {
            let (_, rest) = help.split_once(&format!(" {flag} ")).unwrap();
            let (_, told) = rest.split_once("(default ").unwrap();
            assert_eq!(told.split_once(')').unwrap().0, value, "{flag}");
        }
    }
}
