//! Streams of HTTP/2 whose clients are slow: each is let go by its own patience, and only for its own fault.
//!
//! Real time where the server's own patience is what is tested; the bounds allow for a loaded machine.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use futures_lite::future;
use hyper::body::Incoming;
use sluicegate::http::server::Settings;
use sluicegate::limit::Rate;
use sluicegate::rt;
use sluicegate::sink::{OnFull, SinkSettings};
use testkit::folder::folder;
use testkit::h2::{self, connect, get};
use testkit::served::{Served, connect_narrow};
use testkit::wait::until;
use testkit::wire::content;

/// A server of one folder, each response at `rate`; 0 is unlimited.
fn serving(settings: Settings, rate: u64) -> Served {
    let [small, large, middle] = [15_000, 262_144, 98_304].map(content);
    Served::folder(settings, folder(&[("small", &small), ("large", &large), ("96k", &middle)]), rate)
}

fn patient_for(stall_timeout: Duration) -> Settings {
    Settings { sink: SinkSettings { stall_timeout, ..SinkSettings::default() }, ..Settings::default() }
}

/// The answer's body: how much of it came, and whether to its end.
async fn read(response: hyper::Response<Incoming>) -> (usize, bool) {
    let content = h2::read(response, Instant::now()).await;
    (content.bytes.len(), content.whole)
}

/// Responses that were not given to their end.
fn aborted(served: &Served) -> u64 {
    served.handle.telemetry().routes().iter().map(|route| route.aborted()).sum()
}

// The neighbour lasts 1.4 s, twice what the stream that is not read has.
#[test]
fn a_stream_whose_window_stays_shut_is_reset_and_its_neighbour_is_not() {
    let served = serving(patient_for(Duration::from_millis(700)), 61_440);
    rt::block_on(async {
        let mut sender = connect(served.addr, 1024).await;
        let shut = get(&mut sender, "/large").await;
        let neighbour = get(&mut sender, "/96k").await;
        assert_eq!(read(neighbour).await, (98_304, true));
        assert_eq!(read(shut).await, (1024, false));
        assert_eq!(read(get(&mut sender, "/small").await).await, (15_000, true), "the connection lives");
    });
    assert_eq!(served.handle.telemetry().stalled_streams(), 1);
    assert_eq!(served.handle.egress().stall_closes(), 0, "no connection was closed");
}

#[test]
fn a_stream_whose_window_was_never_open_is_reset_too() {
    let served = serving(patient_for(Duration::from_millis(300)), 0);
    rt::block_on(async {
        for (window, expected) in [(0, 0), (1, 1)] {
            let mut sender = connect(served.addr, window).await;
            let shut = get(&mut sender, "/large").await;
            until("the reset", || served.handle.telemetry().stalled_streams() > u64::from(window));
            assert_eq!(read(shut).await, (expected, false));
        }
    });
}

// Its bytes are with HTTP framing long before they are with the client.
#[test]
fn a_short_response_whose_window_stays_shut_is_reset_too() {
    let stall_timeout = Duration::from_millis(700);
    let served = serving(patient_for(stall_timeout), 0);
    rt::block_on(async {
        let mut sender = connect(served.addr, 1024).await;
        let began = Instant::now();
        let shut = get(&mut sender, "/small").await;
        until("the reset", || aborted(&served) > 0);
        assert!(began.elapsed() >= stall_timeout, "{:?}", began.elapsed());
        assert_eq!(read(shut).await, (1024, false));
        assert_eq!(read(get(&mut sender, "/small").await).await, (15_000, true), "the connection lives");
    });
}

#[test]
fn a_stream_that_is_slow_at_its_end_is_not_taken_for_idle() {
    let settings = Settings { idle_timeout: Duration::from_millis(300), ..Settings::default() };
    let served = serving(settings, 0);
    rt::block_on(async {
        let mut sender = connect(served.addr, 1024).await;
        let slow = get(&mut sender, "/small").await;
        // Real time passes for the server; that is what is tested.
        std::thread::sleep(Duration::from_millis(900));
        assert_eq!(read(slow).await, (15_000, true));
    });
}

