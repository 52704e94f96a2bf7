//! lighttpd with `connection.kbytes-per-second`, its other settings as they come: one process, `sendfile`.
//!
//! Different from that: room for as many connections as come, connections that stay for many requests, and
//! `server.stream-response-body = 2`. Without the last lighttpd takes all of a backend's body to disk before it
//! sends any of it; with it, it holds some and lets the backend wait, which is what a user wants who paces
//! long bodies.

use std::fs;

use testkit::process::Outcome;

use crate::setup::{Place, Setup, Source};

pub fn args(setup: &Setup<'_>, place: &Place<'_>) -> Outcome<Vec<String>> {
    let config = place.state.join("lighttpd.conf");
    fs::write(&config, configuration(setup, place))?;
    Ok(["-D", "-f", &config.to_string_lossy()].map(str::to_owned).to_vec())
}

fn configuration(setup: &Setup<'_>, place: &Place<'_>) -> String {
    let (state, folder) = (place.state.display(), setup.site.folder().display());
    let connections = setup.connections * 2 + 64;
    let rate = setup
        .kib_per_second
        .map_or_else(String::new, |rate| format!("connection.kbytes-per-second = {rate}"));
    let source = match setup.source {
        Source::File => String::new(),
        Source::Proxied(port) => format!(
            "server.modules = (\"mod_proxy\")
proxy.server = (\"\" => ((\"host\" => \"127.0.0.1\", \"port\" => {port})))
server.stream-response-body = 2"
        ),
    };
    format!(
        "server.bind = \"127.0.0.1\"
server.port = {port}
server.document-root = \"{folder}\"
server.errorlog = \"{state}/log\"
server.upload-dirs = (\"{state}\")
server.max-connections = {connections}
server.max-fds = {files}
server.listen-backlog = 4096
server.max-keep-alive-requests = 65535
mimetype.assign = (\"\" => \"application/octet-stream\")
{rate}
{source}
",
        port = place.port,
        files = connections * 2 + 64,
    )
}
