//! What Prometheus's own checker says of the metrics: nothing. Needs `promtool`, which Debian has in the
//! package prometheus.

use std::io::Write;
use std::process::{Command, Stdio};

use sluicegate::config::EventSettings;
use sluicegate::events::Events;
use sluicegate::http::route::Route;
use sluicegate::rt;

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
    let text = testkit::watched::text(response);
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

#[test]
fn the_alerts_are_good_and_fire_when_they_should() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/prometheus");
    for args in [["check", "rules", "events.rules.yml"], ["test", "rules", "events.test.yml"]] {
        let said = Command::new("promtool").args(args).current_dir(&folder).output().unwrap();
        let words = [said.stdout, said.stderr].concat();
        assert!(said.status.success(), "{args:?}: {}", String::from_utf8_lossy(&words));
    }
}
