//! The sink before a wire that does what a test says, on a clock that stands still.

mod ends;
mod files;
mod histories;
mod wakes;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use super::*;
use crate::clock::ManualClock;
use crate::limit::Rate;

/// What the wire does at its next writes; then what it does from then on.
#[derive(Default)]
struct Script {
    next: VecDeque<Act>,
    then: Act,
    written: Vec<u8>,
    calls: usize,
    /// Where the pieces of the last write lay, and how long they were.
    pieces: Vec<(*const u8, usize)>,
    waker: Option<Waker>,
    reset: bool,
    /// Whether it cannot shut down yet, as TLS before a full socket.
    holds_end: bool,
}

#[derive(Clone, Copy, Default)]
enum Act {
    Take(usize),
    #[default]
    Refuse,
    Zero,
    Fail,
}

#[derive(Clone, Default)]
struct Fake(Rc<RefCell<Script>>);

impl Wire for Fake {
    fn poll_read(&mut self, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
        Poll::Pending
    }

    fn poll_read_bytes(&mut self, _: &mut Context<'_>, _: usize) -> Poll<io::Result<Bytes>> {
        Poll::Pending
    }

    fn is_gone(&self) -> bool {
        false
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let mut script = self.0.borrow_mut();
        script.calls += 1;
        script.pieces = bufs.iter().map(|buf| (buf.as_ptr(), buf.len())).collect();
        match script.next.pop_front().unwrap_or(script.then) {
            Act::Take(most) => {
                let all: Vec<u8> = bufs.iter().flat_map(|buf| buf.to_vec()).collect();
                let n = most.min(all.len());
                script.written.extend_from_slice(&all[..n]);
                Poll::Ready(Ok(n))
            }
            Act::Refuse => {
                script.waker = Some(cx.waker().clone());
                Poll::Pending
            }
            Act::Zero => Poll::Ready(Ok(0)),
            Act::Fail => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
        }
    }

