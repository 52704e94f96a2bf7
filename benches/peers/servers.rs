//! The servers side by side: their programs, and how one is started, measured and ended.
//!
//! How each is configured is in the file of its name.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, UNIX_EPOCH};

use testkit::process::{Outcome, Process, listener, procfs, role};

use crate::setup::{Place, Setup};
use crate::site::Site;
use crate::{apache, lighttpd, nginx, sluicegate};

/// A column of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    Sluicegate,
    /// mod_ratelimit on mpm_event.
    Apache,
    /// `limit_rate`, with `sendfile on` as Debian has it.
    Nginx,
    /// The same with `sendfile off`: bytes pass through its memory, as ours do.
    NginxCopying,
    Lighttpd,
    /// The bare loop that is no server: see `testkit::roles`.
    Floor,
}

/// Those that are programs of their own and differ in what they do, not only in how they copy.
pub const SERVERS: [Server; 4] = [Server::Sluicegate, Server::Apache, Server::Nginx, Server::Lighttpd];

/// All columns, in the table's order.
pub const COLUMNS: [Server; 6] = [
    Server::Sluicegate,
    Server::Apache,
    Server::Nginx,
    Server::NginxCopying,
    Server::Lighttpd,
    Server::Floor,
];

impl Server {
    /// The heading of its column.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sluicegate => "Sluicegate",
            Self::Apache => "Apache",
            Self::Nginx => "nginx",
            Self::NginxCopying => "nginx ¹",
            Self::Lighttpd => "lighttpd",
            Self::Floor => "floor ²",
        }
    }

    /// Where its program lies; `None` if it is missing. The floor is this program.
    pub fn program(self, site: &Site) -> Option<PathBuf> {
        match self {
            Self::Sluicegate => Some(site.sluicegate.clone()),
            Self::Apache => listener::program("apache2").or_else(|| listener::program("httpd")),
            Self::Nginx | Self::NginxCopying => listener::program("nginx"),
            Self::Lighttpd => listener::program("lighttpd"),
            Self::Floor => std::env::current_exe().ok(),
        }
    }
}

/// A server that listens. Ended, with all its processes, when dropped.
pub struct Running {
    pub port: u16,
    process: Process,
}

impl Running {
    /// Starts a server and waits until it takes connections.
    pub fn start(server: Server, setup: &Setup<'_>) -> Outcome<Self> {
        let state = setup.site.state()?;
        let running = Self::launch(server, setup, &state)?;
        listener::first_connection(&running.process, running.port).map_err(|error| {
            let log = fs::read_to_string(state.join("log")).unwrap_or_default();
            format!("{error}: {}", log.lines().last().unwrap_or("nothing in its log"))
        })?;
        Ok(running)
    }

    /// Starts a server and does not wait.
    fn launch(server: Server, setup: &Setup<'_>, state: &Path) -> Outcome<Self> {
        let program = server.program(setup.site).ok_or("missing")?;
        let port = listener::free_port()?;
        let place = Place { state, port };
        // Those with processes of their own are asked to end, before they are made to.
        let (args, has_children) = match server {
            Server::Sluicegate => (sluicegate::args(setup, &place), false),
            Server::Apache => (apache::args(setup, &place)?, true),
            Server::Nginx => (nginx::args(setup, &place, true)?, true),
            Server::NginxCopying => (nginx::args(setup, &place, false)?, true),
            Server::Lighttpd => (lighttpd::args(setup, &place)?, true),
            Server::Floor => return Err("the floor is started as a role".into()),
        };
        Ok(Self { port, process: Process::program(&program, &args, has_children)? })
    }

    /// Starts a server, asks for `request(port)`, and returns the time from `exec` to the first byte of an answer.
    pub fn time_to_answer(
        server: Server,
        setup: &Setup<'_>,
        request: impl Fn(u16) -> String,
    ) -> Outcome<Duration> {
        let running = Self::launch(server, setup, &setup.site.state()?)?;
        listener::first_answer(&running.process, running.port, &request(running.port))?;
        let answered = UNIX_EPOCH.elapsed()?;
        let launched: u64 = running.process.line_with(role::LAUNCHED, Duration::from_secs(1))?.parse()?;
        Ok(answered.saturating_sub(Duration::from_nanos(launched)))
    }

    /// A process that is a server in this sense, though none of the four.
    pub fn role(process: Process) -> Outcome<Self> {
        Ok(Self { port: process.port()?, process })
    }

    /// CPU seconds of all its processes so far.
    pub fn cpu_seconds(&self) -> Outcome<f64> {
        procfs::tree_cpu_seconds(self.process.id())
    }

    /// Memory (PSS) of all its processes, in KiB.
    pub fn pss_kib(&self) -> Outcome<u64> {
        procfs::tree(self.process.id()).into_iter().map(procfs::pss_kib).sum()
    }

    /// The same when it no longer changes: all workers are there, and have come to rest.
    pub fn settled_pss_kib(&self) -> Outcome<u64> {
        let deadline = Instant::now() + Duration::from_secs(5);
        let mut before = self.pss_kib();
        loop {
            std::thread::sleep(Duration::from_millis(100));
            match (before, self.pss_kib()) {
                (Ok(before), Ok(now)) if before.abs_diff(now) <= now / 200 => return Ok(now),
                (_, now) if Instant::now() > deadline => return now,
                // A process that ended between two looks is no error yet.
                (_, now) => before = now,
            }
        }
    }
}

/// What a program says of its version, in one word such as `2.4.71`.
pub fn version(server: Server, site: &Site) -> Option<String> {
    let flag = if server == Server::Sluicegate { "--version" } else { "-v" };
    let output = std::process::Command::new(server.program(site)?).arg(flag).output().ok()?;
    // nginx says it on standard error.
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    let words = said.split(|c: char| c.is_whitespace() || c == '/');
    words.map(str::to_owned).find(|word| word.starts_with(|c: char| c.is_ascii_digit()))
}
