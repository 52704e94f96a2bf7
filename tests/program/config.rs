//! Configuration files, good and bad, as a user meets them.

use std::fs;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use sluicegate::address::ListenAddr;
use sluicegate::config::{
    Config, EventRate, EventSettings, FilterKind, FollowLinks, GzipSettings, KeySource, LimitSources, Listen,
    Loader, MAX_FILE, OverlaySource, Pace, ReplaceSettings, RouteLimits, SharedLimits, SinkSettings, Source,
    UploadLimits,
};
use sluicegate::filter::MediaTypes;
use sluicegate::http::proxy::HostPolicy;
use sluicegate::limit::{Budget, Burst, Rate, Size, Weight};
use sluicegate::logging::{AccessFormat, AccessLogSettings, AccessTo};

const GOOD: &str = include_str!("../../fixtures/config/sluicegate.toml");

/// A folder with what the good file needs: itself in `config/`, and `site/` beside it.
fn workplace() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("site/logs")).unwrap();
    fs::write(folder.path().join("site/logs/app.log"), "one line\n").unwrap();
    fs::create_dir(folder.path().join("config")).unwrap();
    fs::write(folder.path().join("config/sluicegate.toml"), GOOD).unwrap();
    folder
}

fn parse(text: &str) -> Result<Config, String> {
    Loader::new().parse(text, "test.toml", "fixtures/config").map_err(|error| error.to_string())
}

/// A good file with `extra` in its one route.
fn route(extra: &str) -> String {
    format!("[[route]]\npath = \"/\"\nfiles = \".\"\n{extra}\n")
}

#[test]
fn lists_without_an_entry_are_no_tables() {
    let nothing = "nothing to serve; add a [[route]] with a path and files, proxy or events";
    assert_eq!(parse("route = []").unwrap_err(), format!("test.toml: {nothing}"));
    assert_eq!(parse("tcp = []").unwrap_err(), format!("test.toml: {nothing}"));
    let error = parse(&format!("admin = []\n{}", route(""))).unwrap_err();
    assert!(error.starts_with("test.toml:1:9: admin: "), "{error}");
}

#[test]
fn the_example_means_what_its_comments_say() {
    let folder = workplace();
    let config = Config::load(folder.path().join("config/sluicegate.toml")).unwrap();

    assert_eq!(config.listen, [Listen::from("127.0.0.1:8080".parse::<ListenAddr>().unwrap())]);
    assert_eq!(config.server.drain, Duration::from_secs(30));
    assert_eq!(config.server.max_connections, 10_000);
    let access_log = AccessLogSettings { to: AccessTo::Stderr, format: AccessFormat::Json };
    assert!(config.access_log == access_log && config.warnings.is_empty());
    assert_eq!(config.server.client_connections, Some(200));
    let limits = SharedLimits {
        server: Budget::of(Rate::or_unlimited(100 << 20)),
        client: Budget::of(Rate::or_unlimited(4 << 20)).with_burst(1 << 20),
        key: KeySource::Address,
        upload: UploadLimits::default(),
        own: Vec::new(),
    };
    assert_eq!(config.server.limits, limits);
    assert_eq!((config.server.sink.rate, config.server.sink.burst), (Rate::or_unlimited(2 << 20), 512 << 10));
    assert_eq!(
        (config.server.egress_total, config.server.sink.send_buffer),
        (Some(256 << 20), Some(256 << 10))
    );
    assert_eq!((config.server.sink.buffer, config.server.sink.unsent), (64 << 10, 128 << 10));
    assert!(config.server.trusted.networks()[1].contains("::1".parse().unwrap()));

    let paths: Vec<&str> = config.routes.iter().map(|route| route.path.as_str()).collect();
    assert_eq!(paths, ["/", "/slow/", "/api/", "/events/"]);
    let filters = |index: usize| -> Vec<&str> {
        config.routes[index].filters.iter().map(|filter| filter.name.as_str()).collect()
    };
    assert_eq!(filters(0), ["squeeze", "count"]);
    assert_eq!(filters(1), ["redact", "rate"]);
    assert_eq!(filters(2), ["rate"]);

    let slow = &config.routes[1];
    let Source::Files(files) = &slow.source else { panic!("{slow:?}") };
    assert_eq!(files.root, folder.path().join("config/../site"));
    assert!(files.list && files.index == "index.html");
    assert_eq!((files.dot_files, files.follow_links), (false, FollowLinks::Inside));
    let types: Vec<(&str, &str)> =
        files.types.iter().map(|(name, media)| (name.as_str(), media.as_str())).collect();
    assert_eq!(types, [("gpx", "application/gpx+xml"), ("ts", "text/x-typescript")]);
    let burst = Burst::new(262_144);
    assert_eq!(slow.pace, Pace { rate: Rate::or_unlimited(61_440).into(), burst, ..Pace::default() });

    let limits = RouteLimits {
        total: Budget::of(Rate::or_unlimited(20 << 20)),
        client: Budget::of(Rate::or_unlimited(1 << 20)),
        weight: Weight::new(2).unwrap(),
        report_only: false,
        ..RouteLimits::default()
    };
    assert_eq!((slow.limits, config.routes[0].limits), (limits, RouteLimits::default()));
    let Source::Events(events) = &config.routes[3].source else { panic!() };
    assert_eq!(
        (events.names.as_slice(), events.rate, events.total_rate),
        (&["news".to_owned()][..], EventRate::or_unlimited(50), EventRate::or_unlimited(100_000))
    );

    let Source::Proxy(proxy) = &config.routes[2].source else { panic!() };
    assert_eq!(proxy.upstream.to_string(), "http://127.0.0.1:9000");
    assert_eq!((&proxy.host, proxy.connect_timeout), (&HostPolicy::Upstream, Duration::from_secs(5)));
}