    fn poll_sent(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.0.borrow().holds_end { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    fn reset_on_close(&self) {
        self.0.borrow_mut().reset = true;
    }
}

/// A sink, its wire and its clock. Dropping it checks that nothing is left behind.
struct Bench {
    sink: Option<Sink<Fake>>,
    wire: Fake,
    clock: Arc<ManualClock>,
    totals: Arc<SinkCounts>,
}

impl Bench {
    fn new(settings: SinkSettings) -> Self {
        let (wire, clock, totals) = (Fake::default(), Arc::new(ManualClock::new()), Arc::default());
        let sink = Sink::new(wire.clone(), Arc::new(settings), Arc::clone(&totals), Arc::clone(&clock) as _);
        Self { sink: Some(sink), wire, clock, totals }
    }

    fn script(&self, next: &[Act], then: Act) {
        let mut script = self.wire.0.borrow_mut();
        (script.next, script.then) = (next.iter().copied().collect(), then);
    }

    fn sink(&mut self) -> &mut Sink<Fake> {
        self.sink.as_mut().unwrap()
    }

    fn write(&mut self, bytes: &[u8]) -> Poll<Result<usize, io::ErrorKind>> {
        let mut cx = Context::from_waker(Waker::noop());
        let half = bytes.len() / 2;
        let bufs = [IoSlice::new(&bytes[..half]), IoSlice::new(&bytes[half..])];
        Pin::new(self.sink()).poll_write_vectored(&mut cx, &bufs).map_err(|error| error.kind())
    }

    fn flush(&mut self) -> Poll<Result<(), io::ErrorKind>> {
        let mut cx = Context::from_waker(Waker::noop());
        Pin::new(self.sink()).poll_flush(&mut cx).map_err(|error| error.kind())
    }

    fn shutdown(&mut self) -> Poll<Result<(), io::ErrorKind>> {
        let mut cx = Context::from_waker(Waker::noop());
        Pin::new(self.sink()).poll_close(&mut cx).map_err(|error| error.kind())
    }

    fn written(&self) -> Vec<u8> {
        self.wire.0.borrow().written.clone()
    }

    fn calls(&self) -> usize {
        self.wire.0.borrow().calls
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.sink = None;
        if !std::thread::panicking() {
            assert_eq!(self.clock.sleepers(), 0, "a timer is left");
            assert_eq!(self.totals.held().total(), 0, "bytes are left");
        }
    }
}

fn settings() -> SinkSettings {
    SinkSettings { buffer: 10, ..SinkSettings::default() }
}

#[test]
fn what_the_socket_takes_is_never_held() {
    let mut bench = Bench::new(settings());
    bench.script(&[], Act::Take(usize::MAX));
    assert_eq!(bench.write(b"a long piece, longer than the buffer"), Poll::Ready(Ok(36)));
    assert_eq!(bench.flush(), Poll::Ready(Ok(())));
    assert_eq!(bench.calls(), 1);
    let state = Arc::clone(bench.sink().state());
    assert_eq!((state.counts().bytes_written(), state.counts().high_water()), (36, 0));
    assert!(!bench.sink().backlog.is_allocated());
}

#[test]
fn the_socket_is_given_the_very_bytes_that_are_offered() {
    let mut bench = Bench::new(SinkSettings { rate: Rate::or_unlimited(1_000), burst: 30, ..settings() });
    bench.script(&[], Act::Take(usize::MAX));
    let text = *b"of these fifty bytes there are tokens for thirty...";
    let pieces = [&text[..5], &text[5..5], &text[5..20], &text[20..]];
    let bufs = pieces.map(IoSlice::new);
    let mut cx = Context::from_waker(Waker::noop());
    let polled = Pin::new(bench.sink()).poll_write_vectored(&mut cx, &bufs);
    assert!(matches!(polled, Poll::Ready(Ok(30))));
    let at = |offset: usize, len| (text[offset..].as_ptr(), len);
    assert_eq!(bench.wire.0.borrow().pieces, [at(0, 5), at(5, 15), at(20, 10)]);
}

#[test]
fn what_the_socket_refuses_is_held_up_to_the_cap_and_goes_out_in_order() {
    for (offered, taken) in [(9, 9), (10, 10), (11, 10)] {
        let mut bench = Bench::new(settings());
        let bytes: Vec<u8> = (0..offered).collect();
        assert_eq!(bench.write(&bytes), Poll::Ready(Ok(taken)));
        assert_eq!((bench.flush(), bench.totals.buffered()), (Poll::Pending, taken as u64));
        bench.script(&[Act::Take(1), Act::Take(3), Act::Refuse], Act::Take(usize::MAX));
        assert_eq!((bench.flush(), bench.written().len()), (Poll::Pending, 4));
        assert_eq!(bench.flush(), Poll::Ready(Ok(())));
        assert_eq!(bench.written(), bytes[..taken]);
        assert!(!bench.sink().backlog.is_allocated(), "given back when drained");
        assert_eq!(bench.totals.high_water(), taken as u64);
    }
}

#[test]
fn what_is_offered_and_waits_is_held_by_the_framing() {
    let mut bench = Bench::new(settings());
    let held = |bench: &Bench| HeldAs::ALL.map(|held| bench.totals.held().of(held));
    assert_eq!((bench.write(&[1; 12]), held(&bench)), (Poll::Ready(Ok(10)), [10, 0, 0, 0, 0, 0, 0]));
    assert_eq!((bench.write(&[2; 7]), held(&bench)), (Poll::Pending, [10, 7, 0, 0, 0, 0, 0]));
    assert_eq!((bench.write(&[2; 5]), held(&bench)), (Poll::Pending, [10, 5, 0, 0, 0, 0, 0]));
    bench.script(&[], Act::Take(usize::MAX));
    assert_eq!((bench.write(&[2; 5]), held(&bench)), (Poll::Ready(Ok(5)), [0; 7]));
}

#[test]
fn one_byte_at_a_time_loses_and_doubles_nothing() {
    let mut bench = Bench::new(settings());
    bench.script(&[], Act::Take(1));
    let text = b"every byte once";
    let mut sent = 0;
    while sent < text.len() {
        let Poll::Ready(Ok(n)) = bench.write(&text[sent..]) else { panic!("the wire takes") };
        sent += n;
    }
    assert_eq!(bench.flush(), Poll::Ready(Ok(())));
    assert_eq!(bench.written(), text);
}

#[test]
fn a_stalled_connection_makes_no_calls_until_the_socket_is_writable_or_patience_ends() {
    let mut bench = Bench::new(settings());
    assert_eq!(bench.write(&[1; 10]), Poll::Ready(Ok(10)));
    assert_eq!((bench.write(&[2; 5]), bench.flush()), (Poll::Pending, Poll::Pending));
    let calls = bench.calls();
    // The only thing that wakes the task but the socket is the end of the patience.
    assert_eq!(bench.clock.next_deadline(), Some(Instant::from_millis(60_000)));
    assert_eq!((bench.clock.sleepers(), bench.calls()), (1, calls));
    bench.clock.advance(Duration::from_nanos(59_999_999_999));
    assert_eq!(bench.flush(), Poll::Pending);
    bench.clock.advance(Duration::from_nanos(1));
    assert_eq!(bench.write(&[2; 5]), Poll::Ready(Err(io::ErrorKind::TimedOut)));
    let state = Arc::clone(bench.sink().state());
    assert_eq!((state.given_up(), state.counts().bytes_dropped()), (Some(GivenUp::Stalled), 15));
    assert_eq!((bench.totals.stall_closes(), bench.totals.overflow_closes()), (1, 0));
    assert_eq!(state.counts().reader_wait(), Duration::from_secs(60));
    bench.sink = None;
    assert!(bench.wire.0.borrow().reset);
}

#[test]
fn a_buffer_that_stays_full_for_an_interval_closes_if_that_is_the_policy() {
    let mut bench = Bench::new(SinkSettings { on_full: OnFull::Close, ..settings() });
    assert_eq!(bench.write(&[1; 12]), Poll::Ready(Ok(10)));
    bench.clock.advance(Duration::from_secs(5));
    assert_eq!(bench.flush(), Poll::Pending, "full, but there is nothing more to give");
    assert_eq!(bench.write(&[1; 2]), Poll::Pending);
    bench.clock.advance(Duration::from_nanos(199_999_999));
    assert_eq!(bench.write(&[1; 2]), Poll::Pending);
    bench.clock.advance(Duration::from_nanos(1));
    assert_eq!(bench.write(&[1; 2]), Poll::Ready(Err(io::ErrorKind::TimedOut)));
    assert_eq!((bench.totals.overflow_closes(), bench.totals.bytes_dropped()), (1, 12));
}

#[test]
fn a_wait_is_reported_while_it_lasts_and_booked_when_it_breaks_off() {
    let limit = SinkSettings { rate: Rate::or_unlimited(10), burst: 10, ..settings() };
    let mut bench = Bench::new(limit);
    assert_eq!(bench.write(&[1; 12]), Poll::Ready(Ok(10)));
    assert_eq!(bench.flush(), Poll::Pending);
    bench.clock.advance(Duration::from_secs(3));
    let state = Arc::clone(bench.sink().state());
    let waits = |at| (state.token_wait(at), state.reader_wait(at));
    assert_eq!(waits(bench.clock.now()), (Duration::ZERO, Duration::from_secs(3)));
    bench.script(&[Act::Take(9)], Act::Refuse);
    assert_eq!(bench.write(&[1; 12]), Poll::Ready(Ok(9)), "it has room again, and tokens but one are spent");
    bench.script(&[Act::Take(10)], Act::Refuse);
    assert_eq!(bench.write(&[1; 2]), Poll::Pending);
    bench.clock.advance(Duration::from_millis(50));
    assert_eq!(waits(bench.clock.now()), (Duration::from_millis(50), Duration::from_secs(3)));
    bench.sink = None;
    assert_eq!(bench.totals.token_wait(), Duration::from_millis(50));
    assert_eq!(bench.totals.reader_wait(), Duration::from_secs(3));
    assert_eq!(waits(Instant::MAX), (Duration::from_millis(50), Duration::from_secs(3)));
}

#[test]
fn a_full_buffer_that_drains_a_byte_in_time_is_not_closed() {
    let mut bench = Bench::new(SinkSettings { on_full: OnFull::Close, ..settings() });
    assert_eq!(bench.write(&[1; 10]), Poll::Ready(Ok(10)));
    assert_eq!(bench.write(&[1; 2]), Poll::Pending);
    bench.clock.advance(Duration::from_nanos(199_999_999));
    bench.script(&[Act::Take(1)], Act::Refuse);
    assert_eq!(bench.write(&[1; 2]), Poll::Ready(Ok(1)));
    bench.clock.advance(Duration::from_nanos(1));
    assert_eq!(bench.write(&[1; 1]), Poll::Pending);
    assert_eq!(bench.totals.overflow_closes(), 0);
}

#[test]
fn a_flush_waits_for_the_reader() {
    let mut bench = Bench::new(settings());
    bench.script(&[], Act::Refuse);
    assert!(matches!(bench.write(&[1; 10]), Poll::Ready(Ok(10))));
    assert!(bench.flush().is_pending());
    let state = Arc::clone(bench.sink().state());
    assert!(state.is_writing() && state.flushes() == 0, "it has not gone on");
    bench.script(&[], Act::Take(usize::MAX));
    assert_eq!(bench.flush(), Poll::Ready(Ok(())));
    assert!(!state.is_writing() && state.flushes() == 1);
}

#[test]
fn a_write_of_nothing_and_a_wire_that_writes_nothing_do_not_spin() {
    let mut bench = Bench::new(settings());
    assert_eq!(bench.write(b""), Poll::Ready(Ok(0)));
    bench.script(&[Act::Zero, Act::Fail], Act::Refuse);
    assert_eq!(bench.write(b"x"), Poll::Ready(Err(io::ErrorKind::WriteZero)));
    assert_eq!(bench.write(b"x"), Poll::Ready(Err(io::ErrorKind::ConnectionReset)));
    assert_eq!(bench.write(b"xy"), Poll::Ready(Ok(2)), "held");
    bench.script(&[Act::Zero], Act::Refuse);
    assert_eq!(bench.flush(), Poll::Ready(Err(io::ErrorKind::WriteZero)));
}

#[test]
fn without_tokens_nothing_is_taken_and_nothing_is_held() {
    let limit = SinkSettings { rate: Rate::or_unlimited(1_000), burst: 500, ..settings() };
    let mut bench = Bench::new(limit);
    bench.script(&[], Act::Take(usize::MAX));
    assert_eq!(bench.write(&[0; 700]), Poll::Ready(Ok(500)), "the burst");
    assert_eq!(bench.write(&[0; 200]), Poll::Pending);
    assert_eq!((bench.calls(), bench.totals.buffered()), (1, 0));
    // 200 tokens, an interval's worth, take 200 ms.
    assert_eq!(bench.clock.next_deadline(), Some(Instant::from_millis(200)));
    bench.clock.advance(Duration::from_nanos(199_999_999));
    assert_eq!(bench.write(&[0; 200]), Poll::Pending);
    bench.clock.advance(Duration::from_nanos(1));
    assert_eq!(bench.write(&[0; 200]), Poll::Ready(Ok(200)));
    assert_eq!(bench.totals.token_wait(), Duration::from_millis(200));
}

#[test]
fn tokens_are_spent_once_on_what_the_socket_took_or_the_buffer_holds() {
    let limit = SinkSettings { rate: Rate::or_unlimited(1_000), burst: 500, ..settings() };
    let mut bench = Bench::new(limit);
    bench.script(&[Act::Take(100), Act::Refuse], Act::Take(usize::MAX));
    assert_eq!(bench.write(&[0; 500]), Poll::Ready(Ok(100)));
    assert_eq!(bench.write(&[0; 400]), Poll::Ready(Ok(10)), "held");
    assert_eq!(bench.write(&[0; 390]), Poll::Ready(Ok(390)), "the rest of the burst, behind what was held");
    assert_eq!(bench.write(&[0; 1]), Poll::Pending);
    assert_eq!(bench.written().len(), 500);
}

#[test]
fn dropped_while_it_waits_it_leaves_no_timer_and_no_bytes() {
    let limit = SinkSettings { rate: Rate::or_unlimited(1), burst: 5, ..settings() };
    let mut bench = Bench::new(limit);
    assert_eq!(bench.write(&[0; 9]), Poll::Ready(Ok(5)));
    assert_eq!((bench.flush(), bench.write(&[0; 4])), (Poll::Pending, Poll::Pending));
    assert_eq!((bench.clock.sleepers(), bench.totals.buffered()), (1, 5));
}
