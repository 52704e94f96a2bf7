//! Many streams whose clients come, stall, vanish and reset, for a given time; then nothing is left of them.
//!
//! ```sh
//! SLUICEGATE_SOAK_STREAMS=1000 SLUICEGATE_SOAK_SECONDS=1800 cargo test --test process soak -- --ignored --nocapture
//! ```
//!
//! `SLUICEGATE_SOAK_RATE` sets another rate of each stream, in bytes per second; a slower one takes less of the machine.
//!
//! The clients are a process of their own, this program again: so neither needs more than one open file for each stream, and
//! the memory that is looked at is the server's.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Signal, set_parent_process_death_signal};
use sluicegate::http::SharedLimits;
use sluicegate::http::server::Settings;
use sluicegate::limit::{Budget, Rate};
use sluicegate::sink::SinkSettings;
use testkit::process::procfs::{anonymous, open_files};
use testkit::process::role::raise_open_files;
use testkit::served::{connect_from, connect_narrow_from};
use testkit::versions::Version;
use testkit::wait;

use crate::faults::ground::{Ground, Source, by_path, reset};

/// Bytes per second of each response by default: a window that stays shut is full after two seconds.
const RATE: u64 = 8192;

/// This test, for the process of the clients, and what tells it that it is one, and of which server.
const NAME: &str = "soak::clients_that_come_stall_and_vanish_leave_nothing";
const SERVER: &str = "SLUICEGATE_SOAK_SERVER";

/// How long a client that takes nothing stays at [`RATE`], and longer at a slower one; the server gives it up before.
const STALL: Duration = Duration::from_secs(8);

/// New connections per second, about; more streams live longer instead.
const CHURN: usize = 150;

/// The most streams from the backend, which has a thread for each.
const MAX_PROXIED: usize = 50;

/// Addresses that clients come from.
const CLIENTS: usize = 50;

/// Bytes that memory may differ by from quarter to quarter, beside a tenth: buffers of threads, and what the allocator
/// keeps.
const SLACK: u64 = 4 << 20;

/// What a client does until its time is over.
#[derive(Clone, Copy, Debug)]
enum Habit {
    Reads,
    /// Reads, after it has closed its half.
    HalfClosed,
    /// Takes nothing.
    Stalls,
    /// Sends the beginning of a head and no more.
    StartsOnly,
    /// Sends the beginning of an upload and no more.
    Uploads,
}

/// A connection of a client, and how it goes.
struct Life {
    stream: TcpStream,
    habit: Habit,
    ends: Instant,
    resets: bool,
}

/// Pseudo-random numbers: the same in each run (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % most as u64) as usize
    }
}

/// A number from the environment.
fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number")))
}

fn settings(streams: usize, rate: u64) -> Settings {
    let budget = |streams: usize| Budget::of(Rate::or_unlimited(streams as u64 * rate));
    // Shared limits that seldom bind, so that each response has its nodes and now and then waits for a turn.
    let limits = SharedLimits {
        server: budget(streams),
        client: budget(2 * streams / CLIENTS + 2),
        ..SharedLimits::default()
    };
    let sink = SinkSettings {
        buffer: 4096,
        send_buffer: Some(4096),
        stall_timeout: Duration::from_secs(2),
        ..SinkSettings::default()
    };
    Settings {
        limits,
        sink,
        max_connections: 2 * streams + 100,
        header_timeout: Duration::from_secs(3),
        idle_timeout: Duration::from_secs(3),
        ..Settings::default()
    }
}

/// Connects and asks.
fn begin(server: SocketAddr, slot: usize, numbers: &mut Numbers, span: Duration, stall: Duration) -> Life {
    let source = if slot < MAX_PROXIED { Source::Proxied } else { Source::File };
    let name = if numbers.below(4) == 0 { "page" } else { "endless" };
    let version = if numbers.below(4) == 0 { Version::Http2 } else { Version::Http1 };
    let request = version.get(&Ground::target(source, name));
    let habit = match numbers.below(10) {
        0 => Habit::HalfClosed,
        1 | 2 => Habit::Stalls,
        3 => Habit::StartsOnly,
        4 if source == Source::Proxied => Habit::Uploads,
        _ => Habit::Reads,
    };
    let from = [127, 0, 0, 2 + (slot % CLIENTS) as u8];
    let connect = if matches!(habit, Habit::Stalls) { connect_narrow_from } else { connect_from };
    let mut stream = connect(from, server);
    let sent = match habit {
        Habit::StartsOnly => stream.write_all(&request[..numbers.below(request.len())]),
        Habit::Uploads => {
            let post = [version.post("/proxied/", 1 << 20), version.piece(&[b'u'; 5000])].concat();
            stream.write_all(&post)
        }
        Habit::HalfClosed => stream.write_all(&request).and_then(|()| stream.shutdown(Shutdown::Write)),
        Habit::Reads | Habit::Stalls => stream.write_all(&request),
    };
    sent.unwrap();
    stream.set_nonblocking(true).unwrap();
    let stays = match habit {
        Habit::Stalls => stall,
        _ => Duration::from_millis(numbers.below(2 * span.as_millis() as usize) as u64),
    };
    Life { stream, habit, ends: Instant::now() + stays, resets: numbers.below(2) == 0 }
}

