//! The guarantees of the core under clocks that step back, wake-ups that are late, limits that change,
//! and filters of users before the rate filter.

use bytes::Bytes;
use proptest::prelude::*;
use sluicegate::brigade::{Brigade, Bucket, FileSlice, MAX_PIECE};
use sluicegate::clock::{Instant, Lateness};
use sluicegate::filter::{EndOfStream, Filter, RateFilter, Verdict};
use sluicegate::limit::{Interval, Limit, Rate};
use std::sync::Arc;
use std::time::Duration;
use testkit::filters::{by, map};
use testkit::timeline::chain::{ChainRunner, MakeFilters, content};
use testkit::timeline::model::Model;
use testkit::timeline::{Arrival, Case, GUIDE, Item, MS, Mark, Runner, by_instant, lines};

const NANO: i128 = 1_000_000_000;

fn chunk(rate: u64, interval: u64) -> i128 {
    (i128::from(rate) * i128::from(interval)).max(NANO)
}

/// Intervals in nanoseconds.
fn interval() -> impl Strategy<Value = u64> {
    prop_oneof![3 => Just(200 * MS), 1 => Just(50 * MS), 1 => Just(1000 * MS), 2 => 50 * MS..=1000 * MS]
}

fn filter(rate: u64, interval: u64) -> RateFilter {
    let interval = Interval::new(Duration::from_nanos(interval)).unwrap();
    RateFilter::new(Limit::new(Rate::or_unlimited(rate))).interval(interval)
}

fn rate() -> impl Strategy<Value = u64> {
    prop_oneof![1u64..12, 12u64..70_000, Just(GUIDE), 1_000_000u64..2_000_000, Just(9_999_999_999)]
}

/// `bytes` of a file that nobody reads.
fn unread(bytes: u64) -> Bucket {
    Bucket::File(FileSlice::new(Arc::new(tempfile::tempfile().unwrap()), 0, bytes))
}

/// What leaves at `now`, and until when the filter sleeps; `None` when it is done.
fn ask(filter: &mut RateFilter, now: u64, input: &mut Brigade) -> (u64, Option<u64>) {
    let mut out = Brigade::new();
    let verdict = filter.filter(Instant::from_nanos(now), input, &mut out).unwrap();
    match verdict {
        Verdict::SleepUntil(due) => (out.bytes(), Some(due.as_nanos())),
        Verdict::Ready | Verdict::Done => (out.bytes(), None),
    }
}

