//! wrk, ab and h2load: short bursts of load over connections that stay open. No errors, no answer missing.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::nginx::Nginx;
use crate::program::{loud, make_file, program, site, succeeded};
use crate::sluicegate::Sluicegate;

/// 64 connections for two seconds; gives the number of answers.
fn load(url: &str) -> u64 {
    let report =
        succeeded(Command::new(program("wrk")).args(["-t2", "-c64", "-d2s", "--timeout", "10s", url]));
    let report = String::from_utf8(report).unwrap();
    println!("{report}");
    assert!(!report.contains("Socket errors") && !report.contains("Non-2xx"), "{report}");
    let answers = report.lines().find_map(|line| line.trim().split_once(" requests in "));
    answers.unwrap_or_else(|| panic!("{report}")).0.parse().unwrap()
}

#[test]
fn files_under_load() {
    let _machine = loud();
    let server = Sluicegate::serve(&site(), &["--log-level", "warn"]);
    assert!(load(&server.url("/style.css")) > 64);
}

#[test]
fn paced_files_under_load() {
    let _machine = loud();
    let server = Sluicegate::serve(&site(), &["--rate", "60", "--log-level", "warn"]);
    // 64 connections at 60 KiB/s for 2 s, with one chunk each at the start, and what is under way.
    let len = std::fs::metadata(site().join("style.css")).unwrap().len();
    let most = 64 * (60 * 1024 * 2 + 2 * 12_288) / len + 2 * 64;
    let answers = load(&server.url("/style.css"));
    assert!((64..most).contains(&answers), "{answers} of {most}");
}

/// ApacheBench: `count` requests over 32 connections at a time, HTTP/1.0 with or without keep-alive. All are answered alike.
fn requested(url: &str, count: u32, options: &[&str]) {
    let count_text = count.to_string();
    let mut command = Command::new(program("ab"));
    command.args(["-q", "-n", &count_text, "-c", "32", "-s", "30"]).args(options).arg(url);
    let report = String::from_utf8(succeeded(&mut command)).unwrap();
    println!("{report}");
    let figure = |name: &str| {
        let line = report.lines().find_map(|line| line.strip_prefix(name));
        line.map_or(0, |text| text.split_whitespace().next().unwrap().parse().unwrap())
    };
    let found = ["Complete requests:", "Failed requests:", "Non-2xx responses:", "Write errors:"].map(figure);
    assert_eq!(found, [count, 0, 0, 0], "{report}");
    let kept = if options.contains(&"-k") { count } else { 0 };
    assert_eq!(figure("Keep-Alive requests:"), kept, "{report}");
}

#[test]
fn apache_bench_has_all_requests_answered_with_keep_alive_and_without() {
    let _machine = loud();
    let server = Sluicegate::serve(&site(), &["--log-level", "warn"]);
    let front = Sluicegate::proxy(server.addr, &["--log-level", "warn"]);
    for options in [&["-k"][..], &[], &["-k", "-i"], &["-i"]] {
        requested(&server.url("/style.css"), 3_000, options);
        requested(&server.url("/images/staircase.png"), 1_000, options);
        requested(&front.url("/style.css"), 2_000, options);
    }
    let paced = Sluicegate::serve(&site(), &["--rate", "1m", "--log-level", "warn"]);
    for options in [&["-k"][..], &[]] {
        requested(&paced.url("/style.css"), 200, options);
    }
}

#[test]
fn nginx_through_the_proxy_under_load() {
    let _machine = loud();
    let nginx = Nginx::serve(&site(), "keepalive_requests 100;");
    let front = Sluicegate::proxy(nginx.addr, &["--log-level", "warn"]);
    assert!(load(&front.url("/style.css")) > 64);
    assert!(load(&front.url("/images/staircase.png")) > 64);
}

/// Asks `count` times over `connections` of HTTP/2 with eight streams each.
fn multiplexed(url: &str, count: u32, connections: u32) -> Duration {
    let begin = Instant::now();
    let report = succeeded(Command::new(program("h2load")).args([
        &format!("-n{count}"),
        &format!("-c{connections}"),
        "-m8",
        url,
    ]));
    let lasted = begin.elapsed();
    let report = String::from_utf8(report).unwrap();
    println!("{report}");
    let expected = format!("{count} done, {count} succeeded, 0 failed, 0 errored, 0 timeout");
    assert!(report.contains(&expected) && report.contains("protocol: h2c"), "{report}");
    lasted
}

#[test]
fn streams_of_http2_under_load() {
    let _machine = loud();
    let server = Sluicegate::serve(&site(), &["--log-level", "warn"]);
    multiplexed(&server.url("/style.css"), 4_000, 8);
    multiplexed(&server.url("/logs/app.log"), 40, 4);
}

#[test]
fn streams_on_one_connection_have_the_pace_each() {
    let _machine = loud();
    let folder = tempfile::tempdir().unwrap();
    let server = Sluicegate::serve(folder.path(), &["--rate", "60"]);
    make_file(folder.path(), "a", 6 * 12_288);
    // Eight at a time: 1 s. One after another they would take 9.4 s.
    let lasted = multiplexed(&server.url("/a"), 8, 1);
    assert!((Duration::from_millis(990)..Duration::from_millis(2_000)).contains(&lasted), "{lasted:?}");
}
