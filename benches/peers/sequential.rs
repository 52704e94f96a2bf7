//! Small bodies one after another on one connection, against a limit: does each start afresh?

use std::io::Read;
use std::time::{Duration, Instant};

use testkit::process::Outcome;

use crate::pace;
use crate::scale::PACE_RATE;
use crate::servers::{Running, Server};
use crate::setup::{Setup, Source};
use crate::site::{BODY, Site};
use crate::table::{Row, Table};

/// One server after the other: those that let them through use all the processor there is.
pub fn measure(site: &Site, servers: &[Server], seconds: u64, table: &mut Table) {
    for &server in servers {
        table.take(Row::Sequential, server, against_limit(site, server, Duration::from_secs(seconds)));
    }
}

/// Bytes of body that came in `length`, against what the rate allows.
fn against_limit(site: &Site, server: Server, length: Duration) -> Outcome<f64> {
    let setup = Setup {
        site,
        source: Source::File,
        kib_per_second: Some(PACE_RATE),
        interval: None,
        connections: 1,
        tls: false,
    };
    let running = Running::start(server, &setup)?;
    let (mut socket, behind) = pace::ask(running.port, BODY.path)?;
    let began = Instant::now();
    let mut bytes = behind.len() as u64;
    let mut left = BODY.length - bytes;
    let mut buf = vec![0; 64 * 1024];
    while began.elapsed() < length {
        let came = match left {
            0 => {
                left = BODY.length;
                pace::again(&mut socket, running.port, BODY.path)?.len()
            }
            _ => socket.read(&mut buf)?,
        } as u64;
        left = left.checked_sub(came).ok_or("more than was asked for")?;
        bytes += came;
    }
    Ok(bytes as f64 / (began.elapsed().as_secs_f64() * (PACE_RATE * 1024) as f64))
}
