//! What readers that take nothing cost the whole process, however much they asked for.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::fixture::{Program, connect, site, soon, text};

const READERS: u64 = 64;

/// What each asks for: more than all of them may cost together.
const ASKED: usize = 64 << 20;

/// Beside the sink's buffer, what one connection may hold of a file: the piece in hand, at most 64 KiB,
/// and 24 KiB for hyper's and our own state of it. (Measured: 81 to 84 KiB together.)
const FROM_A_FILE: u64 = (64 + 24) * 1024;

/// The same of a backend's answer: six pieces of at most 32 KiB, which is what hyper reads at a time (one
/// being read, one before the chain, one in it, three in hyper's writing), and 40 KiB for the state of two
/// connections. (Measured: 150 to 195 KiB together.)
const FROM_A_BACKEND: u64 = (6 * 32 + 40) * 1024;

/// What the process may grow by once, whatever the readers: stacks, and what the allocator keeps for
/// each thread.
const ONCE: u64 = 1 << 20;

/// Asks for the large file and never reads.
fn stalled(addr: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    // Before connecting: the window is agreed on then.
    socket.set_recv_buffer_size(2048).unwrap();
    socket.connect(&addr.into()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.write_all(b"GET /a.bin HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    stream
}

/// A figure of the program's own metrics.
fn metric(admin: SocketAddr, name: &str) -> u64 {
    let mut stream = connect(admin);
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {name} in {page}")).parse().unwrap()
}

/// Bytes of a process that are its own and no file's: what it allocated and touched.
fn anonymous_memory(pid: u32) -> u64 {
    // The kernel counts these pages one by one, while VmRSS may lag behind by some hundred KiB.
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Anonymous:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
}

/// Starts a program whose sinks hold `cap` bytes, has readers stall, and compares what it holds and how it
/// grew with what each of them may cost.
fn is_bounded(command: &str, source: &str, cap: u64, most_beside: u64) {
    let buffer = format!("{cap}B");
    let program = Program::start(&[command, source, "--egress-buffer", &buffer, "--admin", "127.0.0.1:0"]);
    let (addr, admin) = (program.addr(), program.admin());
    let held = |readers: u64| {
        soon("full buffers", || {
            (metric(admin, "sluicegate_egress_buffered_bytes") == readers * cap).then_some(())
        });
    };
    // The first one has its code and data brought in.
    let _first = stalled(addr);
    held(1);
    let before = anonymous_memory(program.id());
    let readers: Vec<TcpStream> = (0..READERS).map(|_| stalled(addr)).collect();
    held(1 + READERS);
    assert_eq!(metric(admin, "sluicegate_egress_buffer_high_water_bytes"), cap);

    let grown = anonymous_memory(program.id()).saturating_sub(before);
    let (least, most) = (READERS * cap, READERS * (cap + most_beside) + ONCE);
    assert!((least..=most).contains(&grown), "{command}: grown by {grown}, expected {least} to {most}");
    println!("{command}, buffers of {cap}: {} a reader", grown / READERS);

    drop(readers);
    held(1);
    drop(program);
}

#[test]
fn stalled_readers_of_files_cost_what_was_set_and_a_constant() {
    let site = site(ASKED);
    for cap in [16_384, 65_536, 500_000] {
        is_bounded("serve", text(site.path()), cap, FROM_A_FILE);
    }
}

#[test]
fn stalled_readers_of_a_backend_cost_what_was_set_and_a_constant() {
    let site = site(ASKED);
    let backend = Program::start(&["serve", text(site.path())]);
    let url = format!("http://{}", backend.addr());
    for cap in [16_384, 65_536, 500_000] {
        is_bounded("proxy", &url, cap, FROM_A_BACKEND);
    }
}
