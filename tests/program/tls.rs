//! TLS as it is typed and configured: what starts, what is refused, and what a reload does.

use std::io::{Read, Write};
use std::net::SocketAddr;

use rustix::process::Signal;
use sluicegate::budget::ClientKey;
use sluicegate::tls::{Identity, ServerTls, TlsSettings};
use testkit::certificates::Certificates;
use testkit::program::{Program, command, get, log_until};
use testkit::records::records;
use testkit::served::connect;
use testkit::tls::TlsClient;
use testkit::wait::{soon, until};
use testkit::wire::Client;

use crate::typed::prints;

/// The address behind these words of the start.
fn said(program: &Program, words: &str) -> SocketAddr {
    let line = program.started.iter().find_map(|line| line.strip_prefix(words));
    line.unwrap_or_else(|| panic!("no {words} in {:?}", program.started))
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap()
}

/// Starts a server of the configuration `keys`, beside the certificates.
fn start(made: &Certificates, keys: &str) -> Program {
    made.write("all.toml", keys);
    Program::start_where_told(command(&["run", &made.path("all.toml")]))
}

fn ask(client: &TlsClient, addr: SocketAddr, name: &str) -> (String, Vec<u8>) {
    get(client.connect(addr, name).unwrap(), "/server.pem", "")
}

/// What `check` says against the configuration `keys`.
fn faults(made: &Certificates, keys: &str) -> String {
    made.write("bad.toml", &format!("{keys}\n[[route]]\npath = '/'\nfiles = '.'\n"));
    let output = command(&["check", &made.path("bad.toml")]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{keys}");
    String::from_utf8(output.stderr).unwrap()
}

const ROUTE: &str = "[[route]]\npath = '/'\nfiles = '.'\ndot_files = true\n";

#[test]
fn flags_give_every_listener_a_certificate() {
    let made = Certificates::make();
    let folder = made.at("").to_str().unwrap().to_owned();
    let [cert, key] = ["server.pem", "server.key"].map(|name| made.path(name));
    let program = Program::start(&["serve", &folder, "--tls-cert", &cert, "--tls-key", &key]);
    let (head, body) = ask(&TlsClient::new(&made), said(&program, "listening on https://"), "127.0.0.1");
    assert!(head.starts_with("HTTP/1.1 200") && body == std::fs::read(&cert).unwrap(), "{head}");
    program.end();
    for (typed, expected) in [
        (&["--tls-cert", &cert][..], "--tls-cert: its key is missing; set --tls-key too\n"),
        (&["--tls-key", &key], "--tls-key: its certificate is missing; set --tls-cert too\n"),
        (
            &["--tls-self-signed", "--tls-cert", &cert],
            "--tls-self-signed: it is in the place of cert and key; leave one or the other out\n",
        ),
    ] {
        let output = command(&["serve", &folder]).args(typed).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains(expected) && output.status.code() == Some(2), "{error}");
    }
}

#[test]
fn a_certificate_for_trying_it_out_is_made_and_its_fingerprint_printed() {
    let made = Certificates::make();
    let program = Program::start(&["serve", made.at("").to_str().unwrap(), "--tls-self-signed"]);
    let addr = said(&program, "listening on https://");
    let line = program.started.iter().find_map(|line| line.split_once("SHA-256 "));
    let (_, fingerprint) = line.unwrap();
    assert!(fingerprint.len() == 95 && fingerprint.split(':').count() == 32, "{fingerprint}");
    let error = TlsClient::new(&made).connect(addr, "127.0.0.1").unwrap_err().to_string();
    assert!(error.contains("UnknownIssuer"), "{error}");
    program.end();
}

