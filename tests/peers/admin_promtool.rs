//! What Prometheus's own checker says of the metrics, the alerts and the dashboard: nothing. Needs `promtool`, which Debian has in the
//! package prometheus.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use sluicegate::config::EventSettings;
use sluicegate::events::Events;
use sluicegate::http::route::Route;
use sluicegate::rt;
use testkit::contrib::{contrib, dashboard_queries};

const PLAIN: &str = "text/plain; version=0.0.4; charset=utf-8";

#[test]
fn promtool_finds_nothing() {
    let folder = testkit::watched::folder();
    let events = Events::new("/events/", EventSettings::default(), None, rt::clock());
    let routes = vec![Route::files("/", folder.path()).unwrap(), Route::events("/events/", events)];
    let watched = testkit::watched::Watched::new(routes);
    for target in ["/small.bin", "/none.bin"] {
        watched.served.get(target, "");
    }
    // As curl asks, and as who says nothing does.
    assert_eq!(watched.get("/metrics", "Accept: */*\r\n").field("content-type"), Some(PLAIN));
    let response = watched.get("/metrics", "");
    assert_eq!(response.field("content-type"), Some(PLAIN));
    check_metrics(&testkit::watched::text(response));
}

/// Has promtool look at metrics in the older format.
pub fn check_metrics(text: &str) {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("promtool cannot be run: {error}; apt-get install prometheus"));
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let said = promtool.wait_with_output().unwrap();
    let words = format!("{}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert!(said.status.success() && words.is_empty(), "{}: {words}\n{text}", said.status);
}

/// Runs promtool in a folder and gives nothing if it found nothing.
fn promtool(folder: &Path, args: &[&str]) {
    let said = Command::new("promtool").args(args).current_dir(folder).output().unwrap();
    let words = [said.stdout, said.stderr].concat();
    assert!(said.status.success(), "{args:?}: {}", String::from_utf8_lossy(&words));
}

#[test]
fn the_alerts_are_good_and_fire_when_they_should() {
    let folder = contrib("prometheus");
    promtool(&folder, &["check", "rules", "events.rules.yml", "server.rules.yml"]);
    promtool(&folder, &["test", "rules", "events.test.yml", "server.test.yml"]);
}

#[test]
fn the_dashboards_questions_are_promql() {
    // As Grafana fills them in.
    let rules = dashboard_queries().into_iter().enumerate().map(|(number, expression)| {
        let expression = expression.replace("$instance", ".*").replace("$__rate_interval", "1m");
        serde_json::json!({ "record": format!("r{number}"), "expr": expression })
    });
    let rules: Vec<_> = rules.collect();
    assert!(rules.len() > 40, "{}", rules.len());
    let folder = tempfile::tempdir().unwrap();
    let groups = serde_json::json!({ "groups": [{ "name": "dashboard", "rules": rules }] });
    std::fs::write(folder.path().join("dashboard.yml"), groups.to_string()).unwrap();
    promtool(folder.path(), &["check", "rules", "dashboard.yml"]);
}
