//! A new process starts while the old one drains.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use rustix::process::Signal;

use testkit::program::{Program, command, log_until, site, text};
use testkit::served::connect;

/// Free addresses whose ports are below those of outgoing connections: between the end of the old listener and the start of the
/// new one, any connection of this machine could be given a port of that range.
fn free<const N: usize>() -> [SocketAddr; N] {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap();
    let ephemeral: u16 = range.split_whitespace().next().unwrap().parse().unwrap();
    // Other processes that run this test begin elsewhere.
    let first = ephemeral - 8000 + (std::process::id() % 6000) as u16;
    let mut bound = (first..ephemeral).filter_map(|port| TcpListener::bind(("127.0.0.1", port)).ok());
    // All at once, or one could be given twice.
    let bound = [(); N].map(|()| bound.next().unwrap());
    bound.map(|listener| listener.local_addr().unwrap())
}

/// Sends a short request on a connection of its own and reads to its end, whatever comes. Connecting alone would fill the
/// listener's queue, and then the kernel's next attempt comes seconds later.
fn request(addr: SocketAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(addr)?;
    let _ = stream.write_all(b"GET /missing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let _ = stream.read_to_end(&mut Vec::new());
    Ok(())
}

fn run(file: &std::path::Path) -> Program {
    Program::start_where_told(command(&["run", text(file)]))
}

/// Begins a download that is not over before the test is.
fn slow(stream: impl Read + Write) -> impl Read + Write {
    let mut stream = stream;
    stream.write_all(b"GET /a.bin HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    stream.read_exact(&mut [0; 20]).unwrap();
    stream
}

/// The status of `/readyz`.
fn ready(mut stream: impl Read + Write) -> String {
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer["HTTP/1.1 ".len()..][..3].to_owned()
}

/// Ends a thread also when the test fails.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn the_new_one_takes_every_port_over_at_once_and_refuses_nobody() {
    let site = site(1 << 20);
    let file = site.path().join("site.toml");
    let [http, admin, raw] = free();
    let configuration = format!(
        "listen = '{http}'\nadmin = '{admin}'\ndrain = '1h'\n\
         [[route]]\npath = '/'\nfiles = '.'\nrate = '1000B'\n[[tcp]]\nlisten = '{raw}'\nfile = 'a.txt'\n"
    );
    std::fs::write(&file, configuration).unwrap();
    let mut old = run(&file);
    let mut download = slow(connect(http));
    let done = AtomicBool::new(false);
    let (told, started, refused) = std::thread::scope(|scope| {
        let loading = scope.spawn(|| {
            let mut refused = Vec::new();
            while !done.load(Ordering::Relaxed) {
                let began = Instant::now();
                match request(http) {
                    Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                        refused.push((began, Instant::now()))
                    }
                    answered => answered.unwrap(),
                }
            }
            refused
        });
        let loaded = Done(&done);
        // Before the signal: this thread may wait for its turn after it, and the port is closed by then.
        let told = Instant::now();
        old.signal(Signal::TERM);
        log_until(&mut old, "draining");
        assert_eq!(ready(connect(admin)), "503");
        let new = run(&file);
        let started = Instant::now();
        for _ in 0..20 {
            assert_eq!(ready(connect(admin)), "200", "the new one answers alone");
        }
        for _ in 0..20 {
            TcpStream::connect(http).unwrap();
            let mut sent = Vec::new();
            connect(raw).read_to_end(&mut sent).unwrap();
            assert_eq!(sent.len(), 1600);
        }
        drop(loaded);
        let refused = loading.join().unwrap();
        // The old one still has its reader.
        download.read_exact(&mut [0; 100]).unwrap();
        assert!(old.runs());
        // Twice is an error, now as before.
        let (status, _, error) =
            Program::start_with(&["run", text(&file)], std::process::Stdio::piped()).wait();
        assert!(status.code() == Some(1) && error.contains("something listens there already"), "{error}");
        drop(new);
        (told, started, refused)
    });
    let late = refused.iter().find(|(began, ended)| *ended < told || *began > started);
    assert_eq!(late, None, "refused while one of them ran: {told:?}, {started:?}");
}

#[test]
fn the_paths_of_unix_sockets_are_taken_over_too() {
    let site = site(1 << 20);
    let file = site.path().join("site.toml");
    let [http, admin] = ["http.sock", "admin.sock"].map(|name| site.path().join(name));
    let configuration = "listen = 'unix:http.sock?mode=600'\nadmin = 'unix:admin.sock?mode=660'\ndrain = '1h'\n\
                         [[route]]\npath = '/'\nfiles = '.'\nrate = '1000B'\n";
    std::fs::write(&file, configuration).unwrap();
    let ready = || ready(UnixStream::connect(&admin).unwrap());
    let mut old = run(&file);
    let mut download = slow(UnixStream::connect(&http).unwrap());
    old.signal(Signal::TERM);
    log_until(&mut old, "draining");
    assert_eq!(ready(), "503");
    let new = run(&file);
    assert_eq!(ready(), "200", "the new one answers alone");
    drop(slow(UnixStream::connect(&http).unwrap()));
    download.read_exact(&mut [0; 100]).unwrap();
    old.signal(Signal::TERM);
    let (status, log, _) = old.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    assert_eq!(ready(), "200", "the old one left what is not its own");
    new.end();
    assert!(!http.exists() && !admin.exists());
}
