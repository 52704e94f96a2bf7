use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;

use std::sync::mpsc::channel;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};

use super::*;
use crate::rt::{self, Socket};
use crate::wake_count::WakeCount;

const LONG: Duration = Duration::from_secs(60);

fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (theirs, _) = listener.accept().unwrap();
    ours.set_nonblocking(true).unwrap();
    (ours, theirs)
}

fn read(mut socket: &TcpStream) -> io::Result<usize> {
    socket.read(&mut [0; 4])
}

fn is_readable(socket: &Polled<TcpStream>) -> bool {
    socket.seen().0 & READABLE != 0
}

/// Looks until the socket is known to be readable: a worker tells.
fn until_readable(socket: &Polled<TcpStream>) {
    while !is_readable(socket) {
        std::thread::yield_now();
    }
}

#[test]
fn a_socket_that_was_emptied_is_not_read_before_the_next_event() {
    let (ours, mut theirs) = tcp_pair();
    let socket = Polled::new(ours);
    let woken = WakeCount::default();
    let waker = woken.waker();
    let mut cx = Context::from_waker(&waker);
    let mut calls = 0;
    let mut polled = |socket: &Arc<Polled<TcpStream>>| {
        let read = |stream: &TcpStream| {
            calls += 1;
            read(stream)
        };
        let result = socket.poll_with(&mut cx, Direction::Read, read);
        (result.map(|result| result.unwrap()), std::mem::take(&mut calls))
    };

    assert!(matches!(polled(&socket), (Poll::Pending, 1)), "tried, then waited for");
    assert!(matches!(polled(&socket), (Poll::Pending, 0)), "not tried again");
    theirs.write_all(b"abcde").unwrap();
    until_readable(&socket);
    let (Poll::Ready((4, _)), 1) = polled(&socket) else { panic!("a full buffer") };
    assert!(is_readable(&socket), "there may be more");
    let (Poll::Ready((1, seen)), 1) = polled(&socket) else { panic!("a short read") };
    socket.was_emptied(seen);
    assert!(matches!(polled(&socket), (Poll::Pending, 0)));
    theirs.write_all(b"f").unwrap();
    until_readable(&socket);
    assert!(matches!(polled(&socket), (Poll::Ready((1, _)), 1)));
}

#[test]
fn after_the_end_of_the_peer_a_short_read_says_nothing() {
    let (ours, mut theirs) = tcp_pair();
    let socket = Polled::unknown(ours);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(socket.poll_ready(&mut cx, Direction::Read).is_pending());
    theirs.write_all(b"ab").unwrap();
    drop(theirs);
    while socket.seen().0 & UNUSUAL == 0 {
        std::thread::yield_now();
    }
    for expected in [2, 0, 0] {
        let Poll::Ready(Ok((n, seen))) = socket.poll_with(&mut cx, Direction::Read, read) else { panic!() };
        assert_eq!(n, expected);
        socket.was_emptied(seen);
    }
}

#[test]
fn what_was_found_before_an_event_does_not_undo_it() {
    let (ours, _theirs) = tcp_pair();
    let socket = Polled::new(ours);
    let seen = socket.seen();
    socket.notify(READABLE);
    socket.not_ready(Direction::Read, seen);
    assert!(is_readable(&socket), "the event came after the system call");
    let seen = socket.seen();
    socket.not_ready(Direction::Write, seen);
    socket.not_ready(Direction::Read, seen);
    assert_eq!(socket.seen().0 & (READABLE | WRITABLE), 0, "each direction for itself");
}

#[test]
fn each_direction_wakes_its_own_task_and_one_that_is_displaced_is_woken() {
    let (ours, _theirs) = tcp_pair();
    let socket = Polled::unknown(ours);
    let (reader, writer, other) = (WakeCount::default(), WakeCount::default(), WakeCount::default());
    let poll = |wakes: &WakeCount, direction| {
        let waker = wakes.waker();
        socket.poll_ready(&mut Context::from_waker(&waker), direction).is_ready()
    };
    assert!(!poll(&reader, Direction::Read));
    // The reactor says that it is writable as soon as it is registered.
    while socket.seen().0 & WRITABLE == 0 {
        std::thread::yield_now();
    }
    socket.not_ready(Direction::Write, socket.seen());
    assert!(!poll(&writer, Direction::Write));
    socket.notify(READABLE);
    assert_eq!((reader.get(), writer.get()), (1, 0));
    socket.not_ready(Direction::Read, socket.seen());
    assert!(!poll(&reader, Direction::Read) && !poll(&other, Direction::Read));
    assert_eq!((reader.get(), other.get()), (2, 0), "it looks again, and waits behind");
    socket.notify(WRITABLE);
    assert_eq!((writer.get(), other.get()), (1, 0));
}

