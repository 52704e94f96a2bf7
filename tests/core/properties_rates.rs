//! The guarantees of rates that follow one another, and of time that is made up, on a manual clock.

use proptest::prelude::*;
use testkit::timeline::chain::ChainRunner;
use testkit::timeline::{Arrival, Case, Item, MS, Mark};

use super::properties::{data, ending, interval, recut, run, runner};

/// A rate, or none, and for how many bytes it holds.
type Part = (Option<u64>, u64);

fn rate() -> impl Strategy<Value = u64> {
    prop_oneof![1_000u64..70_000, Just(3_072), 320_000u64..340_000, 1_000_000u64..2_000_000]
}

/// Billionths of a byte in a byte.
const NANO: i128 = 1_000_000_000;

/// Rates between boundaries: slow and fast ones beside one another, most of which no interval divides.
fn boundary_rate() -> impl Strategy<Value = u64> {
    prop_oneof![1 => 2u64..12, 2 => 12u64..70_000, 1 => Just(3_072), 2 => 320_000u64..2_000_000]
}

fn parts() -> impl Strategy<Value = Vec<Part>> {
    let rate = prop_oneof![6 => rate().prop_map(Some), 1 => Just(None)];
    prop::collection::vec((rate, prop_oneof![1u64..200, 1u64..400_000]), 1..5)
}

prop_compose! {
    /// One response, all of it in hand at once, and a reader that takes it.
    fn backlog()(
        first in parts(),
        last in rate(),
        buckets in prop::collection::vec((1u64..300_000, any::<bool>()), 1..6),
        ending in ending(),
        interval in interval(),
        paced_end in any::<bool>(),
    ) -> Case {
        let items = buckets.into_iter().map(|(bytes, file)| data(bytes, file)).chain(ending).collect();
        Case { first, interval, paced_end, ..Case::one(last, vec![Arrival { at: 0, items }]) }
    }
}

/// The integral: how many bytes the rates give in the first `nanos` of a stream.
fn integral(case: &Case, nanos: u64) -> f64 {
    let (mut left, mut bytes) = (nanos as f64 / 1e9, 0.0);
    for &(rate, most) in &case.first {
        let Some(rate) = rate else {
            bytes += most as f64;
            continue;
        };
        let takes = most as f64 / rate as f64;
        if left <= takes {
            return bytes + left * rate as f64;
        }
        (left, bytes) = (left - takes, bytes + most as f64);
    }
    bytes + left * case.rate.unwrap() as f64
}

fn at_whole_pieces() -> ChainRunner {
    ChainRunner { room: 65_536, ..runner() }
}

