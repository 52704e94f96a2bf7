//! A client that takes nothing: its window is shut, the kernel's buffers and the sink's are full.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use sluicegate::sink::{OnFull, SinkSettings};

use super::ground::{Ground, PAGE, Source, each, reset};
use testkit::versions::Version;
use testkit::wire::{End, content};

const CAP: usize = 16 * 1024;

fn narrow() -> SinkSettings {
    SinkSettings { buffer: CAP, send_buffer: Some(4096), ..SinkSettings::default() }
}

/// Asks on a connection whose kernel takes next to nothing that is not read, and waits until all is full.
fn stalled(ground: &Ground, version: Version, source: Source, name: &str) -> TcpStream {
    let mut stream = ground.narrow();
    stream.write_all(&version.get(&Ground::target(source, name))).unwrap();
    ground.until("a full buffer", |census| census.held > 0);
    stream
}

#[test]
fn a_client_that_resets_behind_a_shut_window_leaves_nothing() {
    for (version, source) in each() {
        let ground = Ground::new(narrow(), 0);
        let stream = stalled(&ground, version, source, "endless");
        ground.until("all of the buffer", |census| census.held == CAP as u64);
        reset(stream);
        ground.assert_forgotten();
    }
}

#[test]
fn a_window_that_opens_again_lets_all_of_it_through() {
    for (version, source) in each() {
        let ground = Ground::new(narrow(), 0);
        let mut stream = stalled(&ground, version, source, "page");
        let answer = version.answer(&mut stream);
        assert_eq!((answer.body.len(), answer.end), (PAGE, End::Complete), "{version:?} {source:?}");
        assert!(answer.body == content(PAGE));
        ground.assert_forgets(stream);
    }
}

// Real time: the server's own patience is what is tested, from below; from above nothing but hanging is.
#[test]
fn a_window_that_stays_shut_is_given_up_and_leaves_nothing() {
    for (version, source) in each() {
        let stall_timeout = Duration::from_millis(200);
        let ground = Ground::new(SinkSettings { stall_timeout, ..narrow() }, 0);
        let mut stream = stalled(&ground, version, source, "endless");
        let egress = ground.served.handle.egress();
        ground.until("the end of patience", |_| egress.stall_closes() > 0);
        ground.assert_forgotten_beside(1);
        assert_eq!(egress.stall_closes(), 1, "{version:?} {source:?}");
        assert_eq!(version.answer(&mut stream).end, End::Reset, "{version:?} {source:?}");
    }
}

#[test]
fn a_buffer_that_stays_full_is_given_up_and_leaves_nothing() {
    for (version, source) in each() {
        let sink = SinkSettings { on_full: OnFull::Close, ..narrow() };
        // Chunks of 16 000 bytes.
        let ground = Ground::new(sink, 80_000);
        let mut stream = stalled(&ground, version, source, "endless");
        let egress = ground.served.handle.egress();
        ground.until("the overflow", |_| egress.overflow_closes() > 0);
        ground.assert_forgotten_beside(1);
        assert_eq!(egress.overflow_closes(), 1, "{version:?} {source:?}");
        assert_eq!(version.answer(&mut stream).end, End::Reset, "{version:?} {source:?}");
    }
}

// A stream's own window, with the connection's wide open.
#[test]
fn a_stream_whose_window_is_shut_leaves_nothing_when_its_client_is_gone() {
    for source in [Source::File, Source::Proxied] {
        for window in [0, 1000] {
            let ground = Ground::new(SinkSettings::default(), 0);
            let mut stream = ground.served.connect();
            let request = Version::Http2.get_through(&Ground::target(source, "endless"), window);
            stream.write_all(&request).unwrap();
            // The stream's task, the connection's and the listener's.
            ground.until("the stream", |census| census.tasks >= 3);
            reset(stream);
            ground.assert_forgotten();
        }
    }
}
