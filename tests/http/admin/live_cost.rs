//! What the live view costs: an ignored test, since it looks at the clock and wants an optimised build.

use std::io::Read;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use testkit::served::{connect, files};
use testkit::wait::until;
use testkit::watched::{Watched, folder};

const TRANSFERS: usize = 1000;
const MEASURED: Duration = Duration::from_secs(10);

/// Processor time of this process so far, in hundredths of a second.
fn ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// The share of one processor that this process uses for a while.
fn share() -> f64 {
    let (ticks_before, begin) = (ticks(), Instant::now());
    std::thread::sleep(MEASURED);
    (ticks() - ticks_before) as f64 / 100.0 / begin.elapsed().as_secs_f64()
}

/// Reads all that comes, on a thread of its own.
fn drained(mut stream: TcpStream) -> TcpStream {
    let reader = stream.try_clone().unwrap();
    std::thread::spawn(move || while stream.read(&mut [0; 64 * 1024]).is_ok_and(|read| read > 0) {});
    reader
}

#[test]
#[ignore = "measures processor time: run it alone, with --nocapture"]
fn a_viewer_of_a_thousand_transfers_costs_at_most_two_percent() {
    let folder = folder();
    let watched = Watched::new(vec![files(&folder, 1_000)]);
    // Nobody reads them: what the kernel holds is enough for the whole time.
    let _streams: Vec<_> = (0..TRANSFERS).map(|_| watched.served.begin("/large.bin")).collect();
    until("all of them", || watched.served.handle.connections() == TRANSFERS);
    std::thread::sleep(Duration::from_secs(2));
    let alone = share();
    let mut viewer = connect(watched.admin);
    std::io::Write::write_all(&mut viewer, b"GET /v1/live HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let viewer = drained(viewer);
    std::thread::sleep(Duration::from_secs(2));
    let watched_by_one = share();
    let cost = (watched_by_one - alone) * 100.0;
    println!(
        "alone {:.2} %, with a viewer {:.2} %, which reads here too: {cost:.2} % of a processor",
        alone * 100.0,
        watched_by_one * 100.0
    );
    viewer.shutdown(std::net::Shutdown::Both).unwrap();
    assert!(cost <= 2.0, "{cost:.2} % of a processor");
}
