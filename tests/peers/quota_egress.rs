//! Three servers under one fleet limit, a thousand streams each: what all clients receive together, also through a change of
//! the leading quota server.
//!
//! Long, in real time, and of a release build: `cargo build --release`, then `SLUICEGATE_RELEASE=target/release/sluicegate cargo
//! test --features peers --test peers quota_egress -- --ignored --nocapture`.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use testkit::program::Program;
use testkit::skip::skipped;
use testkit::wait::until;

use crate::program::loud;
use crate::quota_leaders::{Quota, leader};
use crate::redis::Redis;

const SERVERS: usize = 3;
const STREAMS: usize = 1000;

/// Bytes a second of all together.
const LIMIT: u64 = 24 << 20;

const WINDOW: Duration = Duration::from_secs(30);

/// Streams that one thread reads.
const OF_A_THREAD: usize = 250;

/// Per cent of the processors' time that must be left over: where there is less, a figure that is off says nothing of the limit.
const LEAST_IDLE: f64 = 15.0;

/// Seconds in which a processor had nothing to do, of all of them together.
fn idle() -> f64 {
    let stat = std::fs::read_to_string("/proc/stat").unwrap();
    // user, nice, system, idle, in ticks.
    let ticks: f64 = stat.split_ascii_whitespace().nth(4).unwrap().parse().unwrap();
    ticks / rustix::param::clock_ticks_per_second() as f64
}

/// Reads from all of `streams` until the end is called for, and counts.
fn read_all(mut streams: Vec<TcpStream>, count: &AtomicU64, ends: &AtomicBool) {
    let mut piece = vec![0; 1 << 16];
    while !ends.load(Ordering::Relaxed) {
        for stream in &mut streams {
            match stream.read(&mut piece) {
                Ok(len) => _ = count.fetch_add(len as u64, Ordering::Relaxed),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn open(server: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.write_all(b"GET /large.bin HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    stream.set_nonblocking(true).unwrap();
    stream
}

/// What arrives in a window, as a part of the limit, and which part of the processors' time had nothing to do meanwhile.
struct Measured {
    egress: f64,
    idle: f64,
}

impl Measured {
    fn of(count: &AtomicU64) -> Self {
        let (before, began, idle_before) = (count.load(Ordering::Relaxed), Instant::now(), idle());
        thread::sleep(WINDOW);
        let bytes = count.load(Ordering::Relaxed) - before;
        let seconds = began.elapsed().as_secs_f64();
        let processors = thread::available_parallelism().unwrap().get() as f64;
        let idle = (idle() - idle_before) / seconds / processors;
        Self { egress: bytes as f64 / seconds / LIMIT as f64, idle }
    }
}

#[test]
#[ignore = "long, in real time, of a release build"]
fn three_servers_with_a_thousand_streams_each_keep_the_fleets_limit_through_a_change_of_leaders() {
    let Some(release) = std::env::var_os("SLUICEGATE_RELEASE") else {
        return skipped("the egress of a fleet: SLUICEGATE_RELEASE does not name a release build");
    };
    let _machine = loud();
    let redis = Redis::start();
    let fleet = ["--limit", "egress=24m", "--store", &redis.store()];
    let quotas = [Quota::with(&fleet), Quota::with(&fleet), Quota::with(&fleet)];
    let urls: Vec<&str> = quotas.iter().map(|quota| quota.url.as_str()).collect();
    let first = leader(&redis, &quotas, None);
    until("an end of learning", || quotas[first].figure("sluicegate_quota_learning") == Some(0.0));
    let folder = testkit::folder::sparse("large.bin", 1 << 34);
    let serve = |nth: usize| {
        let (name, urls) = (format!("web-{nth}"), urls.join(","));
        let folder = folder.path().to_str().unwrap();
        let mut command = Command::new(&release);
        command.args(["serve", folder, "--listen", "127.0.0.1:0", "--quota", &urls, "--client-id", &name]);
        command.stdin(Stdio::null()).stderr(Stdio::piped());
        Program::start_where_told(command)
    };
    let servers: Vec<Program> = (0..SERVERS).map(serve).collect();
    let (count, ends) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let mut readers = Vec::new();
    for server in &servers {
        let (_, addr) = server.started[0].rsplit_once("://").unwrap();
        let addr: SocketAddr = addr.parse().unwrap();
        for _ in 0..STREAMS / OF_A_THREAD {
            let streams = (0..OF_A_THREAD).map(|_| open(addr)).collect();
            let (count, ends) = (Arc::clone(&count), Arc::clone(&ends));
            readers.push(thread::spawn(move || read_all(streams, &count, &ends)));
        }
    }
    let thirds = || {
        quotas.iter().any(|quota| {
            let clients = quota.asked(&["clients", "--json"]).unwrap_or_default();
            clients.matches(&format!("\"share\":{}", LIMIT / 3)).count() == SERVERS
        })
    };
    until("thirds", thirds);
    // What was sent ahead under larger shares.
    thread::sleep(Duration::from_secs(5));
    let steady = Measured::of(&count);
    quotas[first].program.signal(Signal::KILL);
    let changed = Measured::of(&count);
    leader(&redis, &quotas, Some(first));
    ends.store(true, Ordering::Relaxed);
    readers.into_iter().for_each(|reader| reader.join().unwrap());
    for (when, Measured { egress, idle }) in
        [("steady", steady), ("the leader killed at the beginning", changed)]
    {
        let [egress, idle] = [egress, idle].map(|part| part * 100.0);
        println!("{when}: {egress:.2} % of the limit over {WINDOW:?}, {idle:.0} % of the processors idle");
        if (egress - 100.0).abs() <= 1.0 {
            continue;
        }
        if idle < LEAST_IDLE {
            skipped(&format!(
                "the egress of a fleet ({when}), {egress:.2} % of its limit: the machine did other things, {idle:.0} % idle"
            ));
        } else {
            panic!("{when}: {egress} %");
        }
    }
}
