//! `try_acquire` beside governor's `check`, by one thread and by two on the same bucket.

use std::hint::black_box;
use std::num::NonZeroU32;

use governor::{DefaultDirectRateLimiter, Quota};
use sluicegate::quota::client::{Allocation, QuotaClient, QuotaClientSettings, ResourceUse};

use crate::{Effort, nanos};
use testkit::report::{Table, show};

/// Units a second: more than anybody takes here, so that each call takes a token.
const PLENTY: u64 = 1_000_000_000_000;

/// Times a call by one thread, or by several at once.
fn on_threads(threads: usize, calls: u64, call: impl Fn() + Sync) -> f64 {
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(|| nanos(calls, &call))).collect();
        let times: Vec<f64> = running.into_iter().filter_map(|thread| thread.join().ok()).collect();
        times.iter().sum::<f64>() / times.len() as f64
    })
}

pub fn run(effort: &Effort) {
    let mut settings = QuotaClientSettings::new(
        // Nobody listens there: the configured safe share holds.
        "http://127.0.0.1:1".parse().expect("an address"),
        "bench".parse().expect("an id"),
    );
    let api = ResourceUse::new("api".parse().expect("an id"));
    settings.resources = vec![ResourceUse { safe_share_micros: Some(PLENTY * 1_000_000), ..api }];
    let client = QuotaClient::start(settings).expect("good settings");
    let ours: Allocation = client.allocation("api").expect("it is used");
    let governor = DefaultDirectRateLimiter::direct(Quota::per_second(NonZeroU32::MAX));

    let mut table = Table::new("token bucket | threads | ns a call | ÷ governor");
    for threads in [1, 2] {
        let (mut of_ours, mut of_governor, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..effort.readings {
            let reference =
                on_threads(threads, effort.calls, || assert!(black_box(governor.check().is_ok())));
            let own = on_threads(threads, effort.calls, || assert!(black_box(ours.try_acquire(1))));
            of_governor.push(reference);
            of_ours.push(own);
            ratios.push(own / reference);
        }
        table.row(["governor, check".to_owned(), threads.to_string(), show(&of_governor, 1), "1".to_owned()]);
        table.row(["try_acquire".to_owned(), threads.to_string(), show(&of_ours, 1), show(&ratios, 2)]);
    }
    table.print();
    println!();
}
