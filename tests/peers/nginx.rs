//! nginx with a configuration and a folder of its own.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::program::{Running, descriptors, program};
use testkit::wait::soon;

/// A running nginx.
pub struct Nginx {
    pub addr: SocketAddr,
    /// Its configuration, log and temporary files.
    _state: TempDir,
    process: Running,
}

impl Nginx {
    /// Starts nginx with one server; `server` is the inside of its block. Waits until it listens.
    pub fn start(server: &str) -> Self {
        Self::start_with("", server)
    }

    /// The same whose socket is listened on with options.
    pub fn start_with(listen: &str, server: &str) -> Self {
        Self::start_http(|addr, _| format!("server {{ listen {addr} {listen}; {server} }}"))
    }

    /// The same of all that is in the block `http`, for the address that it listens on and a folder for its files.
    pub fn start_http(http: impl Fn(SocketAddr, &Path) -> String) -> Self {
        let state = tempfile::tempdir().unwrap();
        let pid = state.path().join("nginx.pid");
        loop {
            // nginx cannot choose a free port itself. Should another program take this one before
            // nginx does, nginx ends, and the next one is tried.
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
            let config = state.path().join("nginx.conf");
            fs::write(&config, configuration(state.path(), &http(free, state.path()))).unwrap();
            let mut command = Command::new(program("nginx"));
            command.arg("-p").arg(state.path()).arg("-c").arg(config).args(["-e", "stderr"]);
            let mut process = Running(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap());
            // It writes its number when its sockets are bound.
            let bound = soon("nginx", || {
                let listens = fs::read_to_string(&pid).is_ok_and(|pid| pid.ends_with('\n'));
                (listens || process.0.try_wait().unwrap().is_some()).then_some(listens)
            });
            if bound {
                return Self { addr: free, _state: state, process };
            }
            let port_taken = TcpListener::bind(free).is_err();
            assert!(port_taken, "nginx refuses its configuration: see above");
        }
    }

    /// nginx as a server of the files in `folder`, with further directives.
    pub fn serve(folder: &Path, further: &str) -> Self {
        Self::start(&format!("root {}; {further}", folder.display()))
    }

    /// The descriptors that its process has open.
    pub fn descriptors(&self) -> usize {
        descriptors(&self.process)
    }

    /// The address of `target` as clients are given it.
    pub fn url(&self, target: &str) -> String {
        format!("http://{}{target}", self.addr)
    }
}

/// One process, in the foreground, as whoever runs the tests, with all it writes in its folder.
fn configuration(state: &Path, http: &str) -> String {
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    let state = state.display();
    format!(
        "daemon off; master_process off; {user} pid {state}/nginx.pid;
events {{ worker_connections 512; }}
http {{
    access_log off;
    default_type application/octet-stream;
    types {{ text/html html; text/css css; text/plain txt log; image/png png; }}
    client_body_temp_path {state}/body; proxy_temp_path {state}/proxy; fastcgi_temp_path {state}/fastcgi;
    uwsgi_temp_path {state}/uwsgi; scgi_temp_path {state}/scgi;
    {http}
}}
"
    )
}
