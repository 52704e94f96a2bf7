//! testssl.sh, which tries every version, cipher and known weakness.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread::scope;
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

/// All that a run without options looks at, and the finding that comes last in each part. The longest first: they are
/// processes of their own, of which two run at a time.
const PARTS: [Part; 4] = [
    // Ciphers one by one, and what clients of all kinds agree on with the server.
    Part { options: &["-e", "-c"], last: "clientsimulation-" },
    // Versions, ciphers by strength, forward secrecy, what the server prefers, fields.
    Part { options: &["-p", "-s", "-f", "-P", "-h"], last: "banner_reverseproxy" },
    // Weaknesses.
    Part { options: &["-U"], last: "RC4" },
    // Its certificate, extensions and sessions.
    Part { options: &["-S"], last: "certificate_transparency" },
];

/// How often a part is run in which testssl.sh could not look at something.
const RUNS: usize = 3;

/// Findings that are not the server's, by their names.
const NOT_OURS: [&str; 1] = [
    // The machine's openssl has no GOST ciphers to try.
    "engine_problem",
];

/// Starts openssl. testssl.sh gives s_client an empty input, with which it ends; with TLS 1.3 it has often ended before the
/// server's ticket has come, whoever the server is. The session that is then resumed is an empty file, and the finding is a
/// "connect problem". So the input lasts until there is a session.
const OPENSSL: &str = r#"#!/bin/sh
session= before=
for arg; do
    [ "$before" = -sess_out ] && session=$arg
    before=$arg
done
[ "$session" ] || exec openssl "$@"
{
    tries=0
    until [ -s "$session" ] || [ $((tries += 1)) -gt 200 ]; do sleep 0.05; done
} | openssl "$@"
"#;

struct Part {
    options: &'static [&'static str],
    last: &'static str,
}

/// What testssl.sh found: its name for it, how bad it is, and what it is.
#[derive(Clone, Debug, PartialEq)]
struct Finding {
    id: String,
    severity: String,
    text: String,
}

impl Finding {
    fn is_good(&self) -> bool {
        ["OK", "INFO", "LOW"].contains(&&*self.severity) || NOT_OURS.contains(&&*self.id)
    }

    /// Whether it says that testssl.sh could not look.
    fn is_open(&self) -> bool {
        self.severity == "WARN" && !self.is_good()
    }
}

impl Part {
    /// Runs it until every look could be taken, a few times. What was found is kept from every run.
    fn run(&self, made: &Certificates, port: u16, openssl: &Path) -> Vec<Finding> {
        let (mut all, mut open) = (Vec::<Finding>::new(), Vec::new());
        for _ in 0..RUNS {
            let found = self.run_once(made, port, openssl);
            let (not_made, found): (Vec<_>, Vec<_>) = found.into_iter().partition(Finding::is_open);
            all.extend(found);
            open = not_made;
            open.retain(|finding| all.iter().all(|made| made.id != finding.id));
            if open.is_empty() {
                break;
            }
            println!("{:?}: could not look: {open:?}", self.options);
        }
        all.extend(open);
        all
    }

    fn run_once(&self, made: &Certificates, port: u16, openssl: &Path) -> Vec<Finding> {
        let folder = tempfile::tempdir().unwrap();
        let report = folder.path().join("report.json");
        let mut command = Command::new(program("testssl"));
        command.args(["--quiet", "--color", "0", "--warnings", "off", "--ip", "127.0.0.1"]);
        command.arg("--openssl").arg(openssl).args(["--add-ca", &made.path("ca.pem"), "--jsonfile"]);
        command.arg(&report).args(self.options).arg(format!("localhost:{port}"));
        let output = ended_within(Duration::from_secs(15 * 60), &mut command);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let report = std::fs::read_to_string(&report).unwrap_or_else(|_| panic!("no report: {said}"));
        let found: Vec<Value> = serde_json::from_str(&report).unwrap();
        let found: Vec<Finding> = found
            .iter()
            .map(|finding| {
                let text = |name: &str| finding[name].as_str().unwrap().to_owned();
                Finding { id: text("id"), severity: text("severity"), text: text("finding") }
            })
            .collect();
        let last = |finding: &Finding| finding.id.starts_with(self.last);
        assert!(found.iter().any(last), "it did not go through to {}: {said}", self.last);
        found
    }
}

/// A server with a certificate as authorities issue them: for 90 days, for servers, with an address to ask whether it
/// was revoked.
fn serve(made: &Certificates) -> Sluicegate {
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
    Sluicegate::run(&made.at("all.toml"))
}

/// The script that starts openssl.
fn openssl(folder: &Path) -> PathBuf {
    let path = folder.join("openssl");
    let file = std::fs::File::options().write(true).create_new(true).mode(0o755).open(&path);
    file.unwrap().write_all(OPENSSL.as_bytes()).unwrap();
    path
}

#[test]
fn testssl_finds_nothing_above_low() {
    let made = Certificates::make();
    let server = serve(&made);
    let openssl = openssl(&made.at(""));
    let (left, findings) = (Mutex::new(PARTS.iter()), Mutex::new(Vec::new()));
    scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some(part) = left.lock().unwrap().next() else { break };
                    let found = part.run(&made, server.addr.port(), &openssl);
                    findings.lock().unwrap().extend(found);
                }
            });
        }
    });
    let findings = findings.into_inner().unwrap();
    for (id, expected) in [
        ("SSLv3", "not offered"),
        ("TLS1", "not offered"),
        ("TLS1_1", "not offered"),
        ("TLS1_2", "offered"),
        ("TLS1_3", "offered with final"),
        ("cert_chain_of_trust", "passed."),
        ("sessionresumption_ticket", "supported"),
    ] {
        let found = findings.iter().find(|finding| finding.id == id && !finding.is_open());
        assert_eq!(found.map(|found| &*found.text), Some(expected), "{id}");
    }
    let bad = findings.iter().filter(|finding| !finding.is_good());
    assert_eq!(bad.collect::<Vec<_>>(), Vec::<&Finding>::new());
}
