//! The access log: a line for each response and each stream of raw TCP.

mod combined;
mod json;
mod line;
mod settings;

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{Style, render, style};
use crate::clock::Clock;
use crate::named_file;
use crate::rt::{LineEvent, LineWriter};

pub(crate) use line::{AccessLine, Answered, Subject};
pub use settings::{AccessFormat, AccessLogSettings, AccessTo};

/// How long the end of a server waits for a slow output.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Bytes of a line's buffer that a thread keeps.
const KEPT: usize = 64 * 1024;

/// An open access log. A thread writes its lines: whoever has one never waits for a disk.
#[derive(Clone)]
pub struct AccessLog {
    /// `None` for standard error.
    path: Option<PathBuf>,
    format: AccessFormat,
    writer: Arc<LineWriter>,
}

opaque!(AccessLog);

impl AccessLog {
    /// Opens the access log that `settings` describe; `None` if it is off. A file is created with mode 0640, less the umask,
    /// and appended to.
    ///
    /// # Errors
    /// The file cannot be opened, or the system refuses a thread.
    pub fn open(settings: &AccessLogSettings, clock: Arc<dyn Clock>) -> io::Result<Option<Self>> {
        let writer = match &settings.to {
            AccessTo::Off => return Ok(None),
            AccessTo::Stderr => {
                LineWriter::start("access-log", Box::new(io::stderr()), clock, report("stderr"))?
            }
            AccessTo::File(path) => {
                let file: File = named_file::append(path)?;
                let shown = path.display().to_string();
                LineWriter::start("access-log", Box::new(file), clock, report(shown))?
            }
        };
        let path = settings.to.path().map(ToOwned::to_owned);
        Ok(Some(Self { path, format: settings.format, writer: Arc::new(writer) }))
    }

    /// This log with other `settings`, if it can go on: they write to the same place.
    pub(crate) fn adapted(&self, settings: &AccessLogSettings) -> Option<Self> {
        let is_same = settings.to != AccessTo::Off && settings.to.path() == self.path.as_deref();
        is_same.then(|| Self { format: settings.format, ..self.clone() })
    }

    /// Opens the file anew: the one before was moved away. `Ok(false)`: there is none. Blocks on the file system.
    ///
    /// # Errors
    /// The file cannot be opened; the one before stays.
    pub fn reopen(&self) -> io::Result<bool> {
        let Some(path) = &self.path else { return Ok(false) };
        self.writer.replace(Box::new(named_file::append(path)?));
        Ok(true)
    }

    /// The path of its file.
    pub fn path(&self) -> Option<&PathBuf> {
        self.path.as_ref()
    }

    /// Writes a line. False if it was dropped, because the writer does not keep up.
    pub(crate) fn write(&self, line: &AccessLine<'_>) -> bool {
        thread_local! {
            static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.clear();
            match self.format {
                AccessFormat::Combined => combined::write(line, scratch),
                AccessFormat::Json if self.path.is_none() && style() != Style::Json => {
                    let mut json = Vec::new();
                    json::write(line, &mut json);
                    render::text(&json, style() == Style::Coloured, scratch);
                }
                AccessFormat::Json => json::write(line, scratch),
            }
            scratch.push(b'\n');
            let is_queued = self.writer.push(scratch);
            scratch.shrink_to(KEPT);
            is_queued
        })
    }

    /// Waits at most a second until all lines so far are written. Blocks.
    pub(crate) fn close(&self) {
        self.writer.close(LAST_LINES);
    }
}

/// Reports what happens to the file in the log.
fn report(file: impl Into<String>) -> impl Fn(LineEvent) + Send + Sync + 'static {
    let file = file.into();
    move |event| match event {
        LineEvent::Failed(error) => {
            log::warn!(file = file.as_str(), error:%; "access log cannot be written; lines wait");
        }
        LineEvent::Recovered => log::info!(file = file.as_str(); "access log is written again"),
        LineEvent::Dropped(lines) => {
            log::warn!(file = file.as_str(), lines; "access log lines dropped: the disk or reader is too slow, or full");
        }
    }
}

#[cfg(test)]
mod tests;
