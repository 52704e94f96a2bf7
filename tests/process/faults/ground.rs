//! The ground a fault happens on: a server of a folder and of a backend with the same content, and the
//! count of what lived before.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::TcpStream;

use sluicegate::http::route::Route;
use sluicegate::http::server::Settings;
use sluicegate::limit::Rate;
use sluicegate::rt;
use sluicegate::sink::SinkSettings;

use super::census::{Census, Turn, wait_for};
use crate::backend::{Backend, endless};
use testkit::folder::folder;
use testkit::served::{Served, connect_narrow};
use testkit::versions::{BOTH, Version};
use testkit::wait;
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
        Self::on(|| Settings { sink, ..Settings::default() }, rate, script, route)
    }

    /// The same with other settings.
    pub fn on(
        settings: impl FnOnce() -> Settings,
        rate: u64,
        script: impl Fn(&mut TcpStream, &str) -> io::Result<()> + Send + Sync + 'static,
        route: impl FnOnce(&Backend) -> Route,
    ) -> Self {
        let turn = Turn::begin(warm_up);
        let site = site();
        let backend = Backend::new(script);
        let files = Route::files("/files/", site.path()).unwrap().rate(Rate::or_unlimited(rate));
        let tasks = rt::tasks();
        // Not before the turn: the defaults read files, which would be counted in another scene.
        let served = Served::with(settings(), vec![files, route(&backend)]);
        wait::until("the listener's task", || rt::tasks() == tasks + 1);
        let idle = Census::take(Some(&served.handle));
        Self { served, backend, idle, _site: site, _turn: turn }
    }

    pub fn target(source: Source, name: &str) -> String {
        match source {
            Source::File => format!("/files/{name}"),
            Source::Proxied => format!("/proxied/{name}"),
        }
    }

    /// An upload of which a thousand bytes have been sent, once the backend has them; what that does `then`.
    pub fn mid_upload(
        version: Version,
        then: impl Fn(&mut TcpStream) -> io::Result<()> + Send + Sync + 'static,
    ) -> (Self, TcpStream) {
        let ground = Self::backed_by(0, move |stream, _| {
            stream.read_exact(&mut [0; 1000])?;
            then(stream)
        });
        let mut stream = ground.served.send(version.post("/proxied/", 1 << 30));
        stream.write_all(&version.piece(&[b'u'; 1000])).unwrap();
        ground.backend.began();
        (ground, stream)
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
        connect_narrow(self.served.addr)
    }

    /// Reads until so many bytes of content have been handed to connections' sinks or the kernel.
    pub fn read_on(&self, stream: &mut TcpStream, bytes: u64) {
        let mut buf = [0; 4096];
        while self.served.handle.egress().bytes_written() < bytes {
            assert!(stream.read(&mut buf).unwrap() > 0, "an early end");
        }
    }

    /// Counts what there is now.
    pub fn census(&self) -> Census {
        Census::take(Some(&self.served.handle))
    }

    /// Waits until something holds of the server.
    pub fn until(&self, what: &str, holds: impl Fn(&Census) -> bool) {
        wait::until(what, || holds(&self.census()));
    }

    /// Waits until the server, which goes on, holds no more than before its first connection.
    pub fn assert_forgotten(&self) {
        self.assert_forgotten_beside(0);
    }

    /// The same once a client is gone.
    pub fn assert_forgets(&self, client: TcpStream) {
        drop(client);
        self.assert_forgotten();
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
        wait_for(expected, || self.census());
    }
}

/// Makes the coming close a reset, and closes.
pub fn reset(stream: TcpStream) {
    crate::backend::reset(&stream);
}

/// A folder with `page` and `endless`.
fn site() -> tempfile::TempDir {
    let site = folder(&[("page", &content(PAGE))]);
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
