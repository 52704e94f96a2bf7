//! What a reload says of changes.

use super::limits::InForce;
use super::*;
use crate::config::Loader;
use crate::limit::{Budget, Rate};
use crate::live_limits::LimitSources;

fn parse(text: &str) -> Config {
    Loader::new().parse(text, "test.toml", env!("CARGO_MANIFEST_DIR")).unwrap()
}

#[test]
fn a_limit_change_lists_rate_burst_and_report_only() {
    let budget = |rate, burst| Budget::of(Rate::or_unlimited(rate)).with_burst(burst);
    let of = |name: &str, budget: Budget| InForce { of: name.to_owned(), name: None, setting: budget.into() };
    let before = [of("a", budget(1024, 0)), of("b", budget(0, 65_536)), of("gone", budget(1, 0))];
    let reported = Budget { report_only: true, ..budget(2048, 1024) };
    let after = [of("b", budget(0, 65_536)), of("a", reported), of("new", budget(1, 0))];
    let expected = "limit of a: 1k → 2k burst 1k only reported";
    assert_eq!(
        limits::changes(&before, &after, &LimitSources::default()),
        [expected],
        "routes that come and go are told elsewhere"
    );
}

#[test]
fn changed_limits_do_not_change_the_route() {
    let route = |keys: &str| parse(&format!("[[route]]\npath='/'\nfiles='src'\n{keys}")).routes;
    let plain = route("");
    for same in ["rate='1m'\nburst='1m'", "limits.total={rate='1m'}", "limits.client={rate='1m'}"] {
        assert_eq!(route_changes(&plain, &route(same)), [""; 0], "{same}");
    }
    for other in ["list=true", "smooth=true", "filters=['gzip']", "rate='1m'\nend_of_stream='paced'"] {
        assert_eq!(route_changes(&plain, &route(other)), ["route / changed"], "{other}");
    }
    assert_eq!(route_changes(&plain, &route("limits.response.weight=2")), ["route / changed"]);
}

#[test]
fn every_changed_setting_is_listed() {
    let before = parse("[[route]]\npath='/'\nfiles='src'");
    let after = parse(
        "overlay='other.toml'\ntime_zone='Europe/Berlin'\nlog_level='warn'\nlog_format='text'\naccess_log='stderr'\naccess_log_format='combined'\ndrain='1s'\nmax_connections=1\nclient_connections=2\n\
         header_timeout='3s'\nidle_timeout='4s'\nbody_timeout='5s'\nmax_body='8m'\nhalf_close='abort'\n\
         trusted_proxies='10.0.0.0/8'\n\
         [limits]\nclient={rate='1m',key='header:x-key'}\n\
         [sink]\nbuffer='1m'\ntotal='2m'\non_full='close'\nstall_timeout='5s'\n\
         min_drain_rate='6k'\nunsent='7k'\nsend_buffer='8k'\n[[route]]\npath='/'\nfiles='src'\nrate='1m'",
    );
    let told = setting_changes(&before, &after);
    assert_eq!(told.len(), settings(&before).len(), "{told:?}");
    assert_eq!(told[0], "log_level: info → warn");
    assert_eq!(told[1], "log_format: auto → text");
    assert!(told.contains(&"client_connections: none → 2".to_owned()));
    assert!(told.contains(&"trusted_proxies: [] → [10.0.0.0/8]".to_owned()));
    assert_eq!(fixed_changes(&before, &after), [""; 0]);
}

#[test]
fn a_changed_collector_needs_a_restart() {
    let text = |tracing: &str| format!("{tracing}\n[[route]]\npath='/'\nevents={{}}");
    let before = parse(&text("[tracing]\notlp='http://a:1'"));
    for (after, expected) in [
        ("[tracing]\notlp='http://a:1'", &[][..]),
        ("[tracing]\notlp='http://b:1'", &["tracing"]),
        ("", &["tracing"]),
    ] {
        assert_eq!(fixed_changes(&before, &parse(&text(after))), expected, "{after}");
    }
}

#[test]
fn a_bounded_number_of_changes_is_listed() {
    let many = Reloaded { changes: vec!["x".to_owned(); 52], needs_restart: Vec::new() };
    assert!(many.to_string().ends_with("x; x; and 2 more"));
    assert_eq!(Reloaded::default().to_string(), "nothing changed");
}
