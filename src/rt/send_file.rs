//! Sends file pages to a socket by `sendfile`, without reading them.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::Errno;

/// Whether `sendfile` was found to be missing: a sandbox forbids it.
static NO_SENDFILE: AtomicBool = AtomicBool::new(false);

/// Whether a file was refused, which is logged once.
static REFUSED: AtomicBool = AtomicBool::new(false);

/// Whether files may be sent.
pub(super) fn sends_files() -> bool {
    !NO_SENDFILE.load(Ordering::Relaxed)
}

/// Sends at most `len` bytes of `file` from `offset`; returns how many the socket took. 0: read and write them. The file
/// may end there, its file system cannot do it, or its disk fails; reading tells.
///
/// # Errors
/// The socket's; `WouldBlock` if it is full.
pub(super) fn send_file(socket: impl AsFd, file: &File, offset: u64, len: usize) -> io::Result<usize> {
    if !sends_files() {
        return Ok(0);
    }
    let mut at = offset;
    loop {
        match rustix::fs::sendfile(socket.as_fd(), file, Some(&mut at), len) {
            Ok(sent) => return Ok(sent),
            Err(Errno::INTR) => {}
            Err(error @ (Errno::AGAIN | Errno::PIPE | Errno::CONNRESET)) => return Err(error.into()),
            Err(error @ (Errno::NOSYS | Errno::PERM)) => {
                if !NO_SENDFILE.swap(true, Ordering::Relaxed) {
                    log::warn!(error:%; "this kernel or sandbox has no sendfile: files are read and written");
                }
                return Ok(0);
            }
            Err(error) => {
                if matches!(error, Errno::ACCESS | Errno::INVAL | Errno::NOTSUP)
                    && !REFUSED.swap(true, Ordering::Relaxed)
                {
                    log::warn!(error:%; "a file system refuses sendfile: its files are read and written");
                }
                return Ok(0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn the_bytes_of_the_file_are_sent_until_the_socket_is_full() {
        let content: Vec<u8> = (0..1_000_000).map(|at| (at % 251) as u8).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&content).unwrap();
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let mut came = Vec::new();
        while came.len() < content.len() - 7 {
            let sent = send_file(&ours, &file, 7 + came.len() as u64, content.len()).unwrap();
            let begin = came.len();
            came.resize(begin + sent, 0);
            theirs.read_exact(&mut came[begin..]).unwrap();
        }
        assert!(came == content[7..]);
        let refused = (0..10_000).find_map(|_| send_file(&ours, &file, 0, content.len()).err());
        assert_eq!(refused.map(|error| error.kind()), Some(ErrorKind::WouldBlock));
    }

    #[test]
    fn at_the_end_of_the_file_and_of_what_is_no_file_nothing_is_sent() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"abc").unwrap();
        assert_eq!(send_file(&ours, &file, 1, 100).unwrap(), 2);
        assert_eq!(send_file(&ours, &file, 3, 100).unwrap(), 0);
        let folder = File::open(std::env::temp_dir()).unwrap();
        assert_eq!(send_file(&ours, &folder, 0, 100).unwrap(), 0);
    }

    #[test]
    fn a_reader_that_is_gone_is_an_error() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"abc").unwrap();
        assert_eq!(send_file(&ours, &file, 0, 3).unwrap_err().kind(), ErrorKind::BrokenPipe);
    }
}
