//! What connections allocate, and what they keep while nothing is to be done for them.
//!
//! A program of its own: its allocator counts, and another test would count here too. Its tests run one after another.

use std::alloc::System;
use std::io::Read;
use std::net::TcpStream;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sluicegate::http::server::Settings;
use sluicegate::rt;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use testkit::folder::folder;
use testkit::served::Served;
use testkit::wait::until;
use testkit::wire;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// As many as hide what is allocated once.
const CONNECTIONS: usize = 200;

/// The most bytes of an idle connection. (Measured: 3.1 KiB, unoptimised.)
const MOST_IDLE: i64 = 4 * 1024;

/// The most bytes of a stream that sleeps. (Measured: 5.1 KiB.)
const MOST_ASLEEP: i64 = 6 * 1024;

/// The most allocations of a connection with one request, and of each further request, with those of the client in this
/// process. (Measured: 43 and 20.)
const MOST_OF_A_CONNECTION: usize = 60;
const MOST_OF_A_REQUEST: usize = 28;

const GET: &str = "GET /small HTTP/1.1\r\nHost: t\r\n\r\n";

/// The turn of a test.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes that are allocated now.
fn live() -> i64 {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated as i64 - stats.bytes_deallocated as i64
}

/// Allocations so far, and blocks that were made larger or smaller.
fn allocations() -> usize {
    let stats = ALLOCATOR.stats();
    stats.allocations + stats.reallocations
}

/// A server of a small and a large file, each response at 64 KiB/s.
fn served() -> Served {
    let folder = folder(&[("small", &[b's'; 1024]), ("large", &wire::content(4 << 20))]);
    Served::folder(Settings::default(), folder, 64 * 1024)
}

/// Asks for the small file on a connection that stays.
fn ask(served: &Served) -> TcpStream {
    let mut stream = served.send(GET);
    read_small(&mut stream);
    stream
}

/// Reads an answer with the small file, without an allocation.
fn read_small(stream: &mut TcpStream) {
    let (mut buf, mut len) = ([0; 4096], 0);
    while len < 1024 || !buf[..len].ends_with(&[b's'; 1024]) {
        let n = stream.read(&mut buf[len..]).unwrap();
        assert!(n > 0);
        len += n;
    }
}

/// What `begin` leaves allocated for each of many connections, once nothing is held for them.
fn bytes_each(served: &Served, mut begin: impl FnMut() -> TcpStream) -> i64 {
    // Threads, pools and tables come with the first.
    let _first: Vec<_> = (0..20).map(|_| begin()).collect();
    let mut streams = Vec::with_capacity(CONNECTIONS);
    let nothing_is_held = || rt::read_buffers() == 0 && served.handle.egress().held().total() == 0;
    until("no buffers", nothing_is_held);
    let before = live();
    streams.extend((0..CONNECTIONS).map(|_| begin()));
    until("no buffers", nothing_is_held);
    (live() - before) / CONNECTIONS as i64
}

#[test]
fn an_idle_connection_keeps_no_buffer() {
    let _turn = turn();
    let served = served();
    let each = bytes_each(&served, || ask(&served));
    println!("an idle connection has {each} bytes");
    assert!((1..=MOST_IDLE).contains(&each), "{each} bytes for an idle connection");
}

#[test]
fn a_stream_that_sleeps_keeps_no_buffer() {
    let _turn = turn();
    let served = served();
    let each = bytes_each(&served, || {
        let mut stream = served.begin("/large");
        // Its first chunk, and a bit of the head.
        stream.read_exact(&mut [0; 13_000]).unwrap();
        stream
    });
    println!("a stream that sleeps has {each} bytes");
    assert!((1..=MOST_ASLEEP).contains(&each), "{each} bytes for a stream that sleeps");
}

#[test]
fn a_connection_and_a_request_take_few_allocations_and_leave_none() {
    let _turn = turn();
    let served = served();
    let one_by_one = |count: usize| (0..count).for_each(|_| drop(ask(&served)));
    let gone = || until("the end of all", || served.handle.connections() == 0);
    one_by_one(20);
    gone();
    let (begun, bytes) = (allocations(), live());
    one_by_one(CONNECTIONS);
    gone();
    let connection = (allocations() - begun) / CONNECTIONS;
    // Some go with their tasks, a moment after they were counted.
    until("memory as before", || live() - bytes < 64 * 1024);

    let mut stream = ask(&served);
    let begun = allocations();
    for _ in 0..CONNECTIONS {
        std::io::Write::write_all(&mut stream, GET.as_bytes()).unwrap();
        read_small(&mut stream);
    }
    let request = (allocations() - begun) / CONNECTIONS;
    println!("{connection} allocations for a connection with one request, {request} for one more request");
    assert!(connection <= MOST_OF_A_CONNECTION && request <= MOST_OF_A_REQUEST, "{connection}, {request}");
}
