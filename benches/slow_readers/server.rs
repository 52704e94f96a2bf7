//! The server under measurement, and what it says of itself.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use testkit::process::{Outcome, Process, procfs};
use testkit::watched;

use crate::Site;

/// What its buffers hold for one reader, the program's default.
pub const BUFFER: u64 = 64 * 1024;

/// How long the server may take for what it must come to.
const PATIENCE: Duration = Duration::from_secs(30);

/// Its memory, in KiB.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    pub rss: f64,
    pub pss: f64,
}

/// A server that listens. Ended when dropped.
pub struct Server {
    process: Process,
    pub port: u16,
    admin: u16,
}

impl Server {
    /// Starts one of the site's folder, unpaced, for so many slow readers, with further `flags`.
    pub fn start(site: &Site, readers: usize, flags: &[&str]) -> Outcome<Self> {
        let folder = site.folder().to_string_lossy();
        // All come from one address, which gets 7/8 of the places at most.
        let most = (2 * readers + 64).to_string();
        let args = [
            "serve",
            &folder,
            "--listen",
            "127.0.0.1:0",
            "--admin",
            "127.0.0.1:0",
            "--max-connections",
            &most,
        ];
        let args: Vec<String> = args.iter().chain(flags).map(|&arg| arg.to_owned()).collect();
        let process = Process::program(&site.sluicegate, &args, false)?;
        // In the order in which it says them.
        let (port, admin) = (process.port()?, process.port()?);
        Ok(Self { process, port, admin })
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// A figure of its metrics, by the name behind `sluicegate_`.
    pub fn metric(&self, name: &str) -> Outcome<u64> {
        let admin = (Ipv4Addr::LOCALHOST, self.admin).into();
        let value = watched::metric(admin, &format!("sluicegate_{name}"));
        value.ok_or_else(|| format!("no metric {name}").into())
    }

    /// Waits until a metric is at `value`.
    pub fn wait_for(&self, name: &str, value: u64) -> Outcome<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = self.metric(name)?;
            if now == value {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("{name} is {now}, and not {value} within {PATIENCE:?}").into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn memory(&self) -> Outcome<Memory> {
        let kib = |name| procfs::memory_kib(self.pid(), name);
        Ok(Memory { rss: kib("Rss")? as f64, pss: kib("Pss")? as f64 })
    }
}