proptest! {
    #[test]
    fn a_clock_that_steps_back_earns_nothing_and_loses_nothing(
        rate in rate(),
        interval in interval(),
        chunks in 1u64..8,
        steps in prop::collection::vec((0u64..400 * MS, 0u64..400 * MS), 1..40),
    ) {
        let total = (chunk(rate, interval) / NANO) as u64 * chunks;
        let mut filter = filter(rate, interval);
        let mut input: Brigade = [unread(total), Bucket::Eos].into_iter().collect();
        let (mut now, mut latest, mut sent) = (0, 0, 0);
        for (forth, back) in steps {
            now += forth;
            latest = latest.max(now);
            let (bytes, due) = ask(&mut filter, now, &mut input);
            sent += bytes;
            let earned = chunk(rate, interval) + i128::from(rate) * i128::from(latest + 1);
            prop_assert!(i128::from(sent) * NANO <= earned + chunk(rate, interval), "credit at the end is the most");
            prop_assert!(due.is_none_or(|due| due > now));
            now = now.saturating_sub(back);
        }
        // Let go on, it comes to its end no later than a stream that never saw it.
        let mut now = latest;
        while sent < total {
            let (bytes, due) = ask(&mut filter, now, &mut input);
            sent += bytes;
            now = due.unwrap_or(now);
        }
        prop_assert_eq!(sent, total);
        let at_rate = i128::from(total) * NANO / i128::from(rate);
        prop_assert!(i128::from(now) <= i128::from(latest) + at_rate + 1);
    }

    // The driver's part: told through `Lateness`, a stream whose every wake-up is late by up to 50 ms ends no
    // more than that one lateness behind one whose wake-ups are exact, however long it runs.
    #[test]
    fn late_wake_ups_do_not_slow_the_pace(
        rate in rate(),
        interval in interval(),
        late in prop::collection::vec(0u64..=50 * MS, 1..30),
        spread in 0u64..8,
        intervals in 10u64..200,
    ) {
        let chunk = chunk(rate, interval);
        let total = (chunk / NANO) as u64 * intervals;
        let mut filter = filter(rate, interval).end_of_stream(EndOfStream::Paced);
        let mut input: Brigade = [unread(total), Bucket::Eos].into_iter().collect();
        let mut lateness = Lateness::default();
        let (mut now, mut sent) = (0, 0);
        let mut late = late.iter().cycle();
        loop {
            // The bytes of one wake-up go out in some pieces, between which time passes.
            let told = lateness.correct(Instant::from_nanos(now));
            let mut out = Brigade::with_budget(((chunk / NANO) as u64 / (spread + 1)).max(1));
            let verdict = filter.filter(told, &mut input, &mut out).unwrap();
            sent += out.bytes();
            match verdict {
                Verdict::SleepUntil(due) => {
                    lateness.expect(due);
                    let lateness = late.next().copied().unwrap_or(0);
                    now = now.max(due.as_nanos() + lateness);
                    // All that was due by now is out, but for the lateness of the one wake-up: no drift.
                    let due = chunk + i128::from(rate) * (i128::from(due.as_nanos()) - 1);
                    prop_assert!(i128::from(sent) * NANO > due - chunk - NANO - i128::from(rate));
                }
                Verdict::Ready if sent < total => now += MS / 10,
                Verdict::Ready | Verdict::Done => break,
            }
        }
        prop_assert_eq!(sent, total);
        // While the pieces of a wake-up go out some more is earned, leaves with them, and is missing from the
        // next chunk; so the last may be a small one that waits its interval. Nothing more, in any number of them.
        let earned = i128::from(total) * NANO + NANO;
        let took = (i128::from(now) - 51 * i128::from(MS)) * i128::from(rate);
        prop_assert!(took <= earned + i128::from(rate), "took {now} ns");
    }

    #[test]
    fn bytes_are_conserved_and_bounded_while_the_limit_changes(
        changes in prop::collection::vec((0u64..2000, prop_oneof![4 => rate().prop_map(Some), 1 => Just(None)]), 0..6),
        bytes in 1u64..3_000_000,
        interval in interval(),
        file in any::<bool>(),
    ) {
        let mut changes: Vec<_> = changes.into_iter().map(|(ms, rate)| (ms * MS, rate)).collect();
        changes.sort_by_key(|(at, _)| *at);
        // So that it ends: at last a rate that lets the rest go.
        changes.push((2100 * MS, Some(1_000_000)));
        let item = if file { Item::File(bytes) } else { Item::Data(bytes) };
        let arrivals = vec![Arrival { at: 0, items: vec![item, Item::Mark(Mark::Eos)] }];
        let case = Case { changes: changes.clone(), interval, ..Case::one(GUIDE, arrivals) };
        let runner = ChainRunner { room: 1 << 40, ..ChainRunner::default() };
        let out = lines(&runner, &runner.run(&case));
        prop_assert_eq!(out.last().map(|line| line.cumulative), Some(bytes));
        if changes.iter().all(|(_, rate)| rate.is_some()) {
            let highest = changes.iter().filter_map(|(_, rate)| *rate).chain([GUIDE]).max().unwrap();
            for line in &out {
                let most = 2 * chunk(highest, interval) + i128::from(highest) * i128::from(line.at + 1);
                prop_assert!(i128::from(line.cumulative) * NANO <= most);
            }
        }
        // The last change was seen within an interval, and from there on the rest took its time.
        let rest = Duration::from_nanos(bytes * 1000);
        let latest = 2100 * MS + 3 * interval + rest.as_nanos() as u64;
        prop_assert!(out.last().is_some_and(|line| line.at <= latest));
    }

    // A raise never makes a stream wait for more than the new chunk: what was earned stays earned.
    #[test]
    fn under_a_rising_rate_no_more_than_a_chunk_is_ever_held_back(
        raises in prop::collection::vec((1u64..500, 0u64..40_000), 1..12),
        interval in interval(),
    ) {
        let (mut at, mut rate) = (0, 1000);
        let raises: Vec<_> = raises.into_iter().map(|(ms, more)| {
            at += ms * MS;
            rate += more;
            (at, Some(rate))
        }).collect();
        let arrivals = vec![Arrival { at: 0, items: vec![Item::File(1_000_000)] }];
        let case = Case { changes: raises.clone(), interval, ..Case::one(1000, arrivals) };
        let runner = ChainRunner { room: 1 << 40, ..ChainRunner::default() };
        let mut before = 0;
        for line in lines(&runner, &runner.run(&case)) {
            // Earned by then, each raise counted from when it was seen at the latest.
            let (mut earned, mut since, mut rate) = (0, 0, 1000);
            for &(at, raised) in &raises {
                let seen = (at + interval).min(line.at);
                earned += i128::from(seen - since) * rate;
                (since, rate) = (seen, raised.unwrap_or(0).into());
            }
            earned += i128::from(line.at - since) * rate;
            prop_assert!(i128::from(before) * NANO >= earned - chunk(rate as u64, interval) - rate, "before {line}");
            before = line.cumulative;
        }
    }
}

