//! Ports among the server's other connections: limits, bounds, slow readers, the way down.

use std::fs::File;
use std::io::Read;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sluicegate::config::{FilterKinds, Loader};
use sluicegate::http::route::Route;
use sluicegate::http::server::{Server, Settings};
use sluicegate::limit::{Budget, Rate};
use sluicegate::sink::{OnFull, SinkSettings};
use sluicegate::tcp::Service;

use super::fixture::{Ported, bytes, file};
use testkit::wait::{soon, until};
use testkit::wire::{read_all, read_to_reset};

/// A folder with a sparse file of 64 MiB.
fn site() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.bin");
    File::create(&path).unwrap().set_len(64 << 20).unwrap();
    (folder, path)
}

/// Reads on a thread of its own until the connection ends, and counts.
fn counting(mut stream: TcpStream) -> Arc<AtomicU64> {
    let seen = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&seen);
    std::thread::spawn(move || {
        let mut buf = vec![0; 65_536];
        while let Ok(n @ 1..) = stream.read(&mut buf) {
            counted.fetch_add(n as u64, Ordering::Relaxed);
        }
    });
    seen
}

#[test]
fn a_stream_and_a_response_share_the_servers_rate_and_are_alike() {
    const RATE: u64 = 500_000;
    let (folder, path) = site();
    let mut settings = Settings::default();
    settings.limits.server = Budget::of(Rate::or_unlimited(RATE));
    let routes = vec![Route::files("/", folder.path()).unwrap()];
    let ported = Ported::with(settings, Service::file(&path), routes);
    let http = ported.served.begin("/a.bin");
    let seen = [counting(http), counting(ported.connect())];
    let read = || [0, 1].map(|at: usize| seen[at].load(Ordering::Relaxed));
    // Both want more than there is from here on.
    until("both began", || read().iter().all(|bytes| *bytes > 0));
    let first = read();
    let got = soon("a while of sharing", || {
        let got = read();
        let got = [got[0] - first[0], got[1] - first[1]];
        (got[0] + got[1] >= 2 * RATE).then_some(got)
    });
    // One interval's worth of the whole server is the most by which one can be ahead; heads are charged.
    assert!(got[0].abs_diff(got[1]) <= RATE / 5 + 1024, "{got:?}");
}

#[test]
fn one_client_is_bounded_over_all_protocols() {
    let (folder, path) = site();
    let mut settings = Settings::default();
    settings.limits.client = Budget::of(Rate::or_unlimited(1));
    let routes = vec![Route::files("/", folder.path()).unwrap()];
    let ported = Ported::with(settings, Service::file(&path), routes);
    let streams = [ported.connect(), ported.connect()].map(counting);
    let sent = || streams.iter().map(|seen| seen.load(Ordering::Relaxed)).sum::<u64>();
    until("the first byte", || sent() > 0);
    assert!(sent() <= 4, "{} bytes", sent());
    ported.served.handle.budgets().clients().set(Budget::of(Rate::or_unlimited(1 << 20)));
    until("a limit that was raised", || sent() > 100_000);
}

#[test]
fn the_limits_of_a_port_are_its_own_and_live() {
    let (_folder, path) = site();
    let slow = Budget::of(Rate::or_unlimited(1));
    let ported = Ported::new(Service::file(&path).total(slow).per_client(slow));
    let seen = counting(ported.connect());
    until("the first byte", || seen.load(Ordering::Relaxed) > 0);
    assert!(seen.load(Ordering::Relaxed) <= 4);
    let port = ported.served.handle.ports().remove(0);
    port.service().clients().set(Budget::default());
    port.service().clients().parent().set(Budget::default());
    until("all of it", || seen.load(Ordering::Relaxed) == 64 << 20);
}

#[test]
fn bytes_are_counted_while_they_move_and_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.bin");
    File::create(&path).unwrap().set_len(600_000).unwrap();
    let ported = Ported::new(Service::file(&path).rate(Rate::or_unlimited(500_000)));
    let mut stream = ported.connect();
    let mut before = 0;
    for part in 1..=3 {
        stream.read_exact(&mut vec![0; 100_000]).unwrap();
        // The client may have them a moment before they are written down.
        let (bytes, ended, _) =
            soon("the count", || Some(ported.counted()).filter(|(bytes, ..)| *bytes >= part * 100_000));
        assert!(bytes > before && bytes < 600_000, "{bytes} after {part}");
        assert_eq!(ended, 0);
        before = bytes;
    }
    stream.read_to_end(&mut Vec::new()).unwrap();
    drop(stream);
    ported.quiet();
    assert_eq!(ported.counted(), (600_000, 1, 0));
}

