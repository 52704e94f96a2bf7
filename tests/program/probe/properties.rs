//! What holds for every timeline.

use std::time::Duration;

use proptest::prelude::*;
use sluicegate::probe::chunks::Chunks;
use sluicegate::probe::compare::{Side, compare};
use sluicegate::probe::pace::{End, rate};
use sluicegate::probe::report::jain;
use sluicegate::probe::response::Response;
use sluicegate::probe::sparkline::parts;
use sluicegate::probe::timeline::Timeline;
use sluicegate::probe::windows::{longest_gap, seconds};

/// Reads: microseconds since the one before, and bytes.
fn reads() -> impl Strategy<Value = Vec<(u64, u64)>> {
    prop::collection::vec((0u64..700_000, 1u64..100_000), 0..200)
}

fn timeline(reads: &[(u64, u64)], most: usize) -> Timeline {
    let mut timeline = Timeline::new(most);
    let mut at = 0;
    for (pause, bytes) in reads {
        at += pause;
        timeline.record(Duration::from_micros(at), *bytes);
    }
    timeline
}

proptest! {
    #[test]
    fn a_timeline_loses_no_byte_and_stays_small(reads in reads(), most in 2usize..50) {
        let timeline = timeline(&reads, most);
        let sum: u64 = reads.iter().map(|(_, bytes)| bytes).sum();
        prop_assert_eq!(timeline.total(), sum);
        prop_assert_eq!(timeline.arrivals().iter().map(|arrival| arrival.bytes).sum::<u64>(), sum);
        prop_assert!(timeline.arrivals().len() <= most);
        let grain = timeline.grain();
        prop_assert!(timeline.arrivals().windows(2).all(|pair| pair[1].at - pair[0].at >= grain));
    }

    #[test]
    fn figures_keep_their_order(reads in reads(), more in 0u64..3_000_000) {
        let timeline = timeline(&reads, 10_000);
        let chunks = Chunks::of(&timeline);
        let last = timeline.last().unwrap_or_default();
        for end in [End::Whole, End::At(last + Duration::from_micros(more))] {
            if let Some(seconds) = seconds(&timeline, chunks.as_ref(), end) {
                prop_assert!(seconds.worst <= seconds.best && seconds.best <= timeline.total());
            }
            let gap = longest_gap(&timeline, end).map_or(Duration::ZERO, |gap| gap.lasting);
            prop_assert!(timeline.arrivals().windows(2).all(|pair| pair[1].at - pair[0].at <= gap));
            if let Some(rate) = rate(&timeline, chunks.as_ref(), end) {
                prop_assert!(rate.is_finite() && rate >= 0.0);
            }
        }
        if let Some(chunks) = chunks {
            prop_assert_eq!(chunks.all.iter().map(|chunk| chunk.bytes).sum::<u64>(), timeline.total());
            prop_assert!(chunks.size.low <= chunks.size.median && chunks.size.median <= chunks.size.high);
            prop_assert!(chunks.regular <= chunks.between());
        }
        let whole = parts(&timeline, last, true, 70, Duration::ZERO);
        prop_assert!(whole.bytes.len() <= 74);
        prop_assert_eq!(whole.bytes.iter().sum::<u64>(), timeline.total());
    }

    #[test]
    fn a_grid_of_any_interval_is_recognised(
        every in 20u64..1500, bytes in 100u64..1_000_000, count in 10u64..200, from in 0u64..1000,
    ) {
        let reads: Vec<_> =
            (0..count).map(|n| (if n == 0 { from } else { every } * 1000, bytes)).collect();
        let timeline = timeline(&reads, 10_000);
        let chunks = Chunks::of(&timeline).unwrap();
        prop_assert_eq!((chunks.size.median, chunks.usual), (bytes, Duration::from_millis(every)));
        prop_assert_eq!(chunks.regular, chunks.between());
        let end = End::At(timeline.last().unwrap() + Duration::from_millis(every / 2));
        let rate = rate(&timeline, Some(&chunks), end).unwrap();
        prop_assert!((rate * every as f64 / 1000.0 / bytes as f64 - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_timeline_agrees_with_itself_and_comparing_has_no_side(one in reads(), other in reads()) {
        let (one, other) = (timeline(&one, 10_000), timeline(&other, 10_000));
        let chunks = [Chunks::of(&one), Chunks::of(&other)];
        let side = |timeline, n: usize| Side { timeline, chunks: chunks[n].as_ref(), rate: None, end: End::Whole };
        if let Some(same) = compare(side(&one, 0), side(&one, 0)) {
            prop_assert!(same.agree() && same.lead == 0 && same.shift == 0);
        }
        let (there, back) = (compare(side(&one, 0), side(&other, 1)), compare(side(&other, 1), side(&one, 0)));
        prop_assert_eq!(
            there.map(|it| (it.lead, it.chunk, it.over, it.agree())),
            back.map(|it| (it.lead, it.chunk, it.over, it.agree()))
        );
    }

    #[test]
    fn jains_index_lies_between_one_nth_and_one(shares in prop::collection::vec(0.0f64..1e9, 1..50)) {
        let index = jain(&shares);
        prop_assert!(index <= 1.0 + 1e-9 && index >= 1.0 / shares.len() as f64 - 1e-9);
    }

    #[test]
    fn bytes_from_outside_never_panic(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..8)) {
        for head in [&b""[..], b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"] {
            let mut response = Response::default();
            response.take(head).unwrap();
            for piece in &pieces {
                match response.take(piece) {
                    Ok(taken) => prop_assert!(taken.used <= piece.len() && taken.content <= taken.used as u64),
                    Err(_) => break,
                }
            }
            let _ = response.ended();
        }
    }
}