// At 100 MB/s a chunk goes down in 326 pieces of 60 KiB. Only the first of them was told that it is on time;
// with the second the lateness was reckoned after all, the allowance was full, and 5 % of the rate was lost.
#[test]
fn a_late_wake_up_is_on_time_for_all_pieces_of_its_chunk() {
    const RATE: u64 = 100_000_000;
    let mut filter = RateFilter::new(Limit::new(Rate::or_unlimited(RATE)));
    let mut input: Brigade = [unread(1 << 40)].into_iter().collect();
    let mut lateness = Lateness::default();
    let (mut now, mut sent, mut sleeps) = (0, 0, 0);
    while sleeps < 100 {
        let mut out = Brigade::with_budget(MAX_PIECE);
        let verdict =
            filter.filter(lateness.correct(Instant::from_nanos(now)), &mut input, &mut out).unwrap();
        sent += out.bytes();
        match verdict {
            Verdict::SleepUntil(due) => {
                lateness.expect(due);
                now = now.max(due.as_nanos() + 10 * MS);
                sleeps += 1;
            }
            _ => now += MS / 100,
        }
    }
    let slept = i128::from(now - 10 * MS) * i128::from(RATE);
    assert!((slept - i128::from(sent) * NANO).abs() < NANO, "{sent} bytes in {now} ns");
}

/// Gives each byte twice.
fn grow() -> Box<dyn Filter> {
    Box::new(by(|_, input, output| {
        map(input, output, |bytes| bytes.iter().flat_map(|byte| [*byte, *byte]).collect())
    }))
}

/// Drops every second byte.
fn shrink() -> Box<dyn Filter> {
    let mut odd = false;
    Box::new(by(move |_, input, output| {
        map(input, output, |bytes| {
            let kept = bytes.iter().skip(odd.into()).step_by(2).copied().collect();
            odd ^= bytes.len() % 2 == 1;
            kept
        })
    }))
}

/// Holds the last 100 bytes back, as a search across borders does, until a mark says that they are all.
fn hold_back() -> Box<dyn Filter> {
    let mut held = Brigade::new();
    Box::new(by(move |_, input, output| {
        while output.room() > 0 || matches!(input.front(), Some(mark) if mark.is_mark() && held.is_empty()) {
            let due = if input.front().is_some_and(Bucket::is_mark) { 0 } else { 100 };
            if held.bytes() > due {
                let more = (held.bytes() - due).min(output.room());
                held.move_to(output, more);
            } else if let Some(bucket) = input.pop_within(1000) {
                if bucket.is_mark() { output.push(bucket) } else { held.push(bucket) }
            } else {
                break;
            }
        }
        Verdict::after(output)
    }))
}

