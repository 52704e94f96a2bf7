//! A slow upstream: one brigade after the other, each with the time it was written at its beginning.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant, UNIX_EPOCH};

use super::{LIFETIME, STAMP};
use crate::message;
use crate::process::Outcome;

/// The length announced: more than anybody waits for.
const LENGTH: u64 = 1 << 30;

/// Answers every request with brigades of `length` bytes, one each `every`, until the client leaves.
pub fn run(length: usize, every: Duration) -> Outcome<()> {
    let listener = super::listen()?;
    let end = Instant::now() + LIFETIME;
    while Instant::now() < end {
        let (socket, _) = listener.accept()?;
        std::thread::spawn(move || {
            // Fails when the client has what it wants.
            let _ = answer(socket, length, every);
        });
    }
    Ok(())
}

fn answer(mut socket: TcpStream, length: usize, every: Duration) -> Outcome<()> {
    socket.set_nodelay(true)?;
    if message::read_head(&mut socket)?.is_empty() {
        return Ok(());
    }
    socket.write_all(message::response_head(LENGTH).as_bytes())?;
    let began = Instant::now();
    let mut brigade = vec![b'.'; length];
    for number in 0.. {
        std::thread::sleep((began + every * number).saturating_duration_since(Instant::now()));
        let stamp = format!("{:0STAMP$}", UNIX_EPOCH.elapsed()?.as_nanos());
        brigade[..STAMP].copy_from_slice(stamp.as_bytes());
        socket.write_all(&brigade)?;
    }
    Ok(())
}
