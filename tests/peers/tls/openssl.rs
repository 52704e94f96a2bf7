//! openssl's client.

use std::process::Command;

use testkit::certificates::Certificates;
use testkit::wait::until;

use super::secured;
use crate::program::{ended, make_file, program, succeeded};
use crate::sluicegate::Sluicegate;

/// A request on a connection that ends with its answer, as openssl reads it from its standard input.
const REQUEST: &str = "printf 'GET /a.txt HTTP/1.1\\r\\nHost: t\\r\\nConnection: close\\r\\n\\r\\n'";

/// What `openssl s_client` with these flags says and gets, and whether it ended well.
fn s_client(made: &Certificates, server: &Sluicegate, flags: &[&str]) -> (String, bool) {
    let mut client = Command::new("sh");
    client.args(["-c", &format!("{REQUEST} | \"$0\" \"$@\" 2>&1")]).arg(program("openssl"));
    client.args(["s_client", "-connect", &server.addr.to_string(), "-CAfile", &made.path("ca.pem")]);
    let output = ended(client.arg("-ign_eof").args(flags));
    (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.success())
}

/// The same of one whose handshake succeeds.
fn answered(made: &Certificates, server: &Sluicegate, flags: &[&str]) -> String {
    let (text, is_well) = s_client(made, server, flags);
    assert!(text.contains("Verify return code: 0 (ok)") && text.contains("HTTP/1.1 200 OK"), "{text}");
    // What openssl 3 says of an end without close_notify.
    assert!(is_well && !text.contains("unexpected eof"), "{text}");
    text
}

#[test]
fn sessions_resume_and_the_end_is_announced() {
    let made = Certificates::make();
    let (folder, _, server) = secured(&made, "off");
    let session = folder.path().join("session");
    let path = session.to_str().unwrap();
    for (version, name) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let first = answered(&made, &server, &[version, "-sess_out", path]);
        assert!(first.contains(&format!("\nNew, {name}, ")), "{first}");
        let again = answered(&made, &server, &[version, "-sess_in", path]);
        assert!(again.contains(&format!("\nReused, {name}, ")), "{again}");
    }
}

#[test]
fn only_versions_and_ciphers_of_today_are_taken() {
    let made = Certificates::make();
    let (_folder, _, server) = secured(&made, "off");
    // Without the level openssl would not even offer them.
    for refused in [&["-tls1"][..], &["-tls1_1"], &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"]] {
        let lowered = ["-cipher", "ALL:@SECLEVEL=0"];
        let flags = if refused.len() == 1 { [refused, &lowered].concat() } else { refused.to_vec() };
        let (text, is_well) = s_client(&made, &server, &flags);
        assert!(!is_well && text.contains("alert") && !text.contains("HTTP/1.1"), "{flags:?}: {text}");
    }
}

#[test]
fn the_name_asked_for_chooses_the_certificate_and_an_unknown_one_is_shown_the_first_or_refused() {
    let made = Certificates::make();
    make_file(&made.at(""), "a.txt", 1000);
    made.issue("other", &["other.test"]);
    let start = |rule: &str| {
        made.write(
            "all.toml",
            &format!(
                "[tls.default]\ncert = ['server.pem', 'other.pem']\nkey = ['server.key', 'other.key']\n\
                 unknown_name = '{rule}'\n[[route]]\npath = '/'\nfiles = '.'\n"
            ),
        );
        Sluicegate::run(&made.at("all.toml"))
    };
    let (lenient, strict) = (start("default"), start("refuse"));
    for version in ["-tls1_2", "-tls1_3"] {
        for server in [&lenient, &strict] {
            let text = answered(&made, server, &[version, "-servername", "other.test"]);
            assert!(text.contains("subject=CN = other"), "{text}");
        }
        for flags in [&["-servername", "unknown.test"][..], &["-noservername"]] {
            let flags = [&[version], flags].concat();
            let text = answered(&made, &lenient, &flags);
            assert!(text.contains("subject=CN = server"), "{text}");
            let (text, is_well) = s_client(&made, &strict, &flags);
            assert!(!is_well && text.contains("SSL alert number 112"), "{text}");
        }
    }
    until("refusals are logged", || strict.said("unknown_name") == 4);
}

#[test]
fn the_fingerprint_of_a_self_signed_certificate_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    make_file(folder.path(), "a.txt", 1000);
    let server = Sluicegate::serve(folder.path(), &["--tls-self-signed"]);
    let pipe =
        "\"$0\" s_client -connect \"$1\" </dev/null 2>/dev/null | \"$0\" x509 -noout -fingerprint -sha256";
    let mut shown = Command::new("sh");
    shown.args(["-c", pipe]).arg(program("openssl")).arg(server.addr.to_string());
    let shown = String::from_utf8(succeeded(&mut shown)).unwrap();
    // sha256 Fingerprint=AB:CD:…
    let (_, fingerprint) = shown.trim().split_once('=').unwrap();
    assert_eq!(fingerprint.len(), 95, "{shown}");
    until("it is printed", || server.said(fingerprint) == 1);
}
