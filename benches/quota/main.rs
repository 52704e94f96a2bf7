//! What the fleet quota costs: tokens beside the governor crate, heartbeats in the book and over gRPC.
//!
//! `cargo bench --bench quota`; `-- --quick` is a short look, `-- book` one part alone.

mod acquire;
mod beats;
mod book;

use std::time::Instant;

/// How often each figure is read, the readings interleaved.
struct Effort {
    readings: usize,
    /// Calls in one reading of the quick things.
    calls: u64,
    /// Clients that beat over gRPC, and how many beats of all of them together make a reading.
    clients: usize,
    beats: usize,
}

fn main() {
    let typed: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let effort = if typed.iter().any(|arg| arg == "--quick") {
        Effort { readings: 3, calls: 200_000, clients: 200, beats: 2_000 }
    } else {
        Effort { readings: 7, calls: 3_000_000, clients: 5_000, beats: 40_000 }
    };
    let parts: Vec<&str> = typed.iter().map(String::as_str).filter(|arg| !arg.starts_with("--")).collect();
    let wanted = |part: &str| parts.is_empty() || parts.contains(&part);
    if wanted("acquire") {
        acquire::run(&effort);
    }
    if wanted("book") {
        book::run(&effort);
    }
    if wanted("beats") {
        beats::run(&effort);
    }
}

/// Nanoseconds of one call, over `calls` of them.
fn nanos(calls: u64, mut call: impl FnMut()) -> f64 {
    let began = Instant::now();
    for _ in 0..calls {
        call();
    }
    began.elapsed().as_nanos() as f64 / calls as f64
}
