//! The log of a whole program.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use log::Level;

use super::{Style, render, style};
use crate::clock::Clock;
use crate::rt::{self, LineEvent, LineWriter, LogPipe};

/// How long the end of the program waits for a slow standard error.
const LAST_LINES: Duration = Duration::from_secs(1);

/// What femme prints, on its way to standard error. A reader that is slow or gone, or a full disk, costs lines and never
/// holds up or ends the program; how many lines were lost is logged once there is room.
pub struct ProgramLog {
    pipe: LogPipe,
    writer: Arc<LineWriter>,
}

impl ProgramLog {
    /// Takes over standard output, on which femme prints. To be called before femme is started.
    ///
    /// # Errors
    /// The system refuses a pipe, a descriptor or a thread; standard output is then as it was.
    pub fn start() -> io::Result<Self> {
        let lost = Arc::new(AtomicU64::new(0));
        let losing = Arc::clone(&lost);
        let report = move |event| {
            if let LineEvent::Dropped(lines) = event {
                losing.fetch_add(lines, Ordering::Relaxed);
            }
        };
        let writer = LineWriter::start("log-writer", Box::new(io::stderr()), rt::clock(), report)?;
        let writer = Arc::new(writer);
        let taking = Arc::clone(&writer);
        let mut scratch = Vec::new();
        let pipe = LogPipe::new(move |line| {
            let lines = lost.swap(0, Ordering::Relaxed);
            if lines > 0 && !taking.push(&loss(lines)) {
                lost.fetch_add(lines, Ordering::Relaxed);
            }
            scratch.clear();
            render::line(line, style(), &mut scratch);
            scratch.push(b'\n');
            taking.push(&scratch);
        })?;
        Ok(Self { pipe, writer })
    }

    /// Gives standard output back, and waits at most two seconds until the lines so far are written.
    pub fn finish(self) {
        self.pipe.finish();
        self.writer.close(LAST_LINES);
    }
}

/// The line that says how many were lost.
fn loss(lines: u64) -> Vec<u8> {
    let (mut json, mut out) = (Vec::new(), Vec::new());
    render::record(
        Level::Warn,
        rt::clock().calendar(),
        "log lines were lost: standard error did not take them",
        &mut json,
    );
    json.truncate(json.len() - 1);
    json.extend_from_slice(format!(",\"lines\":{lines}}}").as_bytes());
    match style() {
        Style::Json => out = json,
        style => render::text(&json, style == Style::Coloured, &mut out),
    }
    out.push(b'\n');
    out
}
