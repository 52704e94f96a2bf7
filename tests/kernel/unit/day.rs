//! A day's work within the unit's filters: nothing that the program does needs more, and nothing falls back to a slower way.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use sluicegate::rt;
use testkit::backend::Backend;
use testkit::certificates::Certificates;
use testkit::h2;
use testkit::program::{Program, get, log_until, text};
use testkit::records::records;
use testkit::served::connect;
use testkit::sse;
use testkit::tls::TlsClient;
use testkit::wait::{soon, until};
use testkit::watched::{ask, page};
use testkit::wire::{self, Client, content, read_all};

use super::filter::{Others, within};

/// Several chunks of 200 ms at the route's rate.
const LEN: usize = 700_001;

const REPLACED: &str = "draining: the new program serves; a signal stops this one at once";

/// What is listened on.
struct Addresses {
    plain: SocketAddr,
    secured: SocketAddr,
    admin: SocketAddr,
    file: SocketAddr,
    relay: SocketAddr,
}

impl Addresses {
    fn free() -> Self {
        let bound = [(); 5].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [plain, secured, admin, file, relay] = bound.map(|listener| listener.local_addr().unwrap());
        Self { plain, secured, admin, file, relay }
    }
}

/// An application that says how long the content of a request was.
fn application() -> Backend {
    Backend::new(|stream, head| {
        let length = wire::field(head, "content-length").map_or(0, |length| length.parse().unwrap());
        stream.read_exact(&mut vec![0; length]).unwrap();
        let body = length.to_string();
        let _ = write!(
            stream,
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
    })
}

fn configure(made: &Certificates, at: &Addresses, application: &Backend, rate: &str) {
    fs::create_dir_all(made.at("site")).unwrap();
    fs::write(made.at("site/large"), content(LEN)).unwrap();
    fs::write(made.at("site/small"), "small").unwrap();
    let Addresses { plain, secured, admin, file, relay } = at;
    // Names are looked up, of backends too.
    let port = application.addr.port();
    made.write(
        "site.toml",
        &format!(
            "listen = ['{plain}', {{ address = '{secured}', tls = 'main' }}, 'unix:http.sock']\n\
             admin = '{admin}'\naccess_log = 'access.log'\ndrain = '1h'\n\
             [tls.main]\ncert = 'server.pem'\nkey = 'server.key'\n\
             [[route]]\npath = '/'\nfiles = 'site'\nrate = '{rate}'\n\
             [[route]]\npath = '/app/'\nproxy = 'http://localhost:{port}'\nupload = {{ rate = '1m' }}\n\
             [[route]]\npath = '/events/'\nevents = {{ names = 'a' }}\n\
             [[tcp]]\nlisten = '{file}'\nfile = 'site/large'\nrate = '2m'\n\
             [[tcp]]\nlisten = '{relay}'\nto = '{file}'\n"
        ),
    );
}

/// Every kind of thing that clients and operators ask for.
fn work(made: &Certificates, at: &Addresses) {
    let tls = TlsClient::new(made);
    let large = content(LEN);
    assert!(get(connect(at.plain), "/large", "").1 == large, "a file");
    let part = get(connect(at.plain), "/large", "Range: bytes=100001-500000\r\n").1;
    assert!(part == large[100_001..=500_000], "a part of it");
    assert!(get(tls.connect(at.secured, "127.0.0.1").unwrap(), "/large", "").1 == large, "inside TLS");
    assert_eq!(get(UnixStream::connect(made.at("http.sock")).unwrap(), "/small", "").1, b"small");
    let multiplexed = rt::block_on(async {
        let mut sender = h2::connect(at.plain, h2::WIDE).await;
        let answer = h2::get(&mut sender, "/large").await;
        h2::read(answer, Instant::now()).await.bytes
    });
    assert!(multiplexed == large, "over HTTP/2");

    assert_eq!(get(connect(at.plain), "/app/", "").1, b"0", "a backend's");
    let mut uploading = tls.connect(at.secured, "127.0.0.1").unwrap();
    write!(uploading, "POST /app/ HTTP/1.1\r\nHost: t\r\nContent-Length: {LEN}\r\n\r\n").unwrap();
    uploading.write_all(&large).unwrap();
    assert_eq!(Client::new(uploading).answer().text(), LEN.to_string(), "an upload");
    for addr in [at.file, at.relay] {
        assert!(read_all(&mut connect(addr)) == large, "raw TCP");
    }

    let mut subscriber = connect(at.plain);
    subscriber.write_all(b"GET /events/a HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").unwrap();
    let publish = "POST /events/a HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\none";
    let mut stream = sse::Answer::default();
    let mut data = || loop {
        if let Some(event) = stream.next() {
            return event.data;
        }
        let mut buf = [0; 4096];
        let n = subscriber.read(&mut buf).unwrap();
        assert_ne!(n, 0, "the stream of events ended");
        stream.push(&buf[..n]);
    };
    assert!(data().contains("token"), "the opening");
    assert_eq!(ask(at.plain, publish).status(), 200);
    assert_eq!(data(), "one");

    assert!(page(at.admin, "/metrics").contains("sluicegate_"));
    let limit = r#"{"rate":"9m"}"#;
    let change = format!(
        "PATCH /v1/limits/server HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{limit}",
        limit.len()
    );
    let changed = ask(at.admin, &change);
    assert!((200..300).contains(&changed.status()), "{} {}", changed.head, changed.text());
}

/// A service manager that hears that the program serves.
fn hears_ready(manager: &UnixDatagram) {
    let mut message = [0; 4096];
    until("READY=1", || {
        let n = manager.recv(&mut message).unwrap();
        message[..n].starts_with(b"READY=1\n")
    });
}

fn lines(path: &Path) -> usize {
    fs::read_to_string(path).unwrap_or_default().lines().count()
}

/// Checks that a process is within filters of system calls, and has no way to more privileges.
fn assert_confined(pid: u32) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert!(["\nNoNewPrivs:\t1\n", "\nSeccomp:\t2\n"].iter().all(|line| status.contains(line)), "{status}");
}

