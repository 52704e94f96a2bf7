//! The servers that are measured, and how each is started.

use std::fmt;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use testkit::message;
use testkit::process::{Outcome, Process, listener, procfs};

use crate::Site;

/// How often a store is started.
const TRIES: usize = 5;

/// For a server to have its store.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Sluicegate,
    /// With its streams in a redis-server.
    Redis,
    /// The same, and events are published at another server.
    RedisElsewhere,
    /// nginx with Debian's nchan, one worker.
    Nchan,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sluicegate => "sluicegate",
            Self::Redis => "on redis",
            Self::RedisElsewhere => "on redis, from another server",
            Self::Nchan => "nginx, nchan",
        })
    }
}

/// Where a server's stream is published and read.
pub struct Target {
    pub port: u16,
    /// That of the server at which events are published.
    pub publish_port: u16,
    pub subscribe: String,
    pub publish: String,
}

/// A server that listens.
pub struct Running {
    pub target: Target,
    /// The process whose time and memory count.
    pub pid: u32,
    /// The store, if it is a process of its own.
    pub store: Option<u32>,
    /// Ended when the server is dropped.
    _processes: Vec<Process>,
}

impl Running {
    /// Starts a server. `Ok(None)`: it is not installed.
    pub fn start(site: &Site, kind: Kind) -> Outcome<Option<Self>> {
        match kind {
            Kind::Sluicegate => Self::sluicegate(site).map(Some),
            Kind::Redis => Self::on_redis(site, false),
            Kind::RedisElsewhere => Self::on_redis(site, true),
            Kind::Nchan => Self::nchan(site),
        }
    }

    fn sluicegate(site: &Site) -> Outcome<Self> {
        let (process, port) = gate(site, "memory")?;
        Ok(Self::of(port, port, process.id(), None, vec![process]))
    }

    /// On a redis-server that keeps all on the disk, through TCP.
    fn on_redis(site: &Site, elsewhere: bool) -> Outcome<Option<Self>> {
        let Some(program) = listener::program("redis-server") else { return Ok(None) };
        // Another program may take its port first.
        let started = (0..TRIES).find_map(|_| redis_server(site, &program).ok());
        let (redis, store) = started.ok_or("redis-server does not listen")?;
        let (server, port) = gate(site, &store)?;
        let (pid, store_pid) = (server.id(), Some(redis.id()));
        let mut processes = vec![server, redis];
        let mut publish = port;
        if elsewhere {
            let (other, at) = gate(site, &store)?;
            publish = at;
            processes.push(other);
        }
        for port in [port, publish] {
            has_store(port)?;
        }
        Ok(Some(Self::of(port, publish, pid, store_pid, processes)))
    }

    fn of(port: u16, publish_port: u16, pid: u32, store: Option<u32>, processes: Vec<Process>) -> Self {
        let path = "/events/s".to_owned();
        let target = Target { port, publish_port, subscribe: path.clone(), publish: path };
        Self { target, pid, store, _processes: processes }
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
        let (subscribe, publish) = ("/subscribe".to_owned(), "/publish".to_owned());
        let target = Target { port, publish_port: port, subscribe, publish };
        Ok(Some(Self { target, pid, store: None, _processes: vec![process] }))
    }
}

/// A redis-server that listens, and its address as a store.
fn redis_server(site: &Site, program: &Path) -> Outcome<(Process, String)> {
    let port = listener::free_port()?;
    let folder = tempfile::tempdir_in(site.folder())?.keep();
    let (at, folder) = (port.to_string(), folder.to_string_lossy());
    let args = ["--port", &at, "--save", "", "--appendonly", "yes", "--loglevel", "warning"];
    let args = [&args[..], &["--appendfsync", "everysec", "--dir", &folder]].concat();
    let args: Vec<String> = args.into_iter().map(str::to_owned).collect();
    let redis = Process::program(program, &args, true)?;
    listener::first_answer(&redis, port, "PING\r\n")?;
    Ok((redis, format!("redis://127.0.0.1:{port}/0")))
}

/// Waits until the server at `port` has its store, and the stream in it.
fn has_store(port: u16) -> Outcome<()> {
    let request =
        format!("GET /events/s/poll?wait=0s HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        if message::status(&answer) == Some(200) {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!("no stream: {}", String::from_utf8_lossy(&answer)).into());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A server whose streams are in `store`, and its port.
fn gate(site: &Site, store: &str) -> Outcome<(Process, u16)> {
    let config = site.folder().join("gate.toml");
    let text = format!(
        "listen = \"127.0.0.1:0\"\nlog_level = \"off\"\n[[route]]\npath = \"/events/\"\n[route.events]\n\
         names = \"s\"\nclient_streams = 10_000\nstore = \"{store}\"\n"
    );
    std::fs::write(&config, text)?;
    let args = ["run".to_owned(), config.to_string_lossy().into_owned()];
    let process = Process::program(&site.sluicegate, &args, false)?;
    // It has read the file when it listens: the next one may have the same.
    let port = process.port()?;
    Ok((process, port))
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
