//! A server of this crate on a free port, and the plainest of clients: bytes out, bytes in.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sluicegate::http::route::Route;
use sluicegate::http::server::{Handle, Server, Settings};
use sluicegate::rt::{self, Listener};

use crate::wait::PATIENCE;
use crate::wire::{Framing, field, find};

/// A running server. Dropping it stops it and checks that no connection is left.
pub struct Served {
    /// Where it listens.
    pub addr: SocketAddr,
    /// The handle of the server.
    pub handle: Handle,
    thread: Option<JoinHandle<()>>,
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
        Self { addr, handle, thread: Some(thread) }
    }

    /// Connects to it.
    pub fn connect(&self) -> TcpStream {
        connect(self.addr)
    }

    /// Sends `request` on a connection of its own and reads to the end of the connection.
    pub fn ask(&self, request: &str) -> Vec<u8> {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        answer
    }

    /// GETs `target` with further header lines (each with its CRLF), on a connection of its own.
    pub fn get(&self, target: &str, fields: &str) -> Response {
        let mut stream = self.connect();
        let request = format!("GET {target} HTTP/1.1\r\nHost: t\r\n{fields}\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        Response::read(&mut stream).unwrap()
    }

    /// Waits for the server's own end, after `drain` or `stop`.
    pub fn join(mut self) {
        self.thread.take().unwrap().join().unwrap();
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.handle.stop();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            if !std::thread::panicking() {
                ended.unwrap();
                assert_eq!(self.handle.connections(), 0, "a connection outlived its server");
            }
        }
    }
}

/// Connects with Nagle's algorithm off and a read timeout of [`PATIENCE`].
pub fn connect(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// A response as it came: its head as text, its body, and when which bytes of it came.
#[derive(Debug)]
pub struct Response {
    /// Status line and fields, with the empty line behind them.
    pub head: String,
    /// The body, without framing.
    pub body: Vec<u8>,
    /// After each read: time since the first byte of the head, and bytes of the body so far.
    pub timeline: Vec<(Duration, usize)>,
}

impl Response {
    /// Reads one response with a `Content-Length`, chunks, or to the end of the connection.
    ///
    /// # Errors
    /// The socket's; `UnexpectedEof` if the connection ended before the response did.
    pub fn read(stream: &mut TcpStream) -> io::Result<Self> {
        Self::read_for(stream, "GET")
    }

    /// The same for the answer to `method`; one to HEAD has no body.
    pub fn read_for(stream: &mut TcpStream, method: &str) -> io::Result<Self> {
        let mut seen = Vec::new();
        let head_end = loop {
            if let Some(at) = find(&seen, b"\r\n\r\n") {
                break at + 4;
            }
            read_some(stream, &mut seen)?.then_some(()).ok_or(io::ErrorKind::UnexpectedEof)?;
        };
        let began = Instant::now();
        let head = String::from_utf8_lossy(&seen[..head_end]).into_owned();
        let mut raw = seen.split_off(head_end);
        let mut response = Self { head, body: Vec::new(), timeline: vec![(Duration::ZERO, raw.len())] };
        let framing = Framing::of(method, &response.head);
        loop {
            let body = framing.body(&raw);
            if body.end.is_some() {
                // With whatever follows a body that should be all there is.
                response.body = if matches!(framing, Framing::Length(_)) { raw } else { body.bytes };
                return Ok(response);
            }
            if !read_some(stream, &mut raw)? {
                if !matches!(framing, Framing::Close) {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                response.body = raw;
                return Ok(response);
            }
            response.timeline.push((began.elapsed(), raw.len()));
        }
    }

    /// The status; 0 if the head has none.
    pub fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// The value of the first header field of this name.
    pub fn field(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }
}

fn read_some(stream: &mut TcpStream, into: &mut Vec<u8>) -> io::Result<bool> {
    let mut buf = [0; 65536];
    let n = stream.read(&mut buf)?;
    into.extend_from_slice(&buf[..n]);
    Ok(n > 0)
}
