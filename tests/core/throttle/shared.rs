//! One throttle in several hands: `&Throttle` reads and writes where `&IO` does.

use std::io::{self, Read, Write};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use futures_lite::io::{AsyncRead, AsyncWrite};
use sluicegate::throttle::{Throttle, pace};

use super::blocking::run;
use super::scene::{Script, Task, content, node, ready};

/// A socket's likeness: what is read is a pattern, what is written is kept, and a reference does both.
#[derive(Default)]
struct Duplex(Mutex<Script>);

impl AsyncRead for &Duplex {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.lock().unwrap()).poll_read(cx, buf)
    }
}

impl AsyncWrite for &Duplex {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.lock().unwrap()).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.lock().unwrap()).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.lock().unwrap()).poll_close(cx)
    }
}

impl Read for &Duplex {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut inner = *self;
        match Task::default().poll(|cx| Pin::new(&mut inner).poll_read(cx, buf)) {
            Poll::Ready(read) => read,
            Poll::Pending => panic!("it never waits"),
        }
    }
}

impl Write for &Duplex {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let mut inner = *self;
        match Task::default().poll(|cx| Pin::new(&mut inner).poll_write(cx, buf)) {
            Poll::Ready(written) => written,
            Poll::Pending => panic!("it never waits"),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn one_task_reads_while_another_writes_and_both_keep_the_pace() {
    let (clock, node) = node(10_000);
    let shared = Throttle::new(Duplex::default(), &node);
    let (reader, writer) = (Task::default(), Task::default());
    assert_eq!(ready(reader.read(&shared, 1_500)), content(0..1_500));
    assert_eq!(ready(writer.write(&shared, &content(0..500))), 500);
    assert!(reader.read(&shared, 800).is_pending());
    assert!(writer.write(&shared, &content(500..1_000)).is_pending());
    assert!(shared.held().is_some());
    assert_eq!(clock.millis(), 0);
    while clock.0.advance_to_next().is_some() {}
    assert_eq!((reader.woken(), writer.woken()), (1, 1), "each is woken for itself");
    assert_eq!(ready(reader.read(&shared, 800)), content(1_500..2_300));
    assert_eq!(ready(writer.write(&shared, &content(500..1_000))), 500);
    assert_eq!(clock.millis(), 130, "1300 bytes");
    assert_eq!(shared.get_ref().0.lock().unwrap().taken, content(0..1_000));
    let mut end = &shared;
    assert!(Task::default().poll(|cx| Pin::new(&mut end).poll_close(cx)).is_ready());
    assert!(shared.get_ref().0.lock().unwrap().closed);
}

#[test]
fn two_threads_share_one_in_an_arc() {
    let (clock, node) = node(10_000);
    let shared = Arc::new(Throttle::new(Duplex::default(), &node));
    let (reads, writes) = (Arc::clone(&shared), Arc::clone(&shared));
    let read = run(&clock, move || {
        let reading = std::thread::spawn(move || {
            let mut all = vec![0; 5_000];
            (&*reads).read_exact(&mut all).unwrap();
            all
        });
        (&*writes).write_all(&content(0..6_000)).unwrap();
        reading.join().unwrap()
    });
    assert!(read == content(0..5_000));
    assert!(shared.get_ref().0.lock().unwrap().taken == content(0..6_000));
    assert_eq!(clock.millis(), 900, "11 000 bytes, 2 000 of them at once");
    assert_eq!((shared.reads().report().bytes, shared.writes().report().bytes), (5_000, 6_000));
}

// As a blocking program has it: no clock, no node.
#[test]
fn one_line_is_enough() {
    let mut copied = pace(Vec::new(), sluicegate::limit::Rate::mib_per_second(1));
    assert_eq!(io::copy(&mut &content(0..70_000)[..], &mut copied).unwrap(), 70_000);
    assert_eq!(copied.writes().report().bytes, 70_000);
    assert!(copied.into_inner() == content(0..70_000));
}
