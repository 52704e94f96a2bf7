//! Event streams under load: a publisher that sends in bursts, a thousand subscribers that read, and beside
//! them two hundred that do not.
//!
//! Against the program in a process of its own, because its memory is a part of what is asserted. Long, so it
//! is run by name, best as it is delivered: `cargo test --release --test events events_load -- --ignored --nocapture`.
//!
//! Real time, but nothing is compared with a clock alone: the publisher sends its next burst when all who read
//! have the last one, so a slow machine is slow for all; and what the stalled ones cost the others is a ratio to
//! windows just before and after.

mod healthy;
mod scene;
mod stalled;

use scene::{HEALTHY, LOG_BYTES, SINK, STALLED, Scene};

/// How often the stalled ones come and go.
const ROUNDS: usize = 7;

/// And at most, where the ratio is too large after those: on a machine that others use a window of a second may
/// meet anything. What stalled ones cost they cost each time, and the median shows it however many there are.
const MAX_ROUNDS: usize = 15;

/// Two hundred more are a fifth more to do while they still take something; as much again and a half is what
/// 99 of 100 deliveries vary by on a machine that others use too. A publisher or reader that had to wait for a
/// stalled one would wait for seconds.
const MOST: f64 = 1.5;

/// What a connection may cost beside its sink's buffer: hyper's and our own state of it, and the pieces on
/// their way to the sink. (Measured: 24 KiB.)
const STATE: u64 = 32 * 1024;

/// What the process may grow by once: stacks, and what the allocator keeps for each thread.
const ONCE: u64 = 8 << 20;

#[test]
#[ignore = "takes most of a minute; .ci/run runs it"]
fn stalled_subscribers_cost_themselves_and_nobody_else() {
    let mut scene = Scene::new();
    let before = scene.memory();
    scene.healthy_come();
    // Code, caches and buffers come to their size.
    scene.window();
    let mut alone = vec![scene.window()];
    let mut ratios = Vec::new();
    let (mut most, mut given, mut missing) = (0, 0, 0);
    for round in 1..=MAX_ROUNDS {
        let mut stalled = stalled::come(&scene, round);
        let beside = scene.window();
        scene.fill(round);
        most = most.max(scene.memory());
        assert_eq!(scene.gauge("suspended"), (round * STALLED) as u64, "the stalled ones are suspended");
        assert_eq!(scene.gauge("subscribers"), HEALTHY as u64, "and the healthy ones are not");
        for one in &mut stalled {
            let had = one.is_paused_and_gets_the_gap(&scene);
            (given, missing) = (given + had.given, missing + had.missing);
        }
        drop(stalled);
        alone.push(scene.window());
        let [first, second] = alone[round - 1..] else { unreachable!("a window before and after") };
        let ratio = beside / ((first + second) / 2.0);
        println!("{round}: p99 {first:.0} µs alone, {beside:.0} beside, {second:.0} alone: {ratio:.3}");
        ratios.push(ratio);
        if round >= ROUNDS && median(&ratios) <= MOST {
            break;
        }
    }
    let rounds = ratios.len();
    // Each of them has each event, in order: that is asserted as they are read.
    assert_eq!(scene.counter("suspensions"), (rounds * STALLED) as u64);
    assert_eq!(scene.counter("dropped"), missing, "what the stalled ones were told is missing, and no more");
    assert_eq!(scene.counter("expired"), 0);
    assert_eq!(scene.counter("delivered"), scene.read() + given);
    assert!(missing > 0, "the log holds less than they were to miss");

    let bound = (HEALTHY + STALLED) as u64 * (SINK + STATE) + LOG_BYTES + ONCE;
    println!(
        "memory: {} KiB before, {} at most, {} allowed",
        before >> 10,
        most >> 10,
        (before + bound) >> 10
    );
    assert!(most <= before + bound, "{most} bytes, {before} before, and {bound} are allowed more");
    let ratio = median(&ratios);
    println!("p99 beside {STALLED} stalled ones ÷ alone: {ratio:.3} (median of {rounds}), at most {MOST}");
    assert!(ratio <= MOST, "{ratios:?}");
}

fn median(ratios: &[f64]) -> f64 {
    let mut sorted = ratios.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}
