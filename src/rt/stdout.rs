//! Standard output that neither fails nor blocks, so that logging cannot delay a transfer.
//!
//! The logger writes to standard output from the executor's threads and panics if that fails. So a pipe replaces it. One
//! thread reads the pipe at once; another writes to the real standard output, as fast as that allows. What does not fit
//! between them or cannot be written (disk full, reader gone) is dropped and reported.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use rustix::pipe::{PipeFlags, pipe_with};

/// Pieces of at most [`PIECE`] that wait for a slow standard output: 4 MiB.
const QUEUE: usize = 256;
const PIECE: usize = 16 * 1024;

/// How long the end of the program waits for the last lines.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Standard output behind a pipe. [`finish`](Self::finish) takes the pipe away again.
pub struct ShieldedStdout {
    original: OwnedFd,
    written: Receiver<()>,
}

impl ShieldedStdout {
    /// Installs the pipe for the whole process.
    ///
    /// # Errors
    /// The system refuses a pipe, a descriptor or a thread; standard output is then as it was.
    pub fn new() -> io::Result<Self> {
        let stdout = io::stdout();
        // Output that a full disk refuses now goes into the pipe, and is retried.
        let _ = stdout.lock().flush();
        let original = stdout.as_fd().try_clone_to_owned()?;
        let out = File::from(original.try_clone()?);
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
        let (sender, pieces) = sync_channel(QUEUE);
        let (done, written) = sync_channel(1);
        let lost = Arc::new(AtomicU64::new(0));
        let lost_by_writer = Arc::clone(&lost);
        thread("log-writer", move || {
            write_all(out, &pieces, &lost_by_writer);
            let _ = done.send(());
        })?;
        thread("log-reader", move || take_all(File::from(reader), &sender, &lost))?;
        rustix::stdio::dup2_stdout(&writer)?;
        Ok(Self { original, written })
    }

    /// Restores the real standard output, and waits at most a second for the logged lines.
    pub fn finish(self) {
        let _ = io::stdout().lock().flush();
        // Closes the pipe's last writing end, so that the threads end.
        if rustix::stdio::dup2_stdout(&self.original).is_ok() {
            let _ = self.written.recv_timeout(LAST_LINES);
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "blocks for as long as the process lives")]
fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name(name.into()).spawn(work).map(drop)
}

/// Reads the pipe until every writer has closed it.
fn take_all(mut reader: impl Read, sender: &SyncSender<Vec<u8>>, lost: &AtomicU64) {
    let mut buf = [0; PIECE];
    loop {
        let n = match reader.read(&mut buf) {
            Ok(0) => return,
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        if let Err(TrySendError::Full(piece)) = sender.try_send(buf[..n].to_vec()) {
            lost.fetch_add(piece.len() as u64, Ordering::Relaxed);
        }
    }
}

/// Writes what arrives; counts what cannot be written, and reports it once writing works again.
fn write_all(mut out: impl Write, pieces: &Receiver<Vec<u8>>, lost: &AtomicU64) {
    while let Ok(piece) = pieces.recv() {
        let gone = lost.swap(0, Ordering::Relaxed);
        if gone > 0 {
            // On a line of its own: the one before may be incomplete.
            let told = writeln!(out, "\n{{\"level\":40,\"msg\":\"{gone} bytes of log were lost\"}}");
            if told.is_err() {
                lost.fetch_add(gone, Ordering::Relaxed);
            }
        }
        if out.write_all(&piece).is_err() {
            lost.fetch_add(piece.len() as u64, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails for a while, as a full disk does.
    struct Full {
        refusals: usize,
        seen: Vec<u8>,
    }

    impl Write for &mut Full {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            if self.refusals > 0 {
                self.refusals -= 1;
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.seen.extend_from_slice(buf);
            Ok(buf.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lost_bytes_are_counted_and_reported_later() {
        let (sender, pieces) = sync_channel(9);
        for piece in ["one\n", "two\n", "three\n"] {
            sender.send(piece.as_bytes().to_vec()).unwrap();
        }
        drop(sender);
        let mut disk = Full { refusals: 1, seen: Vec::new() };
        write_all(&mut disk, &pieces, &AtomicU64::new(0));
        let seen = String::from_utf8(disk.seen).unwrap();
        assert_eq!(seen, "\n{\"level\":40,\"msg\":\"4 bytes of log were lost\"}\ntwo\nthree\n");
    }

    #[test]
    fn a_reader_that_is_too_slow_loses_lines_and_holds_nobody_up() {
        let (sender, pieces) = sync_channel(1);
        let lost = AtomicU64::new(0);
        take_all([b"x".repeat(PIECE), b"y".repeat(10)].concat().as_slice(), &sender, &lost);
        assert_eq!((pieces.recv().unwrap().len(), lost.into_inner()), (PIECE, 10));
    }
}