#[test]
fn the_examples_explicit_values_are_the_defaults() {
    let folder = workplace();
    let config = Config::load(folder.path().join("config/sluicegate.toml")).unwrap();
    let default = Config::default();
    assert_eq!(config.listen, default.listen);
    assert_eq!(config.log_level, default.log_level);
    assert_eq!(config.server.drain, default.server.drain);
    assert_eq!(config.server.max_connections, default.server.max_connections);
    assert_eq!(config.server.header_timeout, default.server.header_timeout);
    assert_eq!(config.server.idle_timeout, default.server.idle_timeout);
    assert_eq!(config.server.half_close, default.server.half_close);
    let sink = SinkSettings {
        rate: None,
        burst: default.server.sink.burst,
        send_buffer: None,
        ..config.server.sink
    };
    assert_eq!(sink, default.server.sink);
    let Source::Proxy(proxy) = &config.routes[2].source else { panic!() };
    assert_eq!(*proxy, sluicegate::config::ProxySource::new(proxy.upstream.clone()));
    let Source::Events(events) = &config.routes[3].source else { panic!() };
    let (names, origins, server_names) = (Vec::new(), Vec::new(), Vec::new());
    let events =
        EventSettings { names, origins, server_names, rate: None, total_rate: None, ..(**events).clone() };
    assert_eq!(events, EventSettings::default());
    let FilterKind::Gzip(gzip) = &config.routes[0].filters[0].kind else { panic!() };
    let GzipSettings { level, min_size, .. } = GzipSettings::default();
    assert_eq!((gzip.level, gzip.min_size), (level, min_size));
}

/// Each `NAME.toml` has its message in `NAME.txt`. With `BLESS=1` in the environment the messages
/// are written instead of compared; read them before committing.
#[test]
fn every_bad_file_gets_its_message() {
    let folder = Path::new("fixtures/config/bad");
    let mut files = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let name = path.file_name().unwrap().to_str().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let error = Loader::new().parse(&text, name, folder).expect_err(name).to_string() + "\n";
        let golden = path.with_extension("txt");
        if std::env::var_os("BLESS").is_some() {
            fs::write(golden, error).unwrap();
        } else {
            assert_eq!(error, fs::read_to_string(golden).unwrap(), "{name}");
        }
        files += 1;
    }
    assert!(files >= 30, "{files} files");
}

