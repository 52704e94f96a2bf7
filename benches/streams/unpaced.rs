//! One reading of one server that sends one large file as fast as one reader takes it.

use std::time::Duration;

use testkit::process::{Outcome, Process, procfs};
use testkit::roles;

use crate::server::{Kind, Running};
use crate::{FILE_LEN, Site};

/// How many downloads are measured, after one that warms up.
const DOWNLOADS: u32 = 4;

/// What one reading gave.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// 10⁹ bytes of body a second.
    pub gb_per_second: f64,
    /// CPU seconds of the server for each 10⁹ bytes of body.
    pub cpu_per_gb: f64,
}

/// `Ok(None)`: the server is not on this machine.
pub fn measure(site: &Site, kind: Kind) -> Outcome<Option<Reading>> {
    let Some(server) = Running::start(site, kind, None)? else { return Ok(None) };
    let client = Process::role(
        roles::DOWNLOAD,
        &[server.port.to_string(), server.path.clone(), FILE_LEN.to_string(), DOWNLOADS.to_string()],
    )?;
    client.line_with("begin", Duration::from_secs(60))?;
    let cpu_before = procfs::cpu_seconds(server.pid)?;
    let end = client.line_with("end ", Duration::from_secs(60) * DOWNLOADS)?;
    let cpu = procfs::cpu_seconds(server.pid)? - cpu_before;
    let (bytes, seconds) = end.split_once(' ').ok_or("the client's last line")?;
    let (bytes, seconds): (f64, f64) = (bytes.parse()?, seconds.parse()?);
    Ok(Some(Reading { gb_per_second: bytes / seconds / 1e9, cpu_per_gb: cpu / (bytes / 1e9) }))
}
