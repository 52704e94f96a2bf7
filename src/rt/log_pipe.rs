//! Standard output as a pipe to the log: what the logger prints is read there line by line.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use rustix::pipe::{PipeFlags, pipe_with};

use super::line_writer::thread;

/// Bytes that are read at a time.
const PIECE: usize = 16 * 1024;

/// The longest line; a longer one is cut in lines of this length.
const MAX_LINE: usize = 1 << 20;

/// How long the end of the program waits for the last lines.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Standard output behind a pipe. [`finish`](Self::finish) takes the pipe away again.
pub struct LogPipe {
    original: OwnedFd,
    read: Receiver<()>,
}

opaque!(LogPipe);

impl LogPipe {
    /// Installs the pipe for the whole process. A thread passes each line to `take`, which must not wait: what prints
    /// waits for it once 64 KiB are in the pipe. A line on which it panics is lost; the next one is passed to it.
    ///
    /// # Errors
    /// The system refuses a pipe, a descriptor or a thread; standard output is then as it was.
    pub fn new(take: impl FnMut(&[u8]) + Send + 'static) -> io::Result<Self> {
        let stdout = io::stdout();
        // What a full disk refuses now goes into the pipe.
        let _ = stdout.lock().flush();
        let original = stdout.as_fd().try_clone_to_owned()?;
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
        let (done, read) = sync_channel(1);
        thread("log-reader", move || {
            take_lines(File::from(reader), take);
            let _ = done.send(());
        })?;
        rustix::stdio::dup2_stdout(&writer)?;
        Ok(Self { original, read })
    }

    /// Restores the real standard output, and waits at most a second until all lines were taken.
    pub fn finish(self) {
        let _ = io::stdout().lock().flush();
        // Closes the pipe's last writing end, so that the thread ends.
        if rustix::stdio::dup2_stdout(&self.original).is_ok() {
            let _ = self.read.recv_timeout(LAST_LINES);
        }
    }
}

/// Passes each line, without its end, until every writer has closed the pipe.
fn take_lines(mut reader: impl Read, mut take: impl FnMut(&[u8])) {
    // A pipe without a reader would have every log call panic: femme unwraps what printing returns.
    let mut take = |line: &[u8]| drop(catch_unwind(AssertUnwindSafe(|| take(line))));
    let (mut buf, mut line) = ([0; PIECE], Vec::new());
    loop {
        let n = match reader.read(&mut buf) {
            Ok(0) => break,
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        let mut rest = &buf[..n];
        while let Some(end) = memchr::memchr(b'\n', rest) {
            line.extend_from_slice(&rest[..end]);
            take(&line);
            line.clear();
            rest = &rest[end + 1..];
        }
        line.extend_from_slice(rest);
        if line.len() >= MAX_LINE {
            take(&line);
            line = Vec::new();
        }
    }
    if !line.is_empty() {
        take(&line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_passed_whole_however_they_arrive() {
        /// Gives a byte at a time.
        struct Bytewise(&'static [u8]);

        impl Read for Bytewise {
            fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                self.0.read(&mut buf[..1])
            }
        }

        const TEXT: &[u8] = b"one\n\ntwo\nrest";
        let taken = |reader: &mut dyn Read| {
            let mut lines = Vec::new();
            take_lines(reader, |line| lines.push(String::from_utf8(line.to_vec()).unwrap()));
            lines
        };
        let mut whole = TEXT;
        for lines in [taken(&mut Bytewise(TEXT)), taken(&mut whole)] {
            assert_eq!(lines, ["one", "", "two", "rest"]);
        }
        let endless = [b"x".repeat(MAX_LINE + PIECE), b"\n".to_vec()].concat();
        let mut lens = Vec::new();
        take_lines(&endless[..], |line| lens.push(line.len()));
        assert_eq!(lens, [MAX_LINE, PIECE]);
    }

    #[test]
    fn a_panic_costs_the_line_and_not_the_reader() {
        let mut lines = Vec::new();
        take_lines(&b"one\nbad\ntwo\nbad"[..], |line| {
            assert_ne!(line, b"bad", "a panic of this test");
            lines.push(line.to_vec());
        });
        assert_eq!(lines, [b"one", b"two"]);
    }
}
