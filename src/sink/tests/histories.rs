//! Whatever is written, taken, refused and waited for: no byte is lost, doubled or out of turn, the buffer
//! keeps to its cap, and the connection to its burst and rate.

use proptest::prelude::*;

use super::*;

/// One thing that happens.
#[derive(Clone, Debug)]
enum Event {
    Write(usize),
    Flush,
    Pass(Duration),
    /// What the socket does from now on: takes so many bytes a call; none is a refusal.
    Socket(usize),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0_usize..3_000).prop_map(Event::Write),
        2 => Just(Event::Flush),
        2 => (0_u64..500_000_000).prop_map(|nanos| Event::Pass(Duration::from_nanos(nanos))),
        2 => prop_oneof![Just(0), 1_usize..50, Just(usize::MAX)].prop_map(Event::Socket),
    ]
}

/// The byte at a place of the stream: no two places near each other have the same.
fn byte(place: usize) -> u8 {
    (place % 251) as u8
}

proptest! {
    #[test]
    fn no_history_loses_a_byte_or_exceeds_a_bound(
        rate in prop::option::of(1_u64..2_000_000),
        burst in 1_u64..5_000,
        buffer in 1_usize..2_000,
        events in prop::collection::vec(event(), 1..80),
    ) {
        // Patience is endless here: what it does has its own tests.
        let stall_timeout = Duration::from_secs(1 << 30);
        let limit = rate.and_then(Rate::or_unlimited);
        let mut bench = Bench::new(SinkSettings { rate: limit, burst, buffer, stall_timeout, ..SinkSettings::default() });
        let mut taken = 0;
        for event in events {
            match event {
                Event::Write(len) => {
                    let bytes: Vec<u8> = (taken..taken + len).map(byte).collect();
                    match bench.write(&bytes) {
                        Poll::Ready(n) => taken += n.unwrap(),
                        // Whoever waits is woken by the clock or by the socket.
                        Poll::Pending => {
                            let by_socket = bench.wire.0.borrow().waker.is_some();
                            prop_assert!(by_socket || bench.clock.next_deadline().is_some());
                        }
                    }
                }
                Event::Flush => {
                    let is_done = bench.flush().is_ready();
                    prop_assert_eq!(is_done, bench.written().len() == taken);
                }
                Event::Pass(time) => bench.clock.advance(time),
                Event::Socket(0) => bench.script(&[], Act::Refuse),
                Event::Socket(most) => bench.script(&[], Act::Take(most)),
            }
            let written = bench.written();
            let held = bench.sink().backlog.len();
            prop_assert_eq!(written.len() + held, taken);
            prop_assert!(held <= buffer);
            prop_assert_eq!(bench.sink().backlog.is_allocated(), held > 0);
            prop_assert!(written.iter().enumerate().all(|(place, had)| *had == byte(place)));
            let counted = (bench.totals.bytes_written(), bench.totals.buffered());
            prop_assert_eq!(counted, (written.len() as u64, held as u64));
            if let Some(rate) = rate {
                let earned = u128::from(rate) * u128::from(bench.clock.now().as_nanos());
                let most = u128::from(burst) * 1_000_000_000 + earned;
                prop_assert!(taken as u128 * 1_000_000_000 <= most, "{} bytes", taken);
            }
        }
        // When the reader reads again, all it was given comes, without a token more.
        bench.script(&[], Act::Take(usize::MAX));
        prop_assert_eq!(bench.flush(), Poll::Ready(Ok(())));
        prop_assert_eq!(bench.written().len(), taken);
    }
}
