//! Clients by certificate: what curl shows is charged and named as openssl and sha256sum spell it.

use std::process::Command;

use testkit::certificates::Certificates;

use crate::program::{program, succeeded};
use crate::sluicegate::Sluicegate;

/// The first 16 hex digits in what a command prints behind `mark`.
fn digits(command: &mut Command, mark: &str) -> String {
    let printed = String::from_utf8(succeeded(command)).unwrap();
    let (_, digest) = printed.split_once(mark).unwrap();
    digest.chars().filter(|char| *char != ':').take(16).collect::<String>().to_ascii_lowercase()
}

#[test]
fn curls_certificate_is_the_client_by_its_fingerprint_or_its_name() {
    let made = Certificates::make();
    made.write("f", "content");
    let mut openssl = Command::new(program("openssl"));
    openssl.args(["x509", "-noout", "-fingerprint", "-sha256", "-in", &made.path("client.pem")]);
    let mut sum = Command::new("sh");
    sum.args(["-c", "printf client | sha256sum"]);
    for (key, shown) in
        [("certificate", digits(&mut openssl, "Fingerprint=")), ("certificate_name", digits(&mut sum, ""))]
    {
        let [cert, own, ca] = ["server.pem", "server.key", "ca.pem"].map(|name| made.path(name));
        let flags = ["--tls-cert", &cert, "--tls-key", &own, "--tls-client-ca", &ca, "--client-key", key];
        let server = Sluicegate::serve(&made.at(""), &flags);
        for (version, named) in [("--http1.1", "HTTP/1.1"), ("--http2", "HTTP/2.0")] {
            let mut curl = Command::new(program("curl"));
            curl.args(["-q", "-sS", "--cacert", &made.path("ca.pem"), "--cert", &made.path("client.pem")]);
            curl.args(["--key", &made.path("client.key"), version, &server.url("/f")]);
            assert_eq!(succeeded(&mut curl), b"content");
            server.logged(&[("key", &format!("cert-{shown}")), ("version", named)]);
        }
        // Nobody gets in without one.
        let mut curl = Command::new(program("curl"));
        curl.args(["-q", "-sS", "--cacert", &made.path("ca.pem"), &server.url("/f")]);
        assert!(!curl.output().unwrap().status.success());
    }
}
