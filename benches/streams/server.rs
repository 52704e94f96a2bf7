//! The servers that are measured, and how each is started.

use std::fmt;

use testkit::process::{Outcome, Process, procfs};
use testkit::roles;

use crate::{FILE_LEN, FILE_NAME, Load, Site, nginx};

/// A server, and where its bytes come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The bare loop.
    Floor,
    /// The bare loop before the fast backend.
    Relay,
    /// The same, without the bytes coming to user space: `splice` through a pipe.
    Splice,
    /// Sluicegate, from the file.
    File,
    /// Sluicegate, from the file, all streams under one limit of the whole server.
    Shared,
    /// Sluicegate, before the fast backend.
    Proxied,
    /// nginx with `sendfile off`, from the file.
    Nginx,
}

impl Kind {
    /// Its name on the command line and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Relay => "relay",
            Self::Splice => "splice",
            Self::File => "file",
            Self::Shared => "shared",
            Self::Proxied => "proxied",
            Self::Nginx => "nginx",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Floor => "floor: bare loop, sendfile",
            Self::Relay => "bare loop before the backend",
            Self::Splice => "bare loop before the backend, splice",
            Self::File => "sluicegate, file",
            Self::Shared => "sluicegate, file, one shared limit",
            Self::Proxied => "sluicegate, proxied",
            Self::Nginx => "nginx, sendfile off",
        })
    }
}

/// A server that listens.
pub struct Running {
    pub port: u16,
    /// What a client asks for.
    pub path: String,
    /// The process whose time and memory count.
    pub pid: u32,
    /// The port of the backend, if it has one.
    pub upstream: Option<u16>,
    /// Ended in this order when the server is dropped.
    _processes: Vec<Process>,
}

impl Running {
    /// Starts a server for `load`; `None` is one unpaced connection. `Ok(None)`: it is not installed.
    pub fn start(site: &Site, kind: Kind, load: Option<Load>) -> Outcome<Option<Self>> {
        let rate = load.map_or("off".to_owned(), |load| format!("{}B", load.rate));
        let connections = load.map_or(1, |load| load.streams);
        let folder = site.folder().to_string_lossy().into_owned();
        let sluicegate = |command: &str, source: String, limit: &str, rate: &str| {
            // All come from one address, which gets 7/8 of the places at most.
            let max = (2 * connections + 16).to_string();
            let args = [command, &source, "--listen", "127.0.0.1:0", limit, rate, "--max-connections", &max];
            Process::program(&site.sluicegate, &args.map(str::to_owned), false)
        };
        let mut upstream = None;
        let processes = match kind {
            Kind::Floor => {
                let rate = load.map_or(0, |load| load.rate);
                let file = site.file().to_string_lossy().into_owned();
                vec![Process::role(roles::FLOOR, &[file, connections.to_string(), rate.to_string()])?]
            }
            Kind::File => vec![sluicegate("serve", folder, "--rate", &rate)?],
            Kind::Shared => {
                let all =
                    load.map_or("off".to_owned(), |load| format!("{}B", load.rate * load.streams as u64));
                vec![sluicegate("serve", folder, "--server-rate", &all)?]
            }
            Kind::Relay | Kind::Splice => {
                let (backend, port) = backend()?;
                upstream = Some(port);
                let rate = load.map_or(0, |load| load.rate);
                let way = if kind == Kind::Splice { roles::SPLICE } else { roles::COPY };
                let orders = [port.to_string(), connections.to_string(), rate.to_string(), way.to_owned()];
                vec![Process::role(roles::RELAY, &orders)?, backend]
            }
            Kind::Proxied => {
                let (backend, port) = backend()?;
                upstream = Some(port);
                vec![sluicegate("proxy", format!("http://127.0.0.1:{port}"), "--rate", &rate)?, backend]
            }
            Kind::Nginx => {
                let Some((nginx, port)) = nginx::start(site.folder())? else { return Ok(None) };
                let pid = procfs::child_of(nginx.id()).ok_or("nginx has no worker")?;
                let path = format!("/{FILE_NAME}");
                return Ok(Some(Self { port, path, pid, upstream, _processes: vec![nginx] }));
            }
        };
        let (port, pid) = (processes[0].port()?, processes[0].id());
        Ok(Some(Self { port, path: format!("/{FILE_NAME}"), pid, upstream, _processes: processes }))
    }
}

/// The fast backend, and its port.
fn backend() -> Outcome<(Process, u16)> {
    let backend = Process::role(roles::BACKEND, &[FILE_LEN.to_string()])?;
    let port = backend.port()?;
    Ok((backend, port))
}
