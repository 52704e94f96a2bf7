//! The servers that are measured, and how each is started.

use std::fmt;

use testkit::message::key;
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
    /// Sluicegate, from the file, each stream a client with a key and limits of its own, under one of the whole server.
    Clients,
    /// The same clients in classes, each with a limit of its own.
    Classes,
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
            Self::Clients => "clients",
            Self::Classes => "classes",
            Self::Proxied => "proxied",
            Self::Nginx => "nginx",
        }
    }
}

impl Kind {
    /// Whether it is a server of HTTP, and no loop that waits for its streams.
    pub fn is_http(self) -> bool {
        !matches!(self, Self::Floor | Self::Relay | Self::Splice)
    }

    /// Whether each stream shows a key of its own.
    pub fn has_keys(self) -> bool {
        matches!(self, Self::Clients | Self::Classes)
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
            Self::Clients => "sluicegate, file, a client each",
            Self::Classes => "sluicegate, file, clients in classes",
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
    /// The server's first. Ended in this order when it is dropped.
    pub processes: Vec<Process>,
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
            Kind::Clients | Kind::Classes => {
                let load = load.ok_or("clients are measured under a load")?;
                let classes = if kind == Kind::Classes { CLASSES } else { 0 };
                let file = site.dir.path().join(format!("{}.toml", kind.name()));
                std::fs::write(&file, keyed(&folder, load, classes))?;
                let args = ["run".to_owned(), file.to_string_lossy().into_owned()];
                vec![Process::program(&site.sluicegate, &args, false)?]
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
                return Ok(Some(Self { port, path, pid, upstream, processes: vec![nginx] }));
            }
        };
        let (port, pid) = (processes[0].port()?, processes[0].id());
        Ok(Some(Self { port, path: format!("/{FILE_NAME}"), pid, upstream, processes }))
    }
}

/// Classes of clients, where there are some.
const CLASSES: usize = 100;

/// The configuration of a server whose clients are told apart by their keys. The server's limit is what holds; those of clients and
/// classes are a quarter above the shares, so that they are looked at each time.
fn keyed(folder: &str, load: Load, classes: usize) -> String {
    let Load { streams, rate, .. } = load;
    let connections = 2 * streams + 16;
    let (all, each) = (rate * streams as u64, rate * 5 / 4);
    let mut text = format!(
        "listen = '127.0.0.1:0'\nmax_connections = {connections}\n[limits]\nserver = {{ rate = '{all}B' }}\n\
         client = {{ rate = '{each}B', key = 'header:x-api-key' }}\n[[route]]\npath = '/'\nfiles = '{folder}'\n"
    );
    for class in 0..classes {
        // Neighbours are in different classes.
        let keys = (class..streams).step_by(classes);
        let total = each * keys.len() as u64;
        let keys: Vec<String> = keys.map(|number| format!("'{}'", key(number))).collect();
        text.push_str(&format!(
            "[[class]]\nname = 'class-{class}'\nmatch = {{ header = {{ x-api-key = [{}] }} }}\n\
             limits = {{ client = {{ rate = '{each}B' }}, total = {{ rate = '{total}B' }} }}\nrequired = true\n",
            keys.join(", ")
        ));
    }
    text
}

/// The fast backend, and its port.
fn backend() -> Outcome<(Process, u16)> {
    let backend = Process::role(roles::BACKEND, &[FILE_LEN.to_string()])?;
    let port = backend.port()?;
    Ok((backend, port))
}
