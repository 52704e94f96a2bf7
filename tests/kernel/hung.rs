//! A disk that hangs stops nobody but those who read from it.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::fs::{Advice, fadvise};
use sluicegate::http::files::Files;
use sluicegate::http::route::Route;
use sluicegate::limit::Rate;
use tempfile::TempDir;
use testkit::folder::folder;
use testkit::process::role::raise_open_files;
use testkit::served::{Served, connect};
use testkit::wire::{self, content};

use crate::hanging_disk::{FILES, HangingDisk, LEN};

/// Streams that must go on.
const STREAMS: usize = 100;

/// Bytes per second of each.
const RATE: u64 = 64 * 1024;

/// More than the blocking pool has threads.
const WAITING: usize = 600;

/// How much of its pace a stream goes on for while the disk hangs: three seconds.
const GOES_ON: u64 = 3 * RATE;

/// Longer than a machine under load delays a chunk, and much shorter than the disk hangs.
const LATE: Duration = Duration::from_secs(1);

/// Streams that are read as they come, and the longest that one had to wait.
struct Watch {
    enough: Arc<AtomicBool>,
    thread: JoinHandle<Duration>,
}

impl Watch {
    /// Reads `streams`, all of which have begun, until each has `GOES_ON` bytes more and the watch is [ended](Self::end).
    fn begin(mut streams: Vec<TcpStream>) -> (Self, std::sync::mpsc::Receiver<()>) {
        let enough = Arc::new(AtomicBool::new(false));
        let (told, gone_on) = std::sync::mpsc::channel();
        let ends = Arc::clone(&enough);
        let watch = move || {
            let (mut buf, mut longest) = (vec![0; 1 << 16], Duration::ZERO);
            let mut seen = vec![(Instant::now(), 0); streams.len()];
            while !ends.load(Ordering::Relaxed) {
                for (stream, (at, bytes)) in streams.iter_mut().zip(&mut seen) {
                    match stream.read(&mut buf) {
                        Ok(0) => panic!("a stream ended"),
                        Ok(n) => (*at, *bytes) = (Instant::now(), *bytes + n as u64),
                        Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                    }
                    longest = longest.max(at.elapsed());
                }
                if seen.iter().all(|(_, bytes)| *bytes >= GOES_ON) {
                    let _ = told.send(());
                }
                // Real time: streams are looked at a few times for each chunk.
                std::thread::park_timeout(Duration::from_millis(20));
            }
            longest
        };
        (Self { enough, thread: std::thread::spawn(watch) }, gone_on)
    }

    /// The longest time that a stream had no bytes.
    fn end(self) -> Duration {
        self.enough.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// Asks for a stream, and reads its beginning.
fn begun(served: &Served, target: &str) -> TcpStream {
    let mut stream = served.begin(target);
    stream.read_exact(&mut [0; 1000]).unwrap();
    stream
}

/// A server of a folder that is well and one that hangs, with lists.
fn served(well: &Path, hanging: &Path) -> Served {
    let route = |prefix: &str, folder: &Path| {
        Route::folder(prefix, Files::new(folder).unwrap().list(true)).rate(Rate::or_unlimited(RATE))
    };
    Served::new(vec![route("/well/", well), route("/ill/", hanging)])
}

/// What clients ask of a disk that hangs: to open, to close, to read, to list.
fn ask(served: &Served, number: usize) -> TcpStream {
    let name = number as u64 % FILES;
    served.send(match number % 6 {
        0 => format!("HEAD /ill/{name} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n"),
        1 => "GET /ill/ HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n".to_owned(),
        2 => "GET /ill/none HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n".to_owned(),
        _ => format!(
            "GET /ill/{name} HTTP/1.1\r\nHost: t\r\nRange: bytes={number}-{}\r\nConnection: close\r\n\r\n",
            number + 99
        ),
    })
}

fn check(number: usize, stream: &mut TcpStream) {
    let answer = match number % 6 {
        0 => return assert!(wire::read_all(stream).starts_with(b"HTTP/1.1 200 OK\r\n")),
        _ => wire::answer(stream),
    };
    match number % 6 {
        1 => assert!(answer.status() == 200 && wire::find(&answer.body, b"</html>").is_some()),
        2 => assert_eq!(answer.status(), 404),
        _ => assert_eq!((answer.status(), &answer.body[..]), (206, &content(LEN)[number..number + 100])),
    }
}

/// Has a disk hang while streams come from a folder that is well. `meanwhile` is done while it hangs.
fn assert_nobody_waits(known: Duration, well: &Path, meanwhile: impl FnOnce(&Served)) {
    let Some(mut disk) = HangingDisk::mount(known) else { return };
    raise_open_files().unwrap();
    let served = served(well, disk.path());
    let streams: Vec<_> = (0..STREAMS).map(|_| begun(&served, "/well/1")).collect();
    streams.iter().for_each(|stream| stream.set_nonblocking(true).unwrap());
    let (mut under_way, leaving): (Vec<_>, Vec<_>) = (0..40_u64)
        .map(|n| begun(&served, &format!("/ill/{}", n % FILES)))
        .partition(|stream| stream.local_addr().unwrap().port() % 2 == 0);

    let hangs = disk.hang();
    let (watch, gone_on) = Watch::begin(streams);
    let mut asked: Vec<_> = (0..WAITING).map(|number| ask(&served, number)).collect();
    drop(leaving);
    meanwhile(&served);
    let result = gone_on.recv_timeout(Duration::from_secs(60));
    let longest = watch.end();
    drop(hangs);
    assert!(result.is_ok() && longest < LATE, "a stream waited for {longest:?}");

    for (number, stream) in asked.iter_mut().enumerate() {
        check(number, stream);
    }
    for stream in &mut under_way {
        stream.read_exact(&mut vec![0; RATE as usize]).unwrap();
    }
}

/// A folder with warm files on the disk that this test is on.
fn local() -> TempDir {
    let folder = folder(&[("1", &content(LEN)), ("cold", &content(LEN))]);
    std::fs::read(folder.path().join("1")).unwrap();
    folder
}

/// Asks for a file that has to be opened, and read from the disk.
fn assert_cold_files_come(served: &Served, folder: &Path) {
    let cold = File::open(folder.join("cold")).unwrap();
    cold.sync_all().unwrap();
    fadvise(&cold, 0, None, Advice::DontNeed).unwrap();
    let mut stream = connect(served.addr);
    stream.write_all(b"GET /well/cold HTTP/1.1\r\nHost: t\r\nRange: bytes=1000000-1009999\r\n\r\n").unwrap();
    assert!(wire::answer(&mut stream).body == content(LEN)[1_000_000..1_010_000]);
}

#[test]
fn a_disk_that_hangs_delays_no_file_of_another() {
    let folder = local();
    for known in [Duration::ZERO, Duration::from_secs(3600)] {
        assert_nobody_waits(known, folder.path(), |served| assert_cold_files_come(served, folder.path()));
    }
}

/// The kernel does not say of files on FUSE what it has of them, so all their reads are the pool's.
#[test]
fn a_disk_that_hangs_delays_no_file_that_is_read_on_the_pool() {
    let known = Duration::from_secs(3600);
    let Some(well) = HangingDisk::mount(known) else { return };
    assert_nobody_waits(known, well.path(), |_| ());
}
