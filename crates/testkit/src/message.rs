//! As much of HTTP as a benchmark needs: heads as they come, a request, the head of an answer.

use std::io::{self, Read};

use crate::process::Outcome;

/// Where the body begins, if the head is whole.
pub fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

/// Reads a head byte by byte, so that nothing behind it is taken; empty if the stream ends before it begins.
///
/// # Errors
/// The stream's; `UnexpectedEof` if it ends within the head; a head that is no text.
pub fn read_head(stream: &mut impl Read) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte)? == 0 {
            if head.is_empty() {
                break;
            }
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        head.push(byte[0]);
    }
    String::from_utf8(head).map_err(io::Error::other)
}

/// The one request that a benchmark's clients send.
pub fn request(port: u16, path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n")
}

/// The same with the key of the client `number`.
pub fn request_with_key(port: u16, path: &str, number: usize) -> String {
    let key = key(number);
    format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX-Api-Key: {key}\r\n\r\n")
}

/// The key that the client `number` shows.
pub fn key(number: usize) -> String {
    format!("key-of-client-{number:08}")
}

/// The head of an answer of `length` bytes.
pub fn response_head(length: u64) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {length}\r\n\r\n")
}

/// The status in a response's head.
pub fn status(head: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(head.get(..12)?).ok()?;
    line.strip_prefix("HTTP/1.1 ")?.parse().ok()
}

/// The head of a response, read piece by piece.
#[derive(Default)]
pub struct Head(Vec<u8>);

impl Head {
    /// Takes what a read returned. Once the head is whole: how many bytes of it lie behind the head.
    ///
    /// # Errors
    /// The stream has ended, or the status is not 200.
    pub fn push(&mut self, bytes: &[u8]) -> Outcome<Option<usize>> {
        if bytes.is_empty() {
            return Err("closed before an answer".into());
        }
        self.0.extend_from_slice(bytes);
        let Some(end) = end_of_head(&self.0) else { return Ok(None) };
        if status(&self.0) != Some(200) {
            let begins = String::from_utf8_lossy(&self.0[..end.min(40)]);
            return Err(format!("an answer that begins {begins:?}").into());
        }
        let behind = self.0.len() - end;
        self.0 = Vec::new();
        Ok(Some(behind))
    }
}
