//! SIGUSR2: a new program takes over the listeners, and the old one drains.

mod access_log;
mod clients;
mod events;
mod kinds;
mod outcomes;
mod transfers;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::scope;

use command_fds::{CommandFdExt, FdMapping};
use rustix::process::{Pid, Signal, kill_process};
use testkit::certificates::Certificates;
use testkit::program::{self, Program, command, get, log_until, site, text};
use testkit::records::records;
use testkit::served::connect;
use testkit::tls::TlsClient;
use testkit::wait::until;

use clients::{Load, Tally};

/// A new program that the old one started. Dropping it kills it.
pub struct New(Pid);

impl New {
    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.0, signal).unwrap();
    }

    fn runs(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.as_raw_nonzero()));
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    }
}

impl Drop for New {
    fn drop(&mut self) {
        let _ = kill_process(self.0, Signal::KILL);
    }
}

const REPLACED: &str = "draining: the new program serves; a signal stops this one at once";

/// Waits until a program that `program` or one after it started serves.
pub fn replaced(program: &mut Program) -> (New, String) {
    let log = log_until(program, REPLACED);
    let pid = records(&log, REPLACED)[0].number("pid");
    (New(Pid::from_raw(pid as i32).unwrap()), log)
}

fn upgrade(program: &mut Program) -> New {
    program.signal(Signal::USR2);
    replaced(program).0
}

/// Runs a configuration that says where it listens.
pub fn run(file: &Path) -> Program {
    Program::start_where_told(command(&["run", text(file)]))
}

/// Free addresses. All are bound at once, or one could be given twice.
pub fn free<const N: usize>() -> [SocketAddr; N] {
    let bound = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    bound.map(|listener| listener.local_addr().unwrap())
}

/// The status of `/readyz`.
fn ready(mut stream: impl Read + Write) -> String {
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer["HTTP/1.1 ".len()..][..3].to_owned()
}

/// What takes seconds at the pace of `/slow/`.
const LARGE: usize = 300_000;

struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Has `act` done twenty times, each time after every client has had answers since the last; returns what the clients
/// saw.
fn under_load(
    made: &Certificates,
    [plain, secured]: [SocketAddr; 2],
    mut act: impl FnMut(),
) -> Vec<(&'static str, Tally)> {
    let (load, tls, ca) = (Load::default(), TlsClient::new(made), made.at("ca.pem"));
    let open = || TcpStream::connect(plain);
    let secure = || tls.over(TcpStream::connect(secured)?, "127.0.0.1");
    scope(|scope| {
        let _ending = Done(&load.done);
        let asking = [
            ("kept", scope.spawn(|| clients::http1(&open, true, &load, 0))),
            ("new", scope.spawn(|| clients::http1(&open, false, &load, 1))),
            ("kept, TLS", scope.spawn(|| clients::http1(&secure, true, &load, 2))),
            ("new, TLS", scope.spawn(|| clients::http1(&secure, false, &load, 3))),
            ("HTTP/2", scope.spawn(|| clients::http2(plain, None, &load, 4))),
            ("HTTP/2, TLS", scope.spawn(|| clients::http2(secured, Some(&ca), &load, 5))),
        ];
        for _ in 0..20 {
            let before = load.answered();
            let is_more = |before: &usize, now: &usize| *now >= before + 5;
            until("every client has had five answers more", || {
                before.iter().zip(&load.answered()).all(|(before, now)| is_more(before, now))
            });
            act();
        }
        load.done.store(true, Ordering::Relaxed);
        asking.map(|(name, asking)| (name, asking.join().unwrap())).into()
    })
}

fn configuration(made: &Certificates, site: &Path, [plain, secured]: [SocketAddr; 2]) {
    let keys = format!(
        "listen = ['{plain}', {{ address = '{secured}', tls = 'main' }}]\ndrain = '1h'\n\
         [tls.main]\ncert = 'server.pem'\nkey = 'server.key'\n\
         [[route]]\npath = '/'\nfiles = '{0}'\n[[route]]\npath = '/slow/'\nfiles = '{0}'\nrate = '100k'\n",
        text(site)
    );
    made.write("site.toml", &keys);
}

