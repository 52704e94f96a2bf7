//! nginx with a master and two workers, on a port that stays its own.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tempfile::TempDir;

use crate::program::program;
use testkit::wait::until;

pub struct Proxy {
    pub addr: SocketAddr,
    config: PathBuf,
    master: Child,
    state: TempDir,
}

impl Proxy {
    pub fn start(backend: SocketAddr) -> Self {
        let state = tempfile::tempdir().unwrap();
        // Nobody else is likely to take it: the kernel goes round.
        let addr = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let config = state.path().join("nginx.conf");
        fs::write(&config, configuration(&state, addr, backend)).unwrap();
        let master = start(&state, &config);
        let proxy = Self { addr, config, master, state };
        proxy.listens();
        proxy
    }

    fn listens(&self) {
        until("nginx", || TcpStream::connect(self.addr).is_ok());
    }

    /// One of its workers is killed; the master sees to another one.
    pub fn loses_a_worker(&self, which: usize) -> bool {
        let master = self.master.id();
        let children =
            fs::read_to_string(format!("/proc/{master}/task/{master}/children")).unwrap_or_default();
        let pid = children.split_whitespace().nth(which).and_then(|pid| Pid::from_raw(pid.parse().unwrap()));
        // A child that the master has not reaped: the number is nobody else's.
        pid.is_some_and(|pid| kill_process(pid, Signal::KILL).is_ok())
    }

    /// All of it is killed, and started again.
    pub fn is_replaced(&mut self) -> bool {
        self.kill();
        until("nginx's port", || TcpListener::bind(self.addr).is_ok());
        self.master = start(&self.state, &self.config);
        self.listens();
        true
    }

    fn kill(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.master), Signal::KILL);
        let _ = self.master.wait();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.kill();
    }
}

fn start(state: &TempDir, config: &PathBuf) -> Child {
    let mut command = Command::new(program("nginx"));
    command.arg("-p").arg(state.path()).arg("-c").arg(config).args(["-e", "/dev/null"]);
    // Master and workers are a group, to be killed as one.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).spawn().unwrap()
}

fn configuration(state: &TempDir, listen: SocketAddr, backend: SocketAddr) -> String {
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    let state = state.path().display();
    format!(
        "daemon off; worker_processes 2; {user} pid {state}/nginx.pid;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {state}/body; proxy_temp_path {state}/proxy; fastcgi_temp_path {state}/fastcgi;
    uwsgi_temp_path {state}/uwsgi; scgi_temp_path {state}/scgi;
    server {{ listen {listen}; location / {{ proxy_pass http://{backend}; proxy_http_version 1.1; }} }}
}}
"
    )
}
