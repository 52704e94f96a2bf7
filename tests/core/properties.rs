//! The guarantees of the core, for any recording, rate and way of driving.
//!
//! All of it on a manual clock. That nothing leaves one nanosecond before it is due, and that a filter
//! asked early gives the same answer, is checked in every run by [`ChainRunner`].

use proptest::prelude::*;
use testkit::timeline::chain::ChainRunner;
use testkit::timeline::model::Model;
use testkit::timeline::{Arrival, Case, Item, Line, MS, Mark, Response, Runner, by_instant, lines, sends};

const NANO: i128 = 1_000_000_000;

/// Rates from 1 B/s to 10 GB/s, with those that intervals do not divide.
fn rate() -> impl Strategy<Value = u64> {
    prop_oneof![
        1u64..12,
        12u64..70_000,
        Just(testkit::timeline::GUIDE),
        320_000u64..340_000,
        1_000_000u64..2_000_000,
        Just(9_999_999_999),
        Just(10_000_000_000),
    ]
}

/// Intervals from 50 ms to 1 s, in nanoseconds, mostly the default.
pub(super) fn interval() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => Just(200 * MS),
        1 => Just(50 * MS),
        1 => Just(1000 * MS),
        2 => 50 * MS..=1000 * MS,
    ]
}

/// A rate and an interval.
type Pace = (u64, u64);

fn pace() -> impl Strategy<Value = Pace> {
    (rate(), interval())
}

/// A chunk in nano-bytes, with its fraction.
fn chunk((rate, interval): Pace) -> i128 {
    (i128::from(rate) * i128::from(interval)).max(NANO)
}

fn whole_chunk(pace: Pace) -> u64 {
    u64::try_from(chunk(pace) / NANO).unwrap()
}

fn pace_of(case: &Case) -> Pace {
    (case.rate.unwrap_or(1), case.interval)
}

/// A number of bytes up to `permille` thousandths of a chunk, now and then one that lies on a border.
fn size(pace: Pace, permille: u64) -> impl Strategy<Value = u64> {
    let chunk = whole_chunk(pace);
    // Not hundreds of chunks: what a piece of 60 KiB borders on matters only near it.
    let piece = if chunk > 8000 { 61_439 } else { chunk };
    prop_oneof![
        4 => (0..=permille).prop_map(move |part| (u128::from(chunk) * u128::from(part) / 1000) as u64),
        1 => (0u64..4).prop_map(move |more| chunk + more - 1),
        1 => (0u64..3).prop_map(move |more| piece + more),
        1 => 0u64..4,
    ]
}

/// Memory for what is small, files for what is large: bytes of the latter are never read.
pub(super) fn data(bytes: u64, file: bool) -> Item {
    if file || bytes > 200_000 { Item::File(bytes) } else { Item::Data(bytes) }
}

fn bucket(pace: Pace) -> impl Strategy<Value = Item> {
    prop_oneof![
        5 => (size(pace, 1500), any::<bool>()).prop_map(|(bytes, file)| data(bytes, file)),
        1 => Just(Item::Mark(Mark::Flush)),
    ]
}

/// Between brigades: nothing, some milliseconds, some part of an interval to the nanosecond, a long time.
fn gap() -> impl Strategy<Value = u64> {
    prop_oneof![3 => Just(0), 2 => (0u64..300).prop_map(|ms| ms * MS), 2 => 0..250 * MS, 1 => 0..3_000 * MS]
}

pub(super) fn ending() -> impl Strategy<Value = Vec<Item>> {
    prop_oneof![
        4 => Just(vec![Item::Mark(Mark::Eos)]),
        1 => Just(vec![Item::Mark(Mark::Trailers), Item::Mark(Mark::Eos)]),
        1 => Just(vec![Item::Mark(Mark::Error)]),
    ]
}

fn response(pace: Pace) -> impl Strategy<Value = Response> {
    let brigades = prop::collection::vec((gap(), prop::collection::vec(bucket(pace), 0..4)), 0..6);
    (gap(), brigades, gap(), ending()).prop_map(|(after, brigades, last, ending)| {
        let mut at = 0;
        let arrivals = brigades.into_iter().chain([(last, ending)]).map(|(gap, items)| {
            at += gap;
            Arrival { at, items }
        });
        Response { after, arrivals: arrivals.collect() }
    })
}

prop_compose! {
    /// Some responses on a connection, with bursts and stalls of the reader.
    fn case()(pace in pace())(
        burst in prop_oneof![2 => Just(0), 1 => size(pace, 4000)],
        paced_end in any::<bool>(),
        responses in prop::collection::vec(response(pace), 1..5),
        stalls in prop::collection::vec((gap(), gap()), 0..3),
        catch_up in prop_oneof![2 => Just(0), 1 => 50 * MS..=3_000 * MS],
        (rate, interval) in Just(pace),
    ) -> Case {
        let mut at = 0;
        let stalls = stalls.into_iter().map(|(after, lasting)| {
            let from = at + after;
            at = from + lasting;
            (from, at)
        });
        let stalls = stalls.collect();
        Case { burst, interval, catch_up, paced_end, responses, stalls, ..Case::one(rate, Vec::new()) }
    }
}

