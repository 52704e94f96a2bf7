//! Fields of the access log that depend on who was asked, and on what the connection is: the time to the first byte, the
//! version of TLS.

use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use rustls::version::{TLS12, TLS13};
use testkit::backend::Backend;
use testkit::certificates::Certificates;
use testkit::program::{Program, command, get, site};
use testkit::records::record;
use testkit::tls::TlsClient;
use testkit::versions::Version;
use testkit::wait::until;
use testkit::wire;

/// The address behind these words of the start.
fn started(program: &Program, words: &str) -> SocketAddr {
    let line = program.started.iter().find_map(|line| line.strip_prefix(words));
    line.unwrap_or_else(|| panic!("no {words}")).split(' ').next().unwrap().parse().unwrap()
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[test]
fn the_time_to_the_first_byte_is_what_a_backend_took_and_no_pace() {
    let site = site(4_000);
    let (asks, asked) = channel();
    let (answers, may_answer) = channel::<()>();
    let may_answer = Arc::new(Mutex::new(may_answer));
    let backend = Backend::new(move |stream, _| {
        asks.send(()).unwrap();
        may_answer.lock().unwrap().recv().unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
    });
    let keys = format!(
        "listen = '127.0.0.1:0'\naccess_log = 'access.log'\n[[route]]\npath = '/'\nfiles = '.'\nrate = '5000B'\n\
         [[route]]\npath = '/late/'\nproxy = 'http://{}'\n",
        backend.addr
    );
    let file = site.path().join("c.toml");
    fs::write(&file, keys).unwrap();
    let program = Program::start_where_told(command(&["run", file.to_str().unwrap()]));
    for request in [Version::Http1, Version::Http2] {
        let mut late = program.connect();
        let began = Instant::now();
        late.write_all(&request.get("/late/")).unwrap();
        asked.recv().unwrap();
        // For as long as this lasts, which its pace decides.
        let waiting = Instant::now();
        assert_eq!(get(program.connect(), "/a.bin", "").1.len(), 4_000);
        let held = waiting.elapsed().as_millis() as u64;
        answers.send(()).unwrap();
        assert_eq!(request.answer(&mut late).body, b"ok");
        drop(late);
        let all = began.elapsed().as_millis() as u64;
        let path = site.path().join("access.log");
        let mut found = Vec::new();
        until("both lines", || {
            found = lines(&path);
            found.len().is_multiple_of(2) && !found.is_empty()
        });
        let [direct, late] = &found[found.len() - 2..] else { unreachable!() };
        let [direct, late] = [direct, late].map(|line| record(line).unwrap());
        direct.assert_says(&[("target", "/a.bin"), ("outcome", "complete"), ("held_by", "pace")]);
        late.assert_says(&[
            ("target", "/late/"),
            ("outcome", "complete"),
            ("bytes", "2"),
            ("held_by", "source"),
        ]);
        let first = late.number("first_byte_ms");
        assert!(
            (held..=all).contains(&first) && first <= late.number("duration_ms"),
            "{held} {all} {late:?}"
        );
        // Four chunks of 200 ms, of which the first leaves at once and the last two together.
        assert!(direct.number("duration_ms") >= 390, "{direct:?}");
        assert!(direct.number("first_byte_ms") < direct.number("duration_ms") - 300, "{direct:?}");
        fs::write(&path, "").unwrap();
    }
    program.end();
}

/// One client of each kind, one after the other, and what each was sent.
fn ask_all(
    made: &Certificates,
    [http, tcp]: [SocketAddr; 2],
    line: impl Fn(usize),
) -> Vec<(&'static str, bool)> {
    let mut kinds = Vec::new();
    for (name, version) in [("TLSv1.2", &TLS12), ("TLSv1.3", &TLS13)] {
        let client = TlsClient::of(made, &[version], None);
        let open = |alpn| client.clone().alpn(&[alpn]).connect(http, "127.0.0.1").unwrap();
        get(open("http/1.1"), "/server.pem", "");
        line(kinds.len() + 1);
        let mut http2 = open("h2");
        http2.write_all(&Version::Http2.get("/server.pem")).unwrap();
        assert_eq!(Version::Http2.answer_through(&mut http2).end, wire::End::Complete);
        line(kinds.len() + 2);
        let mut raw = client.connect(tcp, "127.0.0.1").unwrap();
        assert!(raw.read_to_end(&mut Vec::new()).unwrap() > 100);
        line(kinds.len() + 3);
        kinds.extend([(name, false), (name, true), (name, false)]);
    }
    kinds
}

#[test]
fn the_version_of_tls_is_in_each_line_of_http_http2_and_raw_tcp() {
    for format in ["json", "combined"] {
        let made = Certificates::make();
        let keys = format!(
            "listen = ['127.0.0.1:0', {{ address = '127.0.0.1:0', tls = 'a' }}]\naccess_log = 'access.log'\n\
             access_log_format = '{format}'\ntls.a = {{ cert = 'server.pem', key = 'server.key' }}\n\
             [[route]]\npath = '/'\nfiles = '.'\n\
             [[tcp]]\nlisten = '127.0.0.1:0'\ntls = 'a'\nfile = 'server.pem'\n"
        );
        made.write("all.toml", &keys);
        let path = made.at("access.log");
        let program = Program::start_where_told(command(&["run", &made.path("all.toml")]));
        let length = fs::metadata(made.at("server.pem")).unwrap().len();
        let tcp = started(&program, "listening on tcp:");
        let addrs = [started(&program, "listening on https://"), tcp];
        let kinds = ask_all(&made, addrs, |count| until("the line", || lines(&path).len() == count));
        get(program.connect(), "/server.pem", "");
        program.end();
        let found = lines(&path);
        assert_eq!(found.len(), 7, "{found:?}");
        for (number, ((tls, is_http2), line)) in kinds.into_iter().zip(&found).enumerate() {
            let is_stream = number % 3 == 2;
            let version = if is_http2 { "HTTP/2.0" } else { "HTTP/1.1" };
            if format == "combined" {
                let request =
                    if is_stream { format!("tcp:{tcp}") } else { format!("GET /server.pem {version}") };
                assert!(line.starts_with("127.0.0.1 - - ["), "{line}");
                assert!(line.ends_with(&format!("] \"{request}\" 200 {length} \"-\" \"-\"")), "{line}");
                continue;
            }
            let line = record(line).unwrap();
            line.assert_says(&[("tls", tls), ("bytes", &length.to_string()), ("outcome", "complete")]);
            match is_stream {
                true => line.assert_says(&[("msg", "stream"), ("route", &format!("tcp:{tcp}"))]),
                false => line.assert_says(&[("msg", "response"), ("version", version), ("status", "200")]),
            }
        }
        assert!(!found[6].contains("TLSv1"), "{}", found[6]);
    }
}
