//! Backends that others wrote: nginx over TLS, uvicorn over TCP and on a Unix socket, an app of Python's standard library
//! on a Unix socket.

use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use testkit::certificates::Certificates;
use testkit::wait::until;

use crate::nginx::Nginx;
use crate::program::{Running, make_file, program, python, succeeded};
use crate::sluicegate::Sluicegate;

/// Starts uvicorn with these flags; its app calls itself `name`.
fn uvicorn(name: &str, flags: &[&str]) -> Running {
    let mut command = Command::new(python());
    command.args(["-m", "uvicorn", "backend_app:app", "--log-level", "warning"]).args(flags);
    command.args(["--app-dir", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers")]).env("APP_NAME", name);
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    Running(command.stdin(Stdio::null()).spawn().unwrap())
}

/// Starts uvicorn on a free port.
fn uvicorn_on_tcp(name: &str) -> (Running, SocketAddr) {
    // It cannot say which port it chose.
    let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let running = uvicorn(name, &["--port", &addr.port().to_string()]);
    until("uvicorn", || std::net::TcpStream::connect(addr).is_ok());
    (running, addr)
}

fn curl(server: &Sluicegate, target: &str, args: &[&str]) -> String {
    let mut command = Command::new(program("curl"));
    command.args(["-q", "-sS", "--fail", "--max-time", "30"]).args(args).arg(server.url(target));
    String::from_utf8(succeeded(&mut command)).unwrap()
}

#[test]
fn nginx_over_tls_is_trusted_by_its_authority_and_every_byte_arrives() {
    let (made, folder) = (Certificates::make(), tempfile::tempdir().unwrap());
    made.issue("named", &["localhost"]);
    let content = make_file(folder.path(), "a.bin", 3 << 20);
    let ssl = format!(
        "ssl_certificate {}; ssl_certificate_key {}; ssl_client_certificate {}; ssl_verify_client on;",
        made.path("named.pem"),
        made.path("named.key"),
        made.path("ca.pem")
    );
    let nginx = Nginx::start_with("ssl", &format!("{ssl} root {};", folder.path().display()));
    let url = format!("https://localhost:{}", nginx.addr.port());
    let [ca, cert, key] = ["ca.pem", "client.pem", "client.key"].map(|name| made.path(name));
    let flags = ["--backend-ca", &ca, "--backend-cert", &cert, "--backend-key", &key];
    let server = Sluicegate::before(&url, &flags);
    let copy = folder.path().join("copy");
    for _ in 0..5 {
        curl(&server, "/a.bin", &["-o", copy.to_str().unwrap()]);
        assert!(std::fs::read(&copy).unwrap() == content);
    }
    // Without a certificate of its own it is answered 400 by nginx; with the wrong authority by nobody.
    let bare = Sluicegate::before(&url, &["--backend-ca", &ca]);
    assert_eq!(curl(&bare, "/a.bin", &["-o", "/dev/null", "-w", "%{http_code}", "--no-fail"]), "400");
    let other = Certificates::make();
    let stranger = Sluicegate::before(&url, &["--backend-ca", &other.path("ca.pem")]);
    assert_eq!(curl(&stranger, "/a.bin", &["-o", "/dev/null", "-w", "%{http_code}", "--no-fail"]), "502");
    until("it is logged", || stranger.said("unknown issuer") == 1);
}

#[test]
fn uvicorn_answers_over_tcp_and_on_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("app.sock");
    let path = socket.to_str().unwrap();
    let _on_unix = uvicorn("unix", &["--uds", path]);
    until("uvicorn", || std::os::unix::net::UnixStream::connect(&socket).is_ok());
    let (_on_tcp, addr) = uvicorn_on_tcp("tcp");
    make_file(folder.path(), "body", 2 << 20);
    let body = format!("@{}", folder.path().join("body").display());
    for (url, name, host) in [
        (format!("unix:{path}"), "unix", "localhost".to_owned()),
        (format!("http://{addr}"), "tcp", addr.to_string()),
    ] {
        let server = Sluicegate::before(&url, &[]);
        for (args, said) in [
            (&[][..], "GET /x 0"),
            (&["--http2-prior-knowledge"], "GET /x 0"),
            (&["--data-binary", &body], "POST /x 2097152"),
            (&["-T", &body[1..], "-H", "Expect: 100-continue"], "PUT /x 2097152"),
            (&["-T", &body[1..], "-H", "Transfer-Encoding: chunked"], "PUT /x 2097152"),
        ] {
            assert_eq!(curl(&server, "/x", args), format!("{name} {said} {host} 127.0.0.1\n"), "{args:?}");
        }
        assert_eq!(curl(&server, "/x", &["-I", "-o", "/dev/null", "-w", "%{http_code}"]), "200");
    }
}

#[test]
fn an_app_of_pythons_own_is_served_on_a_unix_socket() {
    const APP: &str = "
import http.server, socketserver, sys
class App(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def address_string(self): return 'unix'
    def log_message(self, *_): pass
    def do_GET(self):
        body = (self.path + ' ' + self.headers['host']).encode()
        self.send_response(200)
        self.send_header('content-length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
Server(sys.argv[1], App).serve_forever()
";
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("app.sock");
    let mut command = Command::new(program("python3"));
    let _app = Running(command.args(["-c", APP]).arg(&socket).stdin(Stdio::null()).spawn().unwrap());
    until("the app", || std::os::unix::net::UnixStream::connect(&socket).is_ok());
    let server = Sluicegate::before(&format!("unix:{}:/base/", socket.display()), &[]);
    // Its queue holds five connections; so many at once find it full.
    let answers = curl(&server, "/x?[1-40]", &["--parallel", "--parallel-immediate", "--parallel-max", "40"]);
    assert_eq!(answers.matches("/base/x?").count(), 40, "{answers}");
    assert_eq!(answers.matches(" localhost").count(), 40, "{answers}");
}

#[test]
fn no_request_fails_when_one_of_two_uvicorns_is_killed_and_it_comes_back() {
    let (first, addr) = uvicorn_on_tcp("first");
    let (_second, other) = uvicorn_on_tcp("second");
    let server = Sluicegate::before(&format!("http://{addr}"), &[&format!("http://{other}")]);
    let said = || curl(&server, "/x?[1-50]", &["--parallel"]);
    let both = said();
    assert!(both.contains("first GET") && both.contains("second GET"), "{both}");
    let (stop, asked) = (AtomicBool::new(false), std::sync::atomic::AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                // It fails on any status but 200.
                asked.fetch_add(said().lines().count(), Ordering::Relaxed);
            }
        });
        let more = |least: usize| {
            let seen = asked.load(Ordering::Relaxed);
            until("more requests", || asked.load(Ordering::Relaxed) > seen + least || asking.is_finished());
        };
        more(100);
        drop(first);
        more(200);
        stop.store(true, Ordering::Relaxed);
    });
    assert!(!said().contains("first GET"));
    assert_eq!(server.said("upstream left out"), 1);
    let _again = uvicorn("first", &["--port", &addr.port().to_string()]);
    until("it is back", || said().contains("first GET"));
    until("it is logged", || server.said("upstream is back") == 1);
}
