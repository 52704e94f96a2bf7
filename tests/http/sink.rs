//! Slow readers on real sockets: what they get, what they cost, and who is let go.
//!
//! Real time where the server's own patience is what is tested; the bounds allow for a loaded machine.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use sluicegate::http::server::Settings;
use sluicegate::limit::Rate;
use sluicegate::sink::SinkSettings;
use testkit::folder::folder;
use testkit::served::{Served, connect_narrow};
use testkit::wait::until;
use testkit::wire::{self, content};

/// A server of one folder, each response at `rate`; 0 is unlimited.
fn serving(settings: Settings, rate: u64) -> Served {
    Served::folder(settings, folder(&[("small", &content(15_000)), ("large", &content(256 * 1024))]), rate)
}

/// Settings with these of the sink, and little room in the kernel.
fn bounded(sink: SinkSettings) -> Settings {
    Settings { sink: SinkSettings { send_buffer: Some(4096), ..sink }, ..Settings::default() }
}

fn ask(stream: &mut TcpStream, target: &str) {
    write!(stream, "GET {target} HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
}

/// A connection whose kernel takes next to nothing that is not read, with `target` asked for.
fn slow_reader(served: &Served, target: &str) -> TcpStream {
    let mut stream = connect_narrow(served.addr);
    ask(&mut stream, target);
    stream
}

/// Asks for the small file `times` times on one connection. Says how many bytes came until when, after each.
fn one_after_another(served: &Served, times: usize) -> Vec<(Duration, u64)> {
    let began = Instant::now();
    let mut stream = served.connect();
    let mut sum = 0;
    (0..times)
        .map(|_| {
            ask(&mut stream, "/small");
            let response = wire::answer(&mut stream);
            assert_eq!(response.body.len(), 15_000);
            sum += (response.head.len() + response.body.len()) as u64;
            (began.elapsed(), sum)
        })
        .collect()
}

// Elsewhere a limit begins anew with each response, and such requests run as fast as the machine can: thousands
// of times 60 KiB/s with Apache and nginx (`cargo bench --bench peers`).
#[test]
fn small_bodies_do_not_escape_the_rate_of_their_connection() {
    const RATE: u64 = 300_000;
    const BURST: u64 = 65_536;
    let sink = SinkSettings { rate: Rate::or_unlimited(RATE), burst: BURST, ..SinkSettings::default() };
    let served = serving(Settings { sink, ..Settings::default() }, 0);
    let timeline = one_after_another(&served, 16);
    for (at, bytes) in &timeline {
        let most = BURST + (RATE as f64 * at.as_secs_f64()) as u64;
        assert!(*bytes <= most, "{bytes} bytes at {at:?}, at most {most}");
    }
    let (took, bytes) = timeline[timeline.len() - 1];
    let due = Duration::from_secs_f64((bytes - BURST) as f64 / RATE as f64);
    assert!(took < due + Duration::from_millis(600), "{took:?} for what is due in {due:?}");
    // The less, the slower the machine: what it needs itself earns tokens too. To the nanosecond in `sink::tests`.
    let waited = served.handle.egress().token_wait();
    assert!(!waited.is_zero() && waited <= took, "{waited:?} of {took:?}");
}

#[test]
fn small_bodies_do_not_escape_the_rate_of_responses() {
    const RATE: u64 = 75_000;
    const CHUNK: u64 = RATE / 5;
    let served = serving(Settings::default(), RATE);
    const HEADS: u64 = 400;
    for (times, (at, bytes)) in one_after_another(&served, 5).into_iter().enumerate() {
        // The end of a response may be on credit, by less than a chunk.
        let most = 2 * CHUNK + (RATE as f64 * at.as_secs_f64()) as u64 + (times as u64 + 1) * HEADS;
        assert!(bytes <= most, "{bytes} bytes at {at:?}, at most {most}");
    }
}

#[test]
fn a_client_above_its_bound_is_refused_and_room_is_found_again() {
    let served = serving(Settings { client_connections: Some(2), ..Settings::default() }, 0);
    let mut kept: Vec<_> = (0..2)
        .map(|_| {
            let mut stream = served.connect();
            ask(&mut stream, "/small");
            assert_eq!(wire::answer(&mut stream).status(), 200);
            stream
        })
        .collect();
    let refused = served.get("/small", "");
    assert_eq!((refused.status(), refused.field("retry-after")), (429, Some("5")));
    assert_eq!(refused.field("connection"), Some("close"));
    kept.pop();
    until("room", || served.handle.connections() == 1);
    assert_eq!(served.get("/small", "").status(), 200);
}

#[test]
fn a_reader_that_takes_nothing_is_closed() {
    let stall_timeout = Duration::from_millis(300);
    let served = serving(bounded(SinkSettings { stall_timeout, ..SinkSettings::default() }), 0);
    let began = Instant::now();
    let mut slow = slow_reader(&served, "/large");
    let egress = served.handle.egress();
    until("the end of patience", || egress.stall_closes() > 0);
    assert!(began.elapsed() >= stall_timeout, "{:?}", began.elapsed());
    wire::read_to_reset(&mut slow);
    until("the end", || served.handle.connections() == 0);
    assert_eq!((egress.stall_closes(), egress.overflow_closes(), egress.buffered()), (1, 0, 0));
    assert!(egress.bytes_dropped() > 0);
}

// The response is with the sink long before it is with the reader. Elsewhere that is "idle".
#[test]
fn a_reader_that_is_slow_at_the_end_is_not_taken_for_idle() {
    let settings = Settings { idle_timeout: Duration::from_millis(300), ..Settings::default() };
    let served = serving(Settings { sink: bounded(settings.sink.clone()).sink, ..settings }, 0);
    let mut slow = slow_reader(&served, "/small");
    until("a held response", || served.handle.egress().buffered() > 0);
    std::thread::sleep(Duration::from_millis(700));
    let response = wire::answer(&mut slow);
    assert_eq!(response.body.len(), 15_000);
}