/// A download that is not over before the upgrades are.
fn slow(stream: impl Read + Write) -> impl Read + Write {
    let mut stream = stream;
    stream.write_all(b"GET /slow/a.bin HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    stream.read_exact(&mut [0; 20]).unwrap();
    stream
}

#[test]
fn no_request_is_lost_in_twenty_upgrades_under_load() {
    let (made, site, addrs) = (Certificates::make(), site(LARGE), free());
    configuration(&made, site.path(), addrs);
    let mut first = run(&made.at("site.toml"));
    let mut downloads = Vec::new();
    let mut news: Vec<New> = Vec::new();
    let tallies = under_load(&made, addrs, || {
        let mut download = slow(connect(addrs[0]));
        downloads.push(std::thread::spawn(move || {
            let mut rest = Vec::new();
            download.read_to_end(&mut rest).map(|_| rest.len())
        }));
        match news.last() {
            None => first.signal(Signal::USR2),
            Some(last) => last.signal(Signal::USR2),
        }
        news.push(replaced(&mut first).0);
    });
    for (name, tally) in &tallies {
        println!(
            "{name}: {} answered on {} connections, {} repeated",
            tally.answered, tally.connections, tally.repeated
        );
        assert_eq!(tally.failed, [""; 0], "{name}: {tally:?}");
        assert!(tally.answered >= 100, "{name}: {tally:?}");
        if !name.starts_with("HTTP/2") {
            assert_eq!(
                tally.repeated, 0,
                "{name}: no connection is closed while a request is on its way: {tally:?}"
            );
        }
    }
    for download in downloads {
        let len = download.join().unwrap().unwrap();
        assert!(len > LARGE, "all of it: {len}");
    }
    for old in &news[..19] {
        until("the old ones end", || !old.runs());
    }
    news[19].signal(Signal::TERM);
    let (status, log, error) = first.wait();
    assert_eq!((status.code(), error.as_str()), (Some(0), ""));
    assert!(!log.contains("cut"), "{log}");
}

/// Starts the program with these sockets as systemd does.
fn activated(
    args: &[&str],
    sockets: Vec<OwnedFd>,
    names: &str,
    set_up: impl FnOnce(&mut Command),
) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "LISTEN_PID=$$ exec \"$0\" \"$@\"", program::path().to_str().unwrap()]).args(args);
    command.env("LISTEN_FDS", sockets.len().to_string()).env("LISTEN_FDNAMES", names);
    command.stdin(Stdio::null()).stderr(Stdio::piped());
    let mapped = (3..).zip(sockets).map(|(child_fd, parent_fd)| FdMapping { parent_fd, child_fd });
    command.fd_mappings(mapped.collect()).unwrap();
    set_up(&mut command);
    command
}

#[test]
fn no_request_is_lost_in_twenty_restarts_with_sockets_that_a_service_manager_keeps() {
    let (made, site) = (Certificates::make(), site(1 << 20));
    let sockets = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let addrs = [sockets[0].local_addr().unwrap(), sockets[1].local_addr().unwrap()];
    configuration(&made, site.path(), addrs);
    let file = made.path("site.toml");
    let start = || {
        let handed = sockets.iter().map(|socket| socket.try_clone().unwrap().into()).collect();
        Program::start_where_told(activated(&["run", &file], handed, "web:tls", |_| {}))
    };
    let mut running = Some(start());
    let tallies = under_load(&made, addrs, || {
        running.take().unwrap().end();
        running = Some(start());
    });
    for (name, tally) in &tallies {
        println!(
            "{name}: {} answered on {} connections, {} repeated",
            tally.answered, tally.connections, tally.repeated
        );
        assert_eq!(tally.failed, [""; 0], "{name}: {tally:?}");
        assert!(tally.answered >= 100 && tally.repeated <= 20, "{name}: {tally:?}");
    }
    running.unwrap().end();
}

