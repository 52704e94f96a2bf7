//! TLS as curl, openssl, Chromium and testssl.sh speak it.

mod admin;
mod browser;
mod carried;
mod openssl;
mod testssl;

use std::process::Command;

use testkit::certificates::Certificates;

use crate::program::{ended, make_file, program, succeeded, timed};
use crate::sluicegate::Sluicegate;

/// A server with these certificates, of a folder with a file.
fn secured(made: &Certificates, rate: &str) -> (tempfile::TempDir, Vec<u8>, Sluicegate) {
    let folder = tempfile::tempdir().unwrap();
    let content = make_file(folder.path(), "a.txt", 140_000);
    let [cert, key] = ["server.pem", "server.key"].map(|name| made.path(name));
    let server = Sluicegate::serve(folder.path(), &["--tls-cert", &cert, "--tls-key", &key, "--rate", rate]);
    (folder, content, server)
}

/// curl that trusts the authority of `made` alone.
fn curl(made: &Certificates) -> Command {
    let mut command = Command::new(program("curl"));
    command.args(["-q", "-sS", "--cacert", &made.path("ca.pem")]);
    command
}

#[test]
fn curl_gets_every_byte_in_each_version() {
    let made = Certificates::make();
    let (folder, content, server) = secured(&made, "off");
    for (args, expected) in [
        (&["--http1.1", "--tlsv1.2", "--tls-max", "1.2"][..], "1.1"),
        (&["--http2", "--tlsv1.2", "--tls-max", "1.2"], "2"),
        (&["--http1.1", "--tlsv1.3"], "1.1"),
        (&["--http2", "--tlsv1.3"], "2"),
        // Without ALPN it is HTTP/1.1.
        (&["--no-alpn"], "1.1"),
    ] {
        let copy = folder.path().join("copy");
        let version = succeeded(
            curl(&made).args(args).args(["-w", "%{http_version}", "-o"]).arg(&copy).arg(server.url("/a.txt")),
        );
        assert_eq!(String::from_utf8(version).unwrap(), expected, "{args:?}");
        assert!(std::fs::read(&copy).unwrap() == content, "{args:?}");
    }
    let untrusting = ended(Command::new(program("curl")).args(["-q", "-sS", &server.url("/a.txt")]));
    assert_eq!(untrusting.status.code(), Some(60), "{untrusting:?}");
}

#[test]
fn several_answers_on_one_connection_of_http2_are_paced_as_without_tls() {
    timed(|| {
        let made = Certificates::make();
        let (folder, content, server) = secured(&made, "60");
        let mut command = curl(&made);
        command.args(["--http2", "--parallel", "-w", "%{time_total}\n"]);
        for name in ["one", "two", "three"] {
            command.arg("-o").arg(folder.path().join(name)).arg(server.url("/a.txt"));
        }
        let times = String::from_utf8(succeeded(&mut command)).unwrap();
        for time in times.lines() {
            // 140 000 bytes at 61 440 a second: the last chunk leaves at 2.2 s, and the rest of less than one with it.
            let seconds: f64 = time.parse().unwrap();
            assert!((2.0..2.6).contains(&seconds), "{times}");
        }
        assert!(
            ["one", "two", "three"].map(|name| std::fs::read(folder.path().join(name)).unwrap() == content)
                == [true; 3]
        );
    });
}