proptest! {
    // A chunk has the time of an interval: at any instant what has left is the integral up to the end of the chunk, and before
    // a chunk leaves it is the integral up to now. A byte is what a chunk may leave over, at each edge a nano-byte.
    #[test]
    fn what_has_left_is_the_integral_of_the_rates(case in backlog()) {
        let out = run(&runner(), &case);
        let mut before = 0;
        for (nth, line) in out.iter().enumerate() {
            let due = integral(&case, line.at);
            prop_assert!(nth == 0 || before as f64 >= due - 1.01, "{before} before {line}, and {due} were due");
            // The end may add what takes less than an interval.
            let ahead = if nth + 1 == out.len() && !case.paced_end { 2 * case.interval } else { case.interval };
            let most = integral(&case, line.at + ahead + 1);
            prop_assert!(line.cumulative as f64 <= most + 0.01, "{line}, and {most} is the most");
            before = line.cumulative;
        }
    }

    // Direct and proxied are the same, and HTTP/1 and HTTP/2, which take pieces of other sizes.
    #[test]
    fn neither_cuts_nor_files_nor_room_show_in_the_timeline_of_several_rates(
        case in backlog(),
        cuts in prop::collection::vec((50u64..1000, any::<bool>(), any::<bool>()), 1..12),
        look_every in 1u64..250 * MS,
    ) {
        let whole = run(&runner(), &case);
        let at_hand = ChainRunner { at_hand: true, ..runner() };
        prop_assert_eq!(&run(&runner(), &recut(&case, &cuts)), &whole);
        prop_assert_eq!(&run(&at_hand, &recut(&case, &cuts)), &whole);
        prop_assert_eq!(&run(&at_whole_pieces(), &case), &whole);
        let nanos = whole.last().map_or(0, |line| line.at);
        let looking = ChainRunner { look_every: Some(look_every.max(nanos / 2000)), ..runner() };
        prop_assert_eq!(&run(&looking, &case), &whole);
    }

    // A boundary of time is a live change, seen within an interval. It moves no byte: what has left is the integral of the rate,
    // and one chunk in all, however many boundaries there were.
    #[test]
    fn a_stream_that_crosses_boundaries_has_the_bytes_of_the_integral_within_one_chunk_in_all(
        spans in prop::collection::vec((1_001u64..3_000, boundary_rate()), 2..40),
        interval in interval(),
        file in any::<bool>(),
        look_every in prop::option::of(7 * MS..250 * MS),
    ) {
        let begins = spans.iter().scan(0, |at, (ms, rate)| Some((std::mem::replace(at, *at + ms * MS), *rate)));
        let rates: Vec<(u64, u64)> = begins.collect();
        let total: u64 = spans.iter().map(|(ms, rate)| ms * rate / 1000).sum::<u64>() + 1;
        let arrivals = vec![Arrival { at: 0, items: vec![data(total, file), Item::Mark(Mark::Eos)] }];
        let changes = rates.iter().skip(1).map(|(at, rate)| (*at, Some(*rate))).collect();
        let case = Case { changes, interval, ..Case::one(rates[0].1, arrivals) };
        // In billionths of a byte, exactly.
        let due = |at: u64| {
            let ends = rates.iter().skip(1).map(|(begin, _)| *begin).chain([u64::MAX]);
            let parts = rates.iter().zip(ends).filter(|((begin, _), _)| *begin < at);
            parts.map(|((begin, rate), end)| i128::from(end.min(at) - begin) * i128::from(*rate)).sum::<i128>()
        };
        let chunk = |rate: u64| (i128::from(rate) * i128::from(interval)).max(NANO);
        let most = rates.iter().map(|(_, rate)| chunk(*rate)).max().unwrap();
        // A driver looks at least once an interval.
        let look_every = look_every.map(|every: u64| every.min(interval));
        let runner = ChainRunner { timed: true, look_every, ..runner() };
        let (out, mut before) = (run(&runner, &case), 0);
        for (nth, line) in out.iter().enumerate() {
            let (due, is_last) = (due(line.at), nth + 1 == out.len());
            // The first chunk leaves ahead. A due instant is rounded up to a nanosecond.
            let late = due + chunk(rates[0].1) - i128::from(before) * NANO;
            prop_assert!(nth == 0 || late <= most + 2 * NANO, "{late} nano-bytes late before {line}");
            // The end may leave on credit, with less than a chunk.
            let ahead = i128::from(line.cumulative) * NANO - due - if is_last { most } else { 0 };
            prop_assert!(ahead <= chunk(rates[0].1), "{ahead} nano-bytes ahead at {line}");
            before = line.cumulative;
        }
        prop_assert_eq!(before, total);
    }

    // Behind a source at half the limit nothing is late once the time for a brigade was not used, if that much may be made up.
    #[test]
    fn a_source_at_half_the_limit_is_not_late_within_what_may_be_made_up(
        rate in 10_000u64..2_000_000,
        every in 200u64..3_000,
        brigades in 2u64..8,
        interval in interval(),
    ) {
        let bytes = rate * every / 2000;
        let arrivals = (0..brigades).map(|nth| Arrival { at: nth * every * MS, items: vec![Item::Data(bytes)] });
        let arrivals = arrivals.chain([Arrival { at: brigades * every * MS, items: vec![Item::Mark(Mark::Eos)] }]);
        let case = Case { interval, catch_up: every.max(interval / MS) * MS, ..Case::one(rate, arrivals.collect()) };
        for line in run(&runner(), &case).iter().filter(|line| line.at >= every * MS && line.bytes > 0) {
            // What is left of the first brigade may still wait when the second comes.
            let is_first = line.cumulative <= bytes || line.at < 2 * every * MS;
            prop_assert!(is_first || line.at % (every * MS) == 0 && line.bytes == bytes, "{line}");
        }
    }
}