#[test]
fn one_error_does_not_hide_the_others() {
    let text = "[[route]]\npath = \"/a/\"\nfiles = \"none\"\n[[route]]\npath = \"/b/\"\nfiles = \"none\"\n";
    assert_eq!(parse(text).unwrap_err().lines().count(), 2);
}

#[test]
fn a_filter_that_no_route_names_is_a_warning() {
    let text = "[filter.zip]\nkind = \"gzip\"\n[filter.hush]\nkind = \"replace\"\nfrom = \"x\"\nto = \"\"\n"
        .to_owned()
        + &route("filters = [\"zip\"]");
    let config = parse(&text).unwrap();
    assert_eq!(
        config.warnings,
        ["test.toml:3:9: [filter.hush] is not used; name it in the filters of a [[route]]"]
    );
    let FilterKind::Gzip(gzip) = &config.routes[0].filters[0].kind else { panic!() };
    assert_eq!(gzip.min_size, Size::new(256));
}

#[test]
fn a_rate_of_its_own_may_stand_beside_the_routes() {
    let text = "[filter.early]\nkind = \"rate\"\nrate = \"1m\"\nburst = 64\n".to_owned()
        + &route("rate = 60\nfilters = [\"early\", \"gzip\"]");
    let config = parse(&text).unwrap();
    let kinds: Vec<&FilterKind> = config.routes[0].filters.iter().map(|filter| &filter.kind).collect();
    let early =
        Pace { rate: Rate::or_unlimited(1 << 20).into(), burst: Burst::new(65_536), ..Pace::default() };
    assert_eq!(*kinds[0], FilterKind::Rate(early));
    assert_eq!(*kinds[2], FilterKind::RoutePace);
}

#[test]
fn the_long_and_the_short_spelling_of_a_responses_rate_mean_the_same() {
    // But for the lines on which it stands.
    let read = |text: &str| Config {
        overlay: OverlaySource::default(),
        limit_sources: LimitSources::default(),
        ..parse(&route(text)).unwrap()
    };
    let short = read("rate = 60\nburst = 256");
    let long = read("limits.response = { rate = 60, burst = 256 }");
    assert_eq!(short, long);
    let reported = parse(&route("rate = 60\nlimits.response.report_only = true")).unwrap();
    assert!(reported.routes[0].limits.report_only);
    let connection =
        parse(&format!("limits.connection = {{ rate = 60, report_only = true }}\n{}", route("")));
    assert!(connection.unwrap().server.sink.report_only);
}

#[test]
fn a_replacement_keeps_its_texts_to_the_letter() {
    let text =
        "[filter.r]\nkind = \"replace\"\nfrom = \" a\\nb\"\nto = \"\"\ntypes = [\"Text/HTML\", \"image/*\"]\n"
            .to_owned() + &route("filters = [\"r\"]");
    let FilterKind::Replace(ReplaceSettings { from, to, types }) =
        parse(&text).unwrap().routes[0].filters[0].kind.clone()
    else {
        panic!()
    };
    assert_eq!((from.as_str(), to.as_str()), (" a\nb", ""));
    assert_eq!(types, MediaTypes::parse(["text/html", "image/*"]).unwrap());
}

#[test]
fn a_programs_own_kind_is_known_by_name_and_by_table() {
    let loader = Loader::new().filter_kind("shout");
    let text =
        "[filter.loud]\nkind = \"shout\"\nmarks = 3\n".to_owned() + &route("filters = [\"loud\", \"shout\"]");
    let config = loader.parse(&text, "test.toml", ".").unwrap();
    for (filter, marks) in config.routes[0].filters.iter().zip([Some(3), None]) {
        let FilterKind::Custom { kind, options } = &filter.kind else { panic!("{filter:?}") };
        assert_eq!(kind, "shout");
        assert_eq!(options.get("marks").and_then(toml::Value::as_integer), marks);
    }
    assert!(Loader::new().parse(&text, "test.toml", ".").is_err(), "unknown without being told");
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let folder = workplace();
    let missing = folder.path().join("none.toml");
    let error = Config::load(&missing).unwrap_err().to_string();
    assert!(error.contains("none.toml: cannot be read: No such file"), "{error}");
    let error = Config::load(folder.path()).unwrap_err().to_string();
    assert!(error.contains("cannot be read: Is a directory"), "{error}");

    let odd = folder.path().join("odd.toml");
    fs::write(&odd, b"listen = 1\n# \xff\n").unwrap();
    let error = Config::load(&odd).unwrap_err().to_string();
    assert!(error.ends_with("odd.toml:2: is not UTF-8 text; save it as UTF-8"), "{error}");
}

