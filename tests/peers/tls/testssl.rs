//! testssl.sh, which tries every version, cipher and known weakness.

use std::process::Command;
use std::time::Duration;

use rcgen::{CrlDistributionPoint, ExtendedKeyUsagePurpose, KeyUsagePurpose};
use serde_json::Value;
use testkit::certificates::Certificates;

use crate::program::{ended_within, make_file, program};
use crate::sluicegate::Sluicegate;

/// Fields that testssl.sh wants to see, which are a site's to set.
const FIELDS: &str = "[route.headers]\nset = { Strict-Transport-Security = 'max-age=31536000', \
                      X-Frame-Options = 'DENY', X-Content-Type-Options = 'nosniff', \
                      Content-Security-Policy = \"default-src 'self'\" }\n";

/// Findings that are not the server's, by their names.
const NOT_OURS: [&str; 1] = [
    // The machine's openssl has no GOST ciphers to try.
    "engine_problem",
];

#[test]
fn testssl_finds_nothing_above_low() {
    let made = Certificates::make();
    // As authorities issue them: for 90 days, for servers, with an address to ask whether it was revoked.
    let now = std::time::UNIX_EPOCH.elapsed().unwrap();
    made.issue_with("site", &["localhost", "127.0.0.1"], |params| {
        params.not_before = rcgen::date_time_ymd(1970, 1, 1) + now - Duration::from_secs(24 * 60 * 60);
        params.not_after = params.not_before + Duration::from_secs(90 * 24 * 60 * 60);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let uris = vec!["http://crl.example.org/site.crl".to_owned()];
        params.crl_distribution_points = vec![CrlDistributionPoint { uris }];
    });
    make_file(&made.at(""), "index.html", 1000);
    let keys = "[tls.default]\ncert = 'site.pem'\nkey = 'site.key'\n[[route]]\npath = '/'\nfiles = '.'\n";
    made.write("all.toml", &format!("{keys}{FIELDS}"));
    let server = Sluicegate::run(&made.at("all.toml"));
    let report = made.at("report.json");
    let mut command = Command::new(program("testssl"));
    command.args(["--quiet", "--color", "0", "--warnings", "off", "--ip", "127.0.0.1"]);
    command.args(["--add-ca", &made.path("ca.pem"), "--jsonfile"]).arg(&report);
    let output =
        ended_within(Duration::from_secs(15 * 60), command.arg(format!("localhost:{}", server.addr.port())));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let report = std::fs::read_to_string(&report).unwrap_or_else(|_| panic!("no report: {said}"));
    let findings: Vec<Value> = serde_json::from_str(&report).unwrap();
    let text = |finding: &Value, name: &str| finding[name].as_str().unwrap().to_owned();
    // It went through to its last part, which tries what clients of all kinds would agree on with the server.
    assert!(findings.iter().any(|finding| text(finding, "id").starts_with("clientsimulation-")), "{said}");
    for (id, expected) in [
        ("SSLv3", "not offered"),
        ("TLS1", "not offered"),
        ("TLS1_1", "not offered"),
        ("TLS1_2", "offered"),
        ("TLS1_3", "offered with final"),
        ("cert_chain_of_trust", "passed."),
    ] {
        let found = findings.iter().find(|finding| text(finding, "id") == id);
        assert_eq!(found.map(|found| text(found, "finding")).as_deref(), Some(expected), "{id}");
    }
    let bad = findings.iter().filter(|finding| {
        let (id, severity) = (text(finding, "id"), text(finding, "severity"));
        !["OK", "INFO", "LOW"].contains(&&*severity) && !NOT_OURS.contains(&&*id)
    });
    assert_eq!(bad.collect::<Vec<_>>(), Vec::<&Value>::new());
}
