//! Keys of `[tls.NAME]` and what goes with them, from the file to the client, at the start and after a hang-up.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use rustls::HandshakeKind::{self, Full, Resumed};
use rustls::version::{TLS12, TLS13};
use testkit::certificates::Certificates;
use testkit::program::{Program, command, log_until};
use testkit::records::records;
use testkit::served::connect;
use testkit::tls::{TlsClient, TlsStream};
use testkit::versions::Version;
use testkit::wait::{soon, until};
use testkit::wire::{self, Client};

const ROUTE: &str = "[[route]]\npath = '/'\nfiles = '.'\n";
const TLS: &str = "[tls.main]\ncert = 'server.pem'\nkey = 'server.key'\n";
const LISTEN: &str = "listen = { address = '127.0.0.1:0', tls = 'main' }\n";

fn start(made: &Certificates, keys: &str) -> Program {
    made.write("all.toml", keys);
    Program::start_where_told(command(&["run", &made.path("all.toml")]))
}

/// Has the file read again; returns the log up to `mark`.
fn hang_up(program: &mut Program, made: &Certificates, keys: &str, mark: &str) -> String {
    made.write("all.toml", keys);
    program.signal(Signal::HUP);
    log_until(program, mark)
}

/// The address behind these words of the start.
fn said(program: &Program, words: &str) -> SocketAddr {
    let line = program.started.iter().find_map(|line| line.strip_prefix(words));
    line.unwrap_or_else(|| panic!("no {words}")).split(' ').next().unwrap().parse().unwrap()
}

/// How long a client that sends nothing is there, and the line about it.
fn silent(program: &mut Program, addr: SocketAddr) -> Duration {
    let (began, mut socket) = (Instant::now(), connect(addr));
    assert_eq!(socket.read(&mut [0; 16]).unwrap(), 0);
    let lasted = began.elapsed();
    let log = log_until(program, "TLS handshake failed");
    let [line] = &records(&log, "TLS handshake failed")[..] else { panic!("{log}") };
    line.assert_says(&[
        ("peer", &socket.local_addr().unwrap().to_string()),
        ("tls", "main"),
        ("reason", "timeout"),
        ("error", "the handshake took longer than handshake_timeout"),
    ]);
    lasted
}

#[test]
fn a_silent_client_is_closed_after_the_handshake_timeout_of_the_file_and_after_another_by_a_hang_up() {
    // Far from the default of ten seconds, and one that is above it on no machine that keeps up at all.
    const LATE: Duration = Duration::from_secs(8);
    let made = Certificates::make();
    let keys = |timeout: &str| format!("{LISTEN}{TLS}handshake_timeout = '{timeout}'\n{ROUTE}");
    let mut program = start(&made, &keys("200ms"));
    let addr = said(&program, "listening on https://");
    let first = silent(&mut program, addr);
    assert!((Duration::from_millis(200)..LATE).contains(&first), "{first:?}");

    hang_up(&mut program, &made, &keys("1500ms"), "tls main changed");
    let longer = silent(&mut program, addr);
    assert!((Duration::from_millis(1_500)..LATE).contains(&longer), "{longer:?}");
    hang_up(&mut program, &made, &keys("0"), "not reloaded");
    let same = silent(&mut program, addr);
    assert!((Duration::from_millis(1_500)..LATE).contains(&same), "{same:?}");
    program.end();
}

/// Asks for a file on a connection of its own; returns whether its session is one from before.
fn ask(client: &TlsClient, addr: SocketAddr) -> io::Result<HandshakeKind> {
    let mut stream = client.connect(addr, "127.0.0.1")?;
    write!(stream, "GET /server.pem HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    Ok(stream.conn.handshake_kind().unwrap())
}

/// Clients with a certificate of one authority: one of TLS 1.2, one of TLS 1.3.
type Clients = [TlsClient; 2];

/// Checks that `admitted` come in, later with the session of before, and `refused` do not.
fn check(addr: SocketAddr, admitted: &Clients, refused: &Clients) {
    for client in admitted {
        assert_eq!([(); 2].map(|()| ask(client, addr).unwrap()), [Full, Resumed]);
    }
    for client in refused {
        let error = ask(client, addr).unwrap_err().to_string();
        // RFC 8446 section 6.2: unknown_ca; rustls has it for whatever else is wrong with a signature too.
        assert!(error.contains("received fatal alert: "), "{error}");
    }
}

fn kept_is_served(kept: &mut Client<TlsStream>) {
    assert_eq!(kept.get("/server.pem", "").status(), 200);
}

#[test]
fn another_authority_of_clients_counts_from_the_hang_up_on_and_one_that_cannot_be_read_does_not() {
    let (made, other) = (Certificates::make(), Certificates::make());
    let read = |of: &Certificates, name: &str| std::fs::read_to_string(of.at(name)).unwrap();
    let [first_ca, other_ca] = [&made, &other].map(|of| read(of, "ca.pem"));
    made.write("other.pem", &read(&other, "client.pem"));
    made.write("other.key", &read(&other, "client.key"));
    made.write("clients.pem", &first_ca);
    made.write("others.pem", &other_ca);
    let clients = |name: &str| [&TLS12, &TLS13].map(|version| TlsClient::of(&made, &[version], Some(name)));
    let (first, other) = (clients("client"), clients("other"));
    let keys = |file: &str| format!("{LISTEN}{TLS}client_ca = '{file}'\n{ROUTE}");

    let mut program = start(&made, &keys("clients.pem"));
    let addr = said(&program, "listening on https://");
    check(addr, &first, &other);
    let mut kept = Client::new(first[0].connect(addr, "127.0.0.1").unwrap());
    kept_is_served(&mut kept);

    // The same key, another file in its place. All of `first` have sessions by now.
    made.write("clients.pem", &other_ca);
    hang_up(&mut program, &made, &keys("clients.pem"), "\"reloaded\"");
    check(addr, &other, &first);
    kept_is_served(&mut kept);

    // Another key. The sessions are those of `other` now.
    made.write("clients.pem", &first_ca);
    hang_up(&mut program, &made, &keys("clients.pem"), "\"reloaded\"");
    check(addr, &first, &other);
    hang_up(&mut program, &made, &keys("others.pem"), "tls main changed");
    check(addr, &other, &first);

    // One that is absent, one that holds none: the log says which, and nothing changes.
    made.write("none.pem", "nothing");
    for file in ["absent.pem", "none.pem"] {
        let log = hang_up(&mut program, &made, &keys(file), "not reloaded");
        assert!(log.contains(&made.path(file)), "{log}");
        for client in &other {
            assert_eq!(ask(client, addr).unwrap(), Resumed);
        }
        assert!(first.iter().all(|client| ask(client, addr).is_err()));
    }

    // Without a hang-up a file that changed is read at a handshake within a second, if it can be.
    hang_up(&mut program, &made, &keys("others.pem"), "\"reloaded\"");
    made.write("others.pem", "nothing");
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| log_until(&mut program, "cannot be loaded"));
        until("the wrong file is logged", || {
            ask(&other[1], addr).unwrap();
            ask(&first[1], addr).unwrap_err();
            reading.is_finished()
        });
    });
    made.write("others.pem", &first_ca);
    soon("the file is read again", || ask(&first[0], addr).ok());
    check_again(addr, &first, &other);
    kept_is_served(&mut kept);
    program.end();
}

