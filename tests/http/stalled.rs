//! What readers that take nothing may hold: in the sinks' buffers by the server's exact gauge, and in the
//! kernel on its side of the connection. What the whole process holds is in `tests/program/memory.rs`.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use sluicegate::http::route::Route;
use sluicegate::http::server::Settings;
use sluicegate::sink::SinkSettings;
use testkit::served::Served;
use testkit::wait::PATIENCE;

/// Far more than anything here may hold.
const LARGE: u64 = 16 << 20;

/// The kernel lets the write that reaches `unsent` be done to its end, and gathers at most this into one
/// packet for a device that cuts it up.
const LAST_WRITE: u64 = 64 * 1024;

/// What the reader's own kernel may take: the window that its small receive buffer lets it open.
const WINDOW: u64 = 8 * 1024;

fn serving(sink: SinkSettings) -> (tempfile::TempDir, Served) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::File::create(folder.path().join("large")).unwrap().set_len(LARGE).unwrap();
    let route = Route::files("/", folder.path()).unwrap();
    (folder, Served::with(Settings { sink, ..Settings::default() }, vec![route]))
}

/// Asks for the large file and never reads.
fn stalled(addr: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    // Before connecting: the window is agreed on then.
    socket.set_recv_buffer_size(2048).unwrap();
    socket.connect(&addr.into()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.write_all(b"GET /large HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    stream
}

fn wait_until(what: &str, served: &Served, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "{what} did not come: {:?}", served.handle.egress());
        std::thread::sleep(Duration::from_millis(2));
    }
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
    let (_folder, served) = serving(SinkSettings { buffer: CAP as usize, ..SinkSettings::default() });
    let egress = served.handle.egress();
    let readers: Vec<TcpStream> = (0..READERS).map(|_| stalled(served.addr)).collect();
    wait_until("full buffers", &served, || egress.buffered() == READERS * CAP);
    look_for(Duration::from_millis(200), || assert_eq!(egress.buffered(), READERS * CAP, "{egress:?}"));
    assert_eq!((egress.high_water(), egress.bytes_dropped()), (CAP, 0));
    drop(readers);
    wait_until("the end of all", &served, || served.handle.connections() == 0);
    assert_eq!(egress.buffered(), 0);
}

#[test]
fn the_kernel_takes_little_ahead_of_a_reader_that_takes_nothing() {
    let settings = SinkSettings::default();
    for unsent in [settings.unsent as u64, 16 * 1024] {
        let (_folder, served) = serving(SinkSettings { unsent: unsent as usize, ..settings.clone() });
        let egress = served.handle.egress();
        let _reader = stalled(served.addr);
        wait_until("a full buffer", &served, || egress.buffered() == settings.buffer as u64);
        // Left to itself the kernel takes 2 MB within this time.
        look_for(Duration::from_millis(300), || {
            let most = unsent + LAST_WRITE + WINDOW;
            assert!(egress.bytes_written() <= most, "{unsent} unsent, at most {most}: {egress:?}");
        });
        assert!(egress.bytes_written() >= unsent / 2, "{egress:?}");
    }
}
