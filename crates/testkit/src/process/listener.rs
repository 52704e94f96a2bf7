//! Servers that others wrote: where the program lies, a port for it, and when it listens.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::{Outcome, Process};

/// How long a server may take until it listens.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where a program lies; Debian keeps servers outside users' search paths.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// A port that is free now, for a server that cannot choose one itself: in between nobody else is likely to take it.
///
/// # Errors
/// There is none.
pub fn free_port() -> Outcome<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Waits for the first byte of a server's answer to `request`.
///
/// # Errors
/// As [`first_connection`], or no answer comes.
pub fn first_answer(server: &Process, port: u16, request: &str) -> Outcome<()> {
    let mut connection = first_connection(server, port)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.write_all(request.as_bytes())?;
    connection.read_exact(&mut [0])?;
    Ok(())
}

/// The first connection that a server accepts.
///
/// # Errors
/// It ends before, or accepts none within 10 s.
pub fn first_connection(server: &Process, port: u16) -> Outcome<TcpStream> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Ok(connection) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
            return Ok(connection);
        }
        if server.has_ended() || Instant::now() > deadline {
            return Err(format!("{} does not listen", server.name()).into());
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}