prop_compose! {
    /// One response, all of it in hand at once, and a reader that takes it.
    fn backlog()(pace in pace())(
        buckets in prop::collection::vec(bucket(pace), 1..8),
        ending in ending(),
        burst in prop_oneof![2 => Just(0), 1 => size(pace, 4000)],
        paced_end in any::<bool>(),
        (rate, interval) in Just(pace),
    ) -> Case {
        let items = buckets.into_iter().chain(ending).collect();
        Case { burst, interval, paced_end, ..Case::one(rate, vec![Arrival { at: 0, items }]) }
    }
}

/// Room for a chunk of 10 GB/s in one step: how it goes down in pieces is another test's.
pub(super) fn runner() -> ChainRunner {
    ChainRunner { room: 1 << 40, ..ChainRunner::default() }
}

pub(super) fn run(runner: &ChainRunner, case: &Case) -> Vec<Line> {
    lines(runner, &runner.run(case))
}

/// Cuts every bucket of data at the given thousandths of its length, and deals the pieces out to brigades
/// of the same instant; turns memory into files and back.
pub(super) fn recut(case: &Case, cuts: &[(u64, bool, bool)]) -> Case {
    let mut cuts = cuts.iter().cycle();
    let mut recut = case.clone();
    for response in &mut recut.responses {
        let mut arrivals = Vec::new();
        for arrival in &response.arrivals {
            let mut items = Vec::new();
            for item in &arrival.items {
                let (Item::Data(mut bytes) | Item::File(mut bytes)) = *item else {
                    items.push(*item);
                    continue;
                };
                while bytes > 0 {
                    let &(permille, file, new_brigade) = cuts.next().expect("a cycle");
                    let piece = (u128::from(bytes) * u128::from(permille) / 1000) as u64;
                    let piece = piece.clamp(1, bytes);
                    items.push(data(piece, file));
                    bytes -= piece;
                    if new_brigade {
                        arrivals.push(Arrival { at: arrival.at, items: std::mem::take(&mut items) });
                    }
                }
            }
            arrivals.push(Arrival { at: arrival.at, items });
        }
        response.arrivals = arrivals;
    }
    recut
}

/// A window that holds more than `fixed` nano-bytes and what the rate gives in it. A window ends with
/// the nanosecond of its last byte: that is as finely as a clock tells instants apart.
fn over_the_bound(sends: &[(u64, u64)], rate: u64, fixed: i128) -> Option<String> {
    // For each window [from, to]: sum(to) − rate × to − (sum before from − rate × from) ≤ fixed + rate × 1 ns.
    let (mut sum, mut lowest) = (0, i128::MAX);
    sends.iter().find_map(|&(to, bytes)| {
        let earned = i128::from(rate) * i128::from(to);
        lowest = lowest.min(sum - earned);
        sum += i128::from(bytes) * NANO;
        let over = sum - earned - lowest - fixed - i128::from(rate);
        (over > 0).then(|| format!("{over} nano-bytes too many in a window that ends at {to}"))
    })
}

/// A window right behind one send and right before another that holds less than the rate gives in it
/// less one chunk. The nanosecond is the rounding up of an instant.
fn under_the_bound(sends: &[(u64, u64)], (rate, interval): Pace) -> Option<String> {
    let (mut sum, mut highest) = (0, i128::MIN);
    sends.iter().find_map(|&(at, bytes)| {
        let earned = i128::from(rate) * i128::from(at);
        // `highest` is the sum behind an earlier send less what was earned by then.
        let missing = highest.saturating_sub(sum - earned + chunk((rate, interval)) + i128::from(rate));
        sum += i128::from(bytes) * NANO;
        highest = highest.max(sum - earned);
        (missing > 0).then(|| format!("{missing} nano-bytes too few in a window that ends at {at}"))
    })
}

