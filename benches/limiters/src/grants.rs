//! What a grant of 4 KiB costs where nothing has to wait.

use std::convert::Infallible;
use std::future::ready;
use std::hint::black_box;
use std::io::Write;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use async_speed_limit::Limiter;
use futures_lite::AsyncWriteExt;
use governor::{DefaultDirectRateLimiter, Quota};
use sluicegate_core::clock::{Clock, SystemClock};
use sluicegate_core::limit::{PerSecond, Rate, TokenBucket};
use sluicegate_core::throttle::pace;
use tower::{Service, ServiceExt, service_fn};

use crate::{Effort, UNIT};

/// Far more than anybody takes here.
const PLENTY: u64 = 1 << 50;

/// Prints the row of one that grants by `grant`.
async fn row(effort: &Effort, name: &str, mut grants: impl AsyncFnMut(u64)) {
    let mut times = Vec::new();
    // The first reading warms up.
    for reading in 0..=effort.readings {
        let begin = Instant::now();
        grants(effort.grants).await;
        if reading > 0 {
            times.push(begin.elapsed().as_nanos() as f64 / effort.grants as f64);
        }
    }
    times.sort_by(f64::total_cmp);
    println!("| {name} | {:.0} | {:.0} |", times[0], times[times.len() / 2]);
}

pub async fn run(effort: &Effort) {
    // Readings are short: the least is one that nothing disturbed, on a busy machine too.
    println!("| a grant of 4 KiB, nothing waits | ns, least of {} readings | median |", effort.readings);
    println!("|---|---:|---:|");
    let clock = SystemClock::shared();
    let mut bucket: TokenBucket =
        TokenBucket::new(PerSecond::new(PLENTY).expect("a rate"), PLENTY, clock.now());
    row(effort, "Sluicegate `TokenBucket`, with a look at the clock", async |grants| {
        for _ in 0..grants {
            bucket.refill(clock.now());
            assert!(black_box(bucket.try_consume(UNIT.into())));
        }
    })
    .await;
    let governor = DefaultDirectRateLimiter::direct(Quota::per_second(NonZeroU32::MAX));
    let unit = NonZeroU32::new(UNIT).expect("not zero");
    row(effort, "governor `check_n`", async |grants| {
        for _ in 0..grants {
            // It counts to 4 billion a second, which these calls may come near to: a refusal costs the same.
            let _ = black_box(governor.check_n(unit));
        }
    })
    .await;
    let speed: Limiter = Limiter::new(PLENTY as f64);
    row(effort, "async-speed-limit `consume`", async |grants| {
        for _ in 0..grants {
            speed.consume(UNIT as usize).await;
        }
    })
    .await;
    let limit = tower::limit::rate::Rate::new(PLENTY, Duration::from_secs(1));
    let mut service = tower::limit::RateLimit::new(service_fn(|()| ready(Ok::<(), Infallible>(()))), limit);
    row(effort, "tower `RateLimit`, ready and call", async |grants| {
        for _ in 0..grants {
            let Ok(()) = service.ready().await.expect("it never fails").call(()).await;
        }
    })
    .await;

    let (rate, bytes) = (Rate::new(PLENTY).expect("a rate"), [0; UNIT as usize]);
    let mut writer = pace(std::io::sink(), rate);
    row(effort, "Sluicegate `pace`, a blocking write", async |grants| {
        for _ in 0..grants {
            writer.write_all(black_box(&bytes)).expect("a sink");
        }
    })
    .await;
    let mut writer = pace(futures_lite::io::sink(), rate);
    row(effort, "Sluicegate `pace`, an async write", async |grants| {
        for _ in 0..grants {
            writer.write_all(black_box(&bytes)).await.expect("a sink");
        }
    })
    .await;
    let mut writer = speed.limit(futures_lite::io::sink());
    row(effort, "async-speed-limit `limit`, an async write", async |grants| {
        for _ in 0..grants {
            writer.write_all(black_box(&bytes)).await.expect("a sink");
        }
    })
    .await;
    println!();
}
