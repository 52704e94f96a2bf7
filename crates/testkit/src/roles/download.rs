//! One reader, as fast as it can: the same file over and over on one connection.

use std::io::Write;
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use rustix::net::{RecvFlags, recv};

use crate::message::{self, Head};
use crate::process::Outcome;

/// The most one read takes. Bytes are thrown away in the kernel; see `client.rs`.
const READ: usize = 1024 * 1024;

/// A server that gives nothing for so long has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Downloads `length` bytes once to warm up, prints `begin`, downloads `times` more and prints `end BYTES SECONDS`;
/// then keeps the connection until it is killed.
pub fn run(port: u16, path: &str, length: u64, times: u32) -> Outcome<()> {
    let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let request = message::request(port, path);
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

fn download(socket: &mut TcpStream, request: &str, length: u64, buf: &mut [u8]) -> Outcome<()> {
    socket.write_all(request.as_bytes())?;
    let mut head = Head::default();
    let mut left = loop {
        let (_, n) = recv(&*socket, &mut *buf, RecvFlags::empty())?;
        if let Some(behind) = head.push(&buf[..n])? {
            break length - behind as u64;
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