proptest! {
    // Conservation and order, marks in their places, no byte early, none late: all that the rules say,
    // said twice. The runner compares each byte with the one that was to come.
    #[test]
    fn the_timeline_is_what_the_rules_give(case in case()) {
        prop_assert_eq!(run(&runner(), &case), lines(&Model, &Model.run(&case)));
    }

    #[test]
    fn all_bytes_and_marks_come_out_in_order_each_mark_in_its_place(case in case()) {
        let mut position = 0;
        let mut marks = Vec::new();
        for item in case.responses.iter().flat_map(|r| &r.arrivals).flat_map(|a| &a.items) {
            position += item.bytes();
            if let Item::Mark(mark) = item {
                marks.push((*mark, position));
            }
        }
        let out = run(&runner(), &case);
        prop_assert_eq!(out.last().map(|line| line.cumulative), Some(position));
        let seen: Vec<_> = out.into_iter().flat_map(|line| line.marks).collect();
        prop_assert_eq!(seen, marks);
    }

    // Direct and proxied are the same: whole slices of a file, or the pieces of a socket.
    #[test]
    fn neither_cuts_nor_files_show_in_the_timeline(
        case in case(),
        cuts in prop::collection::vec((50u64..1000, any::<bool>(), any::<bool>()), 1..12),
    ) {
        let at_hand = ChainRunner { at_hand: true, ..runner() };
        let (cut, whole) = (recut(&case, &cuts), run(&runner(), &case));
        prop_assert_eq!(&run(&runner(), &cut), &whole);
        prop_assert_eq!(&run(&at_hand, &case), &whole);
        prop_assert_eq!(&run(&at_hand, &cut), &whole);
    }

    #[test]
    fn neither_room_nor_looks_in_between_show_in_the_timeline(
        case in case(),
        room in prop_oneof![Just(65_536u64), Just(1 << 40), Just(1 << 33)],
        look_every in prop_oneof![1u64..1000, 1..250 * MS],
    ) {
        // No more than some thousand steps.
        let bytes: u64 = case.responses.iter().flat_map(|r| &r.arrivals).flat_map(|a| &a.items).map(|i| i.bytes()).sum();
        let room = room.max(bytes / 2000);
        let nanos: u64 = lines(&Model, &Model.run(&case)).last().map_or(0, |line| line.at);
        let look_every = look_every.max(nanos / 2000);
        let driven = ChainRunner { room, look_every: Some(look_every), ..ChainRunner::default() };
        prop_assert_eq!(run(&driven, &case), run(&runner(), &case));
    }

    #[test]
    fn no_window_is_above_the_bound_and_paced_ends_add_nothing(case in case()) {
        let pace = pace_of(&case);
        let credit = if case.paced_end { 0 } else { chunk(pace) };
        // What may be made up takes the place of the chunk: the bound grows by that, and by nothing else.
        let at_once = chunk(pace).max(i128::from(pace.0) * i128::from(case.catch_up));
        let fixed = i128::from(case.burst) * NANO + at_once + credit;
        // The first window of all is the connection's whole life: rule 8's bound.
        prop_assert_eq!(over_the_bound(&sends(&runner().run(&case)), pace.0, fixed), None);
    }

    #[test]
    fn one_response_is_within_the_bound_until_its_end_adds_less_than_a_chunk(case in backlog()) {
        let pace @ (rate, _) = pace_of(&case);
        let mut sends = sends(&runner().run(&case));
        let total: u64 = sends.iter().map(|(_, bytes)| bytes).sum();
        // Without the last instant's bytes, which may hold the remainder.
        let last = sends.last().map(|(at, _)| *at);
        let at_last: u64 = sends.iter().filter(|(at, _)| Some(*at) == last).map(|(_, bytes)| bytes).sum();
        sends.retain(|(at, _)| Some(*at) != last);
        let fixed = i128::from(case.burst) * NANO + chunk(pace);
        prop_assert_eq!(over_the_bound(&sends, rate, fixed), None);
        let earned = fixed + i128::from(rate) * i128::from(last.unwrap_or(0) + 1);
        let over = i128::from(total) * NANO - earned;
        prop_assert!(over < chunk(pace), "{at_last} bytes at the end");
        prop_assert!(over <= 0 || !case.paced_end);
    }

    #[test]
    fn while_source_and_reader_keep_up_no_window_is_below_the_rate_by_more_than_a_chunk(case in backlog()) {
        prop_assert_eq!(under_the_bound(&sends(&runner().run(&case)), pace_of(&case)), None);
    }

    #[test]
    fn a_source_within_the_limit_is_not_delayed(
        rate in 1000u64..2_000_000,
        parts in prop::collection::vec((0u64..=1000, 0..150 * MS), 1..30),
    ) {
        // Each piece is at most what was earned since the last: the rate is kept by the source.
        let mut at = 0;
        let mut arrivals = Vec::new();
        for (permille, gap) in parts {
            at += gap;
            let earned = i128::from(rate) * i128::from(gap) / NANO;
            arrivals.push(Arrival { at, items: vec![Item::Data(earned as u64 * permille / 1000)] });
        }
        let expected: Vec<_> = arrivals.iter().map(|a| (a.at, a.items[0].bytes())).filter(|(_, b)| *b > 0).collect();
        let out = run(&runner(), &Case::one(rate, arrivals));
        prop_assert_eq!(out.iter().map(|line| (line.at, line.bytes)).collect::<Vec<_>>(), by_instant(expected));
    }
}
