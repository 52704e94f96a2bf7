//! What the kernel says of a process: CPU time and memory, from procfs.

use std::error::Error;
use std::fs;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// CPU seconds a process has used since its start, in user mode and in the kernel.
///
/// The kernel tells them in ticks, mostly of 10 ms.
pub fn cpu_seconds(pid: u32) -> Outcome<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in parentheses may hold spaces. Behind it utime and stime are the 12th and 13th field.
    let behind_name = stat.rsplit_once(')').ok_or("no name in /proc/PID/stat")?.1;
    let fields: Vec<&str> = behind_name.split_whitespace().collect();
    let ticks = |at: usize| -> Outcome<u64> { Ok(fields.get(at).ok_or("a short /proc/PID/stat")?.parse()?) };
    Ok((ticks(11)? + ticks(12)?) as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// Proportional set size in KiB: private pages, and a share of those that others map too.
pub fn pss_kib(pid: u32) -> Outcome<u64> {
    memory_kib(pid, "Pss")
}

/// A figure of the kernel's walk through all pages of a process, in KiB: `Rss`, `Pss`, ….
pub fn memory_kib(pid: u32, name: &str) -> Outcome<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = rollup.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let line = line.ok_or_else(|| format!("no {name} in smaps_rollup"))?;
    Ok(line.trim().trim_end_matches("kB").trim_end().parse()?)
}

/// The one child of `parent`, if it has one.
pub fn child_of(parent: u32) -> Option<u32> {
    fs::read_dir("/proc").ok()?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).find(
        |pid| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let ppid =
                stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok());
            ppid == Some(parent)
        },
    )
}

/// The machine's load average over a minute, as others left it when the benchmark began.
pub fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("unknown").to_owned()
}
