//! A backend of a few lines: a thread for each connection, and an answer by closure.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Answers each request with what `answer` writes, on connections that stay open. Ends with the
/// process: its threads hold nothing that must be put away.
pub fn backend(
    answer: impl Fn(&mut TcpStream) -> std::io::Result<()> + Clone + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (Ok(stream), answer) = (stream, answer.clone()) else { return };
            thread::spawn(move || converse(stream, answer));
        }
    });
    addr
}

/// Ends when the other side does.
fn converse(
    mut stream: TcpStream,
    answer: impl Fn(&mut TcpStream) -> std::io::Result<()>,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    for line in BufReader::new(stream.try_clone()?).lines() {
        // The empty line ends the head; requests here have no body.
        if line?.is_empty() {
            answer(&mut stream)?;
        }
    }
    Ok(())
}

/// A backend that takes connections and neither reads them nor answers.
pub fn deaf() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || listener.incoming().map_while(Result::ok).collect::<Vec<TcpStream>>());
    addr
}

/// How many events a stream has, and how far apart.
pub const EVENTS: usize = 60;
const EVENT_INTERVAL: Duration = Duration::from_millis(50);

/// A backend of event streams; tells when it sent each event.
pub fn events() -> (SocketAddr, mpsc::Receiver<Instant>) {
    let (sent, instants) = mpsc::channel();
    let addr = backend(move |stream| {
        stream.write_all(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
        )?;
        let begin = Instant::now();
        for n in 0..EVENTS {
            let due = begin + EVENT_INTERVAL * n as u32;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let event = format!("id: {n}\ndata: the level is {:03}\n\n", n * 7 % 100);
            // A reader that left early wants no more instants either.
            let _ = sent.send(Instant::now());
            write!(stream, "{:x}\r\n{event}\r\n", event.len())?;
        }
        stream.write_all(b"0\r\n\r\n")
    });
    (addr, instants)
}
