//! What readers that take nothing may hold: in the sinks' buffers by the server's exact gauge, and in the
//! kernel on its side of the connection. What the whole process holds is in `tests/program/memory.rs`.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use sluicegate::http::server::Settings;
use sluicegate::sink::SinkSettings;
use testkit::folder::sparse;
use testkit::served::{Served, connect_narrow};
use testkit::wait::until;

/// Far more than anything here may hold.
const LARGE: u64 = 16 << 20;

/// The kernel lets the write that reaches `unsent` be done to its end, and gathers at most this into one
/// packet for a device that cuts it up.
const LAST_WRITE: u64 = 64 * 1024;

/// What the reader's own kernel may take: the window that its small receive buffer lets it open.
const WINDOW: u64 = 8 * 1024;

fn serving(sink: SinkSettings) -> Served {
    Served::folder(Settings { sink, ..Settings::default() }, sparse("large", LARGE), 0)
}

/// Asks for the large file and never reads.
fn stalled(served: &Served) -> TcpStream {
    let mut stream = connect_narrow(served.addr);
    stream.write_all(b"GET /large HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    stream
}

/// Looks for a while: a server that goes on taking is caught, and one that does not passes whatever the time.
fn look_for(time: Duration, looks: impl Fn()) {
    let began = Instant::now();
    while began.elapsed() < time {
        looks();
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn each_holds_its_buffer_to_the_byte_and_gives_it_back() {
    const READERS: u64 = 64;
    const CAP: u64 = 24_000;
    let served = serving(SinkSettings { buffer: CAP as usize, ..SinkSettings::default() });
    let egress = served.handle.egress();
    let readers: Vec<TcpStream> = (0..READERS).map(|_| stalled(&served)).collect();
    until("full buffers", || egress.buffered() == READERS * CAP);
    look_for(Duration::from_millis(200), || assert_eq!(egress.buffered(), READERS * CAP, "{egress:?}"));
    assert_eq!((egress.high_water(), egress.bytes_dropped()), (CAP, 0));
    drop(readers);
    until("the end of all", || served.handle.connections() == 0);
    assert_eq!(egress.buffered(), 0);
}

#[test]
fn the_kernel_takes_little_ahead_of_a_reader_that_takes_nothing() {
    let settings = SinkSettings::default();
    for unsent in [settings.unsent as u64, 16 * 1024] {
        let served = serving(SinkSettings { unsent: unsent as usize, ..settings.clone() });
        let egress = served.handle.egress();
        let _reader = stalled(&served);
        until("a full buffer", || egress.buffered() == settings.buffer as u64);
        // Left to itself the kernel takes 2 MB within this time.
        look_for(Duration::from_millis(300), || {
            let most = unsent + LAST_WRITE + WINDOW;
            assert!(egress.bytes_written() <= most, "{unsent} unsent, at most {most}: {egress:?}");
        });
        assert!(egress.bytes_written() >= unsent / 2, "{egress:?}");
    }
}
