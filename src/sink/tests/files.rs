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
    fn poll_read(&mut self, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
        Poll::Pending
    }

    fn poll_read_bytes(&mut self, _: &mut Context<'_>, _: usize) -> Poll<io::Result<Bytes>> {
        Poll::Pending
    }

    fn is_gone(&self) -> bool {
        false
    }

    fn poll_write(&mut self, _: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let mut taken = self.0.borrow_mut();
        let n = bufs.iter().map(|buf| buf.len()).sum::<usize>().min(taken.room);
        taken.room -= n;
        if n > 0 { Poll::Ready(Ok(n)) } else { Poll::Pending }
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

    /// How many bytes are taken of a write; `None` if it waits.
    fn write(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut cx = Context::from_waker(Waker::noop());
        match Pin::new(&mut self.sink).poll_write(&mut cx, bytes) {
            Poll::Ready(taken) => Some(taken.unwrap()),
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

/// The alarm of the wait for the socket once stayed set, in the past: a wait for tokens woke the task at once.
#[test]
fn a_wait_for_the_socket_that_is_over_wakes_nobody_and_is_not_the_readers_any_more() {
    for by_file in [false, true] {
        let settings =
            SinkSettings { rate: Rate::or_unlimited(1_000), burst: 500, ..SinkSettings::default() };
        let mut scene = Scene::new(settings, 60);
        assert_eq!((scene.send(0, 500), scene.send(60, 440)), (Some(60), None));
        scene.clock.set(Instant::from_millis(20));
        assert_eq!(scene.send(60, 440), Some(0), "it was waited for long enough");
        scene.wire.0.borrow_mut().room = 10_000;
        assert_eq!(scene.write(&[0; 460]), Some(460));
        let state = Arc::clone(scene.sink.state());
        assert!(state.held().is_none());
        assert_eq!(state.reader_wait(Instant::from_millis(500)), Duration::from_millis(20));
        let waits = if by_file { scene.send(460, 200) } else { scene.write(&[0; 200]) };
        assert_eq!((waits, scene.clock.next_deadline()), (None, Some(Instant::from_millis(220))));
    }
}

#[test]
fn a_wait_for_the_socket_that_turns_into_one_for_tokens_wakes_when_these_are_due() {
    let limit = Limit::new(Rate::or_unlimited(1_000)).with_burst(500);
    let mut scene = Scene::new(SinkSettings::default(), 60);
    scene.sink = scene.sink.under(limit.clone());
    assert_eq!((scene.send(0, 60), scene.send(60, 5_000)), (Some(60), None));
    scene.clock.set(Instant::from_millis(30));
    // A piece is now the whole burst, of which 470 bytes are there.
    limit.set_rate(Rate::or_unlimited(5_000));
    assert_eq!(scene.send(60, 5_000), None);
    assert_eq!(scene.clock.next_deadline(), Some(Instant::from_millis(36)));
    assert_eq!(scene.sink.state().reader_wait(Instant::from_millis(36)), Duration::from_millis(30));
}

#[test]
fn behind_buffered_bytes_no_file_is_sent() {
    let mut scene = Scene::new(SinkSettings::default(), 0);
    assert_eq!(scene.write(b"abc"), Some(3));
    scene.wire.0.borrow_mut().room = 100;
    assert_eq!(scene.send(0, 100), Some(0));
    assert!(scene.wire.0.borrow().sent.is_empty());
}

// Such a reader was waited for without being measured: the socket has room again before its bytes would be read.
#[test]
fn a_reader_that_takes_too_little_of_a_file_is_given_up_at_the_timeout() {
    for (bytes, lasts) in [(10, true), (9, false)] {
        let least = Rate::or_unlimited(1000);
        let mut scene = Scene::new(SinkSettings { min_drain_rate: least, ..SinkSettings::default() }, 10);
        let began = scene.clock.now();
        let given_up = loop {
            let mut cx = Context::from_waker(Waker::noop());
            match scene.sink.poll_send_file(&mut cx, &scene.file, 0, 5_000) {
                Poll::Ready(Ok(taken)) => assert!(taken > 0),
                Poll::Ready(Err(error)) => break Some(error.kind()),
                Poll::Pending if scene.clock.now() - began > Duration::from_secs(61) => break None,
                Poll::Pending => {
                    scene.clock.advance(Duration::from_millis(10));
                    scene.wire.0.borrow_mut().room = bytes;
                }
            }
        };
        assert_eq!(given_up, (!lasts).then_some(io::ErrorKind::TimedOut), "{bytes} bytes each 10 ms");
        assert!(lasts || scene.clock.now() - began == Duration::from_secs(60));
    }
}

#[test]
fn a_rate_that_only_reports_counts_bytes_once_however_often_they_are_offered() {
    let limit = Limit::new(Rate::or_unlimited(1_000)).with_burst(1_000);
    limit.set_report_only(true);
    let mut scene = Scene::new(SinkSettings::default(), 4_000);
    scene.sink = scene.sink.under(limit.clone());
    assert_eq!(scene.send(0, 5_000), Some(4_000));
    for _ in 0..3 {
        assert_eq!(scene.send(4_000, 1_000), None, "the socket is full");
    }
    scene.wire.0.borrow_mut().room = 500;
    assert_eq!(scene.send(4_000, 1_000), Some(500));
    assert_eq!(limit.over(), 3_500);
}