fn is_mark(item: &Item) -> bool {
    matches!(item, Item::Mark(_))
}

/// The same arrivals, as they come out of `hold_back` if nothing hinders it.
fn held_back(arrivals: &mut [Arrival]) {
    let mut held = 0;
    for arrival in arrivals {
        let mut items = Vec::new();
        for item in std::mem::take(&mut arrival.items) {
            if is_mark(&item) {
                items.extend([Item::Data(std::mem::take(&mut held)), item]);
            } else {
                held += item.bytes();
                let given = held.saturating_sub(100);
                held -= given;
                items.push(Item::Data(given));
            }
        }
        arrival.items = items;
    }
}

/// The same arrivals with the byte at each position counted as often as `times` says.
fn scaled(arrivals: &mut [Arrival], times: impl Fn(u64) -> u64) {
    let mut position = 0;
    for item in arrivals.iter_mut().flat_map(|arrival| &mut arrival.items) {
        if let Item::Data(bytes) | Item::File(bytes) = item {
            let before = times(position);
            position += *bytes;
            *bytes = times(position) - before;
        }
    }
}

proptest! {
    // Filters of users before the rate filter: what they give is paced as if it had come so, and the
    // chain's checks find nothing wrong.
    #[test]
    fn the_output_of_other_filters_is_paced(
        which in 0usize..4,
        rate in prop_oneof![12u64..70_000, Just(GUIDE), 1_000_000u64..2_000_000],
        parts in prop::collection::vec((0u64..300, 0u64..2500, any::<bool>(), any::<bool>()), 1..8),
        paced_end in any::<bool>(),
    ) {
        let mut at = 0;
        let mut arrivals: Vec<Arrival> = Vec::new();
        for (ms, permille, file, flush) in parts {
            at += ms * MS;
            let bytes = ((rate / 5) * permille / 1000).min(300_000);
            let mut items = vec![if file { Item::File(bytes) } else { Item::Data(bytes) }];
            items.extend(flush.then_some(Item::Mark(Mark::Flush)));
            arrivals.push(Arrival { at, items });
        }
        arrivals.push(Arrival { at: at + 5 * MS, items: vec![Item::Mark(Mark::Eos)] });
        let mut transformed = arrivals.clone();
        let before: [MakeFilters; 4] = [
            || vec![grow()],
            || vec![shrink()],
            || vec![hold_back()],
            || vec![grow(), hold_back(), shrink()],
        ];
        match which {
            0 => scaled(&mut transformed, |position| position * 2),
            1 => scaled(&mut transformed, |position| position.div_ceil(2)),
            2 => held_back(&mut transformed),
            _ => {
                scaled(&mut transformed, |position| position * 2);
                held_back(&mut transformed);
                scaled(&mut transformed, |position| position.div_ceil(2));
            }
        }
        let case = Case { paced_end, ..Case::one(rate, arrivals) };
        let runner = ChainRunner { before: before[which], ..ChainRunner::default() };
        let mut out = Brigade::new();
        let mut instants = Vec::new();
        runner.drive(&case, &mut |now, brigade| {
            instants.push((now, brigade.bytes()));
            out.extend(brigade.iter().cloned());
        });
        let total: u64 = case.responses[0].arrivals.iter().flat_map(|a| &a.items).map(|i| i.bytes()).sum();
        let all = content(0, total);
        let expected: Bytes = match which {
            0 => all.iter().flat_map(|byte| [*byte, *byte]).collect(),
            1 => all.iter().step_by(2).copied().collect(),
            _ => all,
        };
        prop_assert_eq!(out.to_bytes(), expected);
        prop_assert!(out.ends());
        let model = Model.run(&Case { paced_end, ..Case::one(rate, transformed) });
        let model: Vec<_> = lines(&Model, &model).iter().map(|line| (line.at, line.bytes)).collect();
        prop_assert_eq!(by_instant(instants), model);
    }
}
