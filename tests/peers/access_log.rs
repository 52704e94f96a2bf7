//! The access log in the combined format, read by others: goaccess and fail2ban's filters, as they are installed.

use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;

use testkit::program::{Program, get};

use crate::program::{site, succeeded};

/// A log with what clients send: well-behaved ones, and one who wants to write lines of its own.
fn log(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("access.log");
    let to = path.to_str().unwrap();
    let program = Program::start(&[
        "serve",
        site().to_str().unwrap(),
        "--access-log",
        to,
        "--access-log-format",
        "combined",
    ]);
    for target in ["/index.html", "/style.css", "/none.php"] {
        get(
            program.connect(),
            target,
            "User-Agent: Mozilla/5.0 (X11; Linux x86_64) Firefox/130.0\r\nReferer: http://a.example/\r\n",
        );
    }
    get(program.connect(), "/index.html", "User-Agent: a\" 200 1 \"-\" \"\\\r\n");
    for bad in ["nonsense\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"] {
        let mut stream = program.connect();
        stream.write_all(bad.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
    program.end();
    path
}

#[test]
fn goaccess_reads_every_line() {
    let folder = tempfile::tempdir().unwrap();
    let (log, report) = (log(folder.path()), folder.path().join("report.json"));
    let mut goaccess = Command::new("goaccess");
    goaccess.arg(&log).args(["--log-format=COMBINED", "--no-global-config", "-o"]).arg(&report);
    succeeded(&mut goaccess);
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
    let general = &report["general"];
    assert_eq!(
        (&general["total_requests"], &general["failed_requests"]),
        (&6.into(), &0.into()),
        "{general}"
    );
    let statuses = report["status_codes"]["data"].to_string();
    assert!(statuses.contains("404") && statuses.contains("400"), "{statuses}");
}

#[test]
fn fail2ban_finds_the_bad_requests_and_whose_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path());
    for (filter, hits) in [("nginx-bad-request", 2), ("nginx-botsearch", 0)] {
        let mut regex = Command::new("fail2ban-regex");
        let said = succeeded(regex.arg(&log).arg(format!("/etc/fail2ban/filter.d/{filter}.conf")));
        let said = String::from_utf8_lossy(&said).into_owned();
        let lines = format!("Lines: 6 lines, 0 ignored, {hits} matched, {} missed", 6 - hits);
        assert!(said.contains(&lines), "{filter}: {said}");
    }
    // Whoever asks for what is not there, by a filter of one's own; and the dates are read.
    let mut regex = Command::new("fail2ban-regex");
    let said = succeeded(regex.arg(&log).arg(r#"^<HOST> - \S+ \[\] "GET [^"]+" 404 "#));
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(said.contains("6 lines, 0 ignored, 1 matched, 5 missed"), "{said}");
    assert!(
        said.contains("Day(?P<_sep>[-/])MON(?P=_sep)ExYear[ :]?24hour:Minute:Second") && said.contains("[6]"),
        "{said}"
    );
}
