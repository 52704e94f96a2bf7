//! nginx with `limit_rate`, as Debian configures it: a worker for each processor, `sendfile on`, `tcp_nopush on`.
//!
//! Different from that: no access log (no other server writes one either), connections that are not closed after
//! 1 000 requests, room for as many connections as come, and `proxy_max_temp_file_size 0`. Without the last nginx
//! spools a fast backend's body to disk, up to 1 GiB for each response; with it, it holds 40 KiB and lets the
//! backend wait, which is what a user wants who paces long bodies. `proxy_buffering off` would be no choice:
//! then `limit_rate` has no effect. Connections to the backend are kept, which it does not do by itself.

use std::fs;

use testkit::process::Outcome;

use crate::setup::{Place, Setup, Source};

pub fn args(setup: &Setup<'_>, place: &Place<'_>, sendfile: bool) -> Outcome<Vec<String>> {
    let config = place.state.join("nginx.conf");
    fs::write(&config, configuration(setup, place, sendfile))?;
    let (state, config) = (place.state.to_string_lossy(), config.to_string_lossy());
    let log = place.state.join("log");
    Ok(["-p", &state, "-e", &log.to_string_lossy(), "-c", &config].map(str::to_owned).to_vec())
}

fn configuration(setup: &Setup<'_>, place: &Place<'_>, sendfile: bool) -> String {
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    let (state, port) = (place.state.display(), place.port);
    // A proxied exchange takes two.
    let connections = setup.connections * 2 + 64;
    let sendfile = if sendfile { "sendfile on; tcp_nopush on;" } else { "sendfile off;" };
    let rate = setup.kib_per_second.map_or_else(String::new, |rate| format!("limit_rate {rate}k;"));
    let source = match setup.source {
        Source::File => format!("root {};", setup.site.folder().display()),
        Source::Proxied(_) => {
            let kept = "proxy_http_version 1.1; proxy_set_header Connection \"\";";
            format!("location / {{ proxy_pass http://backend; {kept} }}")
        }
    };
    let backend = match setup.source {
        Source::File => String::new(),
        Source::Proxied(port) => {
            format!("upstream backend {{ server 127.0.0.1:{port}; keepalive {connections}; }}")
        }
    };
    let tls = match setup.tls {
        true => format!(
            "ssl_certificate {}; ssl_certificate_key {}; ssl_protocols TLSv1.2 TLSv1.3;",
            setup.site.certificate().display(),
            setup.site.key().display()
        ),
        false => String::new(),
    };
    let ssl = if setup.tls { " ssl" } else { "" };
    format!(
        "daemon off; worker_processes auto; {user} pid {state}/nginx.pid; error_log {state}/log crit;
worker_rlimit_nofile {files};
events {{ worker_connections {connections}; }}
http {{
    access_log off;
    default_type application/octet-stream;
    {sendfile}
    keepalive_timeout 65; keepalive_requests 1000000000;
    proxy_max_temp_file_size 0;
    client_body_temp_path {state}/body; proxy_temp_path {state}/proxy; fastcgi_temp_path {state}/fastcgi;
    uwsgi_temp_path {state}/uwsgi; scgi_temp_path {state}/scgi;
    {backend}
    server {{ listen 127.0.0.1:{port} backlog=4096{ssl}; {tls} {rate} {source} }}
}}
",
        files = connections * 2 + 64,
    )
}
