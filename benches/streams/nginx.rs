//! nginx as a yardstick: found on this machine, configured in the temporary folder, in the foreground.

use std::path::Path;

use testkit::message;
use testkit::process::{Outcome, Process, listener};

/// Starts nginx on `folder` and says on which port; `Ok(None)` if there is none on this machine.
pub fn start(folder: &Path) -> Outcome<Option<(Process, u16)>> {
    let Some(program) = listener::program("nginx") else { return Ok(None) };
    let port = listener::free_port()?;
    let state = folder.join("nginx");
    std::fs::create_dir_all(&state)?;
    let config = state.join("nginx.conf");
    std::fs::write(&config, configuration(folder, &state, port))?;
    let args =
        ["-p", &state.to_string_lossy(), "-e", "stderr", "-c", &config.to_string_lossy()].map(str::to_owned);
    let nginx = Process::program(&program, &args, true)?;
    // Its master listens before there is a worker, which counts.
    listener::first_answer(&nginx, port, &message::request(port, "/none"))?;
    Ok(Some((nginx, port)))
}

fn configuration(folder: &Path, state: &Path, port: u16) -> String {
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    let (folder, state) = (folder.display(), state.display());
    format!(
        "daemon off; worker_processes 1; {user} pid {state}/nginx.pid; error_log stderr crit;
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
