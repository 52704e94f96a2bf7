//! The contract: a filter that breaks a rule of it is found out, and one that keeps them all is not.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use sluicegate::brigade::{Brigade, Bucket};
use sluicegate::clock::Instant;
use sluicegate::filter::{Chain, Count, Counts, Filter, FilterError, Step, Verdict};
use testkit::filters::{by, data, failed, pass};

const SECOND: Duration = Duration::from_secs(1);

/// Drives `filter` with a bit of everything until the chain finds the breach: an error in release builds, a
/// panic in debug builds, both with the rule's words.
fn caught(filter: impl Filter + 'static, end: Bucket, rule: &str) {
    let mut chain = Chain::new().then(filter);
    let result = catch_unwind(AssertUnwindSafe(|| -> Result<(), FilterError> {
        let mut out = Brigade::with_budget(4);
        let mut now = Instant::ZERO;
        chain.input().extend([data("abcdef"), Bucket::Flush, data("gh"), end]);
        for _ in 0..100 {
            match chain.step(now, &mut out)? {
                Step::Output => out = Brigade::with_budget(4),
                Step::Sleep(due) => now = due,
                step => panic!("not caught: {step:?}"),
            }
        }
        panic!("not caught: it spins");
    }));
    let found = match result {
        Ok(error) => format!("{:?}", error),
        Err(panic) => panic.downcast_ref::<String>().cloned().unwrap_or_default(),
    };
    assert!(found.contains(rule), "expected {rule:?}, got {found:?}");
}

#[test]
fn every_breach_of_the_contract_is_caught() {
    caught(by(|_, _, _| Verdict::Ready), Bucket::Eos, "there is input and the output has room");
    caught(by(|now, _, _| Verdict::SleepUntil(now)), Bucket::Eos, "not after now");
    caught(by(|_, _, _| Verdict::Done), Bucket::Eos, "Done although end of stream is not out");
    let overrun = by(|_, input, output| {
        while let Some(bucket) = input.pop() {
            for piece in [bucket.clone(), bucket.clone(), bucket] {
                output.push(piece);
            }
        }
        Verdict::after(output)
    });
    caught(overrun, Bucket::Eos, "the output had no room");
    let late = by(|now, input, output| {
        let verdict = pass(input, output);
        if verdict == Verdict::Done { Verdict::SleepUntil(now + SECOND) } else { verdict }
    });
    caught(late, Bucket::Eos, "end of stream is out, so the filter is Done");
    let swallows = by(|_, input, output| {
        while let Some(bucket) = input.pop_within(output.room()) {
            if !matches!(bucket, Bucket::Eos) {
                output.push(bucket);
            }
        }
        Verdict::Ready
    });
    caught(swallows, Bucket::Eos, "the stream's end went in, did not come out");
    let goes_on = by(|_, input, output| {
        while let Some(bucket) = input.pop_within(output.room()) {
            output.push(Bucket::Eos);
            output.push(bucket);
        }
        Verdict::Ready
    });
    caught(goes_on, Bucket::Eos, "behind the end of the stream");
    let whitewash = by(|_, input, output| {
        while let Some(bucket) = input.pop_within(output.room()) {
            output.push(if matches!(bucket, Bucket::Error(_)) { Bucket::Eos } else { bucket });
        }
        Verdict::after(output)
    });
    caught(whitewash, failed(), "an error mark went in and a clean end came out");
}

#[cfg(debug_assertions)]
#[test]
fn sleepers_that_change_their_mind_are_caught_in_debug_builds() {
    const RULE: &str = "called early, with nothing new";
    // Reads no time, counts calls: the second call moves on.
    let mut slept = false;
    let counts_calls = by(move |now, input, output| {
        slept = !slept && !input.is_empty();
        if slept {
            return Verdict::SleepUntil(now + SECOND);
        }
        output.extend(input.pop());
        if input.is_empty() { Verdict::after(output) } else { Verdict::SleepUntil(now + SECOND) }
    });
    caught(counts_calls, Bucket::Eos, RULE);
    // Puts its waking off at each call: a timer that never fires.
    let mut due = Instant::ZERO;
    let later_and_later = by(move |now, _, _| {
        due = due.max(now) + SECOND;
        Verdict::SleepUntil(due)
    });
    caught(later_and_later, Bucket::Eos, RULE);
    let mumbles = by(|now, _, output| {
        output.push(Bucket::Flush);
        Verdict::SleepUntil(now + SECOND)
    });
    caught(mumbles, Bucket::Eos, RULE);
}

#[test]
fn a_filter_may_end_the_stream_before_an_error() {
    let first = by(|_, input, output| {
        if input.bytes() > 0 {
            output.extend(input.pop());
            output.push(Bucket::Eos);
        }
        Verdict::after(output)
    });
    let mut chain = Chain::new().then(first);
    let mut out = Brigade::new();
    chain.input().extend([data("enough"), data("more"), failed()]);
    assert!(matches!(chain.step(Instant::ZERO, &mut out), Ok(Step::Output)));
    assert!(out.ends() && out.to_bytes() == "enough");
}

#[test]
fn a_limit_set_between_two_calls_is_no_breach() {
    // Its answer changes once, and stays: as if another thread had lifted a limit.
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let lifted = by(move |now, input, output| {
        if count.fetch_add(1, Ordering::Relaxed) == 0 {
            Verdict::SleepUntil(now + SECOND)
        } else {
            pass(input, output)
        }
    });
    let mut chain = Chain::new().then(lifted);
    let mut out = Brigade::new();
    chain.input().extend([data("abc"), Bucket::Eos]);
    let mut now = Instant::ZERO;
    while !chain.is_finished() {
        if let Step::Sleep(due) = chain.step(now, &mut out).unwrap() {
            now = due;
        }
    }
    assert_eq!((out.to_bytes(), calls.load(Ordering::Relaxed)), (Bytes::from_static(b"abc"), 2));
}

#[test]
fn a_sleeper_that_puts_something_out_at_each_call_cannot_spin() {
    let mumbles = by(|now, input, output| {
        output.push(Bucket::Flush);
        input.clear();
        Verdict::SleepUntil(now + SECOND)
    });
    let mut chain = Chain::new().then(mumbles).then(Count::new(Counts::default()));
    chain.input().push(data("abc"));
    let step = catch_unwind(AssertUnwindSafe(|| chain.step(Instant::ZERO, &mut Brigade::new())));
    assert_eq!(step.is_err(), cfg!(debug_assertions));
}