#[test]
fn each_listener_has_the_tls_that_is_named_beside_it() {
    let made = Certificates::make();
    made.issue("admin", &["127.0.0.1"]);
    let program = start(
        &made,
        &format!(
            "listen = ['127.0.0.1:0', {{ address = '127.0.0.1:0', tls = 'main' }}]
            http_redirect = '127.0.0.1:0'
            admin = '127.0.0.1:0'
            admin_tls = 'admin'
            [tls.main]
            cert = 'server.pem'
            key = 'server.key'
            [tls.admin]
            cert = 'admin.pem'
            key = 'admin.key'
            [[tcp]]
            listen = '127.0.0.1:0'
            tls = 'main'
            file = 'ca.pem'
            {ROUTE}"
        ),
    );
    let client = TlsClient::new(&made);
    let secured = said(&program, "listening on https://");
    assert_eq!(get(program.connect(), "/server.pem", "").1, ask(&client, secured, "127.0.0.1").1);

    let mut plain = connect(said(&program, "redirecting http://"));
    plain.write_all(b"POST /a?b HTTP/1.1\r\nHost: files.test\r\nContent-Length: 0\r\n\r\n").unwrap();
    let answer = testkit::wire::answer(&mut plain);
    let expected = format!("https://files.test:{}/a?b", secured.port());
    assert_eq!((answer.status(), answer.field("location")), (308, Some(&*expected)));

    let mut raw = client.connect(said(&program, "listening on tcp:"), "127.0.0.1").unwrap();
    let mut got = Vec::new();
    raw.read_to_end(&mut got).unwrap();
    assert_eq!(got, std::fs::read(made.at("ca.pem")).unwrap());

    let admin = said(&program, "admin on https://");
    let mut scraping = client.connect(admin, "127.0.0.1").unwrap();
    scraping.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let page = testkit::wire::answer(&mut scraping).text().to_owned();
    assert!(page.contains("\nsluicegate_tls_handshakes_total{tls=\"main\"} 2\n"), "{page}");
    let end = "sluicegate_tls_certificate_expiry_timestamp_seconds{tls=\"admin\",file=";
    assert!(page.contains(end), "{page}");
    let at = format!("https://{admin}");
    let list = prints(&["limits", "list", "--admin", &at, "--tls-ca", &made.path("ca.pem")]);
    assert!(list.contains("server"), "{list}");
    program.end();
}

#[test]
fn keys_that_do_not_fit_are_faults_with_their_places() {
    let made = Certificates::make();
    let table = "[tls.main]\ncert = 'server.pem'\nkey = 'server.key'\n";
    for (keys, expected) in [
        (
            format!("listen = {{ address = '[::1]:0', tls = 'mian' }}\n{table}"),
            "bad.toml:1:39: tls in listen: there is no [tls.mian]; did you mean \"main\"?\n",
        ),
        (format!("listen = {{ tls = 'main' }}\n{table}"), "\"address\" is missing in listen"),
        (format!("listen = 1\n{table}"), "expected a string or a table such as { address = "),
        ("listen = { address = '[::1]:0', tls = 'a' }\n[tls.a]".to_owned(), "neither cert nor self_signed"),
        ("[tls.default]\ncert = 'server.pem'".to_owned(), "its key is missing; set key too"),
        (
            "[tls.default]\ncert = ['server.pem', 'ca.pem']\nkey = 'server.key'".to_owned(),
            "1 key for 2 certificates; give each certificate its key, in the same order",
        ),
        ("[tls.default]\ncert = []\nkey = []".to_owned(), "is empty; name a certificate in PEM"),
        (
            format!(
                "limits.client.key = 'certificate'\nlisten = {{ address = '[::1]:0', tls = 'main' }}\n{table}"
            ),
            "bad.toml:1:21: key in [limits.client]: nobody is asked for a certificate; set client_ca in the [tls.NAME] \
             of an address, or choose another key\n",
        ),
        (
            "limits.client.key = 'certificates'".to_owned(),
            "known here: address, header:NAME (header:x-api-key), certificate, certificate_name\n",
        ),
        ("[tls.off]\nself_signed = true".to_owned(), "\"off\" stands for no TLS; choose another name"),
        (
            "[tls]\ncert = 'server.pem'\nkey = 'server.key'".to_owned(),
            "bad.toml:2:1: [tls.cert]: this is not a table; certificates are named, so write cert and key below \
             [tls.default]\n",
        ),
        ("http_redirect = '[::1]:80'".to_owned(), "there is no address with TLS to send clients to"),
        (
            format!("listen = {{ address = '[::1]:80', tls = 'main' }}\nhttp_redirect = '[::1]:80'\n{table}"),
            "[::1]:80 is listened on already; choose another port",
        ),
        (
            format!("admin_tls = 'main'\n{table}"),
            "there is nothing to secure; give admin too, or leave it out",
        ),
        (
            "[tls.default]\nself_signed = true\nunknown_name = 'refus'".to_owned(),
            "\"refus\" is not a rule for unknown names; did you mean \"refuse\"?",
        ),
    ] {
        let told = faults(&made, &keys);
        assert!(told.contains(expected), "{keys}\n{told}");
    }
    made.write("unused.toml", &format!("{table}{ROUTE}"));
    let output = command(&["check", &made.path("unused.toml")]).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("1:6: [tls.main] is not used; name it beside an address to listen on"), "{told}");
}

