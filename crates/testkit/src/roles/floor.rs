//! The floor: the least work that sends the bytes at all. One thread, one loop over all sockets, one
//! sendfile for each stream every 200 ms; it knows no timers, no events and hardly any HTTP.

use std::fs::File;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use sluicegate::brigade::MAX_PIECE;

use super::LIFETIME;
use crate::message;
use crate::process::Outcome;

/// A stream gets its bytes on this grid.
const INTERVAL: Duration = Duration::from_millis(200);

struct Stream {
    socket: TcpStream,
    /// How far the file went out.
    offset: u64,
}

/// Serves `file` to `streams` clients at `rate` bytes a second each; at once to one if `rate` is 0.
pub fn run(file: &Path, streams: usize, rate: u64) -> Outcome<()> {
    let file = File::open(file)?;
    let length = file.metadata()?.len();
    let listener = super::listen()?;
    if rate == 0 {
        return unpaced(&listener, &file, length);
    }
    let mut open = Vec::with_capacity(streams);
    while open.len() < streams {
        let (mut socket, _) = listener.accept()?;
        socket.set_nodelay(true)?;
        if !message::read_head(&mut socket)?.is_empty() {
            socket.write_all(message::response_head(length).as_bytes())?;
            // A reader that stalls must not stop the loop; these do not.
            socket.set_nonblocking(true)?;
            open.push(Stream { socket, offset: 0 });
        }
    }
    on_a_grid(open, rate, |stream, due| send(stream, &file, due.min(length)) && stream.offset < length);
    Ok(())
}

/// Calls `bring` every interval with each stream and the bytes due of it at `rate`, until it returns false.
pub(super) fn on_a_grid<S>(mut open: Vec<S>, rate: u64, mut bring: impl FnMut(&mut S, u64) -> bool) {
    let start = Instant::now();
    let mut interval = 1u32;
    while !open.is_empty() && start.elapsed() < LIFETIME {
        // Five intervals are a second: exact for every rate.
        let due = rate * u64::from(interval) / 5;
        open.retain_mut(|stream| bring(stream, due));
        std::thread::sleep((start + INTERVAL * interval).saturating_duration_since(Instant::now()));
        interval += 1;
    }
}

/// Sends up to `due`, as far as the socket takes it; false if the client has gone.
fn send(stream: &mut Stream, file: &File, due: u64) -> bool {
    let count = (due - stream.offset) as usize;
    match rustix::fs::sendfile(&stream.socket, file, Some(&mut stream.offset), count) {
        Ok(_) | Err(Errno::AGAIN | Errno::INTR) => true,
        Err(_) => false,
    }
}

/// One connection, as many requests as it makes, the whole file for each.
fn unpaced(listener: &TcpListener, file: &File, length: u64) -> Outcome<()> {
    let (mut socket, _) = listener.accept()?;
    socket.set_nodelay(true)?;
    while !message::read_head(&mut socket)?.is_empty() {
        socket.write_all(message::response_head(length).as_bytes())?;
        let mut offset = 0;
        while offset < length {
            // More at a time is cut into packets of two sizes, which takes four times as long.
            let left = (length - offset).min(MAX_PIECE) as usize;
            let sent = rustix::fs::sendfile(&socket, file, Some(&mut offset), left)?;
            if sent == 0 {
                return Err("the file shrank".into());
            }
        }
    }
    Ok(())
}
