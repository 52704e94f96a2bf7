//! Many readers in one process that read 1 KiB a second each, from sockets with little room.
//!
//! One thread that sleeps: what it takes of the processor is taken from the server it runs beside.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use super::LIFETIME;
use crate::message;
use crate::process::Outcome;

/// What each takes in a second.
const STEP: usize = 1024;

/// The kernel makes 2 304 of it, and opens a window of 1 152 bytes.
const RECEIVE_BUFFER: usize = 2048;

/// So often in a second a part of the readers has its turn: all at once would be a load of its own.
const TURNS: usize = 50;

/// So many KiB a reader is ahead of another when they begin, at most, so that the server does not have to
/// see to all of them in the same second for ever.
const AHEAD: usize = 16;

/// Prints `reading` when all have asked and the first bytes have come to each, and reads until it is killed.
pub fn run(server: SocketAddr, path: &str, readers: usize) -> Outcome<()> {
    let request = message::request(server.port(), path);
    let mut sockets: Vec<TcpStream> = (0..readers).map(|_| open(server, &request)).collect::<Outcome<_>>()?;
    for (number, socket) in sockets.iter_mut().enumerate() {
        begin(socket, number % AHEAD)?;
    }
    println!("reading");
    let began = Instant::now();
    let mut turns = 0u32;
    while began.elapsed() < LIFETIME {
        for socket in sockets.iter_mut().skip(turns as usize % TURNS).step_by(TURNS) {
            step(socket)?;
        }
        turns += 1;
        let due = began + Duration::from_secs(1) / TURNS as u32 * turns;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    Ok(())
}

fn open(server: SocketAddr, request: &str) -> Outcome<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    // Before connecting: the window is agreed on then.
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.connect(&server.into())?;
    let mut socket = TcpStream::from(socket);
    socket.write_all(request.as_bytes())?;
    Ok(socket)
}

/// Reads the head and `ahead` KiB.
fn begin(socket: &mut TcpStream, ahead: usize) -> Outcome<()> {
    let mut first = [0; STEP];
    socket.read_exact(&mut first)?;
    if message::status(&first) != Some(200) {
        return Err(format!("an answer that begins {:?}", String::from_utf8_lossy(&first[..40])).into());
    }
    for _ in 0..ahead {
        socket.read_exact(&mut first)?;
    }
    socket.set_nonblocking(true)?;
    Ok(())
}

/// Takes what a reader takes in a second, or what there is.
fn step(socket: &mut TcpStream) -> Outcome<()> {
    let mut bytes = [0; STEP];
    match socket.read(&mut bytes) {
        Ok(0) => Err("the server closed a connection".into()),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
        Err(error) => Err(error.into()),
    }
}
