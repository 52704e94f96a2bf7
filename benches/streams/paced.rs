//! One reading of one server under a load of paced streams.

use std::error::Error;
use std::time::Duration;

use testkit::message;
use testkit::process::{Outcome, Process, listener, procfs};
use testkit::roles;

use crate::server::{Kind, Running};
use crate::{Load, Site, Timing};

/// The most streams of one client process.
const STREAMS_EACH: usize = 10_000;

/// What one reading gave.
#[derive(Clone, Debug)]
pub struct Reading {
    /// CPU seconds of the server for each 10⁹ bytes of body its clients got.
    pub cpu_per_gb: f64,
    /// Memory (PSS) the server has more than after one response, for each stream.
    pub kib_per_stream: f64,
    /// Bytes of all streams against what the rate allows them.
    pub achieved: f64,
    /// The same of the slowest stream.
    pub slowest: f64,
    /// The same of the fastest stream.
    pub fastest: f64,
    /// Streams that are further than one chunk from their pace.
    pub astray: usize,
    /// What waits in the kernel for a proxy to read it; `None` for servers without a backend.
    pub queues: Option<Queues>,
}

/// Receive queues of a server's sockets to its backend, in KiB.
#[derive(Clone, Debug)]
pub struct Queues {
    /// The mean of all.
    pub mean: f64,
    /// The fullest.
    pub most: f64,
}

/// Starts a server, lets its clients come, measures for the window and ends all of them.
pub fn measure(site: &Site, load: Load, kind: Kind, timing: Timing) -> Outcome<Reading> {
    let server = Running::start(site, kind, Some(load))?.ok_or("not installed")?;
    if kind.is_http() {
        // What the first response needs of the program's own code is no stream's memory.
        listener::first_answer(
            &server.processes[0],
            server.port,
            &message::request(server.port, &server.path),
        )?;
    }
    let pss_before = procfs::pss_kib(server.pid)?;

    // 2 000 connections a second, in whole intervals, so that no instant of the 200 ms is preferred.
    let connect_over = Duration::from_millis(200) * (load.streams as u32).div_ceil(400);
    let clients = clients(&server, load, kind, connect_over, timing)?;
    for (client, _) in &clients {
        client
            .line_with("begin", connect_over + timing.warm_up + Duration::from_secs(60))
            .map_err(|error| explained(error, &server))?;
    }
    let cpu_before = procfs::cpu_seconds(server.pid)?;
    let mut counts = Counts { slowest: f64::MAX, ..Counts::default() };
    for (client, streams) in &clients {
        counts.add(
            &client.line_with("end ", timing.window + Duration::from_secs(30))?,
            load.rate,
            *streams,
        )?;
    }
    let cpu = procfs::cpu_seconds(server.pid)? - cpu_before;
    // After the window, because the kernel's walk through the pages takes time of its own; the streams
    // are still running.
    let pss = procfs::pss_kib(server.pid)?;
    let queues = server.upstream.map(|port| queues(port, load)).transpose()?;

    Ok(Reading {
        cpu_per_gb: cpu / (counts.total / 1e9),
        kib_per_stream: (pss as f64 - pss_before as f64) / load.streams as f64,
        achieved: counts.total / counts.allowed,
        slowest: counts.slowest,
        fastest: counts.fastest,
        astray: counts.astray,
        queues,
    })
}

/// Starts the processes that share a load's streams; each with the number of its own.
fn clients(
    server: &Running,
    load: Load,
    kind: Kind,
    connect_over: Duration,
    timing: Timing,
) -> Outcome<Vec<(Process, usize)>> {
    let processes = load.streams.div_ceil(STREAMS_EACH);
    (0..processes)
        .map(|number| {
            let first = load.streams * number / processes;
            let streams = load.streams * (number + 1) / processes - first;
            let mut orders = vec![
                server.port.to_string(),
                server.path.clone(),
                streams.to_string(),
                load.rate.to_string(),
                connect_over.as_millis().to_string(),
                timing.warm_up.as_millis().to_string(),
                timing.window.as_millis().to_string(),
            ];
            if kind.has_keys() {
                orders.push(first.to_string());
            }
            Ok((Process::role(roles::CLIENT, &orders)?, streams))
        })
        .collect()
}

/// What the clients counted, each in a window of its own.
#[derive(Default)]
struct Counts {
    /// Bytes that came, and that the rate allows.
    total: f64,
    allowed: f64,
    /// Against what the rate allows one stream.
    slowest: f64,
    fastest: f64,
    astray: usize,
}

impl Counts {
    /// Adds what a client with so many streams of this rate said in the end.
    fn add(&mut self, end: &str, rate: u64, streams: usize) -> Outcome<()> {
        let figures: Vec<f64> = end.split(' ').map(str::parse).collect::<Result<_, _>>()?;
        let [total, slowest, fastest, seconds, astray] = figures[..] else {
            return Err("the client's last line".into());
        };
        let allowed = rate as f64 * seconds;
        self.total += total;
        self.allowed += allowed * streams as f64;
        self.slowest = self.slowest.min(slowest / allowed);
        self.fastest = self.fastest.max(fastest / allowed);
        self.astray += astray as usize;
        Ok(())
    }
}

fn queues(port: u16, load: Load) -> Outcome<Queues> {
    let queues = procfs::receive_queues(port)?;
    if queues.len() != load.streams {
        return Err(format!("{} connections to the backend of {} streams", queues.len(), load.streams).into());
    }
    let (sum, most) = (queues.iter().sum::<u64>(), queues.iter().max().copied().unwrap_or_default());
    Ok(Queues { mean: sum as f64 / queues.len() as f64 / 1024.0, most: most as f64 / 1024.0 })
}

/// The usual reason why streams do not begin, where it is that.
fn explained(error: Box<dyn Error>, server: &Running) -> Box<dyn Error> {
    match procfs::open_files(server.pid) {
        Some((open, most)) if open + 8 >= most => format!(
            "{error}: the server has {open} of {most} files and sockets open; raise the hard limit (ulimit -Hn)"
        )
        .into(),
        _ => error,
    }
}
