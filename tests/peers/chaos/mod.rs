//! Publisher, proxy and subscribers are killed at random, again and again: in the end each subscriber has the
//! whole sequence, or was told what is missing.
//!
//! `cargo test --features peers --test peers -- --ignored chaos`. `SLUICEGATE_CHAOS_SECONDS` is how long it
//! goes on (20), `SLUICEGATE_CHAOS_SEED` repeats what a seed that was printed did, as far as time lets it.
//!
//! What is promised, and asserted of the log: a batch is published whole or not at all, whenever its
//! publisher dies; one that is repeated under its ids is there once; an event without an id that was
//! acknowledged is there once, and one that was not, once or never.

mod proxy;
pub mod publisher;
pub mod server_log;
pub mod subscriber;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::program::loud;
use crate::sluicegate::Sluicegate;
use proxy::Proxy;
use publisher::Publisher;
use server_log::Log;
use subscriber::Subscriber;

const SUBSCRIBERS: usize = 12;

/// The longest time between two blows, in milliseconds.
const PAUSE: u64 = 120;

#[test]
#[ignore = "takes its time; .ci/run runs it"]
fn whatever_is_killed_each_subscriber_has_all_or_a_report_of_the_gap() {
    let _machine = loud();
    let seconds = number("SLUICEGATE_CHAOS_SECONDS").unwrap_or(20);
    let seed = number("SLUICEGATE_CHAOS_SEED")
        .unwrap_or_else(|| std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64);
    println!("SLUICEGATE_CHAOS_SEED={seed} for {seconds} s");
    let mut dice = Dice(seed);

    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("gate.toml");
    let text = "admin = \"127.0.0.1:0\"\nlog_level = \"warn\"\n[[route]]\npath = \"/events/\"\n[route.events]\n\
                names = \"s\"\nlog = 1_000_000\nlog_bytes = \"1g\"\nretry = \"10ms\"\n";
    std::fs::write(&config, text).unwrap();
    let server = Sluicegate::run(&config);
    let mut proxy = Proxy::start(server.addr);
    let fronts = [server.addr, proxy.addr];
    let mut publisher = Publisher::start("own", &fronts, None);
    // Half of them have a token by which they are known again, and half are as browsers are.
    let subscribers: Vec<Arc<Subscriber>> = (0..SUBSCRIBERS)
        .map(|at| {
            Subscriber::start(proxy.addr, (at % 2 == 0).then(|| format!("subscriber-in-chaos-{at:02}")))
        })
        .collect();

    let end = Instant::now() + Duration::from_secs(seconds);
    let mut blows = [0; 4];
    while Instant::now() < end {
        std::thread::sleep(Duration::from_millis(dice.below(PAUSE)));
        let (what, hit) = match dice.below(20) {
            0..6 => (0, publisher.is_replaced()),
            6..16 => (1, subscribers[dice.below(SUBSCRIBERS as u64) as usize].kill()),
            16..19 => (2, proxy.loses_a_worker(dice.below(2) as usize)),
            _ => (3, proxy.is_replaced()),
        };
        blows[what] += u32::from(hit);
    }
    let said = publisher.end();
    Log::publish_end(server.addr);
    let log = Log::of(server.addr);
    log.has_what_was_published(&said);
    let mut gaps = 0;
    for subscriber in subscribers {
        gaps += log.was_read_by(&Subscriber::join(subscriber));
    }
    let [publishers, readers, workers, proxies] = blows;
    println!(
        "{publishers} publishers, {readers} subscribers, {workers} workers and {proxies} proxies killed; {} events \
         in the log; {gaps} gaps told",
        log.len()
    );
    assert!(log.len() > 30 && blows.iter().all(|times| *times > 0), "next to nothing happened");
}

pub fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text}: a number")))
}

/// SplitMix64.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % bound
    }
}
