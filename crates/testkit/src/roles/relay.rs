//! The floor of a proxy: the least work that brings the bytes from a backend and sends them. One thread, one loop
//! over all pairs of sockets, one read and one write for each stream every 200 ms, or one `splice` into a pipe and one
//! out of it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

use super::floor;
use crate::message;
use crate::process::Outcome;

struct Stream {
    backend: TcpStream,
    client: TcpStream,
    /// Bytes that went out, the head's included.
    moved: u64,
}

/// How bytes are moved.
enum Way {
    Copy(Vec<u8>),
    /// The two ends of a pipe, empty between two streams.
    Splice(OwnedFd, OwnedFd),
}

/// Relays the answers of the backend at `port` to `streams` clients, at `rate` bytes a second each. What waits in
/// the kernel is bounded as the proxies' that are measured beside it: by three chunks.
pub fn run(port: u16, streams: usize, rate: u64, splices: bool) -> Outcome<()> {
    let listener = super::listen()?;
    let waiting = usize::try_from(rate / 5 * 3)?.max(16 * 1024);
    let mut open = Vec::with_capacity(streams);
    while open.len() < streams {
        let (mut client, _) = listener.accept()?;
        client.set_nodelay(true)?;
        if !message::read_head(&mut client)?.is_empty() {
            open.push(Stream { backend: ask(port, waiting)?, client, moved: 0 });
        }
    }
    let most = usize::try_from(rate)?;
    let mut way = if splices {
        let (from, to) = pipe_with(PipeFlags::NONBLOCK)?;
        fcntl_setpipe_size(&to, most)?;
        Way::Splice(from, to)
    } else {
        Way::Copy(vec![0; most])
    };
    floor::on_a_grid(open, rate, |stream, due| advance(stream, due, most, &mut way).is_ok());
    Ok(())
}

/// Asks the backend. Its answer is handed on as it comes, head and all.
fn ask(port: u16, waiting: usize) -> Outcome<TcpStream> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    // Before connecting: the window is agreed on then.
    socket.set_recv_buffer_size(waiting)?;
    socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    let mut backend = TcpStream::from(socket);
    backend.set_nodelay(true)?;
    backend.write_all(message::request(port, "/").as_bytes())?;
    backend.set_nonblocking(true)?;
    Ok(backend)
}

/// Moves bytes up to `due`, as far as they are there, at most `most` at a time. Readers do not stall: a write that waited would
/// stop the loop.
fn advance(stream: &mut Stream, due: u64, most: usize, way: &mut Way) -> Outcome<()> {
    while stream.moved < due {
        let want = usize::try_from(due - stream.moved)?.min(most);
        let moved = match way {
            Way::Copy(buf) => copied(stream, &mut buf[..want]),
            Way::Splice(from, to) => spliced(stream, want, from, to),
        };
        match moved {
            Ok(0) => return Err("the backend has gone".into()),
            Ok(n) => stream.moved += n as u64,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn copied(stream: &mut Stream, buf: &mut [u8]) -> io::Result<usize> {
    let n = stream.backend.read(buf)?;
    stream.client.write_all(&buf[..n])?;
    Ok(n)
}

/// The client's socket blocks, so that nothing stays in the pipe.
fn spliced(stream: &mut Stream, want: usize, from: &OwnedFd, to: &OwnedFd) -> io::Result<usize> {
    let n = splice(&stream.backend, None, to, None, want, SpliceFlags::NONBLOCK)?;
    let mut left = n;
    while left > 0 {
        left -= splice(from, None, &stream.client, None, left, SpliceFlags::empty())?;
    }
    Ok(n)
}
