//! A server whose readers have all stalled: it does nothing at all until one of them reads.

use std::fs;
use std::net::TcpStream;
use std::time::Duration;

use testkit::program::{Program, site, text};
use testkit::wait::soon;
use testkit::wire::read_all;

/// How long nothing must happen. Real time: a poll more than there is reason for would come in it.
const LOOKED_AT: Duration = Duration::from_secs(1);

/// What shows that a process ran: how often its threads gave up the processor or were taken off it, and its
/// system calls that read or wrote. The thread that turns the wheel of timers is left out; it wakes nobody
/// but those whose time has come.
fn activity(pid: u32) -> Vec<(String, String)> {
    let mut seen = Vec::new();
    let mut tell = |who: &str, file: String, names: &[&str]| {
        let text = fs::read_to_string(file).unwrap();
        for line in text.lines().filter(|line| names.iter().any(|name| line.starts_with(name))) {
            seen.push((who.to_owned(), line.to_owned()));
        }
    };
    for task in fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
        let task = task.unwrap().path();
        let name = fs::read_to_string(task.join("comm")).unwrap();
        if name.trim() != "clock" {
            let file = format!("{}/status", task.display());
            tell(&format!("{} {}", task.display(), name.trim()), file, &["voluntary", "nonvoluntary"]);
        }
    }
    tell("all", format!("/proc/{pid}/io"), &["syscr", "syscw"]);
    seen.sort();
    seen
}

#[test]
fn stalled_connections_use_neither_polls_nor_system_calls() {
    let len = 2_000_000;
    let site = site(len);
    let program = Program::start(&["serve", text(site.path()), "--send-buffer", "4k"]);
    let mut readers: Vec<TcpStream> = (0..20)
        .map(|_| {
            let stream = program.begin("/a.bin");
            // The first bytes are there, so it is being served.
            stream.peek(&mut [0; 1]).unwrap();
            stream
        })
        .collect();
    // Once all buffers are full, ours and the kernels', a whole second passes in which nothing happens.
    let mut before = Vec::new();
    let still = soon("it comes to rest", || {
        std::thread::sleep(LOOKED_AT);
        let now = activity(program.id());
        (std::mem::replace(&mut before, now.clone()) == now).then_some(now)
    });
    assert!(still.len() > 4, "{still:?}");

    // They are all alive.
    for reader in &mut readers {
        assert!(read_all(reader).len() > len);
    }
    assert_ne!(activity(program.id()), still, "this is how work shows");
    program.end();
}
