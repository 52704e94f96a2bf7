//! nginx as a yardstick: found on this machine, configured in the temporary folder, in the foreground.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::process::Process;

/// How long nginx may take until it listens.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the program lies; Debian keeps it outside users' search paths.
fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|folder| folder.join("nginx"))
        .find(|file| file.is_file())
}

/// Starts nginx on `folder` and says on which port; `Ok(None)` if there is none on this machine.
pub fn start(folder: &Path) -> Outcome<Option<(Process, u16)>> {
    let Some(program) = program() else { return Ok(None) };
    // nginx cannot choose a free port itself; between these two lines nobody else is likely to take it.
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let state = folder.join("nginx");
    std::fs::create_dir_all(&state)?;
    let config = state.join("nginx.conf");
    std::fs::write(&config, configuration(folder, &state, port))?;
    let args =
        ["-p", &state.to_string_lossy(), "-e", "stderr", "-c", &config.to_string_lossy()].map(str::to_owned);
    let nginx = Process::program(&program, &args, true)?;
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        if Instant::now() > deadline {
            return Err("nginx does not listen".into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(Some((nginx, port)))
}

fn configuration(folder: &Path, state: &Path, port: u16) -> String {
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    let (folder, state) = (folder.display(), state.display());
    format!(
        "daemon off; worker_processes 1; {user} pid {state}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    default_type application/octet-stream;
    client_body_temp_path {state}/body; proxy_temp_path {state}/proxy; fastcgi_temp_path {state}/fastcgi;
    uwsgi_temp_path {state}/uwsgi; scgi_temp_path {state}/scgi;
    sendfile off;
    server {{ listen 127.0.0.1:{port}; root {folder}; }}
}}
"
    )
}