/// Starts, works, opens its log anew, reads its file again, has a new program take over, and ends.
fn a_day(others: Others) -> Result<(), &'static str> {
    let (made, at, application) = (Certificates::make(), Addresses::free(), application());
    configure(&made, &at, &application, "2m");
    let file = made.at("site.toml");
    let manager = UnixDatagram::bind(made.at("notify")).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut command = within(&["run", text(&file)], others)?;
    command
        .env("NOTIFY_SOCKET", made.at("notify"))
        .env("WATCHDOG_USEC", "1000000")
        .env_remove("WATCHDOG_PID");
    let mut program = Program::start_where_told(command);
    hears_ready(&manager);
    assert_confined(program.id());
    work(&made, &at);

    let [log, rotated] = [made.at("access.log"), made.at("access.log.1")];
    until("the log's lines", || lines(&log) >= 8);
    fs::rename(&log, &rotated).unwrap();
    program.signal(Signal::USR1);
    let mut said = log_until(&mut program, "access log opened anew");
    assert_eq!(get(connect(at.plain), "/small?rotated", "").1, b"small");
    // The line of the subscriber that left above may come here too.
    let has_line = || fs::read_to_string(&log).is_ok_and(|text| text.contains("/small?rotated\""));
    until("its line in the new log", has_line);

    configure(&made, &at, &application, "3m");
    program.signal(Signal::HUP);
    said += &log_until(&mut program, "limit of each response of /: 2m → 3m");
    made.issue("server", &["127.0.0.1", "renewed.test"]);
    soon("the certificate that was replaced", || {
        TlsClient::new(&made).connect(at.secured, "renewed.test").ok()
    });

    program.signal(Signal::USR2);
    let replaced = log_until(&mut program, REPLACED);
    let pid = Pid::from_raw(records(&replaced, REPLACED)[0].number("pid") as i32).unwrap();
    hears_ready(&manager);
    assert_confined(pid.as_raw_nonzero().get() as u32);
    work(&made, &at);
    kill_process(pid, Signal::TERM).unwrap();
    let mut rest = String::new();
    program.log.take().unwrap().read_to_string(&mut rest).unwrap();
    said = [said, replaced, rest].concat();
    // A process that a system call ends says no more.
    assert_eq!(records(&said, "stopped").len(), 2, "the old program and the new one: {said}");
    for word in ["sandbox", "refuses", "not permitted", "does not say"] {
        assert!(!said.contains(word), "{word}: {said}");
    }
    Ok(())
}

#[test]
fn the_program_does_a_days_work_within_the_units_filters_and_calls_nothing_outside_them() {
    // The second shows what fails, the first what is called at all.
    for others in [Others::Refused, Others::Deadly] {
        if let Err(why) = a_day(others) {
            testkit::skip::skipped(why);
            return;
        }
    }
}
