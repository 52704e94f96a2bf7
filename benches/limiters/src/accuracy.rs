//! How near to 1 MiB/s bytes leave, in units of 4 KiB, and how evenly.

use std::convert::Infallible;
use std::future::ready;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use async_speed_limit::Limiter;
use futures_lite::AsyncWriteExt;
use governor::{DefaultDirectRateLimiter, Quota};
use sluicegate_core::limit::Rate;
use sluicegate_core::throttle::pace;
use tower::{Service, ServiceExt, service_fn};

use crate::{Effort, UNIT};

/// Bytes a second.
const RATE: u32 = 1 << 20;

/// The window of the peak.
const WINDOW: Duration = Duration::from_millis(100);

/// Prints the row of one that waits for a unit by `grant`.
async fn row(effort: &Effort, name: &str, mut grant: impl AsyncFnMut()) {
    let (begin, mut at) = (Instant::now(), Vec::new());
    let end = Duration::from_secs_f64(effort.seconds);
    while begin.elapsed() < end {
        grant().await;
        at.push(begin.elapsed());
    }
    let unit = f64::from(UNIT);
    let (Some(first), Some(last)) = (at.first(), at.last()) else { return };
    // What was there at the beginning is the burst; from the first grant on the limit is to be met.
    let mean = at.len() as f64 * unit / (last.as_secs_f64().max(f64::EPSILON) * f64::from(RATE));
    let peak = at.iter().enumerate().map(|(nth, from)| {
        let within = at[nth..].iter().take_while(|time| **time < *from + WINDOW).count();
        within as f64 * unit / (WINDOW.as_secs_f64() * f64::from(RATE))
    });
    let gap = at.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default();
    println!(
        "| {name} | {mean:.3} | {:.2} | {:.0} | {:.0} |",
        peak.fold(0.0, f64::max),
        gap.as_secs_f64() * 1e3,
        first.as_secs_f64() * 1e3
    );
}

pub async fn run(effort: &Effort) {
    println!(
        "| 1 MiB/s by 4 KiB for {} s, without a burst where it can be set | bytes ÷ limit | most in 100 ms ÷ limit | longest gap, ms | first, ms |",
        effort.seconds
    );
    println!("|---|---:|---:|---:|---:|");
    let bytes = [0; UNIT as usize];
    let mut writer = pace(futures_lite::io::sink(), Rate::new(RATE.into()).expect("a rate"));
    row(effort, "Sluicegate `pace`", async || writer.write_all(&bytes).await.expect("a sink")).await;
    let unit = NonZeroU32::new(UNIT).expect("not zero");
    let quota = Quota::per_second(NonZeroU32::new(RATE).expect("not zero")).allow_burst(unit);
    let governor = DefaultDirectRateLimiter::direct(quota);
    row(effort, "governor, burst of 4 KiB", async || governor.until_n_ready(unit).await.expect("it fits"))
        .await;
    let speed: Limiter = Limiter::new(f64::from(RATE));
    let mut writer = speed.limit(futures_lite::io::sink());
    row(effort, "async-speed-limit", async || writer.write_all(&bytes).await.expect("a sink")).await;
    let limit = tower::limit::rate::Rate::new((RATE / UNIT).into(), Duration::from_secs(1));
    let mut service = tower::limit::RateLimit::new(service_fn(|()| ready(Ok::<(), Infallible>(()))), limit);
    row(effort, "tower `RateLimit`, 256 calls a second", async || {
        let Ok(()) = service.ready().await.expect("it never fails").call(()).await;
    })
    .await;
    println!();
}
