//! TLS: what handshakes cost, and the bytes of many paced streams, beside nginx.

use std::time::Duration;

use testkit::process::{Outcome, Process};
use testkit::roles;

use crate::load;
use crate::scale::{LOAD_RATE, Scale};
use crate::servers::{Running, Server};
use crate::setup::Setup;
use crate::site::{SMALL, Site};
use crate::table::{Row, Table};
use crate::unpaced;

/// The others have TLS of the same library as nginx.
const SERVERS: [Server; 2] = [Server::Sluicegate, Server::Nginx];

/// A server may take so long for one thing.
const PATIENCE: Duration = Duration::from_secs(30);

/// Those of the servers that are measured, in turn.
pub fn measure(site: &Site, servers: &[Server], scale: &Scale, table: &mut Table) {
    let servers: Vec<Server> = SERVERS.into_iter().filter(|server| servers.contains(server)).collect();
    for (kind, rate, to_cpu) in [
        (roles::FULL, Row::Handshakes, Row::HandshakesToCpu),
        (roles::RESUMED, Row::Resumed, Row::ResumedToCpu),
    ] {
        let setup = Setup { tls: true, ..unpaced::setup(site) };
        for &server in &servers {
            let reading = Running::start(server, &setup);
            match reading.and_then(|running| handshakes(&running, kind, scale.requests)) {
                Ok((per_second, per_cpu_second)) => {
                    table.add(rate, server, per_second);
                    table.add(to_cpu, server, per_cpu_second);
                }
                Err(error) => table.fail(rate, server, error),
            }
        }
    }
    let setup = Setup {
        kib_per_second: Some(LOAD_RATE),
        connections: scale.streams,
        tls: true,
        ..unpaced::setup(site)
    };
    for &server in &servers {
        let reading = Running::start(server, &setup);
        match reading.and_then(|running| load::read(&running, scale, roles::TLS_CLIENT)) {
            Ok(reading) => {
                table.add(Row::SecureCpu, server, reading.cpu_per_gb);
                table.add(Row::SecureMemory, server, reading.kib_per_stream);
                table.add(Row::SecureAchieved, server, reading.achieved);
            }
            Err(error) => table.fail(Row::SecureCpu, server, error),
        }
    }
}

/// Handshakes a second, and for each CPU second of the server.
fn handshakes(running: &Running, kind: &str, window: Duration) -> Outcome<(f64, f64)> {
    let millis = window.as_millis().to_string();
    let orders = [running.port.to_string(), SMALL.path.to_owned(), kind.to_owned(), millis];
    let client = Process::role(roles::HANDSHAKES, &orders)?;
    client.line_with("begin", PATIENCE)?;
    let before = running.cpu_seconds()?;
    let end = client.line_with("end ", window + PATIENCE)?;
    let cpu = running.cpu_seconds()? - before;
    let (count, seconds) = end.split_once(' ').ok_or("the client's last line")?;
    let (count, seconds): (f64, f64) = (count.parse()?, seconds.parse()?);
    Ok((count / seconds, count / cpu))
}
