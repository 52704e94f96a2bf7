//! The kernel's figures for this process (proc(5)), under the names that Prometheus clients use.
//!
//! Blocks briefly to read `/proc`. Figures that cannot be read are omitted.

use std::fmt;
use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Unit;
use rustix::process::{Resource, getrlimit};

use super::families::Families;

/// Clock ticks per second in `/proc`: the kernel's USER_HZ, 100 wherever Rust's library runs.
const TICKS_PER_SECOND: f64 = 100.0;

/// Processor time, memory and descriptors of this process.
#[derive(Debug)]
pub(super) struct ProcessMetrics;

impl Collector for ProcessMetrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut to = Families(encoder);
        let seconds = || Some(Unit::Seconds);
        if let Some(stat) = fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(Stat::parse) {
            to.counter("process_cpu", "User and system processor time.", seconds(), stat.cpu_seconds())?;
            if let Some(boot) = fs::read_to_string("/proc/stat").ok().as_deref().and_then(boot_time) {
                let started = boot + stat.started as f64 / TICKS_PER_SECOND;
                to.gauge("process_start_time", "When it started, in Unix time.", seconds(), started)?;
            }
        }
        if let Ok(status) = fs::read_to_string("/proc/self/status") {
            for (name, help, field) in [
                ("process_resident_memory", "Resident memory.", "VmRSS"),
                ("process_virtual_memory", "Virtual memory.", "VmSize"),
            ] {
                if let Some(bytes) = bytes_of(&status, field) {
                    to.gauge(name, help, Some(Unit::Bytes), bytes)?;
                }
            }
        }
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            // One of them is the directory being read.
            let open = (open.count() as u64).saturating_sub(1);
            to.gauge("process_open_fds", "Open file descriptors.", None, open)?;
        }
        if let Some(most) = getrlimit(Resource::Nofile).current {
            to.gauge("process_max_fds", "Most file descriptors that may be open.", None, most)?;
        }
        Ok(())
    }
}

/// Fields of `/proc/self/stat`, in ticks.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    user: u64,
    system: u64,
    /// Since the machine started.
    started: u64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The second field is the program's name in parentheses, which may itself have parentheses.
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // proc(5) counts from 1, and `rest` begins with the third.
        let field = |number: usize| fields.get(number - 3)?.parse().ok();
        Some(Self { user: field(14)?, system: field(15)?, started: field(22)? })
    }

    fn cpu_seconds(&self) -> f64 {
        (self.user + self.system) as f64 / TICKS_PER_SECOND
    }
}

/// When the machine started, in Unix time, of `/proc/stat`.
fn boot_time(stat: &str) -> Option<f64> {
    stat.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok())
}

/// A size of `/proc/self/status`, which has it in KiB and calls them kB.
fn bytes_of(status: &str, field: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    let kib: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_behind_the_name_whatever_that_is() {
        let text = "7 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 250 50 13 14 15 16 17 18 4242 20";
        let stat = Stat::parse(text).unwrap();
        assert_eq!(stat, Stat { user: 250, system: 50, started: 4242 });
        assert_eq!(stat.cpu_seconds(), 3.0);
        assert_eq!(Stat::parse("7 (a) S 1 2"), None);
        assert_eq!(Stat::parse(""), None);
    }

    #[test]
    fn sizes_and_boot_time() {
        let status = "Name:\tVmRSS\nVmRSSx:\t9 kB\nVmRSS:\t   1024 kB\nVmSize:\t5\n";
        assert_eq!(bytes_of(status, "VmRSS"), Some(1 << 20));
        assert_eq!(bytes_of(status, "VmSize"), None);
        assert_eq!(boot_time("cpu 1 2\nbtime 1700000000\n"), Some(1_700_000_000.0));
        assert_eq!(boot_time("cpu 1 2\n"), None);
    }

    #[test]
    fn this_process_can_be_read() {
        let stat = Stat::parse(&fs::read_to_string("/proc/self/stat").unwrap()).unwrap();
        assert!(stat.started > 0);
        assert!(bytes_of(&fs::read_to_string("/proc/self/status").unwrap(), "VmRSS").unwrap() > 4096);
    }
}