impl Life {
    /// Takes what came, if the client does; returns whether the connection is still of use.
    fn goes_on(&mut self, buf: &mut [u8]) -> bool {
        if Instant::now() >= self.ends {
            return false;
        }
        if matches!(self.habit, Habit::Stalls) {
            return true;
        }
        match self.stream.read(buf) {
            Ok(len) => len > 0,
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        }
    }

    fn end(self) {
        if self.resets {
            reset(self.stream);
        }
    }
}

/// In the process of the clients: keeps `streams` of them going for `time`. Returns how many there were.
fn run_clients(server: SocketAddr, streams: usize, time: Duration, rate: u64) -> usize {
    raise_open_files().unwrap();
    let span = Duration::from_millis((1000 * streams / CHURN).max(700) as u64);
    let stall = STALL * RATE.div_ceil(rate.max(1)) as u32;
    let (mut numbers, mut buf) = (Numbers(1), vec![0; 64 * 1024]);
    let (mut lives, mut begun) = (Vec::new(), 0);
    let began = Instant::now();
    while began.elapsed() < time {
        // Some seconds to come to the number, then as many as have gone, and no crowd where many went at once.
        let allowed =
            begun + if begun < streams { 1 + streams / 20 } else { (streams / 100).max(CHURN / 10) };
        for slot in 0..streams {
            if lives.len() <= slot {
                lives.push(None);
            }
            let life: &mut Option<Life> = &mut lives[slot];
            if life.as_mut().is_some_and(|life| !life.goes_on(&mut buf)) {
                life.take().unwrap().end();
            }
            if life.is_none() && begun < allowed {
                *life = Some(begin(server, slot, &mut numbers, span, stall));
                begun += 1;
            }
        }
        // Real time: for so long clients leave what comes in their sockets.
        std::thread::park_timeout(Duration::from_millis(100));
    }
    lives.into_iter().flatten().for_each(Life::end);
    begun
}

/// Starts this program again, as the clients of `server`.
fn start_clients(server: SocketAddr, streams: usize) -> std::process::Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([NAME, "--exact", "--ignored", "--nocapture"]).stdout(Stdio::null());
    // The other variables are passed on.
    command.env(SERVER, server.to_string()).env("SLUICEGATE_SOAK_STREAMS", streams.to_string());
    command.spawn().unwrap()
}

/// The mean of the samples in a quarter of the time, the first of which is 0.
fn mean(samples: &[u64], quarter: usize) -> u64 {
    let len = samples.len() / 4;
    samples[quarter * len..(quarter + 1) * len].iter().sum::<u64>() / len as u64
}

#[test]
#[ignore = "runs for SLUICEGATE_SOAK_SECONDS, 15 by default, with SLUICEGATE_SOAK_STREAMS, 100 by default"]
fn clients_that_come_stall_and_vanish_leave_nothing() {
    let asked = setting("SLUICEGATE_SOAK_STREAMS", 100);
    let time = Duration::from_secs(setting("SLUICEGATE_SOAK_SECONDS", 15) as u64);
    let rate = setting("SLUICEGATE_SOAK_RATE", RATE as usize) as u64;
    if let Ok(server) = std::env::var(SERVER) {
        set_parent_process_death_signal(Some(Signal::KILL)).unwrap();
        let begun = run_clients(server.parse().unwrap(), asked, time, rate);
        return eprintln!("{begun} connections");
    }
    raise_open_files().unwrap();
    let (open, most) = open_files(std::process::id()).unwrap();
    // Of the proxied ones both ends on the way to the backend are in this process too.
    let streams = asked.min(most - open - 200 - 2 * MAX_PROXIED);
    let ground = Ground::on(|| settings(streams, rate), rate, by_path, |backend| backend.route(rate));
    let before = ground.census();

    let (mut samples, mut held) = (Vec::new(), Vec::new());
    let mut clients = start_clients(ground.served.addr, streams);
    let status = loop {
        if let Some(status) = clients.try_wait().unwrap() {
            break status;
        }
        samples.push(anonymous(std::process::id()));
        held.push(ground.census().connections);
        ground.backend.forget();
        std::thread::park_timeout(time / 200);
    };
    assert!(status.success(), "the clients: {status}");
    let served = ground.served.handle.egress().bytes_written();

    let handle = &ground.served.handle;
    let clients = handle.budgets().clients();
    let responses = || clients.known(usize::MAX).iter().map(|(_, node)| node.children()).sum::<usize>();
    wait::until("the end of all connections", || {
        let now = ground.census();
        // Bytes that were dropped are gathered for the log by one task, for some seconds.
        (now.connections, now.held, now.read_buffers, now.descriptors, responses())
            == (0, 0, before.read_buffers, before.descriptors, 0)
            && now.tasks <= before.tasks + 1
            && now.timers <= before.timers + 1
    });
    assert!(clients.len() <= CLIENTS, "{} clients are remembered", clients.len());

    held.sort_unstable();
    let quarters: Vec<u64> = (0..4).map(|quarter| mean(&samples, quarter)).collect();
    println!(
        "{streams} clients for {time:?}: {} connections at once, {served} bytes sent, stalls {}, \
         memory in each quarter {:?} KiB",
        held[held.len() / 2],
        handle.egress().stall_closes(),
        quarters.iter().map(|bytes| bytes / 1024).collect::<Vec<_>>()
    );
    assert!(handle.egress().stall_closes() > 0, "no stalled client was given up");
    // The first is the warm-up.
    let most = quarters[1] + quarters[1] / 10 + SLACK;
    assert!(quarters[3] <= most, "{quarters:?}: memory grows");
}
