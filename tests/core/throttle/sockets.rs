//! Real sockets. Time is the manual clock's here too; what the kernel holds is bounded, not timed.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};

use futures_lite::{AsyncReadExt, AsyncWriteExt, StreamExt};
use sluicegate::budget::Each;
use sluicegate::limit::{Budget, Rate};
use sluicegate::rt::{self, Listener};
use sluicegate::throttle::{Incoming, MAX_AHEAD, Throttle};

use super::scene::{content, node};

#[test]
fn a_peer_that_does_not_read_holds_the_sender_back() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (receiver, _) = listener.accept().unwrap();
    for socket in [socket2::SockRef::from(&sender), socket2::SockRef::from(&receiver)] {
        socket.set_send_buffer_size(64 << 10).unwrap();
        socket.set_recv_buffer_size(64 << 10).unwrap();
    }
    sender.set_nonblocking(true).unwrap();
    // The kernel doubles what is asked for; twice that again is more than it can hold.
    let held_by_kernels = 4 * 2 * (64 << 10);

    let (clock, node) = node(1 << 20);
    let mut reader = Throttle::new(receiver, &node);
    let meter = reader.reads().clone();
    let total = 8 << 20;
    let reading = std::thread::spawn(move || {
        let mut bytes = vec![0; 16 << 10];
        let mut all = 0;
        while all < total {
            all += reader.read(&mut bytes).unwrap();
        }
    });
    let (piece, mut sent, mut refused) = (content(0..64 << 10), 0, 0u64);
    while !reading.is_finished() {
        // As much as it can, at every moment.
        match sender.write(&piece[..piece.len().min(total - sent)]) {
            Ok(0) => {
                clock.0.advance_to_next();
            }
            Ok(bytes) => sent += bytes,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                refused += 1;
                // The reader waits for its turn, or else for bytes that are on their way.
                clock.0.advance_to_next();
            }
            Err(error) => panic!("{error}"),
        }
        // Read after the write: what was sent meanwhile is not more than was there to be read.
        let ahead = sent.saturating_sub(meter.report().bytes as usize);
        assert!(ahead <= held_by_kernels + MAX_AHEAD, "{ahead} bytes were sent that nobody read");
    }
    reading.join().unwrap();
    assert_eq!((sent, meter.report().bytes), (total, total as u64));
    assert!(refused > 0, "the sender was never held back");
}

#[test]
fn a_listener_of_this_crate_on_the_clock_of_the_system() {
    // Real time: that the system's clock and sockets work together. No bound but the least it must take.
    let listener = Listener::bind_tcp(([127, 0, 0, 1], 0).into()).unwrap();
    let addr = listener.local_addr().unwrap();
    let clock = rt::clock();
    let server = sluicegate::budget::Node::root("server", Budget::of(Rate::or_unlimited(100_000)), clock);
    let each = Each::new("connection", Budget::of(Rate::or_unlimited(50_000)));
    let client = std::thread::spawn(move || {
        let mut stream = TcpStream::connect(addr).unwrap();
        let begin = std::time::Instant::now();
        stream.write_all(b"20000").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        (all, begin.elapsed())
    });
    rt::block_on(async {
        let mut incoming = Box::pin(Incoming::new(listener.incoming(), &server, each));
        let mut connection = incoming.next().await.unwrap().unwrap();
        let mut asked = String::new();
        connection.read_to_string(&mut asked).await.unwrap();
        connection.write_all(&content(0..asked.parse().unwrap())).await.unwrap();
        connection.close().await.unwrap();
        assert_eq!(connection.writes().report().bytes, 20_000);
    });
    let (all, took) = client.join().unwrap();
    assert!(all == content(0..20_000));
    // 10 000 bytes at once, less the five of the request; the rest at 50 000 a second.
    assert!(took.as_millis() >= 200, "{took:?}");
}
