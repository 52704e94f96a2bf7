//! Tests that this machine cannot run.

use std::fs::File;
use std::io::Write;

/// Names a file that gets a line for each test that was skipped: the output of a test that passes is not shown.
const LIST: &str = "SLUICEGATE_TEST_SKIPPED";

/// Says that the test which calls it is skipped, and why.
pub fn skipped(why: &str) {
    eprintln!("SKIPPED: {why}");
    if let Some(list) = std::env::var_os(LIST) {
        let thread = std::thread::current();
        let line = format!("{}: {why}\n", thread.name().unwrap_or("a test"));
        File::options().create(true).append(true).open(list).unwrap().write_all(line.as_bytes()).unwrap();
    }
}
