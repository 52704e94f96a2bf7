//! The ground a fault happens on: a server of a folder and of a backend with the same content, and the
//! count of what lived before.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use sluicegate::http::route::Route;
use sluicegate::http::server::Settings;
use sluicegate::limit::Rate;
use sluicegate::rt;
use sluicegate::sink::SinkSettings;

use super::census::{Census, Turn, wait_for};
use crate::backend::{Backend, endless};
use testkit::served::Served;
use testkit::versions::{BOTH, Version};
use testkit::wait::PATIENCE;
use testkit::wire::content;

/// Where a response's content comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    File,
    Proxied,
}

/// Each version with each source.
pub fn each() -> impl Iterator<Item = (Version, Source)> {
    BOTH.into_iter().flat_map(|version| [(version, Source::File), (version, Source::Proxied)])
}

/// The length of `page`. `endless` has no end that is ever reached.
pub const PAGE: usize = 100_000;

/// Fields are dropped in their order: the server ends, then the backend, and then the process is counted.
pub struct Ground {
    pub served: Served,
    pub backend: Backend,
    idle: Census,
    _site: tempfile::TempDir,
    _turn: Turn,
}

impl Ground {
    /// All routes at `rate`; 0 is unlimited.
    pub fn new(sink: SinkSettings, rate: u64) -> Self {
        Self::with(sink, rate, by_path, |backend| backend.route(rate))
    }

    /// The same with another script for the backend.
    pub fn backed_by(
        rate: u64,
        script: impl Fn(&mut TcpStream, &str) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self::with(SinkSettings::default(), rate, script, |backend| backend.route(rate))
    }

    /// The same with another script, and another route to it.
    pub fn with(
        sink: SinkSettings,
        rate: u64,
        script: impl Fn(&mut TcpStream, &str) -> io::Result<()> + Send + Sync + 'static,
        route: impl FnOnce(&Backend) -> Route,
    ) -> Self {
        let turn = Turn::begin(warm_up);
        let site = site();
        let backend = Backend::new(script);
        let files = Route::files("/files/", site.path()).unwrap().rate(Rate::or_unlimited(rate));
        let tasks = rt::tasks();
        // Not before the turn: the default reads files, which would be counted in another scene.
        let settings = Settings { sink, ..Settings::default() };
        let served = Served::with(settings, vec![files, route(&backend)]);
        let began = Instant::now();
        while rt::tasks() != tasks + 1 {
            assert!(began.elapsed() < PATIENCE, "the listener has a task");
            std::thread::yield_now();
        }
        let idle = Census::take(Some(&served.handle));
        Self { served, backend, idle, _site: site, _turn: turn }
    }

    pub fn target(source: Source, name: &str) -> String {
        match source {
            Source::File => format!("/files/{name}"),
            Source::Proxied => format!("/proxied/{name}"),
        }
    }

    /// Asks for something, and waits until the backend is asked too, and for the first bytes of the answer.
    /// Over HTTP/2 these may be the server's settings alone.
    pub fn ask(&self, version: Version, source: Source, name: &str) -> TcpStream {
        let mut stream = self.served.send(version.get(&Self::target(source, name)));
        stream.read_exact(&mut [0; 20]).unwrap();
        if source == Source::Proxied {
            self.backend.began();
        }
        stream
    }

    /// A connection whose kernel, on this side, takes next to nothing that is not read.
    pub fn narrow(&self) -> TcpStream {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        // Before connecting: the window is agreed on then.
        socket.set_recv_buffer_size(2048).unwrap();
        socket.connect(&self.served.addr.into()).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.into()
    }

    /// Reads until so many bytes of content have been handed to connections' sinks or the kernel.
    pub fn read_on(&self, stream: &mut TcpStream, bytes: u64) {
        let mut buf = [0; 4096];
        while self.served.handle.egress().bytes_written() < bytes {
            assert!(stream.read(&mut buf).unwrap() > 0, "an early end");
        }
    }

    /// Waits until something holds of the server.
    pub fn until(&self, what: &str, holds: impl Fn(&Census) -> bool) {
        let began = Instant::now();
        while !holds(&Census::take(Some(&self.served.handle))) {
            let now = Census::take(Some(&self.served.handle));
            assert!(began.elapsed() < PATIENCE, "{what} does not come: {now:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits until the server, which goes on, holds no more than before its first connection.
    pub fn assert_forgotten(&self) {
        self.assert_forgotten_beside(0);
    }

    /// The same while the test itself still has `sockets`. Bytes that were dropped are gathered for the log
    /// by one task with one timer, for ten seconds.
    pub fn assert_forgotten_beside(&self, sockets: usize) {
        let egress = self.served.handle.egress();
        let expected = || {
            let gathering = usize::from(egress.overflow_closes() + egress.stall_closes() > 0);
            Census {
                tasks: self.idle.tasks + gathering,
                timers: self.idle.timers + gathering,
                descriptors: self.idle.descriptors + sockets,
                ..self.idle
            }
        };
        wait_for(expected, || Census::take(Some(&self.served.handle)));
    }
}

/// Makes the coming close a reset, and closes.
pub fn reset(stream: TcpStream) {
    crate::backend::reset(&stream);
}

/// A folder with `page` and `endless`.
fn site() -> tempfile::TempDir {
    let site = tempfile::tempdir().unwrap();
    std::fs::write(site.path().join("page"), content(PAGE)).unwrap();
    File::create(site.path().join("endless")).unwrap().set_len(1 << 40).unwrap();
    site
}

/// What the backend does if a test has no other wish.
pub fn by_path(stream: &mut TcpStream, head: &str) -> io::Result<()> {
    if head.starts_with("GET /proxied/endless ") {
        return endless(stream);
    }
    write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {PAGE}\r\nconnection: close\r\n\r\n")?;
    stream.write_all(&content(PAGE))
}

/// Both versions, from a file and from a backend, once.
fn warm_up() {
    let site = site();
    let backend = Backend::new(by_path);
    let files = Route::files("/files/", site.path()).unwrap();
    let served = Served::new(vec![files, backend.route(0)]);
    for (version, source) in each() {
        let mut stream = served.send(version.get(&Ground::target(source, "page")));
        assert_eq!(version.answer(&mut stream).body.len(), PAGE);
    }
}
