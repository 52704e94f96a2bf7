//! A server of one file, a slow reader of it and a fast one.

use std::fs::DirEntry;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sluicegate::http::server::Settings;
use sluicegate::sink::{OnFull, SinkSettings};

use testkit::recorder;
use testkit::served::{Served, connect_narrow};
use testkit::versions::{Answer, Version};
use testkit::wait;
use testkit::wire::content;

pub const LARGE: u64 = 256 * 1024;
pub const PACE: u64 = 64 * 1024;
pub const CAP: u64 = 64 * 1024;

/// A connection that gives 1 KiB a second as long as it is told to, and then all it has.
struct Slowly {
    stream: TcpStream,
    slow: Arc<AtomicBool>,
}

impl Read for Slowly {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = buf.len().min(1024);
        let n = self.stream.read(&mut buf[..len])?;
        let next = Instant::now() + Duration::from_secs(1);
        // This is the reader's pace; nothing is waited for.
        while self.slow.load(Ordering::Relaxed) && Instant::now() < next {
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(n)
    }
}

impl Write for Slowly {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.stream.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A server of the one file, its first connection a slow reader's.
pub struct Scene {
    pub served: Served,
    pub slow: TcpStream,
    /// The descriptor of the slow reader's connection on the server's side.
    pub fd: String,
    pub connected: Instant,
}

impl Scene {
    pub fn new(version: Version, on_full: OnFull) -> Self {
        recorder::begin(log::LevelFilter::Info);
        let folder = testkit::folder::folder(&[("large", &content(LARGE as usize))]);
        let sink = SinkSettings {
            buffer: CAP as usize,
            on_full,
            send_buffer: Some(4096),
            ..SinkSettings::default()
        };
        let settings = Settings { sink, access_log: true, ..Settings::default() };
        let served = Served::folder(settings, folder, PACE);
        let connected = Instant::now();
        let mut slow = connect_narrow(served.addr);
        wait::until("the connection", || served.handle.connections() == 1);
        let fd = descriptor_towards(&slow);
        slow.write_all(&version.get("/large")).unwrap();
        Self { served, slow, fd, connected }
    }

    /// Reads slowly until `until` holds and a fast reader, who asks now, has got everything; then as fast as
    /// it comes. Gives what the slow one got, how that ended, and the length of the fast one's head.
    pub fn run(&self, version: Version, until: impl Fn() -> bool) -> (Answer, u64) {
        let slow = Arc::new(AtomicBool::new(true));
        let reader = Slowly { stream: self.slow.try_clone().unwrap(), slow: Arc::clone(&slow) };
        std::thread::scope(|scope| {
            let reading = scope.spawn(|| version.answer_through(reader));
            let fast = self.served.get("/large", "");
            assert!(fast.body == content(LARGE as usize), "{} bytes", fast.body.len());
            wait::until("what the slow one is to bring about", until);
            slow.store(false, Ordering::Relaxed);
            (reading.join().unwrap(), fast.head.len() as u64)
        })
    }
}

/// This process's descriptor of the other end of a loopback connection, by the kernel's table of sockets.
fn descriptor_towards(client: &TcpStream) -> String {
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    let port = |addr: SocketAddr| format!(":{:04X}", addr.port());
    let (ours, theirs) = (port(client.peer_addr().unwrap()), port(client.local_addr().unwrap()));
    let line = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let inode = line
        .filter(|fields| fields[1].ends_with(&ours) && fields[2].ends_with(&theirs))
        .map(|fields| format!("socket:[{}]", fields[9]))
        .next()
        .unwrap();
    let mut open = std::fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap());
    let is_it = |entry: &DirEntry| {
        std::fs::read_link(entry.path()).is_ok_and(|target| target.to_string_lossy() == inode)
    };
    open.find(is_it).unwrap().file_name().into_string().unwrap()
}