// A frame of 16 KiB takes a second, and there are two streams: each waits for two seconds for its turn.
#[test]
fn a_stream_that_waits_for_the_connections_own_rate_is_not_closed() {
    let mut settings = patient_for(Duration::from_millis(500));
    (settings.sink.rate, settings.sink.burst) = (Rate::or_unlimited(16_384), 1024);
    let served = serving(settings, 0);
    rt::block_on(async {
        let mut sender = connect(served.addr, 1 << 20).await;
        let (one, other) = (get(&mut sender, "/small").await, get(&mut sender, "/96k").await);
        assert_eq!(future::zip(read(one), read(other)).await, ((15_000, true), (98_304, true)));
    });
}

/// 256 KiB/s: a chunk of 51.2 KiB each 200 ms.
const PACE: u64 = 256 * 1024;

/// A connection whose kernel takes next to nothing that is not read, with streams 1 and 3 asked for and
/// windows that are wide open. By hand, because clients read on whether somebody wants it or not.
fn slow_connection(served: &Served, target: &str) -> TcpStream {
    let mut stream = connect_narrow(served.addr);
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    let mut frame = |kind: u8, flags: u8, id: u32, payload: &[u8]| {
        let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        bytes.extend_from_slice(&[kind, flags]);
        bytes.extend_from_slice(&id.to_be_bytes());
        bytes.extend_from_slice(payload);
        stream.write_all(&bytes).unwrap();
    };
    let window = 1_u32 << 20;
    frame(0x4, 0, 0, &[&[0, 4][..], &window.to_be_bytes()].concat()); // SETTINGS_INITIAL_WINDOW_SIZE
    frame(0x8, 0, 0, &window.to_be_bytes()); // WINDOW_UPDATE of the connection
    // HPACK: GET, http, and two literals, :path and :authority (RFC 7541 appendix A).
    let head = [&[0x82, 0x86, 0x04, target.len() as u8][..], target.as_bytes(), &[0x01, 1, b't']].concat();
    for id in [1, 3] {
        frame(0x1, 0x5, id, &head); // HEADERS with END_STREAM and END_HEADERS
    }
    stream
}

#[test]
fn a_connection_that_overflows_is_reset_with_all_its_streams() {
    let sink = SinkSettings {
        buffer: 56 * 1024,
        on_full: OnFull::Close,
        send_buffer: Some(4096),
        ..SinkSettings::default()
    };
    let served = serving(Settings { sink, ..Settings::default() }, PACE);
    let mut slow = slow_connection(&served, "/large");
    let egress = served.handle.egress();
    until("the overflow", || egress.overflow_closes() > 0);
    let mut came = Vec::new();
    let ended = slow.read_to_end(&mut came).map_err(|error| error.kind());
    assert_eq!(ended, Err(ErrorKind::ConnectionReset), "{} bytes came", came.len());
    until("the end", || served.handle.connections() == 0);
    assert_eq!((egress.overflow_closes(), egress.stall_closes(), egress.buffered()), (1, 0, 0));
    assert_eq!(egress.high_water(), 56 * 1024);
    assert_eq!(aborted(&served), 2);
}

// It takes a step of 1 KiB each 20 ms, the two streams together: a frame of 16 KiB is longer on its way than
// the patience, and neither of them is ever left alone.
#[test]
fn a_slow_reader_that_is_waited_for_gets_every_byte_of_all_streams() {
    let mut settings = patient_for(Duration::from_millis(400));
    settings.sink.send_buffer = Some(4096);
    let served = serving(settings, 0);
    let mut slow = slow_connection(&served, "/96k");
    let (mut came, mut step, mut ended) = (Vec::new(), [0; 1024], 0);
    let mut at = 0;
    while ended < 2 {
        let n = slow.read(&mut step).unwrap_or_else(|error| panic!("{error} after {} bytes", came.len()));
        assert!(n > 0, "it ended after {} bytes", came.len());
        came.extend_from_slice(&step[..n]);
        std::thread::sleep(Duration::from_millis(20));
        // Whole frames: those of data count, and the last of each stream has END_STREAM.
        while let Some(head) = came.get(at..at + 9) {
            let len = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
            if came.len() < at + 9 + len {
                break;
            }
            ended += usize::from(head[3] == 0 && head[4] & 1 == 1);
            at += 9 + len;
        }
    }
}
