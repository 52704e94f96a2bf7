//! Copies a file at 200 KiB/s, in blocking code and without a runtime.
//!
//! ```text
//! cargo run --example blocking_copy
//! ```
//!
//! Says what it took, and ends. Besides `main` one thread is there: the clock's.

use std::error::Error;
use std::fs::{self, File};
use std::io;
use std::time::{Duration, Instant};

use sluicegate::limit::{Budget, Rate};
use sluicegate::throttle::pace;

/// 200 KiB/s, and 100 KiB ahead of it.
fn budget() -> Budget {
    Budget::of(Rate::kib_per_second(200)).with_burst(100 << 10)
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    fs::write(&from, vec![b'x'; 300 << 10])?;

    let begin = Instant::now();
    let mut source = pace(File::open(&from)?, budget());
    let copied = io::copy(&mut source, &mut File::create(&to)?)?;
    let took = begin.elapsed();

    let report = source.reads().report();
    println!("{copied} bytes in {took:.2?}: waited {} times, {:.2?} in all", report.waits, report.waited);
    // 200 KiB are left after the burst. No wake-up is ever early, so the least time is sure.
    assert_eq!(copied, 300 << 10);
    assert!(took >= Duration::from_secs(1), "{took:?}");
    assert!(took < Duration::from_secs(60), "{took:?}");
    assert_eq!(fs::read(&to)?, fs::read(&from)?);

    if cfg!(target_os = "linux") {
        let mut threads = Vec::new();
        for task in fs::read_dir("/proc/self/task")? {
            threads.push(fs::read_to_string(task?.path().join("comm"))?.trim().to_owned());
        }
        threads.sort();
        assert_eq!(threads, ["blocking_copy", "clock"], "no runtime's threads");
    }
    Ok(())
}