#[test]
fn a_dropped_socket_leaves_no_registration() {
    // All on one worker, where no other test registers in between.
    let (done, is_done) = channel();
    workers::any().spawn(async move {
        let registered = || workers::here().unwrap().reactor.registered.lock().sockets.len();
        let (ours, _theirs) = tcp_pair();
        let before = registered();
        let socket = Polled::new(ours);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(socket.poll_with(&mut cx, Direction::Read, read).is_pending());
        let during = registered();
        drop(socket);
        let _ = done.send((during - before, registered() - before));
    });
    // A thread of another test may register with this worker at the same time.
    let (during, after) = is_done.recv_timeout(LONG).unwrap();
    assert_eq!(during - after, 1);
}

#[test]
fn a_key_of_a_closed_socket_finds_nothing() {
    let reactor = Reactor::new().unwrap();
    let (one, _theirs) = tcp_pair();
    let (other, _others) = tcp_pair();
    let (one, other) = (Polled::new(one), Polled::new(other));
    let twin = |socket: &Arc<Polled<TcpStream>>| -> Weak<dyn Notify> {
        let twin: Weak<Polled<TcpStream>> = Arc::downgrade(socket);
        twin
    };
    let first = reactor.add(one.get_ref(), twin(&one)).unwrap();
    assert!(reactor.add(one.get_ref(), twin(&one)).is_err(), "registered already");
    assert_eq!(reactor.registered.lock().sockets.len(), 1);
    reactor.remove(one.get_ref(), first);
    let second = reactor.add(other.get_ref(), twin(&other)).unwrap();
    assert_eq!(place(first), place(second));
    let registered = reactor.registered.lock();
    assert!(registered.get(first).is_none() && registered.get(second).is_some());
}

// The reader moves between workers and threads that are none, while the bytes come in.
#[test]
fn a_socket_that_is_polled_here_and_there_loses_no_byte() {
    const BYTES: usize = 20_000;
    let (ours, mut theirs) = tcp_pair();
    let mut socket = Socket::tcp(Polled::new(ours));
    let sender = std::thread::spawn(move || {
        for n in 0..BYTES {
            theirs.write_all(&[n as u8]).unwrap();
            if n % 7 == 0 {
                std::thread::yield_now();
            }
        }
    });
    let mut read = 0;
    let mut turn = 0;
    while read < BYTES {
        let step = async move {
            let mut bytes = [0; 64];
            let n = socket.read(&mut bytes).await.unwrap();
            (socket, bytes, n)
        };
        let (bytes, n);
        turn += 1;
        if turn % 3 == 0 {
            (socket, bytes, n) = rt::block_on(step);
        } else {
            let (told, hears) = channel();
            workers::workers()[turn % workers::workers().len()].spawn(async move {
                let _ = told.send(step.await);
            });
            (socket, bytes, n) = hears.recv_timeout(LONG).unwrap();
        }
        assert_ne!(n, 0);
        for byte in &bytes[..n] {
            assert_eq!(*byte, read as u8);
            read += 1;
        }
    }
    sender.join().unwrap();
}

#[test]
fn two_tasks_of_two_workers_on_one_socket_lose_no_byte() {
    const BYTES: usize = 4 << 20;
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let socket = Socket::unix(Polled::new(ours));
    let (mut writer, mut reader) = (socket.twin(), socket);
    let (told, hears) = channel();
    let wrote = told.clone();
    let workers = workers::workers();
    workers[0].spawn(async move {
        let mut left = vec![7; BYTES];
        writer.write_all(&left).await.unwrap();
        left.clear();
        let _ = wrote.send(0);
    });
    workers[workers.len() - 1].spawn(async move {
        let mut all = Vec::new();
        while all.len() < BYTES {
            let mut bytes = [0; 4096];
            let n = reader.read(&mut bytes).await.unwrap();
            all.extend_from_slice(&bytes[..n]);
        }
        let _ = told.send(all.len());
    });
    // The echo: a thread that blocks.
    let echo = std::thread::spawn(move || {
        let (mut from, mut to) = (&theirs, &theirs);
        let mut bytes = vec![0; 10_000];
        let mut left = BYTES;
        while left > 0 {
            let n = from.read(&mut bytes).unwrap();
            to.write_all(&bytes[..n]).unwrap();
            left -= n;
        }
    });
    let mut results = [hears.recv_timeout(LONG).unwrap(), hears.recv_timeout(LONG).unwrap()];
    results.sort_unstable();
    assert_eq!(results, [0, BYTES]);
    echo.join().unwrap();
}

#[test]
fn a_write_that_found_the_socket_full_waits_for_room() {
    let (ours, mut theirs) = tcp_pair();
    let socket = Socket::tcp(Polled::new(ours));
    let chunk = vec![1; 64 * 1024];
    let mut sent = 0;
    while let Ok(n) = socket.try_write(&[io::IoSlice::new(&chunk)]) {
        sent += n;
    }
    let is_writable = || future::poll_once(poll_fn(|cx| socket.poll_writable(cx)));
    assert!(rt::block_on(is_writable()).is_none(), "no busy loop");
    let reader = std::thread::spawn(move || {
        let mut read = vec![0; sent];
        theirs.read_exact(&mut read).unwrap();
        theirs
    });
    rt::block_on(poll_fn(|cx| socket.poll_writable(cx))).unwrap();
    reader.join().unwrap();
}
