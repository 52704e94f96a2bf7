//! A fast upstream: one thread that keeps every socket full of a long body.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

use super::{LIFETIME, NAP, Result};
use crate::request;

/// What one write offers to a socket.
const PIECE: usize = 256 * 1024;

/// The listener's number among the sockets.
const LISTENER: u64 = u64::MAX;

struct Stream {
    socket: TcpStream,
    head: Vec<u8>,
    /// Bytes of the answer's head not sent yet; `None` before the request was read.
    answer: Option<Vec<u8>>,
    /// Bytes of the body not sent yet.
    left: u64,
}

/// Answers every request with `length` bytes.
pub fn run(length: u64) -> Result<()> {
    let listener = super::listen()?;
    listener.set_nonblocking(true)?;
    // Some kernels pace each connection's packets by timers of their own (BBR), and on loopback set them within
    // the system call of whoever acknowledges: the measured server would pay for it. A backend elsewhere has
    // no such way into it. Refused where there is no such module: then it is as the system has it.
    let _ = socket2::SockRef::from(&listener).set_tcp_congestion(b"cubic");
    let poller = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&poller, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;

    let piece = vec![b'x'; PIECE];
    let mut streams: Vec<Option<Stream>> = Vec::new();
    let mut events: Vec<Event> = Vec::with_capacity(1024);
    let end = Instant::now() + LIFETIME;
    while Instant::now() < end {
        let timeout = Timespec { tv_sec: 1, tv_nsec: 0 };
        match epoll::wait(&poller, spare_capacity(&mut events), Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in events.drain(..) {
            let number = event.data.u64();
            if number == LISTENER {
                accept_all(&listener, &poller, &mut streams, length)?;
                continue;
            }
            let slot = &mut streams[number as usize];
            let Some(stream) = slot else { continue };
            match advance(stream, &piece, length) {
                Ok(flags) => epoll::modify(&poller, &stream.socket, event.data, flags)?,
                // Closing the socket takes it out of the poller.
                Err(_) => *slot = None,
            }
        }
        std::thread::sleep(NAP);
    }
    Ok(())
}

fn accept_all(
    listener: &TcpListener,
    poller: impl std::os::fd::AsFd,
    streams: &mut Vec<Option<Stream>>,
    length: u64,
) -> Result<()> {
    loop {
        match listener.accept() {
            Ok((socket, _)) => {
                socket.set_nonblocking(true)?;
                socket.set_nodelay(true)?;
                let number = EventData::new_u64(streams.len() as u64);
                epoll::add(&poller, &socket, number, EventFlags::IN)?;
                streams.push(Some(Stream { socket, head: Vec::new(), answer: None, left: length }));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Reads or writes as far as the socket lets it, and says what to wait for.
fn advance(stream: &mut Stream, piece: &[u8], length: u64) -> std::io::Result<EventFlags> {
    if stream.answer.is_none() {
        let mut buf = [0; 2048];
        match stream.socket.read(&mut buf) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(n) => stream.head.extend_from_slice(&buf[..n]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(EventFlags::IN),
            Err(error) => return Err(error),
        }
        if request::end_of_head(&stream.head).is_none() {
            return Ok(EventFlags::IN);
        }
        stream.head = Vec::new();
        stream.left = length;
        stream.answer = Some(request::response_head(length).into_bytes());
    }
    while let Some(answer) = &mut stream.answer {
        let (bytes, is_head) = match answer.is_empty() {
            false => (answer.as_slice(), true),
            true => (&piece[..piece.len().min(stream.left as usize)], false),
        };
        match stream.socket.write(bytes) {
            Ok(n) if is_head => drop(answer.drain(..n)),
            Ok(n) => stream.left -= n as u64,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(EventFlags::OUT),
            Err(error) => return Err(error),
        }
        if stream.left == 0 {
            stream.answer = None;
        }
    }
    Ok(EventFlags::IN)
}
