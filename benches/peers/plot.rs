//! The beginnings of the paced responses on one sheet: a plot for each server, of a file and of a backend.
//!
//! Drawn by the probe's code. Servers have a plot each because those that are exact lie on each other.

use std::fs;
use std::path::Path;
use std::time::Duration;

use sluicegate::probe::timeline;
use testkit::panels::{self, Panel, Series};
use testkit::process::Outcome;

use crate::pace::Timeline;
use crate::scale::PACE_RATE;
use crate::servers::Server;
use crate::timelines::SHOWN;

/// Many times what 30 s at one chunk a tenth of a second are.
const MOST: usize = 10_000;

/// Draws `timelines`, which are as long as `window`, into `file`, servers in the order in which they were measured.
pub fn write(file: &Path, timelines: &[Timeline], window: Duration) -> Outcome<()> {
    let shown = SHOWN.min(window);
    let mut servers: Vec<Server> = timelines.iter().map(|timeline| timeline.server).collect();
    servers.dedup();
    let panels = servers.into_iter().map(|server| {
        let of_server = timelines.iter().filter(|timeline| timeline.server == server);
        Panel { title: title(server).to_owned(), series: of_server.map(series).collect() }
    });
    let panels: Vec<Panel> = panels.collect();
    let title = format!("A response limited to {} KiB/s: its first {} seconds", PACE_RATE, shown.as_secs());
    fs::write(file, panels::beside(&title, &panels, PACE_RATE * 1024, shown))
        .map_err(|error| format!("the plot cannot be written to {}: {error}", file.display()).into())
}

/// The server, and what limits its responses.
fn title(server: Server) -> &'static str {
    match server {
        Server::Apache => "Apache, mod_ratelimit",
        Server::Nginx => "nginx, limit_rate",
        Server::Lighttpd => "lighttpd, connection.kbytes-per-second",
        other => other.name(),
    }
}

fn series(seen: &Timeline) -> Series {
    let mut timeline = timeline::Timeline::new(MOST);
    let mut before = 0;
    for (at, bytes) in &seen.points {
        timeline.record(*at, bytes - before);
        before = *bytes;
    }
    Series { name: seen.source.to_owned(), timeline }
}
