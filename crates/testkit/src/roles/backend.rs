//! A fast upstream: one thread that keeps every socket full of a long body.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use super::{LIFETIME, NAP};
use crate::message;
use crate::poller::{EventFlags, Poller};
use crate::process::Outcome;

/// What one write offers to a socket.
const PIECE: usize = 256 * 1024;

/// The listener's number among the sockets.
const LISTENER: usize = usize::MAX;

struct Stream {
    socket: TcpStream,
    head: Vec<u8>,
    /// Bytes of the answer's head not sent yet; `None` before the request was read.
    answer: Option<Vec<u8>>,
    /// Bytes of the body not sent yet.
    left: u64,
}

/// Answers every request with `length` bytes.
pub fn run(length: u64) -> Outcome<()> {
    let listener = super::listen()?;
    listener.set_nonblocking(true)?;
    // Some kernels pace each connection's packets by timers of their own (BBR), and on loopback set them within
    // the system call of whoever acknowledges: the measured server would pay for it. A backend elsewhere has
    // no such way into it. Refused where there is no such module: then it is as the system has it.
    let _ = socket2::SockRef::from(&listener).set_tcp_congestion(b"cubic");
    let mut poller = Poller::new()?;
    poller.add(&listener, LISTENER, EventFlags::IN)?;

    let piece = vec![b'x'; PIECE];
    let mut streams: Vec<Option<Stream>> = Vec::new();
    let end = Instant::now() + LIFETIME;
    while Instant::now() < end {
        let ready: Vec<usize> = poller.wait(Duration::from_secs(1))?.collect();
        for number in ready {
            if number == LISTENER {
                accept_all(&listener, &poller, &mut streams, length)?;
                continue;
            }
            let slot = &mut streams[number];
            let Some(stream) = slot else { continue };
            match advance(stream, &piece, length) {
                Ok(flags) => poller.modify(&stream.socket, number, flags)?,
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
    poller: &Poller,
    streams: &mut Vec<Option<Stream>>,
    length: u64,
) -> Outcome<()> {
    loop {
        match listener.accept() {
            Ok((socket, _)) => {
                socket.set_nonblocking(true)?;
                socket.set_nodelay(true)?;
                poller.add(&socket, streams.len(), EventFlags::IN)?;
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
        if message::end_of_head(&stream.head).is_none() {
            return Ok(EventFlags::IN);
        }
        stream.head = Vec::new();
        stream.left = length;
        stream.answer = Some(message::response_head(length).into_bytes());
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