/// Like [`check`], where a client may have a session already.
fn check_again(addr: SocketAddr, admitted: &Clients, refused: &Clients) {
    assert!(admitted.iter().all(|client| ask(client, addr).is_ok()));
    assert!(refused.iter().all(|client| ask(client, addr).is_err()));
}

#[test]
fn a_redirect_that_comes_back_by_way_of_http_redirect_is_refused_at_the_start_by_check_and_by_a_hang_up() {
    let made = Certificates::make();
    let keys = |port: u16, to: &str| {
        format!(
            "{LISTEN}http_redirect = '127.0.0.1:{port}'\n{TLS}[[route]]\nhost = 'files.test'\npath = '/'\nredirect = '{to}'\n"
        )
    };
    let fault = format!(
        "{}:9:12: redirect in [[route]] \"files.test/\" leads back to routes of this server that redirect, without an \
         end; give another host or path",
        made.path("all.toml")
    );
    let circle = keys(0, "http://files.test/");
    for keys in [&circle, &keys(8081, "http://files.test:8081/")] {
        made.write("all.toml", keys);
        for subcommand in ["check", "run"] {
            let output = command(&[subcommand, &made.path("all.toml")]).output().unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(said.contains(&fault), "{subcommand}: {said}");
            assert_eq!(output.status.code(), Some(1), "{subcommand}");
        }
    }

    let mut program = start(&made, &keys(0, "http://elsewhere.test/"));
    let log = hang_up(&mut program, &made, &circle, "not reloaded");
    let lines = records(&log, "not reloaded: the configuration has errors; the server continues as before");
    let [line] = &lines[..] else { panic!("{log}") };
    assert!(line.value("error").contains(&fault), "{line:?}");
    let mut asking =
        TlsClient::new(&made).connect(said(&program, "listening on https://"), "127.0.0.1").unwrap();
    write!(asking, "GET / HTTP/1.1\r\nHost: files.test\r\n\r\n").unwrap();
    let answer = wire::answer(&mut asking);
    assert_eq!((answer.status(), answer.field("location")), (308, Some("http://elsewhere.test/")));
    program.end();
}

#[test]
fn the_admin_listener_speaks_the_version_that_a_client_offers() {
    let made = Certificates::make();
    let program = start(
        &made,
        &format!("listen = '127.0.0.1:0'\nadmin = '127.0.0.1:0'\nadmin_tls = 'main'\n{TLS}{ROUTE}"),
    );
    let admin = said(&program, "admin on https://");
    for (offered, agreed) in [
        (&["h2", "http/1.1"][..], Some("h2")),
        (&["http/1.1", "h2"], Some("h2")),
        (&["h2"], Some("h2")),
        (&["http/1.1"], Some("http/1.1")),
        (&[], None),
    ] {
        let mut asking = TlsClient::new(&made).alpn(offered).connect(admin, "127.0.0.1").unwrap();
        let chosen = asking.conn.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned());
        assert_eq!(chosen.as_deref(), agreed, "{offered:?}");
        if agreed == Some("h2") {
            // It names no host of this machine's: the page's refusal came by HTTP/2.
            asking.write_all(&Version::Http2.get("/readyz")).unwrap();
            let answer = Version::Http2.answer_through(&mut asking);
            let text = String::from_utf8(answer.body).unwrap();
            assert!(text.starts_with("Without a token this listener is served under localhost"), "{text}");
        } else {
            write!(asking, "GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
            assert_eq!(wire::answer(&mut asking).text(), "ready\n", "{offered:?}");
        }
    }
    let refused =
        TlsClient::new(&made).alpn(&["spdy/1"]).connect(admin, "127.0.0.1").unwrap_err().to_string();
    assert!(refused.ends_with("received fatal alert: NoApplicationProtocol"), "{refused}");
    program.end();
}
