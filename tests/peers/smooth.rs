//! `smooth`: how many packets of a chunk leave at once, over a virtual wire between two network namespaces.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::program::{succeeded, timed};

/// 100 Mbit/s: a chunk is 2.5 MB, 1 727 packets.
const RATE: u64 = 12_500_000;
const SECONDS: u64 = 10;

/// Ten milliseconds of five quarters of the pace are 108 packets. A busy machine lets some pile up.
const MOST: u64 = 400;

/// Measures a download of `url`; `None` if this machine does not allow that, which is said.
fn measure(qdisc: &str, url: &str, flags: &[&str]) -> Option<Value> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/bursts.py");
    let allowed = Command::new("unshare").args(["--net", "true"]).output();
    if !allowed.as_ref().is_ok_and(|output| output.status.success()) {
        testkit::skip::skipped(&format!("no network namespaces here: {allowed:?}"));
        return None;
    }
    let mut command = Command::new("unshare");
    command.arg("--net").arg("python3").arg(script).arg(testkit::program::path());
    command.args([qdisc, &RATE.to_string(), &SECONDS.to_string(), url]).args(flags);
    let said: Value = serde_json::from_slice(&succeeded(&mut command)).unwrap();
    if let Some(why) = said.get("skipped") {
        testkit::skip::skipped(&format!("with the queue {qdisc}: {why}"));
        return None;
    }
    eprintln!("queue {qdisc}, {url} {flags:?}: {said}");
    Some(said)
}

fn number(said: &Value, name: &str) -> u64 {
    said[name].as_u64().unwrap()
}

/// Measures `url` with and without `--smooth`: spread or not, the rate is the one that was set, to a hundredth.
fn compare(qdisc: &str, url: &str, flags: &[&str]) {
    let Some(plain) = measure(qdisc, url, flags) else { return };
    let Some(smooth) = measure(qdisc, url, &[flags, &["--smooth"]].concat()) else { return };
    assert!(number(&plain, "largest") > 1_000, "{plain}");
    assert!(number(&smooth, "largest") < MOST, "{smooth}");
    for said in [&plain, &smooth] {
        assert!(number(said, "per_second").abs_diff(RATE) <= RATE / 100, "{said}");
    }
}

#[test]
fn a_smooth_response_leaves_packet_by_packet_at_the_same_pace() {
    timed(|| compare("none", "http://ADDRESS/file", &[]));
}

#[test]
fn the_queue_fq_spreads_it_too() {
    timed(|| compare("fq", "http://ADDRESS/file", &[]));
}

/// curl and the server agree on HTTP/2.
#[test]
fn a_smooth_stream_inside_tls_is_spread_too() {
    timed(|| compare("none", "https://ADDRESS/file", &["--tls-self-signed"]));
}
