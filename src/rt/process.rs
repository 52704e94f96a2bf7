//! Limits of the process, and what its threads use.

use std::path::Path;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

/// Raises the soft limit of open descriptors to the hard one and returns the limit then in force;
/// `None` is unlimited.
pub fn raise_descriptor_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    }
}

/// The processor time that this thread has used: it stands still while the thread waits, for a processor too.
pub(crate) fn thread_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

/// The memory that this process may use, in bytes: the smallest of the machine's memory and the limits of its control
/// groups.
pub fn memory_limit() -> u64 {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let machine = read("/proc/meminfo").and_then(|text| meminfo_total(&text));
    let group = read("/proc/self/cgroup").and_then(|text| group_limit(Path::new("/sys/fs/cgroup"), &text));
    machine.into_iter().chain(group).min().unwrap_or(1 << 30)
}

/// The smallest limit from the group that `cgroup`, the text of `/proc/self/cgroup`, names up to `root`, where
/// the control groups are mounted. A container sees its own group as the root.
fn group_limit(root: &Path, cgroup: &str) -> Option<u64> {
    // Version 2 has one line, 0::PATH; version 1 one for each hierarchy, NUMBER:CONTROLLERS:PATH.
    let groups = cgroup.lines().filter_map(|line| {
        let (controllers, own) = line.split_once(':')?.1.split_once(":/")?;
        match controllers {
            "" => Some((root.to_owned(), own, "memory.max")),
            _ if controllers.split(',').any(|controller| controller == "memory") => {
                Some((root.join("memory"), own, "memory.limit_in_bytes"))
            }
            _ => None,
        }
    });
    let files = groups.flat_map(|(root, own, file)| {
        Path::new(own).ancestors().map(move |group| root.join(group).join(file)).collect::<Vec<_>>()
    });
    files.filter_map(|file| std::fs::read_to_string(file).ok()?.trim().parse().ok()).min()
}

fn meminfo_total(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threads_time_is_that_in_which_it_works() {
        let (before, begin) = (thread_time(), std::time::Instant::now());
        while thread_time() < before + Duration::from_millis(5) {
            std::hint::spin_loop();
        }
        let worked = thread_time() - before;
        assert!(worked <= begin.elapsed() + Duration::from_millis(5), "{worked:?}");
        // Another thread's work is not in it, however long that takes.
        let others = std::thread::spawn(|| {
            let before = thread_time();
            while thread_time() < before + Duration::from_millis(50) {}
        });
        let (before, begin) = (thread_time(), std::time::Instant::now());
        others.join().unwrap();
        assert!(thread_time() - before < begin.elapsed());
    }

    #[test]
    fn the_machines_memory_is_read_in_kib() {
        assert_eq!(meminfo_total("MemTotal:       24583964 kB\nMemFree: 1 kB\n"), Some(24_583_964 * 1024));
        assert_eq!(meminfo_total("MemTotal: much\n"), None);
        assert!(memory_limit() > 1 << 20);
    }

    #[test]
    fn the_strictest_group_counts_from_ones_own_up_to_the_root() {
        let root = tempfile::tempdir().unwrap();
        let limit = |cgroup| group_limit(root.path(), cgroup);
        assert_eq!(limit("0::/system.slice/a.service\n"), None, "no group has a limit");
        std::fs::create_dir_all(root.path().join("system.slice/a.service")).unwrap();
        for (group, text, own, others) in [
            (".", "max\n", None, None),
            ("system.slice", "9000\n", Some(9000), None),
            ("system.slice/a.service", "5000\n", Some(5000), None),
            ("system.slice", "4000\n", Some(4000), None),
            (".", "3000\n", Some(3000), Some(3000)),
        ] {
            std::fs::write(root.path().join(group).join("memory.max"), text).unwrap();
            assert_eq!(limit("1:cpu:/x\n0::/system.slice/a.service\n"), own, "{group} {text}");
            assert_eq!(limit("0::/\n"), others, "{group} {text}");
        }

        std::fs::create_dir_all(root.path().join("memory/a")).unwrap();
        std::fs::write(root.path().join("memory/memory.limit_in_bytes"), "9223372036854771712\n").unwrap();
        std::fs::write(root.path().join("memory/a/memory.limit_in_bytes"), "2000\n").unwrap();
        assert_eq!(limit("5:cpu,memory:/a\n3:memory_x:/\n"), Some(2000), "version 1");
        assert_eq!(limit("4:memory:/gone\n"), Some(9_223_372_036_854_771_712), "seen as the root");
    }
}
