//! Eight clients that ask for the same file again and again, each on a connection of its own, and time it.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use crate::message::{self, Head};
use crate::poller::{EventFlags, Poller};
use crate::process::Outcome;

const CLIENTS: usize = 8;

/// Connections, caches and the processor's clock come to speed before the window begins.
const WARM_UP: Duration = Duration::from_millis(200);

/// A server that gives nothing for so long has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// The most one read takes. Only heads are looked at.
const READ: usize = 128 * 1024;

struct Client {
    socket: TcpStream,
    asked: Instant,
    head: Head,
    /// Bytes of the answer's body to come; `None` before its head is whole.
    left: Option<u64>,
}

struct Clients {
    poller: Poller,
    clients: Vec<Client>,
    request: String,
    /// Bytes of each answer's body.
    length: u64,
    buf: Vec<u8>,
    /// Nanoseconds of each answer.
    took: Vec<u64>,
}

/// Prints `begin` after a warm-up, then `end P50 P99 REQUESTS`: microseconds of the median and of the slowest
/// hundredth, and requests a second.
pub fn run(server: SocketAddr, path: &str, length: u64, window: Duration) -> Outcome<()> {
    let mut all = Clients {
        poller: Poller::new()?,
        clients: Vec::with_capacity(CLIENTS),
        request: message::request(server.port(), path),
        length,
        buf: vec![0; READ],
        took: Vec::with_capacity(1 << 20),
    };
    for number in 0..CLIENTS {
        let mut socket = TcpStream::connect(server)?;
        socket.set_nodelay(true)?;
        all.poller.add(&socket, number, EventFlags::IN)?;
        socket.write_all(all.request.as_bytes())?;
        socket.set_nonblocking(true)?;
        all.clients.push(Client { socket, asked: Instant::now(), head: Head::default(), left: None });
    }
    all.ask_until(Instant::now() + WARM_UP)?;
    all.took.clear();
    println!("begin");
    let began = Instant::now();
    all.ask_until(began + window)?;
    let seconds = began.elapsed().as_secs_f64();
    all.took.sort_unstable();
    let at = |part: f64| {
        all.took.get((all.took.len() as f64 * part) as usize).map_or(0.0, |&nanos| nanos as f64 / 1e3)
    };
    println!("end {} {} {}", at(0.50), at(0.99), all.took.len() as f64 / seconds);
    Ok(())
}

impl Clients {
    fn ask_until(&mut self, deadline: Instant) -> Outcome<()> {
        while Instant::now() < deadline {
            let ready = self.poller.wait(PATIENCE)?;
            if ready.len() == 0 {
                return Err("the server answers nobody".into());
            }
            for number in ready {
                let client = &mut self.clients[number];
                if client.read(self.length, &mut self.buf)? {
                    let now = Instant::now();
                    self.took.push((now - client.asked).as_nanos() as u64);
                    client.asked = now;
                    client.socket.write_all(self.request.as_bytes())?;
                }
            }
        }
        Ok(())
    }
}

impl Client {
    /// Reads once, and says whether the answer is whole.
    fn read(&mut self, length: u64, buf: &mut [u8]) -> Outcome<bool> {
        // What is body is thrown away in the kernel.
        let flags = if self.left.is_some() { RecvFlags::TRUNC } else { RecvFlags::empty() };
        let n = match recv(&self.socket, &mut *buf, flags) {
            Ok((_, 0)) => return Err("the server closed a connection".into()),
            Ok((_, n)) => n,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        let came = match self.left {
            Some(_) => n,
            None => {
                let Some(behind) = self.head.push(&buf[..n])? else { return Ok(false) };
                self.left = Some(length);
                behind
            }
        };
        let left = self.left.unwrap_or_default().checked_sub(came as u64).ok_or("more than was asked for")?;
        self.left = (left > 0).then_some(left);
        Ok(left == 0)
    }
}
