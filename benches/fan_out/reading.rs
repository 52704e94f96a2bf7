//! One reading of one server: delays while it has little to do, then as many events as go.

use std::time::Duration;

use testkit::process::{Outcome, Process, procfs};

use crate::server::{Kind, Running};
use crate::{Options, Site, roles};

/// All subscribers must be there within this, and each part over so long after its time.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug)]
pub struct Reading {
    pub kind: Kind,
    pub subscribers: usize,
    /// Events that all subscribers had, in a second.
    pub per_second: f64,
    /// Seconds of the server's processor time for a million deliveries, meanwhile.
    pub cpu: f64,
    /// The same of the store.
    pub store_cpu: f64,
    /// Microseconds from publication to delivery, while the server has little to do.
    pub p50: f64,
    pub p99: f64,
    /// KiB of the server for each subscriber at the end.
    pub memory: f64,
}

/// Starts a server and measures it; `Ok(None)`: it is not installed.
pub fn measure(site: &Site, kind: Kind, subscribers: usize, options: &Options) -> Outcome<Option<Reading>> {
    let Some(server) = Running::start(site, kind)? else { return Ok(None) };
    let before = procfs::pss_kib(server.pid)?;
    let window = Duration::from_secs_f64(options.seconds);
    let orders = [
        server.target.port.to_string(),
        server.target.publish_port.to_string(),
        server.target.subscribe.clone(),
        server.target.publish.clone(),
        subscribers.to_string(),
        options.size.to_string(),
        window.as_millis().to_string(),
    ];
    let crowd = Process::role(roles::SUBSCRIBERS, &orders)?;
    let [p50, p99] = figures(&crowd.line_with("delays ", window + PATIENCE)?)?;
    crowd.line_with("begin", PATIENCE)?;
    let store = || server.store.map_or(Ok(0.0), procfs::cpu_seconds);
    let (cpu, store_cpu) = (procfs::cpu_seconds(server.pid)?, store()?);
    let [events, seconds] = figures(&crowd.line_with("end ", window + PATIENCE)?)?;
    let (cpu, store_cpu) = (procfs::cpu_seconds(server.pid)? - cpu, store()? - store_cpu);
    let memory = procfs::pss_kib(server.pid)?.saturating_sub(before) as f64 / subscribers as f64;
    let per_second = events / seconds;
    let millions = events * subscribers as f64 / 1e6;
    let (cpu, store_cpu) = (cpu / millions, store_cpu / millions);
    Ok(Some(Reading { kind, subscribers, per_second, cpu, store_cpu, p50, p99, memory }))
}

fn figures(line: &str) -> Outcome<[f64; 2]> {
    let figures: Vec<f64> = line.split(' ').map(str::parse).collect::<Result<_, _>>()?;
    Ok(figures.try_into().map_err(|_| format!("the subscribers said {line:?}"))?)
}
