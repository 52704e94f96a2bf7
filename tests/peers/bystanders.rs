//! Clients that do nothing wrong while others do: one that asks again and again, and one that downloads
//! at the pace, both from an address of their own.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::pace::{CHUNK, RATE};
use testkit::served::connect_from;
use testkit::wire::{self, Answer};

/// How long an answer may take from before the connect to its last byte, or a download more than its pace
/// wants. Alone they take a millisecond; the rest is for a machine of two cores that is busy with others.
const PROMPT: Duration = Duration::from_secs(1);

/// How long the one that asks waits before it asks again.
const PAUSE: Duration = Duration::from_millis(10);

/// What is asked for: a file of one piece.
pub const SMALL: (&str, usize) = ("small", 1_000);

/// What is downloaded: ten chunks and a remainder that leaves with the last of them, 1.8 s.
pub const PACED: (&str, usize) = ("paced", 10 * CHUNK + 100);

/// The clients, at work until they are [asked how it went](Self::finish).
pub struct Bystanders {
    asking: Repeated,
    downloading: Repeated,
}

/// Downloads one after the other, until it is enough.
struct Repeated {
    enough: Arc<AtomicBool>,
    lasted: JoinHandle<Vec<Duration>>,
}

impl Bystanders {
    /// Clients of the server at `addr`, which has the two files and [`RATE`].
    pub fn of(addr: SocketAddr) -> Self {
        Self {
            asking: Repeated::begin(addr, SMALL, PAUSE),
            downloading: Repeated::begin(addr, PACED, Duration::ZERO),
        }
    }

    /// Ends their work, and checks that all of it went as if nobody else had been there. Says how often they
    /// connected.
    pub fn finish(self) -> u64 {
        // The last download may last a while, and the other asks as long as that.
        let downloaded = self.downloading.finish();
        let asked = self.asking.finish();
        let longest = |lasted: &[Duration]| *lasted.iter().max().unwrap();
        let (answer, download) = (longest(&asked), longest(&downloaded));
        println!(
            "{} answers, longest {answer:?}; {} downloads, longest {download:?}",
            asked.len(),
            downloaded.len()
        );
        assert!(asked.len() >= 10, "it hardly got to ask: {asked:?}");
        assert!(answer < PROMPT, "{answer:?} for an answer");
        let due = Duration::from_secs_f64(((PACED.1 / CHUNK - 1) * CHUNK) as f64 / RATE as f64);
        assert!(downloaded.iter().all(|lasted| *lasted >= due), "{downloaded:?}: faster than the pace");
        assert!(download < due + PROMPT, "{download:?} for what is due in {due:?}");
        (asked.len() + downloaded.len()) as u64
    }
}

impl Repeated {
    fn begin(addr: SocketAddr, (name, len): (&'static str, usize), pause: Duration) -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&enough);
        let lasted = std::thread::spawn(move || {
            let mut lasted = Vec::new();
            while !seen.load(Ordering::Relaxed) {
                lasted.push(download(addr, name, len));
                std::thread::sleep(pause);
            }
            lasted
        });
        Self { enough, lasted }
    }

    fn finish(self) -> Vec<Duration> {
        self.enough.store(true, Ordering::Relaxed);
        self.lasted.join().unwrap()
    }
}

/// Gets a file on a connection of its own and says how long that took.
fn download(addr: SocketAddr, name: &str, len: usize) -> Duration {
    let began = Instant::now();
    let response = ask(addr, name);
    assert_eq!((response.status(), response.body.len()), (200, len), "{}", response.head);
    began.elapsed()
}

/// The answer to those who come from another address than everyone else in these tests.
pub fn ask(addr: SocketAddr, name: &str) -> Answer {
    let mut stream = connect_from([127, 0, 0, 2], addr);
    write!(stream, "GET /{name} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n").unwrap();
    wire::answer(&mut stream)
}
