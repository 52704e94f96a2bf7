//! The servers that are measured, and how each is started.

use std::fmt;
use std::path::{Path, PathBuf};

use testkit::message;
use testkit::process::{Outcome, Process, listener, procfs};

use crate::Site;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Sluicegate,
    /// nginx with Debian's nchan, one worker.
    Nchan,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sluicegate => "sluicegate",
            Self::Nchan => "nginx, nchan",
        })
    }
}

/// Where a server's stream is published and read.
pub struct Target {
    pub port: u16,
    pub subscribe: String,
    pub publish: String,
}

/// A server that listens.
pub struct Running {
    pub target: Target,
    /// The process whose time and memory count.
    pub pid: u32,
    /// Ended when the server is dropped.
    _process: Process,
}

impl Running {
    /// Starts a server. `Ok(None)`: it is not installed.
    pub fn start(site: &Site, kind: Kind) -> Outcome<Option<Self>> {
        match kind {
            Kind::Sluicegate => Self::sluicegate(site).map(Some),
            Kind::Nchan => Self::nchan(site),
        }
    }

    fn sluicegate(site: &Site) -> Outcome<Self> {
        let config = site.folder().join("gate.toml");
        let text = "listen = \"127.0.0.1:0\"\nlog_level = \"off\"\n[[route]]\npath = \"/events/\"\n[route.events]\n\
                    names = \"s\"\nclient_streams = 10_000\n";
        std::fs::write(&config, text)?;
        let args = ["run".to_owned(), config.to_string_lossy().into_owned()];
        let process = Process::program(&site.sluicegate, &args, false)?;
        let (port, pid) = (process.port()?, process.id());
        let path = "/events/s".to_owned();
        Ok(Self { target: Target { port, subscribe: path.clone(), publish: path }, pid, _process: process })
    }

    fn nchan(site: &Site) -> Outcome<Option<Self>> {
        let (Some(program), Some(module)) = (listener::program("nginx"), module()) else { return Ok(None) };
        let port = listener::free_port()?;
        let state = site.folder().join("nginx");
        std::fs::create_dir_all(&state)?;
        let config = state.join("nginx.conf");
        std::fs::write(&config, configuration(&module, &state, port))?;
        let args = ["-p", &state.to_string_lossy(), "-e", "stderr", "-c", &config.to_string_lossy()];
        let process = Process::program(&program, &args.map(str::to_owned), true)?;
        // The master listens before it has its worker, which answers.
        listener::first_answer(&process, port, &message::request(port, "/none"))?;
        let pid = procfs::child_of(process.id()).ok_or("nginx has no worker")?;
        let target = Target { port, subscribe: "/subscribe".to_owned(), publish: "/publish".to_owned() };
        Ok(Some(Self { target, pid, _process: process }))
    }
}

/// Where Debian's libnginx-mod-nchan puts it, and others.
fn module() -> Option<PathBuf> {
    ["/usr/lib/nginx/modules", "/usr/lib64/nginx/modules"]
        .map(|folder| Path::new(folder).join("ngx_nchan_module.so"))
        .into_iter()
        .find(|file| file.is_file())
}

fn configuration(module: &Path, state: &Path, port: u16) -> String {
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    let (module, state) = (module.display(), state.display());
    format!(
        "load_module {module};
daemon off; worker_processes 1; worker_rlimit_nofile 20000; {user} pid {state}/nginx.pid;
events {{ worker_connections 10000; }}
http {{
    access_log off;
    keepalive_requests 1000000;
    client_body_temp_path {state}/body; proxy_temp_path {state}/proxy; fastcgi_temp_path {state}/fastcgi;
    uwsgi_temp_path {state}/uwsgi; scgi_temp_path {state}/scgi;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location = /publish {{ nchan_publisher; nchan_channel_id s; nchan_message_buffer_length 1000; }}
        location = /subscribe {{
            nchan_subscriber eventsource; nchan_channel_id s; nchan_subscriber_first_message newest;
        }}
    }}
}}
"
    )
}
