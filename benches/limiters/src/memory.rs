//! Memory of a limiter that is in use: itself, and what it has on the heap.

use std::convert::Infallible;
use std::future::ready;
use std::io::Write;
use std::num::NonZeroU32;
use std::time::Duration;

use async_speed_limit::Limiter;
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota};
use sluicegate_core::budget::Node;
use sluicegate_core::clock::{Clock, SystemClock};
use sluicegate_core::limit::{Budget, PerSecond, Rate, TokenBucket};
use sluicegate_core::throttle::{Throttle, pace};
use stats_alloc::Region;
use tower::service_fn;

use crate::{ALLOCATOR, Effort};

/// Prints the row of `make`, which makes one of many.
fn row<T>(effort: &Effort, name: &str, mut make: impl FnMut(usize) -> T) {
    let mut all = Vec::with_capacity(effort.limiters);
    let region = Region::new(ALLOCATOR);
    for nth in 0..effort.limiters {
        all.push(make(nth));
    }
    let change = region.change();
    let heap =
        change.bytes_allocated as f64 - change.bytes_deallocated as f64 + change.bytes_reallocated as f64;
    println!("| {name} | {:.0} |", heap / effort.limiters as f64 + size_of::<T>() as f64);
    drop(all);
}

pub fn run(effort: &Effort) {
    println!("| one of {} limiters | bytes |", effort.limiters);
    println!("|---|---:|");
    let (rate, clock) = (Rate::mib_per_second(1), SystemClock::shared());
    row(effort, "Sluicegate `TokenBucket`", |_| {
        TokenBucket::<sluicegate_core::limit::Bytes>::new(
            PerSecond::new(1 << 20).expect("a rate"),
            1 << 20,
            clock.now(),
        )
    });
    row(effort, "governor, direct", |_| {
        let limiter = DefaultDirectRateLimiter::direct(Quota::per_second(NonZeroU32::MAX));
        let _ = limiter.check();
        limiter
    });
    let keyed: DefaultKeyedRateLimiter<u64> =
        DefaultKeyedRateLimiter::keyed(Quota::per_second(NonZeroU32::MAX));
    row(effort, "governor, a key of a keyed one", |nth| {
        let _ = keyed.check_key(&(nth as u64));
    });
    row(effort, "async-speed-limit `Limiter`", |_| -> Limiter { Limiter::new(1e6) });
    row(effort, "tower `RateLimit`", |_| {
        let limit = tower::limit::rate::Rate::new(256, Duration::from_secs(1));
        tower::limit::RateLimit::new(service_fn(|()| ready(Ok::<(), Infallible>(()))), limit)
    });
    row(effort, "Sluicegate `pace`: a writer with a limit of its own", |_| {
        let mut writer = pace(std::io::sink(), rate);
        writer.write_all(&[0]).expect("a sink");
        writer
    });
    let server = Node::root("server", Budget::of(Rate::mib_per_second(1000)), SystemClock::shared());
    row(effort, "Sluicegate `Throttle` below one shared limit, fair among all", |_| {
        let mut writer = Throttle::new(std::io::sink(), &server);
        writer.write_all(&[0]).expect("a sink");
        writer
    });
    println!();
}
