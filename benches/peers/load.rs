//! Many paced streams at a time: what each byte costs in CPU, and each stream in memory, beside the floor.

use std::time::Duration;

use testkit::process::{Outcome, Process};
use testkit::roles;

use crate::scale::{LOAD_RATE, Scale};
use crate::servers::{Running, Server};
use crate::setup::{Setup, Source};
use crate::site::{LARGE, Site};
use crate::table::{Row, Table};

/// What one reading of one server gave.
pub struct Reading {
    pub cpu_per_gb: f64,
    pub kib_per_stream: f64,
    pub achieved: f64,
}

/// All servers in turn, from the file, then proxied, after the floor.
pub fn measure(site: &Site, servers: &[Server], scale: &Scale, table: &mut Table) -> Outcome<()> {
    let backend = Process::role(roles::BACKEND, &[LARGE.length.to_string()])?;
    let port = backend.port()?;
    let floor = floor(site, scale).and_then(|floor| read(&floor, scale, roles::CLIENT));
    if let Ok(floor) = &floor {
        table.add(Row::CpuFile, Server::Floor, floor.cpu_per_gb);
        table.add(Row::AchievedFile, Server::Floor, floor.achieved);
    }
    let floor = floor.map(|floor| floor.cpu_per_gb);
    // A short window may be less than a tick of the kernel's clock of CPU time.
    let comparable = floor.as_ref().ok().copied().filter(|floor| *floor > 0.0);
    for (source, [cpu, to_floor, memory, achieved]) in [
        (Source::File, [Row::CpuFile, Row::CpuFileToFloor, Row::MemoryFile, Row::AchievedFile]),
        (
            Source::Proxied(port),
            [Row::CpuProxied, Row::CpuProxiedToFloor, Row::MemoryProxied, Row::AchievedProxied],
        ),
    ] {
        let setup = Setup {
            site,
            source,
            kib_per_second: Some(LOAD_RATE),
            interval: None,
            connections: scale.streams,
            tls: false,
        };
        let mut of_peers = Vec::new();
        for &server in servers {
            // It differs in how it sends files.
            if server == Server::NginxCopying && source != Source::File {
                continue;
            }
            match Running::start(server, &setup).and_then(|running| read(&running, scale, roles::CLIENT)) {
                Ok(reading) => {
                    table.add(cpu, server, reading.cpu_per_gb);
                    table.add(memory, server, reading.kib_per_stream);
                    table.add(achieved, server, reading.achieved);
                    of_peers.push((server, reading.cpu_per_gb));
                    // What slowed the machine slowed both.
                    if let Some(floor) = comparable {
                        table.add(to_floor, server, reading.cpu_per_gb / floor);
                    }
                }
                Err(error) => table.fail(cpu, server, error),
            }
        }
        if source == Source::File {
            chunk_a_second(&setup, &of_peers, scale, table);
        }
    }
    floor.map(drop)
}

/// Sluicegate with a chunk a second, beside those of this round that send as seldom.
fn chunk_a_second(setup: &Setup<'_>, of_peers: &[(Server, f64)], scale: &Scale, table: &mut Table) {
    let setup = Setup { interval: Some("1s"), ..*setup };
    let reading =
        Running::start(Server::Sluicegate, &setup).and_then(|running| read(&running, scale, roles::CLIENT));
    let ours = match reading {
        Ok(reading) => reading.cpu_per_gb,
        Err(error) => return table.fail(Row::CpuSecond, Server::Sluicegate, error),
    };
    table.add(Row::CpuSecond, Server::Sluicegate, ours);
    for (peer, row) in [(Server::Nginx, Row::CpuSecondToNginx), (Server::Lighttpd, Row::CpuSecondToLighttpd)]
    {
        if let Some((_, theirs)) = of_peers.iter().find(|(server, cpu)| *server == peer && *cpu > 0.0) {
            table.add(Row::CpuSecond, peer, *theirs);
            table.add(row, Server::Sluicegate, ours / theirs);
        }
    }
}

fn floor(site: &Site, scale: &Scale) -> Outcome<Running> {
    let file = site.large().to_string_lossy().into_owned();
    let orders = [file, scale.streams.to_string(), (LOAD_RATE * 1024).to_string()];
    Running::role(Process::role(roles::FLOOR, &orders)?)
}

/// Lets the clients of this role come, measures for the window and ends them.
pub fn read(running: &Running, scale: &Scale, role: &str) -> Outcome<Reading> {
    let before = running.settled_pss_kib()?;
    // 2 000 connections a second, in whole intervals, so that no instant of the 200 ms is preferred.
    let connect_over = Duration::from_millis(200) * (scale.streams as u32).div_ceil(400);
    let millis = |time: Duration| time.as_millis().to_string();
    let orders = [
        running.port.to_string(),
        LARGE.path.to_owned(),
        scale.streams.to_string(),
        (LOAD_RATE * 1024).to_string(),
        millis(connect_over),
        millis(scale.warm_up),
        millis(scale.window),
    ];
    let client = Process::role(role, &orders)?;
    client.line_with("begin", connect_over + scale.warm_up + Duration::from_secs(15))?;
    let cpu_before = running.cpu_seconds()?;
    let end = client.line_with("end ", scale.window + Duration::from_secs(30))?;
    let cpu = running.cpu_seconds()? - cpu_before;
    // After the window: the kernel's walk through the pages takes time of its own. The streams still run.
    let during = running.pss_kib()?;
    let figures: Vec<f64> = end.split(' ').map(str::parse).collect::<Result<_, _>>()?;
    let [total, _, _, seconds, _] = figures[..] else { return Err("the client's last line".into()) };
    if total == 0.0 {
        return Err("not a byte came in the measured time".into());
    }
    Ok(Reading {
        cpu_per_gb: cpu / (total / 1e9),
        kib_per_stream: (during as f64 - before as f64) / scale.streams as f64,
        achieved: total / ((LOAD_RATE * 1024) as f64 * seconds * scale.streams as f64),
    })
}
