//! What the kernel says of a process (CPU time, memory, descriptors) and of TCP sockets, from procfs.
//!
//! Everything fails where a process has gone.

use std::fs;
use std::net::SocketAddr;
use std::ops::RangeInclusive;

use super::Outcome;

/// CPU seconds a process has used since its start, in user mode and in the kernel.
///
/// The kernel counts them in ticks, mostly of 10 ms.
///
/// # Errors
/// There is no such process.
pub fn cpu_seconds(pid: u32) -> Outcome<f64> {
    // utime and stime.
    ticks(pid, 11..=12)
}

/// CPU seconds of a process and its descendants, the ones that ended too.
///
/// # Errors
/// One of them ended meanwhile.
pub fn tree_cpu_seconds(root: u32) -> Outcome<f64> {
    // cutime and cstime: what children took that were waited for.
    tree(root).into_iter().map(|pid| ticks(pid, 11..=14)).sum()
}

/// The sum of some fields of `/proc/PID/stat` behind the name, in seconds.
fn ticks(pid: u32, fields: RangeInclusive<usize>) -> Outcome<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in parentheses may hold spaces.
    let behind_name = stat.rsplit_once(')').ok_or("no name in /proc/PID/stat")?.1;
    let wanted: Vec<&str> =
        behind_name.split_whitespace().skip(*fields.start()).take(fields.clone().count()).collect();
    if wanted.len() < fields.count() {
        return Err("a short /proc/PID/stat".into());
    }
    let ticks: Vec<u64> = wanted.iter().map(|field| field.parse()).collect::<Result<_, _>>()?;
    Ok(ticks.iter().sum::<u64>() as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// A process and its descendants.
pub fn tree(root: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = processes().map(|pid| (pid, parent(pid).unwrap_or(0))).collect();
    let mut tree = vec![root];
    let mut at = 0;
    while let Some(&above) = tree.get(at) {
        tree.extend(parents.iter().filter(|(_, parent)| *parent == above).map(|(pid, _)| *pid));
        at += 1;
    }
    tree
}

/// Proportional set size in KiB: private pages, and a share of those that others map too.
///
/// # Errors
/// There is no such process.
pub fn pss_kib(pid: u32) -> Outcome<u64> {
    memory_kib(pid, "Pss")
}

/// A figure of the kernel's walk through all pages of a process, in KiB: `Rss`, `Pss`, ….
///
/// # Errors
/// There is no such process, or no such figure.
pub fn memory_kib(pid: u32, name: &str) -> Outcome<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = rollup.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let line = line.ok_or_else(|| format!("no {name} in smaps_rollup"))?;
    Ok(line.trim().trim_end_matches("kB").trim_end().parse()?)
}

/// Bytes of a process that are its own and no file's: what it allocated and touched.
///
/// The kernel counts these pages one by one, while `VmRSS` may lag behind by some hundred KiB.
///
/// # Panics
/// There is no such process.
pub fn anonymous(pid: u32) -> u64 {
    memory_kib(pid, "Anonymous").unwrap() * 1024
}

/// How many files and sockets a process has open, and how many it may have; `None` where that is not told.
pub fn open_files(pid: u32) -> Option<(usize, usize)> {
    let open = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count();
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    Some((open, line.split_whitespace().next()?.parse().ok()?))
}

/// The one child of a process, if it has one.
pub fn child_of(of: u32) -> Option<u32> {
    processes().find(|&pid| parent(pid) == Some(of))
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// The machine's load average over a minute, as others left it when the benchmark began.
pub fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("unknown").to_owned()
}

/// Bytes that came and were not read yet, of each connection from 127.0.0.1 to `port` there, at its client's side.
///
/// # Errors
/// The table of connections cannot be read.
pub fn receive_queues(port: u16) -> Outcome<Vec<u64>> {
    // A line: number, local address, remote address, state, tx_queue:rx_queue, and more. All are hexadecimal,
    // addresses as they lie in memory.
    const ESTABLISHED: &str = "01";
    let remote = format!("{:08X}:{port:04X}", u32::from_ne_bytes([127, 0, 0, 1]));
    let table = fs::read_to_string("/proc/net/tcp")?;
    let queues = table.lines().skip(1).filter_map(|line| {
        let mut fields = line.split_whitespace().skip(2);
        let ours = fields.next()? == remote && fields.next()? == ESTABLISHED;
        ours.then(|| fields.next()?.split_once(':')).flatten()
    });
    Ok(queues.map(|(_, queue)| u64::from_str_radix(queue, 16)).collect::<Result<_, _>>()?)
}

/// Bytes that wait in the kernel at the end `local` of a connection of 127.0.0.1: sent and not acknowledged, and come and
/// not read.
///
/// # Errors
/// There is no such connection.
pub fn queues(local: SocketAddr, remote: SocketAddr) -> Outcome<(u64, u64)> {
    let [local, remote] = [local, remote].map(|addr| format!("0100007F:{:04X}", addr.port()));
    let table = fs::read_to_string("/proc/net/tcp")?;
    let queues = table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let ours = fields.next()? == local && fields.next()? == remote;
        ours.then(|| fields.nth(1)?.split_once(':')).flatten()
    });
    let (sent, come) = queues.ok_or("no such connection")?;
    Ok((u64::from_str_radix(sent, 16)?, u64::from_str_radix(come, 16)?))
}

/// Whether the process has the accepted end of the connection from `client` to `server`, on 127.0.0.1.
///
/// # Errors
/// There is no such process, or nobody has accepted the connection.
pub fn accepted(pid: u32, client: SocketAddr, server: SocketAddr) -> Outcome<bool> {
    let [local, remote] = [server, client].map(|addr| format!("0100007F:{:04X}", addr.port()));
    let table = fs::read_to_string("/proc/net/tcp")?;
    let inode = table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let ours = fields.next()? == local && fields.next()? == remote;
        // Behind the state, queues, timers, retransmissions, user and timeouts.
        ours.then(|| fields.nth(6)).flatten()
    });
    let socket = format!("socket:[{}]", inode.filter(|inode| *inode != "0").ok_or("nobody has accepted it")?);
    let open = fs::read_dir(format!("/proc/{pid}/fd"))?;
    // A descriptor may be closed meanwhile.
    Ok(open
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .any(|link| link.as_os_str() == &*socket))
}
