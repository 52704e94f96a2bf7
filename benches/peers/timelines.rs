//! The beginnings of the paced responses as series, one file for each, to be drawn on one plot.
//!
//! JSON: the server, where its bytes came from, the pace in bytes a second, and points of seconds since the
//! first byte and bytes of body so far.

use std::fs;
use std::path::Path;
use std::time::Duration;

use testkit::process::Outcome;

use crate::pace::Timeline;
use crate::scale::PACE_RATE;

/// What a plot shows.
pub const SHOWN: Duration = Duration::from_secs(6);

/// Writes `SERVER-SOURCE.json` for each into `folder`, which is made if it is missing.
pub fn write(folder: &Path, timelines: &[Timeline]) -> Outcome<()> {
    fs::create_dir_all(folder)?;
    for timeline in timelines {
        let shown = timeline.points.iter().take_while(|(at, _)| *at <= SHOWN);
        let points: Vec<(f64, u64)> = shown.map(|(at, bytes)| (at.as_secs_f64(), *bytes)).collect();
        let series = serde_json::json!({
            "server": timeline.server.name(),
            "source": timeline.source,
            "bytes_per_second": PACE_RATE * 1024,
            "points": points,
        });
        let name = format!("{}-{}.json", timeline.server.name().to_lowercase(), timeline.source);
        fs::write(folder.join(name), series.to_string() + "\n")?;
    }
    Ok(())
}
