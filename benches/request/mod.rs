//! As much of HTTP as a fixed answer needs: the end of a request's head, and the head of the answer.
//!
//! Shared by the benchmarks.

#![allow(dead_code)] // each benchmark uses its part

use std::io::{self, Read};
use std::net::TcpStream;

/// Heads longer than this are not ours.
const MAX_HEAD: usize = 16 * 1024;

/// Reads one request's head to its end; false if the peer closed before it began one.
///
/// The client of this benchmark sends one request at a time, so nothing follows the head.
pub fn read_head(socket: &mut TcpStream) -> io::Result<bool> {
    let mut head = Vec::new();
    let mut buf = [0; 2048];
    loop {
        let n = socket.read(&mut buf)?;
        if n == 0 {
            return if head.is_empty() { Ok(false) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
        head.extend_from_slice(&buf[..n]);
        if end_of_head(&head).is_some() {
            return Ok(true);
        }
        if head.len() > MAX_HEAD {
            return Err(io::Error::other("a head without an end"));
        }
    }
}

/// Where the body begins, if the head is whole.
pub fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

/// The answer that announces `length` bytes.
pub fn response_head(length: u64) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {length}\r\n\r\n")
}

/// The one request the clients send.
pub fn request(port: u16, path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n")
}

/// The status code of a response's head.
pub fn status(head: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(head.get(..12)?).ok()?;
    line.strip_prefix("HTTP/1.1 ")?.parse().ok()
}