#[test]
fn every_kind_of_listener_is_passed_on_and_idle_connections_have_one_more_request() {
    let site = site(1 << 20);
    let file = site.path().join("site.toml");
    let [http, admin, raw] = free();
    let unix = site.path().join("http.sock");
    let keys = format!(
        "listen = ['{http}', 'unix:http.sock?mode=600']\nadmin = '{admin}'\ndrain = '1h'\n[[route]]\npath = '/'\nfiles = '.'\n\
         [[route]]\npath = '/slow/'\nfiles = '.'\nrate = '1000B'\n[[route]]\npath = '/events/'\nevents = {{}}\n\
         [[tcp]]\nlisten = '{raw}'\nfile = 'a.txt'\n"
    );
    std::fs::write(&file, keys).unwrap();
    let mut old = run(&file);
    let mut idle = testkit::wire::Client::new(connect(http));
    assert_eq!(idle.get("/a.txt", "").body, clients::body());
    let mut local = slow(UnixStream::connect(&unix).unwrap());
    let mut pooled = testkit::wire::Client::new(connect(http));
    pooled.get("/a.txt", "");
    let mut publisher = connect(http);
    let publish = "POST /events/a HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\none";
    publisher.write_all(publish.as_bytes()).unwrap();
    assert_eq!(testkit::wire::answer(&mut publisher).status(), 200);
    let mut events = connect(http);
    events.write_all(b"GET /events/a HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").unwrap();
    events.read_exact(&mut [0; 20]).unwrap();
    let waiting = connect(http);

    let new = upgrade(&mut old);
    for _ in 0..20 {
        assert_eq!(ready(connect(admin)), "200", "the new one answers alone");
    }
    let mut sent = Vec::new();
    connect(raw).read_to_end(&mut sent).unwrap();
    assert_eq!(sent, clients::body());
    let mut rest = Vec::new();
    events.read_to_end(&mut rest).unwrap();
    assert!(rest.ends_with(b"\r\n0\r\n\r\n"), "the stream of events ends as a whole: {rest:?}");
    assert_eq!(publisher.read(&mut [0]).unwrap(), 0, "the next event is the new one's");
    pooled.send(b"GET /events/a HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    let subscribed = pooled.answer();
    assert_eq!(
        (subscribed.status(), subscribed.body),
        (200, b"retry: 3000\n".to_vec()),
        "to come again elsewhere"
    );
    assert!(pooled.is_closed());
    let answer = idle.get("/a.txt", "");
    assert_eq!((answer.field("connection"), &answer.body), (Some("close"), &clients::body()));
    assert!(idle.is_closed());
    assert_eq!(get(waiting, "/a.txt", "").1, clients::body(), "it had connected before, and asks now");
    assert_eq!(get(UnixStream::connect(&unix).unwrap(), "/a.txt", "").1, clients::body());
    local.read_exact(&mut [0; 100]).unwrap();

    assert!(old.runs());
    old.signal(Signal::USR2);
    log_until(&mut old, "SIGUSR2 refused: the server is about to end");
    old.signal(Signal::TERM);
    log_until(&mut old, "stopped");
    until("the old one ends", || !old.runs());
    assert_eq!(ready(connect(admin)), "200");
    assert_eq!(get(UnixStream::connect(&unix).unwrap(), "/a.txt", "").1, clients::body(), "its path stays");
    new.signal(Signal::TERM);
    until("the new one ends", || !new.runs());
    assert!(!unix.exists(), "the path is the new one's to remove");
}

#[test]
fn sockets_that_are_handed_on_serve_their_addresses_and_others_are_told() {
    let site = site(100);
    let tcp = |_| TcpListener::bind("127.0.0.1:0").unwrap();
    let [http, admin, raw, unused] = [(); 4].map(tcp);
    let at = |socket: &TcpListener| socket.local_addr().unwrap();
    let addrs = [at(&http), at(&admin), at(&raw), at(&unused)];
    let path = site.path().join("s.sock");
    let unix = UnixListener::bind(&path).unwrap();
    let file = site.path().join("site.toml");
    let keys = format!(
        "listen = ['{}', 'unix:s.sock']\nadmin = '{}'\n[[route]]\npath = '/'\nfiles = '.'\n[[tcp]]\nlisten = '{}'\nfile = 'a.txt'\n",
        addrs[0], addrs[1], addrs[2]
    );
    std::fs::write(&file, keys).unwrap();
    let sockets = vec![http.into(), admin.into(), raw.into(), unused.into(), unix.into()];
    let names = "web:admin:raw:other.socket:local";
    let mut program = Program::start_where_told(activated(&["run", text(&file)], sockets, names, |_| {}));
    let log = log_until(&mut program, "it is closed");
    assert!(log.contains(&format!("{} (other.socket)", addrs[3])), "{log}");
    assert_eq!(get(connect(addrs[0]), "/a.bin", "").1.len(), 100);
    assert_eq!(get(UnixStream::connect(&path).unwrap(), "/a.bin", "").1.len(), 100);
    assert_eq!(ready(connect(addrs[1])), "200");
    let mut sent = Vec::new();
    connect(addrs[2]).read_to_end(&mut sent).unwrap();
    assert_eq!(sent.len(), 1600);
    let new = upgrade(&mut program);
    assert_eq!(get(connect(addrs[0]), "/a.bin", "").1.len(), 100, "they are passed on too");
    new.signal(Signal::TERM);
    until("the new one ends", || !new.runs());
    assert!(path.exists(), "the service manager's");
}

#[test]
fn what_is_handed_on_and_is_no_listening_socket_is_named() {
    let site = site(100);
    let connected = UnixStream::pair().unwrap().0;
    for (socket, what) in [
        (OwnedFd::from(std::net::UdpSocket::bind("127.0.0.1:0").unwrap()), "a UDP socket"),
        (UnixDatagram::unbound().unwrap().into(), "a Unix datagram socket"),
        (connected.into(), "a socket that does not listen"),
        (std::fs::File::open("/dev/null").unwrap().into(), "/dev/null"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let handed = vec![listener.into(), socket];
        let output = activated(&["serve", text(site.path())], handed, "web:odd", |_| {}).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        let expected =
            format!("descriptor 4 (odd), handed on by LISTEN_FDS, is {what}, not a listening stream socket");
        assert!(output.status.code() == Some(1) && error.contains(&expected), "{error}");
    }
}