#[test]
fn a_start_without_usable_files_says_which() {
    let made = Certificates::make();
    made.set_mode("server.key", 0o604);
    made.write("all.toml", &format!("[tls.default]\ncert = 'server.pem'\nkey = 'server.key'\n{ROUTE}"));
    let output = command(&["run", &made.path("all.toml"), "--listen", "127.0.0.1:0"]).output().unwrap();
    let (error, key) = (String::from_utf8(output.stderr).unwrap(), made.path("server.key"));
    let expected = format!("[tls.default]: TLS file {key}: its mode 604 lets everyone on this machine");
    assert!(error.contains(&expected) && error.contains("run chmod o-rw "), "{error}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_hang_up_takes_new_certificates_and_keeps_the_old_ones_if_they_are_wrong() {
    let made = Certificates::make();
    let keys = |name: &str| format!("[tls.default]\ncert = '{name}.pem'\nkey = '{name}.key'\n{ROUTE}");
    made.issue("next", &["next.test"]);
    made.write("all.toml", &keys("server"));
    let mut program = Program::start(&["run", &made.path("all.toml"), "--log-level", "info"]);
    let (client, addr) = (TlsClient::new(&made), said(&program, "listening on https://"));
    let mut kept = client.connect(addr, "127.0.0.1").unwrap();

    made.write("next.key", "nothing");
    made.write("all.toml", &keys("next"));
    program.signal(Signal::HUP);
    let log = log_until(&mut program, "next.key");
    assert!(log.contains("not reloaded") && log.contains("it holds no private key in PEM"), "{log}");
    assert!(client.connect(addr, "127.0.0.1").is_ok(), "the old one is in use");

    made.issue("next", &["next.test"]);
    program.signal(Signal::HUP);
    let log = log_until(&mut program, "tls default changed");
    assert!(log.contains("certificates of tls default replaced"), "{log}");
    assert!(client.connect(addr, "127.0.0.1").is_err() && client.connect(addr, "next.test").is_ok());
    assert!(get(&mut kept, "/server.pem", "").0.starts_with("HTTP/1.1 200"), "it goes on as it began");

    // Without a hang-up, within a second.
    made.issue("next", &["renewed.test"]);
    soon("the file is read again", || client.connect(addr, "renewed.test").ok());
    made.write("next.key", "nothing");
    // Each second that brings a client tries again, and not each client.
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| log_until(&mut program, "cannot be loaded"));
        until("the wrong file is logged", || {
            let _ = client.connect(addr, "renewed.test").unwrap();
            reading.is_finished()
        });
    });
    assert!(client.connect(addr, "renewed.test").is_ok());
    program.end();
}

#[test]
fn certificates_that_end_soon_or_have_ended_are_warned_of() {
    let made = Certificates::make();
    made.issue_until("old", &["old.test"], 2020);
    made.write("all.toml", &format!("[tls.default]\ncert = 'old.pem'\nkey = 'old.key'\n{ROUTE}"));
    let mut program = Program::start(&["run", &made.path("all.toml")]);
    let addr = said(&program, "listening on https://");
    let error = TlsClient::new(&made).connect(addr, "old.test").unwrap_err().to_string();
    assert!(error.contains("expired"), "{error}");
    let log = log_until(&mut program, "certificate has ended");
    assert!(log.contains("old.pem") || log_until(&mut program, "old.pem").contains("file"), "{log}");
    program.end();
}

#[test]
fn fourteen_days_are_soon_and_an_hour_more_is_not() {
    const DAY: u64 = 24 * 60 * 60;
    let made = Certificates::make();
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let ends = [now + 14 * DAY - 60 * 60, now + 14 * DAY + 60 * 60];
    for (name, end) in ["soon", "later"].into_iter().zip(ends) {
        made.issue_ending(name, &[&format!("{name}.test")], end);
    }
    let table = |name: &str| format!("[tls.{name}]\ncert = '{name}.pem'\nkey = '{name}.key'\n");
    let listen = |name: &str| format!("{{ address = '127.0.0.1:0', tls = '{name}' }}");
    let tables = ["soon", "later"].map(table).concat();
    let listen = ["soon", "later"].map(listen).join(", ");
    let program = start(&made, &format!("listen = [{listen}]\nadmin = '127.0.0.1:0'\n{tables}{ROUTE}"));
    let mut scraping = connect(said(&program, "admin on http://"));
    scraping.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let page = testkit::wire::answer(&mut scraping).text().to_owned();
    for (name, end) in ["soon", "later"].into_iter().zip(ends) {
        let file = made.path(&format!("{name}.pem"));
        let gauge = "sluicegate_tls_certificate_expiry_timestamp_seconds";
        let line = format!("\n{gauge}{{tls=\"{name}\",file=\"{file}\"}} {end}\n");
        assert!(page.contains(&line), "{line}{page}");
    }
    let log = program.end();
    let [warning] = &records(&log, "certificate ends within 14 days")[..] else { panic!("{log}") };
    warning.assert_says(&[
        ("tls", "soon"),
        ("file", &made.path("soon.pem")),
        ("days", "14"),
        ("level", "warn"),
    ]);
    assert!(!log.contains("certificate has ended"), "{log}");
}

