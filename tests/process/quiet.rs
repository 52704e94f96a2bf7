//! What a server does when there is nothing to do: nothing.
//!
//! These look at all of the process (its processor time), so they take turns.

use std::io::Read;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use sluicegate::http::proxy::Proxy;
use sluicegate::http::route::Route;
use sluicegate::limit::Rate;
use sluicegate::rt;
use testkit::process::procfs::cpu_seconds;
use testkit::served::{Served, files};
use testkit::wait;

use crate::backend::{Backend, endless};

/// Processor time that this process uses in so long, all its threads together. Real time: how long is looked at.
fn used_in(looked_at: Duration) -> Duration {
    let used = || cpu_seconds(std::process::id()).unwrap();
    let (began, before) = (Instant::now(), used());
    while began.elapsed() < looked_at {
        std::thread::park_timeout(looked_at);
    }
    Duration::from_secs_f64(used() - before)
}

fn folder() -> tempfile::TempDir {
    testkit::folder::folder(&[("large.bin", &vec![b'z'; 3_000_000])])
}

/// All paths, from a backend.
fn all_from(backend: &Backend, rate: u64) -> Route {
    let pace = Rate::or_unlimited(rate);
    Route::proxy("/", Proxy::new(backend.source(), pace, rt::clock())).rate(pace)
}

/// Asks, and reads the first bytes of the answer.
fn begin(served: &Served, request: &str) -> TcpStream {
    let mut stream = served.send(request);
    stream.read_exact(&mut [0; 20]).unwrap();
    stream
}

const GET: &str = "GET /large.bin HTTP/1.1\r\nHost: t\r\n\r\n";

// Others' filters left a timer in the past behind, and the event loop came round for it at full speed. Here
// bodies sleep, for long and short, and readers take nothing: none of them is a reason to run.
#[test]
fn bodies_that_sleep_and_readers_that_stall_cost_no_processor_time() {
    let _turn = wait::alone();
    let folder = folder();
    let backend = Backend::new(|stream, _| endless(stream));
    let served = [
        Served::new(vec![files(&folder, 1)]),
        Served::new(vec![files(&folder, 60_000)]),
        Served::new(vec![all_from(&backend, 10_000)]),
        Served::new(vec![files(&folder, 100_000_000)]),
    ];
    // The last is as good as unpaced: it fills all buffers and waits for a reader that never comes.
    let streams: Vec<_> = served.iter().flat_map(|served| (0..5).map(|_| begin(served, GET))).collect();
    // Each stream has a few wake-ups a second; a spin takes all there is.
    let used = used_in(Duration::from_secs(1));
    assert!(used < Duration::from_millis(300), "{used:?} in a second");
    drop(streams);
}

#[test]
fn idle_connections_cost_no_processor_time() {
    let _turn = wait::alone();
    let folder = folder();
    let served = Served::new(vec![files(&folder, 0)]);
    let ask = "HEAD /large.bin HTTP/1.1\r\nHost: t\r\n\r\n";
    let streams: Vec<_> = (0..50).map(|_| begin(&served, ask)).collect();
    let used = used_in(Duration::from_millis(500));
    assert!(used < Duration::from_millis(100), "{used:?} in half a second");
    assert_eq!(served.handle.connections(), 50);
    drop(streams);
}
