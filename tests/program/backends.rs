//! Backends as they are typed and configured: several of them, on Unix sockets and over TLS.

use std::io::Write;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;

use rustix::process::Signal;
use testkit::certificates::Certificates;
use testkit::message;
use testkit::program::{Program, command, get, log_until};

/// Answers every request on a Unix socket at `path` with its own name.
fn answer_at(path: &std::path::Path) {
    let listener = UnixListener::bind(path).unwrap();
    // Ends with the test process.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            message::read_head(&mut stream).unwrap();
            let _ =
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\nunix");
        }
    });
}

#[test]
fn several_typed_backends_stand_in_for_each_other_and_the_log_says_which() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("app.sock");
    answer_at(&socket);
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (first, second) = (format!("http://{closed}"), format!("unix:{}", socket.display()));
    let mut program = Program::start(&["proxy", &first, &second, "--access-log", "stderr"]);
    assert_eq!(get(program.connect(), "/x", "").1, b"unix");
    let mut log = log_until(&mut program, "\"response\"");
    // The log and the access log have a thread each.
    if !log.contains("upstream left out") {
        log += &log_until(&mut program, "upstream left out");
    }
    assert!(
        log.contains("upstream left out") && log.contains(&format!("\"upstream\":\"{second}\"")),
        "{log}"
    );
    program.end();
}

#[test]
fn certificates_that_cannot_be_used_stop_the_start_and_leave_a_running_server_as_it_is() {
    let made = Certificates::make();
    let keys = |ca: &str| format!("[[route]]\npath = '/'\nproxy = 'https://127.0.0.1:1'\nca = '{ca}'\n");
    made.write("all.toml", &keys("ca.pem"));
    let mut program = Program::start(&["run", &made.path("all.toml")]);
    made.write("empty.pem", "");
    made.write("all.toml", &keys("empty.pem"));
    program.signal(Signal::HUP);
    let log = log_until(&mut program, "not reloaded");
    assert!(log.contains("empty.pem: it holds no certificate in PEM"), "{log}");
    program.end();
    let output = command(&["run", &made.path("all.toml")]).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("empty.pem: it holds no certificate in PEM"), "{error}");
    assert_eq!(output.status.code(), Some(1));
    // What is not there is found without reading it.
    made.write("all.toml", &keys("none.pem"));
    let output = command(&["check", &made.path("all.toml")]).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("all.toml:4:6: ") && error.contains("none.pem"), "{error}");
}

#[test]
fn a_backend_over_tls_is_verified_by_what_the_system_trusts() {
    let (made, other) = (Certificates::make(), Certificates::make());
    made.write("f", "x");
    made.issue("named", &["localhost"]);
    let [cert, key] = ["named.pem", "named.key"].map(|name| made.path(name));
    let folder = made.path("");
    let backend = Program::start(&["serve", &folder, "--tls-cert", &cert, "--tls-key", &key]);
    let line = backend.started.iter().find_map(|line| line.strip_prefix("listening on https://127.0.0.1:"));
    let url = format!("https://localhost:{}", line.unwrap());
    let front = |variable: &str, value: &str| {
        let mut front = command(&["proxy", &url]);
        front.env_remove("SSL_CERT_FILE").env_remove("SSL_CERT_DIR").env(variable, value);
        front
    };
    let trusted = Program::start_command(front("SSL_CERT_FILE", &made.path("ca.pem")));
    let (head, body) = get(trusted.connect(), "/f", "");
    assert!(head.starts_with("HTTP/1.1 200 ") && body == b"x", "{head}");
    trusted.end();
    let stranger = Program::start_command(front("SSL_CERT_FILE", &other.path("ca.pem")));
    assert!(get(stranger.connect(), "/f", "").0.starts_with("HTTP/1.1 502 "));
    let log = stranger.end();
    assert!(log.contains("unknown issuer: no trusted authority signed its certificate"), "{log}");
    // Where nothing is trusted, no proxy over TLS starts.
    let output = front("SSL_CERT_FILE", &made.path("f")).args(["--listen", "127.0.0.1:0"]).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("the machine's certificates of authorities cannot be used"), "{error}");
    assert_eq!(output.status.code(), Some(1));
    backend.end();
}