#[test]
fn a_reader_that_cannot_hold_the_pace_is_reset_and_counted() {
    let (_folder, path) = site();
    let sink = SinkSettings {
        on_full: OnFull::Close,
        buffer: 1 << 20,
        send_buffer: Some(4096),
        ..SinkSettings::default()
    };
    let service = Service::file(&path).rate(Rate::or_unlimited(4 << 20));
    let ported = Ported::with(Settings { sink, ..Settings::default() }, service, Vec::new());
    let mut stream = ported.connect();
    let egress = ported.served.handle.egress();
    until("the reader is given up", || egress.overflow_closes() == 1);
    assert!(egress.bytes_dropped() >= 1 << 20, "{}", egress.bytes_dropped());
    ported.quiet();
    let got = read_to_reset(&mut stream).len();
    assert!(got < 64 << 20);
    let (bytes, ended, aborted) = ported.counted();
    assert!(bytes < 64 << 20 && (ended, aborted) == (1, 1), "{:?}", ported.counted());
}

#[test]
fn connections_above_the_bounds_are_closed_and_counted() {
    let (_folder, path) = site();
    let bounds = [
        Settings { max_connections: 1, ..Settings::default() },
        Settings { client_connections: Some(1), ..Settings::default() },
    ];
    for settings in bounds {
        let ported = Ported::with(settings, Service::file(&path), Vec::new());
        let mut first = ported.connect();
        first.read_exact(&mut [0]).unwrap();
        assert_eq!(read_all(&mut ported.connect()), b"");
        assert_eq!(ported.served.handle.telemetry().connections_refused(), 1);
        // Over HTTP there are words for it.
        assert!([429, 503].contains(&ported.served.get("/", "").status()));
        drop(first);
        soon("room again", || {
            let mut stream = ported.connect();
            stream.read_exact(&mut [0]).ok()
        });
    }
}

#[test]
fn a_drain_lets_streams_finish_and_a_stop_resets_them() {
    let (_folder, path) = file(&bytes(3_000));
    let ported = Ported::new(Service::file(&path).rate(Rate::or_unlimited(5_000)));
    let mut stream = ported.connect();
    let mut all = vec![0; 100];
    stream.read_exact(&mut all).unwrap();
    ported.served.handle.drain();
    all.extend(read_all(&mut stream));
    assert_eq!(all, bytes(3_000));
    drop(stream);
    ported.served.join();

    let ported = Ported::new(Service::file(&path).rate(Rate::or_unlimited(500)));
    let mut stream = ported.connect();
    stream.read_exact(&mut [0; 100]).unwrap();
    ported.served.handle.stop();
    assert!(read_to_reset(&mut stream).len() < 2_900);
}

#[test]
fn a_file_describes_ports_and_a_reload_sets_their_limits() {
    let (folder, _path) = site();
    let parse = |rate: &str, file: &str| {
        let text = format!(
            "[[tcp]]\nlisten='127.0.0.1:0'\nfile='{file}'\nrate='{rate}'\nlimits.total={{rate='{rate}'}}\n\
             limits.client={{rate='{rate}'}}\n"
        );
        Loader::new().parse(&text, "test.toml", folder.path()).unwrap()
    };
    let kinds = FilterKinds::default();
    let server = Server::from_config(&parse("100B", "a.bin"), &kinds).unwrap();
    let handle = server.handle();
    let addr = handle.ports()[0].addr();
    let thread = std::thread::spawn(move || sluicegate::rt::block_on(server.run()));
    let seen = counting(testkit::served::connect(addr));
    until("the first byte", || seen.load(Ordering::Relaxed) > 0);
    let reloaded = handle.reload(&parse("1g", "a.bin"), &kinds).unwrap();
    let told = reloaded.to_string();
    assert_eq!(reloaded.changes.len(), 3, "{told}");
    assert!(told.starts_with(&format!("limit of each stream of tcp:{addr}: 100B → 1g; ")), "{told}");
    until("all of it", || seen.load(Ordering::Relaxed) == 64 << 20);
    File::create(folder.path().join("b.bin")).unwrap();
    let reloaded = handle.reload(&parse("1k", "b.bin"), &kinds).unwrap();
    assert_eq!((reloaded.to_string().as_str(), reloaded.needs_restart), ("nothing changed", vec!["tcp"]));
    handle.stop();
    thread.join().unwrap();
}

#[test]
fn a_client_has_its_burst_twice_and_then_what_it_earned_however_often_it_connects() {
    const BURST: usize = 100_000;
    let (_folder, path) = file(&bytes(BURST + 10_000));
    let ported = Ported::new(Service::file(&path).rate(Rate::or_unlimited(50_000)).burst(BURST as u64));
    let lasts = || {
        let began = std::time::Instant::now();
        assert_eq!(read_all(&mut ported.connect()), bytes(BURST + 10_000));
        began.elapsed().as_millis()
    };
    lasts();
    lasts();
    // 110 000 bytes at 50 000 a second, less what is whole by then or leaves on credit.
    assert!(lasts() >= 1_700);
}