#[test]
fn failed_handshakes_are_logged_within_a_bound() {
    let made = Certificates::make();
    made.write("all.toml", &format!("[tls.default]\ncert = 'server.pem'\nkey = 'server.key'\n{ROUTE}"));
    let program = Program::start(&["run", &made.path("all.toml")]);
    let addr = said(&program, "listening on https://");
    for _ in 0..30 {
        let mut plain = connect(addr);
        plain.write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
        let _ = plain.read_to_end(&mut Vec::new());
    }
    let log = program.end();
    assert_eq!(log.matches("TLS handshake failed").count(), 20, "{log}");
    assert!(log.contains("not_tls"), "{log}");
}

#[test]
fn the_metrics_have_a_renewed_certificate_though_no_client_comes() {
    let made = Certificates::make();
    made.issue_until("quiet", &["quiet.test"], 2040);
    let tables = "[tls.default]\ncert = 'quiet.pem'\nkey = 'quiet.key'\n";
    let program = start(&made, &format!("listen = '127.0.0.1:0'\nadmin = '127.0.0.1:0'\n{tables}{ROUTE}"));
    let admin = said(&program, "admin on http://");
    let ends = |at: &str| {
        let mut scraping = connect(admin);
        scraping.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let page = testkit::wire::answer(&mut scraping).text().to_owned();
        let name = "sluicegate_tls_certificate_expiry_timestamp_seconds{";
        let line = page.lines().find(|line| line.starts_with(name)).unwrap();
        line.ends_with(&format!(" {at}"))
    };
    assert!(ends("2208988800"));
    made.issue_until("quiet", &["quiet.test"], 2050);
    until("it is looked at again", || ends("2524608000"));
    program.end();
}

#[test]
fn clients_are_told_apart_by_certificates_where_they_are_asked_for_them() {
    let made = Certificates::make();
    let keys = |key: &str| {
        format!(
            "listen = [{{ address = '127.0.0.1:0', tls = 'main' }}, '127.0.0.1:0']
            access_log = 'stderr'
            limits.client = {{ rate = '1g', key = '{key}' }}
            [tls.main]
            cert = 'server.pem'
            key = 'server.key'
            client_ca = 'ca.pem'
            [[tcp]]
            listen = '127.0.0.1:0'
            tls = 'main'
            file = 'ca.pem'
            {ROUTE}"
        )
    };
    made.write("all.toml", &keys("certificate"));
    let output = command(&["check", &made.path("all.toml")]).output().unwrap();
    let (shown, warned) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(shown.contains("  client key   certificate\n"), "{shown}");
    let text = "key in [limits.client]: clients of 127.0.0.1:0 are not asked for a certificate, and count by their \
                addresses; set client_ca in its [tls.NAME]";
    assert_eq!(warned.matches(text).count(), 1, "{warned}");

    made.write("all.toml", &keys("address"));
    let mut program = Program::start_where_told(command(&["run", &made.path("all.toml")]));
    let client = TlsClient::of(&made, &[&rustls::version::TLS13], Some("client"));
    let stream = client.connect(said(&program, "listening on https://"), "127.0.0.1").unwrap();
    let mut asking = Client::new(stream);
    let mut get = |target: &str| {
        write!(asking.stream, "GET {target} HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
        assert_eq!(asking.answer().status(), 200);
    };
    get("/server.pem");
    made.write("all.toml", &keys("certificate"));
    program.signal(Signal::HUP);
    let mut log = log_until(&mut program, "client key: address → certificate");
    // The connection goes on, and is charged for its certificate from now on.
    get("/ca.pem");
    let mut raw = client.connect(said(&program, "listening on tcp:"), "127.0.0.1").unwrap();
    raw.read_to_end(&mut Vec::new()).unwrap();
    let tls = ServerTls::from_settings("", &TlsSettings::of(vec![identity(&made, "client")])).unwrap();
    let key = ClientKey::certificate(&tls.certificates()[0].fingerprint).unwrap().to_string();
    log.push_str(&program.end());
    let responses = records(&log, "response");
    responses[0].assert_says(&[("target", "/server.pem"), ("outcome", "complete")]);
    for line in [&responses[1], &records(&log, "stream")[0]] {
        line.assert_says(&[("key", &key), ("outcome", "complete")]);
    }
    assert_eq!((responses.len(), log.matches("\"key\":").count()), (2, 2), "{log}");
}

fn identity(made: &Certificates, name: &str) -> Identity {
    Identity { certificate: made.at(&format!("{name}.pem")), key: made.at(&format!("{name}.key")) }
}
