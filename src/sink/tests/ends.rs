//! How a sink ends.

use super::*;

#[test]
fn a_reader_that_does_not_take_the_announced_end_is_given_up_too() {
    let mut bench = Bench::new(settings());
    bench.wire.0.borrow_mut().holds_end = true;
    assert_eq!(bench.shutdown(), Poll::Pending);
    assert_eq!(bench.clock.next_deadline(), Some(Instant::from_millis(60_000)));
    bench.clock.advance(Duration::from_nanos(59_999_999_999));
    assert_eq!(bench.shutdown(), Poll::Pending);
    bench.clock.advance(Duration::from_nanos(1));
    assert_eq!(bench.shutdown(), Poll::Ready(Err(io::ErrorKind::TimedOut)));
    let state = Arc::clone(bench.sink().state());
    assert_eq!((state.given_up(), state.counts().bytes_dropped()), (Some(GivenUp::Stalled), 0));
    assert_eq!(state.counts().reader_wait(), Duration::from_secs(60));
    bench.sink = None;
    assert!(bench.wire.0.borrow().reset);

    let mut bench = Bench::new(settings());
    bench.wire.0.borrow_mut().holds_end = true;
    assert_eq!(bench.shutdown(), Poll::Pending);
    bench.clock.advance(Duration::from_secs(7));
    bench.wire.0.borrow_mut().holds_end = false;
    assert_eq!(bench.shutdown(), Poll::Ready(Ok(())));
    assert_eq!(bench.totals.reader_wait(), Duration::from_secs(7));
    bench.clock.advance(Duration::from_secs(60));
    assert_eq!(bench.shutdown(), Poll::Ready(Ok(())));
    assert_eq!((bench.totals.stall_closes(), bench.totals.reader_wait()), (0, Duration::from_secs(7)));
}

#[test]
fn an_end_before_all_has_gone_on_is_a_reset_and_one_after_it_is_not() {
    for (then, is_reset) in [(Act::Refuse, true), (Act::Take(usize::MAX), false)] {
        let mut bench = Bench::new(settings());
        bench.script(&[], then);
        assert!(matches!(bench.write(&[1; 10]), Poll::Ready(Ok(10))));
        let _ = bench.flush();
        bench.sink = None;
        assert_eq!(bench.wire.0.borrow().reset, is_reset);
    }
}
