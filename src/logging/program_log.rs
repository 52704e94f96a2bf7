//! The log of a whole program.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use log::{Level, LevelFilter};

use super::{Style, render, style};
use crate::clock::Clock;
use crate::rt::{self, LineOutput, LineWriter, LogPipe};

/// How long the end of the program, or its start, waits for a slow standard error.
const PATIENCE: Duration = Duration::from_secs(1);

/// What femme prints, on its way to standard error. A reader that is slow or gone, or a full disk, costs lines and never
/// holds up or ends the program; how many lines were lost is logged once there is room.
pub struct ProgramLog {
    pipe: LogPipe,
    lines: Arc<Lines>,
}

opaque!(ProgramLog);

impl ProgramLog {
    /// Takes over standard output, on which femme prints. To be called before femme is started.
    ///
    /// # Errors
    /// The system refuses a pipe, a descriptor or a thread; standard output is then as it was.
    pub fn start() -> io::Result<Self> {
        let lines = Arc::new(Lines::start("log-writer", Box::new(io::stderr()))?);
        let taking = Arc::clone(&lines);
        let mut scratch = Vec::new();
        let pipe = LogPipe::new(move |line| {
            scratch.clear();
            render::line(line, style(), &mut scratch);
            scratch.push(b'\n');
            taking.push(&scratch);
        })?;
        Ok(Self { pipe, lines })
    }

    /// Ends the log: nothing is logged from now on. Gives standard output back, and waits at most two seconds until the
    /// lines so far are written.
    pub fn finish(self) {
        // What a task logs while this waits would be on the real standard output.
        log::set_max_level(LevelFilter::Off);
        self.pipe.finish();
        self.lines.finish(PATIENCE);
    }
}

/// Lines for standard error, and the number of those that did not fit.
pub(super) struct Lines {
    writer: LineWriter,
    lost: AtomicU64,
}

impl Lines {
    /// # Errors
    /// The system refuses a thread.
    pub(super) fn start(name: &str, output: Box<dyn LineOutput>) -> io::Result<Self> {
        // Failing and recovering have no other place to be reported than this output.
        let writer = LineWriter::start(name, output, rt::clock(), drop)?;
        Ok(Self { writer, lost: AtomicU64::new(0) })
    }

    /// Queues a line, and before it how many were lost. False if it is lost itself. Never waits.
    pub(super) fn push(&self, line: &[u8]) -> bool {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        let is_queued = match lost {
            0 => self.writer.try_push(line),
            lost => self.writer.try_push(&[&loss(lost), line].concat()),
        };
        if !is_queued {
            self.lost.fetch_add(lost + 1, Ordering::Relaxed);
        }
        is_queued
    }

    /// Queues how many lines were lost, if any, and waits at most `patience` until all are written. Takes no more lines.
    pub(super) fn finish(&self, patience: Duration) {
        match self.lost.swap(0, Ordering::Relaxed) {
            0 => self.writer.close(patience),
            lost => self.writer.close_after(&loss(lost), patience),
        }
    }
}

/// Writes lines to standard error, and waits at most a second for it. What is left then is written when it can be.
pub(super) fn write_now(lines: &[u8]) {
    // Without a thread there is no server: the next one that is needed reports that.
    let Ok(out) = Lines::start("start-lines", Box::new(io::stderr())) else { return };
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        out.push(line);
    }
    out.finish(PATIENCE);
}

/// The line that says how many were lost.
fn loss(lines: u64) -> Vec<u8> {
    let (mut json, mut out) = (Vec::new(), Vec::new());
    let message = "log lines were lost: standard error did not take them";
    render::record(Level::Warn, rt::clock().calendar(), message, &mut json);
    render::field("lines", lines, &mut json);
    match style() {
        Style::Json => out = json,
        style => render::text(&json, style == Style::Coloured, &mut out),
    }
    out.push(b'\n');
    out
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{BufRead, BufReader};

    use super::*;

    /// Long enough for any test.
    const LONG: Duration = Duration::from_secs(60);

    /// How many lines `text` says were lost.
    fn said(text: &str) -> Option<u64> {
        let (_, rest) = text.split_once("log lines were lost")?;
        let digits: String = rest.chars().filter(char::is_ascii_digit).collect();
        Some(digits.parse().unwrap())
    }

    #[test]
    fn each_line_that_was_lost_is_counted_once_however_late_it_is_told() {
        for tells_at_the_end in [true, false] {
            let (reader, writer) = rustix::pipe::pipe().unwrap();
            let lines = Lines::start("test", Box::new(File::from(writer))).unwrap();
            let line = [b"x".repeat(1023), b"\n".to_vec()].concat();
            // Nobody reads: 4 MiB and a pipe are full long before.
            let queued = (0..6000).filter(|_| lines.push(&line)).count();
            let mut lost = 6000 - queued as u64;
            assert!(lost > 1000, "{lost}");
            let mut read = BufReader::new(File::from(reader)).lines().map(Result::unwrap);
            if !tells_at_the_end {
                assert!(read.by_ref().take(queued).all(|line| line.len() == 1023));
                // The writer may still be about to count the last bytes as written.
                while !lines.push(b"more\n") {
                    lost += 1;
                }
                assert_eq!(said(&read.next().unwrap()), Some(lost));
                assert_eq!(read.next().as_deref(), Some("more"));
            }
            let rest = std::thread::spawn(move || read.collect::<Vec<_>>());
            lines.finish(LONG);
            let rest = rest.join().unwrap();
            let told: Vec<u64> = rest.iter().filter_map(|line| said(line)).collect();
            match tells_at_the_end {
                true => assert_eq!((rest.len(), &told[..]), (queued + 1, &[lost][..])),
                false => assert_eq!(rest, [""; 0]),
            }
        }
    }
}
