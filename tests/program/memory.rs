//! What readers that take nothing cost the whole process, however much they asked for.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};

use testkit::program::{Program, site, text};
use testkit::served::connect_narrow;
use testkit::wait::until;

/// What each asks for: more than all of them may cost together.
const ASKED: usize = 256 << 20;

/// Beside the sink's buffer, what one connection may hold of a file: the piece in hand…
const PIECE: u64 = 64 * 1024;

/// … and hyper's and our own state of it. (Measured: 81 to 84 KiB with the piece.)
const STATE: u64 = 24 * 1024;

/// The same of a backend's answer: the 64 KiB read last, and up to 32 KiB before them that hyper had gathered
/// when it asked for more, in buffers that are at least half full; and the state of two connections.
/// (Measured: 83 to 100 KiB together, for a backend that always has enough.)
const FROM_A_BACKEND: u64 = (2 * (64 + 32) + 40) * 1024;

/// What the process may grow by once, whatever the readers: stacks, and what the allocator keeps for
/// each thread.
const ONCE: u64 = 1 << 20;

/// What may be kept of their memory for others: 2 MiB for buffers of 64 KiB, 1 MiB for sinks' buffers.
const KEPT: u64 = 3 << 20;

/// Asks for the large file and never reads.
fn stalled(addr: SocketAddr) -> TcpStream {
    let mut stream = connect_narrow(addr);
    stream.write_all(b"GET /a.bin HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    stream
}

/// A program with readers that take nothing, and all buffers for them full.
struct Crowd {
    program: Program,
    cap: u64,
    readers: Vec<TcpStream>,
    /// What the program had with one more reader, which stays.
    before: u64,
    _first: TcpStream,
}

impl Crowd {
    /// Starts a program whose sinks hold `cap` bytes each.
    fn of(readers: u64, command: &str, source: &str, cap: u64) -> Self {
        let buffer = format!("{cap}B");
        let program =
            Program::start(&[command, source, "--egress-buffer", &buffer, "--admin", "127.0.0.1:0"]);
        let first = stalled(program.addr());
        let mut crowd = Self { program, cap, readers: Vec::new(), before: 0, _first: first };
        // The first one has its code and data brought in.
        crowd.wait_until_full();
        crowd.before = crowd.program.memory();
        crowd.readers = (0..readers).map(|_| stalled(crowd.program.addr())).collect();
        crowd.wait_until_full();
        assert_eq!(crowd.program.metric("sluicegate_egress_buffer_high_water_bytes"), cap);
        crowd
    }

    fn wait_until_full(&self) {
        let held = (1 + self.readers.len() as u64) * self.cap;
        until("full buffers", || self.program.metric("sluicegate_egress_buffered_bytes") == held);
    }

    /// What the program has more than before they came.
    fn grown(&self) -> u64 {
        self.program.memory().saturating_sub(self.before)
    }

    /// Checks that it grew by their buffers, and besides by at most so much for each.
    fn costs_at_most(&self, beside: u64) {
        let (readers, grown) = (self.readers.len() as u64, self.grown());
        let (least, most) = (readers * self.cap, readers * (self.cap + beside) + ONCE);
        println!("{readers} readers with buffers of {} cost {} each", self.cap, grown / readers);
        assert!((least..=most).contains(&grown), "grown by {grown}, expected {least} to {most}");
    }
}

#[test]
fn stalled_readers_of_files_cost_what_was_set_and_a_constant() {
    let site = site(ASKED);
    for cap in [16_384, 65_536, 500_000] {
        Crowd::of(64, "serve", text(site.path()), cap).costs_at_most(PIECE + STATE);
    }
}

#[test]
fn stalled_readers_of_a_backend_cost_what_was_set_and_a_constant() {
    let site = site(ASKED);
    let backend = Program::start(&["serve", text(site.path())]);
    let url = format!("http://{}", backend.addr());
    for cap in [16_384, 65_536, 500_000] {
        Crowd::of(64, "proxy", &url, cap).costs_at_most(FROM_A_BACKEND);
    }
}

// An allocator keeps what it gets back as long as anything lives above it; so it did with 140 MB of 1 000.
#[test]
fn memory_of_many_stalled_readers_is_returned_to_the_system() {
    let site = site(ASKED);
    let mut crowd = Crowd::of(400, "serve", text(site.path()), 65_536);
    crowd.costs_at_most(PIECE + STATE);
    let readers = crowd.readers.drain(..).count() as u64;
    let most = readers * STATE + ONCE + KEPT;
    until("less memory", || crowd.grown() <= most);
    println!("without them {} are left of each", crowd.grown() / readers);
}
