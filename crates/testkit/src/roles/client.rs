//! Many readers in one process: opens the streams, keeps every socket empty, counts bytes.
//!
//! Bytes are counted and thrown away in the kernel (`MSG_TRUNC`), so that reading takes as little as
//! can be from the processor the server runs on. Sockets are looked at every few milliseconds, not
//! whenever one has something: see [`NAP`](super::NAP).

use std::io::Write;
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use rustls::{ClientConfig, ClientConnection};

use super::{LIFETIME, NAP, trusting};
use crate::message::{self, Head};
use crate::poller::{EventFlags, Poller};
use crate::process::Outcome;

/// The most one read takes.
const READ: usize = 256 * 1024;

/// All streams must have begun so long after the last connection.
const PATIENCE: Duration = Duration::from_secs(30);

/// A stream whose bytes differ by more than this from what its pace gives is astray: one chunk of 200 ms. Bytes
/// come in whole chunks; the 25 ms more are for the instants at which sockets are looked at, and no chunk.
const CHUNK: f64 = 0.225;

/// The client's arguments.
pub(super) struct Orders<'a> {
    /// Whether streams are inside TLS. Their bytes count as they are on the wire then, encrypted.
    pub(super) tls: bool,
    /// The number of the first stream's key, if streams show keys.
    pub(super) first_key: Option<usize>,
    pub(super) port: u16,
    pub(super) path: &'a str,
    pub(super) streams: usize,
    /// Bytes a second that each of them should get.
    pub(super) rate: u64,
    /// Connections are opened evenly over this time, so that their intervals do not all begin at once.
    pub(super) connect_over: Duration,
    /// From the last stream's first byte to the measured time.
    pub(super) warm_up: Duration,
    /// The measured time.
    pub(super) window: Duration,
}

struct Stream {
    socket: TcpStream,
    /// TLS until the head is there: nothing behind it is decrypted.
    session: Option<Box<ClientConnection>>,
    head: Head,
    begun: bool,
    /// Bytes of the body.
    bytes: u64,
}

struct Client {
    poller: Poller,
    streams: Vec<Stream>,
    begun: usize,
    buf: Vec<u8>,
    tls: Option<Arc<ClientConfig>>,
}

/// Prints `begin`, then `end TOTAL MIN MAX SECONDS ASTRAY` (bytes of body in the measured time: of all, of the
/// slowest, of the fastest stream; and how many streams are further than a chunk from their pace), then goes on
/// reading until it is killed.
pub fn run(orders: &Orders<'_>) -> Outcome<()> {
    let mut client = Client {
        poller: Poller::new()?,
        streams: Vec::with_capacity(orders.streams),
        begun: 0,
        buf: vec![0; READ],
        tls: if orders.tls { Some(Arc::new(trusting::config()?)) } else { None },
    };
    let start = Instant::now();
    while client.streams.len() < orders.streams {
        let opened = client.streams.len() as u32;
        let due = start + orders.connect_over * opened / orders.streams as u32;
        if Instant::now() >= due {
            let request = match orders.first_key {
                Some(first) => {
                    message::request_with_key(orders.port, orders.path, first + client.streams.len())
                }
                None => message::request(orders.port, orders.path),
            };
            client.open(orders.port, request.as_bytes())?;
        } else {
            client.read_until(due)?;
        }
    }
    let patience = Instant::now() + PATIENCE;
    while client.begun < orders.streams {
        if Instant::now() > patience {
            let (begun, streams) = (client.begun, orders.streams);
            return Err(format!("only {begun} of {streams} streams began").into());
        }
        client.read_until(Instant::now() + Duration::from_millis(20))?;
    }
    client.read_until(Instant::now() + orders.warm_up)?;

    let before: Vec<u64> = client.streams.iter().map(|stream| stream.bytes).collect();
    println!("begin");
    let begin = Instant::now();
    client.read_until(begin + orders.window)?;
    let seconds = begin.elapsed().as_secs_f64();
    let got = || client.streams.iter().zip(&before).map(|(stream, before)| stream.bytes - before);
    let (total, min, max) =
        (got().sum::<u64>(), got().min().unwrap_or_default(), got().max().unwrap_or_default());
    let rate = orders.rate as f64;
    let astray = got().filter(|bytes| (*bytes as f64 - rate * seconds).abs() > rate * CHUNK).count();
    println!("end {total} {min} {max} {seconds} {astray}");
    client.read_until(Instant::now() + LIFETIME)
}

impl Client {
    fn open(&mut self, port: u16, request: &[u8]) -> Outcome<()> {
        let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        let session = match &self.tls {
            Some(config) => {
                let mut session = Box::new(trusting::handshake(config, &mut socket)?);
                session.writer().write_all(request)?;
                while session.wants_write() {
                    session.write_tls(&mut socket)?;
                }
                Some(session)
            }
            None => {
                socket.write_all(request)?;
                None
            }
        };
        socket.set_nonblocking(true)?;
        self.poller.add(&socket, self.streams.len(), EventFlags::IN)?;
        self.streams.push(Stream { socket, session, head: Head::default(), begun: false, bytes: 0 });
        Ok(())
    }

    /// Reads whatever comes until `deadline`.
    fn read_until(&mut self, deadline: Instant) -> Outcome<()> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            for number in self.poller.wait(left)? {
                self.begun += usize::from(self.streams[number].read(&mut self.buf)?);
            }
            std::thread::sleep(left.min(NAP));
        }
    }
}

impl Stream {
    /// Reads once. Says whether the stream began with it.
    fn read(&mut self, buf: &mut [u8]) -> Outcome<bool> {
        let flags = if self.begun { RecvFlags::TRUNC } else { RecvFlags::empty() };
        let n = match recv(&self.socket, &mut *buf, flags) {
            Ok((_, 0)) => return Err("a stream ended before the measured time did".into()),
            Ok((_, n)) => n,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(false),
            Err(error) => return Err(format!("a stream broke: {error}").into()),
        };
        if self.begun {
            self.bytes += n as u64;
            return Ok(false);
        }
        let n = match &mut self.session {
            Some(session) => trusting::decrypt(session, buf, n)?,
            None => n,
        };
        if n == 0 {
            return Ok(false);
        }
        let Some(behind) = self.head.push(&buf[..n])? else { return Ok(false) };
        self.session = None;
        self.bytes = behind as u64;
        self.begun = true;
        Ok(true)
    }
}
