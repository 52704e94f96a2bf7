//! No pace: one large file to one reader, and a small one again and again to eight.

use std::time::Duration;

use testkit::process::{Outcome, Process};
use testkit::roles;

use crate::scale::Scale;
use crate::servers::{Running, Server};
use crate::setup::{Setup, Source};
use crate::site::{LARGE, SMALL, Site};
use crate::table::{Row, Table};

/// A server may take so long for one thing.
const PATIENCE: Duration = Duration::from_secs(30);

/// The large file, servers in turn, and the floor.
pub fn large(site: &Site, servers: &[Server], scale: &Scale, table: &mut Table) {
    for &server in servers.iter().chain(&[Server::Floor]) {
        let running = match server {
            Server::Floor => floor(site),
            _ => Running::start(server, &setup(site)),
        };
        match running.and_then(|running| download(&running, scale.downloads)) {
            Ok((gb_per_second, cpu_per_gb)) => {
                table.add(Row::Throughput, server, gb_per_second);
                table.add(Row::ThroughputCpu, server, cpu_per_gb);
            }
            Err(error) => table.fail(Row::Throughput, server, error),
        }
    }
}

/// The small file, then as much from a backend, servers in turn.
pub fn small(site: &Site, servers: &[Server], scale: &Scale, table: &mut Table) -> Outcome<()> {
    let backend = Process::role(roles::BACKEND, &[SMALL.length.to_string()])?;
    let proxied = Source::Proxied(backend.port()?);
    for (source, rate, to_cpu) in [
        (Source::File, Row::Requests, Row::RequestsToCpu),
        (proxied, Row::ProxiedRequests, Row::ProxiedRequestsToCpu),
    ] {
        let setup = Setup { source, ..setup(site) };
        // It differs in how it sends files.
        let differs = |server: &&Server| **server != Server::NginxCopying || source == Source::File;
        for &server in servers.iter().filter(differs) {
            match Running::start(server, &setup).and_then(|running| requests(&running, scale.requests)) {
                Ok((per_second, per_cpu_second)) => {
                    table.add(rate, server, per_second / 1e3);
                    table.add(to_cpu, server, per_cpu_second / 1e3);
                }
                Err(error) => table.fail(rate, server, error),
            }
        }
    }
    Ok(())
}

/// A server of files without a pace.
pub fn setup(site: &Site) -> Setup<'_> {
    Setup { site, source: Source::File, kib_per_second: None, interval: None, connections: 16, tls: false }
}

fn floor(site: &Site) -> Outcome<Running> {
    let orders = [site.large().to_string_lossy().into_owned(), "1".to_owned(), "0".to_owned()];
    Running::role(Process::role(roles::FLOOR, &orders)?)
}

/// GB a second, and CPU seconds for each.
fn download(running: &Running, times: u32) -> Outcome<(f64, f64)> {
    let orders =
        [running.port.to_string(), LARGE.path.to_owned(), LARGE.length.to_string(), times.to_string()];
    let client = Process::role(roles::DOWNLOAD, &orders)?;
    client.line_with("begin", PATIENCE)?;
    let before = running.cpu_seconds()?;
    let end = client.line_with("end ", PATIENCE * times)?;
    let cpu = running.cpu_seconds()? - before;
    let (bytes, seconds) = end.split_once(' ').ok_or("the client's last line")?;
    let (bytes, seconds): (f64, f64) = (bytes.parse()?, seconds.parse()?);
    Ok((bytes / seconds / 1e9, cpu / (bytes / 1e9)))
}

/// Requests a second, and for each CPU second of the server.
fn requests(running: &Running, window: Duration) -> Outcome<(f64, f64)> {
    let orders = [
        running.port.to_string(),
        SMALL.path.to_owned(),
        SMALL.length.to_string(),
        window.as_millis().to_string(),
    ];
    let client = Process::role(roles::FAST, &orders)?;
    client.line_with("begin", PATIENCE)?;
    let before = running.cpu_seconds()?;
    let end = client.line_with("end ", window + PATIENCE)?;
    let cpu = running.cpu_seconds()? - before;
    let per_second: f64 = end.rsplit(' ').next().unwrap_or_default().parse()?;
    Ok((per_second, per_second * window.as_secs_f64() / cpu))
}