#[test]
fn a_file_may_have_a_mebibyte_and_not_a_byte_more() {
    let folder = workplace();
    let long = folder.path().join("config/long.toml");
    let padded = |len: usize| format!("{}#{}", GOOD, " ".repeat(len - GOOD.len() - 1));
    fs::write(&long, padded(MAX_FILE as usize)).unwrap();
    assert!(Config::load(&long).is_ok());
    fs::write(&long, padded(MAX_FILE as usize + 1)).unwrap();
    assert!(Config::load(&long).unwrap_err().to_string().contains("longer than 1 MiB"));
}

#[test]
fn messages_stay_short_for_any_file() {
    let long = "x".repeat(900_000);
    for text in [
        format!("{long} = 1"),
        format!("listen = \"{long}\""),
        format!("log_level = \"{long}\""),
        format!("drain = \"{long}\""),
        format!("access_log = \"{long}\""),
        format!("[filter.{long}]\nkind = \"{long}\""),
        format!("[filter.a]\nkind = \"{long}\""),
        format!("[sink]\non_full = \"{long}\""),
        format!("[limits]\nconnection = \"{long}\""),
        format!("[sink]\non_full = \"close\"\n[[route]]\npath = \"/{long}/\"\nfiles = \".\""),
        route(&format!("rate = \"{long}\"")),
        route(&format!("filters = [\"{long}\"]")),
        format!("[[route]]\npath = \"/{long}\"\nfiles = \".\""),
        format!("[[route]]\npath = \"/{long}/\"\nfiles = \"{long}\""),
        format!("[[route]]\npath = \"/\"\nfiles = \"{long}\""),
        format!("[[route]]\npath = \"/\"\nproxy = \"{long}\""),
    ] {
        let error = parse(&text).unwrap_err();
        assert!(error.len() < 1000, "{} bytes: {}", error.len(), &error[..200]);
    }
}

proptest! {
    #[test]
    fn no_text_is_too_odd(text in "\\PC*", lines in prop::collection::vec("[\\[\\]a-z_. =\"0-9{},]{0,40}", 0..12)) {
        let _ = (parse(&text), parse(&lines.join("\n")));
    }

    /// A good file with a piece cut out and another put in.
    #[test]
    fn no_damage_to_a_good_file_is_too_much(
        cut in any::<prop::sample::Index>(),
        len in 0usize..40,
        put in "[\\[\\]a-z\"'=\\n\\\\é0-9.]{0,8}",
    ) {
        let mut text: Vec<char> = GOOD.chars().collect();
        let start = cut.index(text.len());
        let end = (start + len).min(text.len());
        text.splice(start..end, put.chars());
        let text: String = text.into_iter().collect();
        if let Err(error) = parse(&text) {
            prop_assert!(error.lines().all(|line| line.starts_with("test.toml:")), "{}", error);
        }
    }

    /// Lines in another order: keys come to stand in tables that do not have them.
    #[test]
    fn no_order_of_good_lines_is_too_odd(seed in prop::collection::vec(any::<prop::sample::Index>(), 1..30)) {
        let lines: Vec<&str> = GOOD.lines().filter(|line| !line.starts_with('#')).collect();
        let text: Vec<&str> = seed.iter().map(|index| *index.get(&lines)).collect();
        let _ = parse(&text.join("\n"));
    }
}
