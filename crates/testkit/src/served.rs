//! A server of this crate on a free port, and connections to it.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::thread::JoinHandle;

use sluicegate::http::route::Route;
use sluicegate::http::server::{Handle, Server, Settings};
use sluicegate::limit::Rate;
use sluicegate::rt::{self, Listener};
use tempfile::TempDir;

use crate::wait::{self, PATIENCE};
use crate::wire::{Answer, answer, read_all};

/// A running server. Dropping it stops it and checks that no connection is left.
pub struct Served {
    /// Where it listens.
    pub addr: SocketAddr,
    /// The handle of the server.
    pub handle: Handle,
    thread: Option<JoinHandle<()>>,
    folder: Option<TempDir>,
}

impl Served {
    /// Serves `routes` on a free port with default settings.
    pub fn new(routes: Vec<Route>) -> Self {
        Self::with(Settings::default(), routes)
    }

    /// Serves `routes` on a free port.
    pub fn with(settings: Settings, routes: Vec<Route>) -> Self {
        let listener = Listener::bind_tcp(([127, 0, 0, 1], 0).into()).unwrap();
        Self::running(Server::new(settings, vec![listener], routes))
    }

    /// Runs a server on a thread of its own. `addr` is the first it listens on.
    pub fn running(server: Server) -> Self {
        let (addr, handle) = (server.local_addrs()[0], server.handle());
        let thread = std::thread::spawn(move || rt::block_on(server.run()));
        Self { addr, handle, thread: Some(thread), folder: None }
    }

    /// Serves the files of `folder`, each response at `rate` bytes per second; 0 is unlimited.
    pub fn folder(settings: Settings, folder: TempDir, rate: u64) -> Self {
        let mut served = Self::with(settings, vec![files(&folder, rate)]);
        served.folder = Some(folder);
        served
    }

    /// Connects to it.
    pub fn connect(&self) -> TcpStream {
        connect(self.addr)
    }

    /// Sends `request` on a connection of its own, and reads nothing.
    pub fn send(&self, request: impl AsRef<[u8]>) -> TcpStream {
        let mut stream = self.connect();
        stream.write_all(request.as_ref()).unwrap();
        stream
    }

    /// Sends a GET for `target` on a connection of its own, and reads nothing.
    pub fn begin(&self, target: &str) -> TcpStream {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: t\r\n\r\n"))
    }

    /// Sends `request` on a connection of its own and reads to the end of the connection.
    pub fn ask(&self, request: &str) -> Vec<u8> {
        read_all(&mut self.send(request))
    }

    /// GETs `target` with further header lines (each with its CRLF), on a connection of its own.
    pub fn get(&self, target: &str, fields: &str) -> Answer {
        answer(self.send(format!("GET {target} HTTP/1.1\r\nHost: t\r\n{fields}\r\n")))
    }

    /// Waits for the server's own end, after `drain` or `stop`.
    pub fn join(mut self) {
        wait::joined("the end of the server", self.thread.take().unwrap());
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.handle.stop();
        if let Some(thread) = self.thread.take() {
            let ended = wait::ended(thread);
            if !std::thread::panicking() {
                ended.expect("the server does not end").unwrap();
                assert_eq!(self.handle.connections(), 0, "a connection outlived its server");
            }
        }
    }
}

/// A route at `/` for the files of `folder`, each response at `rate` bytes per second; 0 is unlimited.
pub fn files(folder: &TempDir, rate: u64) -> Route {
    Route::files("/", folder.path()).unwrap().rate(Rate::or_unlimited(rate))
}

/// POSTs `body` as a program on this machine does, with further header lines (each with its CRLF), on a
/// connection of its own.
pub fn post(addr: SocketAddr, target: &str, fields: &str, body: &str) -> Answer {
    let length = body.len();
    let head =
        format!("POST {target} HTTP/1.1\r\nHost: localhost\r\n{fields}Content-Length: {length}\r\n\r\n");
    let mut stream = connect(addr);
    stream.write_all((head + body).as_bytes()).unwrap();
    answer(stream)
}

/// Connects from another address of this machine.
pub fn connect_from(from: [u8; 4], addr: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
    socket.connect(&addr.into()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.into()
}

/// Connects from a socket whose kernel takes next to nothing that is not read.
pub fn connect_narrow(addr: SocketAddr) -> TcpStream {
    connect_narrow_from([127, 0, 0, 1], addr)
}

/// The same from another address of this machine.
pub fn connect_narrow_from(from: [u8; 4], addr: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
    // Before connecting: the window is agreed on then. The kernel makes 2 304 of it.
    socket.set_recv_buffer_size(2048).unwrap();
    socket.connect(&addr.into()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.into()
}

/// Connects with Nagle's algorithm off and a read timeout of [`PATIENCE`].
pub fn connect(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}
