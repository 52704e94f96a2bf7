//! One reader, as fast as it can: the same file over and over on one connection.

use std::io::Write;
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use rustix::net::{RecvFlags, recv};

use super::Result;
use crate::request;

/// The most one read takes. Bytes are thrown away in the kernel; see `client.rs`.
const READ: usize = 1024 * 1024;

/// A server that gives nothing for so long has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Downloads `length` bytes once to warm up, prints `begin`, downloads `times` more and prints `end BYTES SECONDS`;
/// then keeps the connection until it is killed.
pub fn run(port: u16, path: &str, length: u64, times: u32) -> Result<()> {
    let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let request = request::request(port, path);
    let mut buf = vec![0; READ];
    download(&mut socket, &request, length, &mut buf)?;
    println!("begin");
    let begin = Instant::now();
    for _ in 0..times {
        download(&mut socket, &request, length, &mut buf)?;
    }
    println!("end {} {}", length * u64::from(times), begin.elapsed().as_secs_f64());
    std::thread::sleep(PATIENCE);
    Ok(())
}

fn download(socket: &mut TcpStream, request: &str, length: u64, buf: &mut [u8]) -> Result<()> {
    socket.write_all(request.as_bytes())?;
    let mut head = Vec::new();
    let mut left = loop {
        let (_, n) = recv(&*socket, &mut *buf, RecvFlags::empty())?;
        if n == 0 {
            return Err("closed before an answer".into());
        }
        head.extend_from_slice(&buf[..n]);
        if let Some(end) = request::end_of_head(&head) {
            if request::status(&head) != Some(200) {
                return Err(
                    format!("an answer that begins {:?}", String::from_utf8_lossy(&head[..40])).into()
                );
            }
            break length - (head.len() - end) as u64;
        }
    };
    while left > 0 {
        let most = (left as usize).min(buf.len());
        let (_, n) = recv(&*socket, &mut buf[..most], RecvFlags::TRUNC)?;
        if n == 0 {
            return Err(format!("closed {left} bytes before the end").into());
        }
        left -= n as u64;
    }
    Ok(())
}
