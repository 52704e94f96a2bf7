//! A backend slower than the limit: what a server adds to the time its bytes take, all servers at a time.
//!
//! The backend writes a brigade at a time and says in it when. Nothing needs to be held back: whatever time
//! passes beyond the wire's was added by the server.

use std::io::Read;
use std::time::{Duration, Instant, UNIX_EPOCH};

use testkit::process::{Outcome, Process};
use testkit::report::median;
use testkit::roles::{self, STAMP};

use crate::pace;
use crate::servers::{Running, Server};
use crate::setup::{Setup, Source};
use crate::site::{LARGE, Site};
use crate::table::{Row, Table};

/// The limit, in KiB/s.
const RATE: u64 = 100;

/// Bytes of a brigade; one each 750 ms is 50 KiB/s, half the limit.
const BRIGADE: usize = 38_400;

const EVERY: Duration = Duration::from_millis(750);

/// Milliseconds from the write of a brigade to the arrival of its first and of its last byte.
struct Brigade {
    first: f64,
    last: f64,
}

/// Reads for so many seconds, through all servers at once.
pub fn measure(site: &Site, servers: &[Server], seconds: u64, table: &mut Table) -> Outcome<()> {
    let length = Duration::from_secs(seconds);
    let orders = [BRIGADE.to_string(), EVERY.as_millis().to_string()];
    let backend = Process::role(roles::BRIGADES, &orders)?;
    let port = backend.port()?;
    let setup = Setup {
        site,
        source: Source::Proxied(port),
        kib_per_second: Some(RATE),
        interval: None,
        connections: 1,
        tls: false,
    };
    let mut reading = Vec::new();
    for &server in servers {
        match Running::start(server, &setup) {
            Ok(running) => {
                let port = running.port;
                let read = move || read(port, length).map_err(|error| error.to_string());
                reading.push((server, running, std::thread::spawn(read)));
            }
            Err(error) => table.fail(Row::DelayFirst, server, error),
        }
    }
    for (server, _running, thread) in reading {
        match thread.join().unwrap_or_else(|_| Err("the reader panicked".to_owned())) {
            Ok(brigades) => {
                // Of many, because one may meet a busy machine. The first one came with the head.
                let middle = |end: fn(&Brigade) -> f64| {
                    median(&brigades.iter().skip(1).map(end).collect::<Vec<_>>()).unwrap_or(f64::NAN)
                };
                table.add(Row::DelayFirst, server, middle(|brigade| brigade.first));
                table.add(Row::DelayLast, server, middle(|brigade| brigade.last));
            }
            Err(error) => table.fail(Row::DelayFirst, server, error),
        }
    }
    Ok(())
}

/// The brigades that came whole.
fn read(port: u16, length: Duration) -> Outcome<Vec<Brigade>> {
    let now = || UNIX_EPOCH.elapsed().map(|since| since.as_secs_f64() * 1e3);
    let deadline = Instant::now() + length;
    let (mut socket, mut body) = pace::ask(port, LARGE.path)?;
    let mut arrivals = vec![(now()?, body.len())];
    let mut buf = vec![0; 1 << 20];
    while Instant::now() < deadline {
        let n = socket.read(&mut buf)?;
        if n == 0 {
            return Err("the server closed before the end".into());
        }
        body.extend_from_slice(&buf[..n]);
        arrivals.push((now()?, body.len()));
    }
    // When the first so many bytes had come.
    let came = |bytes| arrivals[arrivals.partition_point(|(_, so_far)| *so_far < bytes)].0;
    let brigade = |(number, bytes): (usize, &[u8])| -> Outcome<Brigade> {
        let written = std::str::from_utf8(&bytes[..STAMP])?.parse::<u64>()? as f64 / 1e6;
        let before = number * BRIGADE;
        Ok(Brigade { first: came(before + 1) - written, last: came(before + BRIGADE) - written })
    };
    body.chunks_exact(BRIGADE).enumerate().map(brigade).collect()
}
