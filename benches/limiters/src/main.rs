//! The core beside async-speed-limit, governor and tower's limit, for what they do too: what a grant costs, how near to the limit
//! bytes leave, and the memory of a limiter. One run, one table each.
//!
//! ```text
//! cargo run --release --manifest-path benches/limiters/Cargo.toml [-- --quick]
//! ```

mod accuracy;
mod grants;
mod memory;

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Bytes of one grant.
const UNIT: u32 = 4096;

/// How much is measured.
struct Effort {
    readings: usize,
    grants: u64,
    seconds: f64,
    limiters: usize,
}

fn main() {
    let is_quick = std::env::args().any(|arg| arg == "--quick");
    let effort = if is_quick {
        Effort { readings: 11, grants: 2_000, seconds: 0.5, limiters: 1_000 }
    } else {
        Effort { readings: 501, grants: 5_000, seconds: 5.0, limiters: 10_000 }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        grants::run(&effort).await;
        accuracy::run(&effort).await;
    });
    // tower's service makes a timer of tokio's.
    let _inside = runtime.enter();
    memory::run(&effort);
}
