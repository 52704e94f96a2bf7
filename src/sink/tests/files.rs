//! Pages of files that go through a sink unread.

use super::*;
use std::fs::File;

/// A wire that takes so many bytes of files, and of others none.
#[derive(Clone, Default)]
struct Taking(Rc<RefCell<Taken>>);

#[derive(Default)]
struct Taken {
    room: usize,
    /// Offset and length of what was taken.
    sent: Vec<(u64, usize)>,
    waker: Option<Waker>,
}

impl Wire for Taking {
    fn poll_read(&mut self, _: &mut Context<'_>, _: &mut ReadBufCursor<'_>) -> Poll<io::Result<usize>> {
        Poll::Pending
    }

    fn poll_read_bytes(&mut self, _: &mut Context<'_>, _: usize) -> Poll<io::Result<Bytes>> {
        Poll::Pending
    }

    fn is_gone(&self) -> bool {
        false
    }

    fn poll_write(&mut self, _: &mut Context<'_>, _: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Poll::Pending
    }

    fn sends_files(&self) -> bool {
        true
    }

    fn try_send_file(&mut self, _: &File, offset: u64, len: usize) -> io::Result<usize> {
        let mut taken = self.0.borrow_mut();
        let n = len.min(taken.room);
        if n == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        taken.room -= n;
        taken.sent.push((offset, n));
        Ok(n)
    }

    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn poll_sent(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn reset_on_close(&self) {}
}

struct Scene {
    sink: Sink<Taking>,
    wire: Taking,
    clock: Arc<ManualClock>,
    file: File,
}

impl Scene {
    fn new(settings: SinkSettings, room: usize) -> Self {
        let (wire, clock) = (Taking::default(), Arc::new(ManualClock::new()));
        wire.0.borrow_mut().room = room;
        let sink = Sink::new(wire.clone(), Arc::new(settings), Arc::default(), Arc::clone(&clock) as _);
        Self { sink, wire, clock, file: tempfile::tempfile().unwrap() }
    }

    /// How many bytes are taken; `None` if it waits.
    fn send(&mut self, offset: u64, len: usize) -> Option<usize> {
        match self.sink.poll_send_file(&mut Context::from_waker(Waker::noop()), &self.file, offset, len) {
            Poll::Ready(sent) => Some(sent.unwrap()),
            Poll::Pending => None,
        }
    }
}

#[test]
fn tokens_cover_what_is_sent_of_a_file_and_no_more_are_taken() {
    let settings = SinkSettings { rate: Rate::or_unlimited(1_000), burst: 500, ..SinkSettings::default() };
    let mut scene = Scene::new(settings, 450);
    assert_eq!(scene.send(7, 5_000), Some(450), "the socket took no more");
    scene.wire.0.borrow_mut().room = 10_000;
    // A piece is one interval's worth: 200 bytes, of which 50 are there.
    assert_eq!(scene.send(457, 5_000), None);
    assert!(scene.sink.state().held().is_some());
    scene.clock.set(Instant::from_millis(150));
    assert_eq!(scene.send(457, 5_000), Some(200));
    assert_eq!(scene.wire.0.borrow().sent, [(7, 450), (457, 200)]);
    let counts = scene.sink.state().counts();
    assert_eq!((counts.bytes_written(), counts.held().total()), (650, 0));
    assert_eq!(counts.token_wait(), Duration::from_millis(150));
}

#[test]
fn a_socket_that_took_bytes_a_moment_ago_is_waited_for_and_another_is_not() {
    let mut scene = Scene::new(SinkSettings::default(), 0);
    assert_eq!(scene.send(0, 100), Some(0), "it took nothing yet");
    scene.wire.0.borrow_mut().room = 60;
    assert_eq!((scene.send(0, 100), scene.send(60, 40)), (Some(60), None));
    assert!(scene.wire.0.borrow().waker.is_some());
    assert_eq!(scene.clock.next_deadline(), Some(Instant::from_millis(20)));
    scene.clock.set(Instant::from_nanos(19_999_999));
    assert_eq!(scene.send(60, 40), None);
    scene.wire.0.borrow_mut().room = 30;
    assert_eq!((scene.send(60, 40), scene.send(90, 10)), (Some(30), None), "it has 20 ms again");
    scene.clock.set(Instant::from_nanos(39_999_999));
    assert_eq!(scene.send(90, 10), Some(0));
    let counts = scene.sink.state().counts();
    assert_eq!((counts.bytes_written(), counts.would_block(), counts.buffered()), (90, 3, 0));
    assert_eq!(counts.reader_wait(), Duration::from_nanos(39_999_999));
}

// The alarm of the wait, long past, woke the task again and again while it waited for tokens.
#[test]
fn after_a_wait_in_vain_only_what_is_to_come_wakes() {
    let settings = SinkSettings { rate: Rate::or_unlimited(1_000), burst: 500, ..SinkSettings::default() };
    let mut scene = Scene::new(settings, 500);
    assert_eq!(scene.send(0, 500), Some(500));
    scene.clock.set(Instant::from_millis(15));
    assert_eq!(scene.send(500, 15), None, "the socket is full");
    scene.clock.set(Instant::from_millis(20));
    assert_eq!(scene.send(500, 15), Some(0));
    assert_eq!(scene.send(500, 500), None, "tokens are short");
    assert_eq!(scene.clock.next_deadline(), Some(Instant::from_millis(200)));
}

#[test]
fn behind_buffered_bytes_no_file_is_sent() {
    let mut scene = Scene::new(SinkSettings::default(), 100);
    let mut cx = Context::from_waker(Waker::noop());
    let taken = hyper::rt::Write::poll_write(Pin::new(&mut scene.sink), &mut cx, b"abc");
    assert!(matches!(taken, Poll::Ready(Ok(3))));
    assert_eq!(scene.send(0, 100), Some(0));
    assert!(scene.wire.0.borrow().sent.is_empty());
}
