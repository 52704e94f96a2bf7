//! The path of a listening Unix socket: created, marked while draining, and removed.

use std::fs::{Metadata, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use socket2::{Domain, SockAddr, Socket, Type};

/// Backlog: connections that the kernel completes before they are accepted; capped at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// The sticky bit, which has no meaning on a socket: here it marks a draining listener, whose path a successor may take.
const LEAVING: u32 = 0o1000;

/// A path that a listener of this process was bound to.
#[derive(Debug)]
pub(super) struct UnixPath {
    path: PathBuf,
    /// Device and inode, since another process may have bound the path again.
    id: (u64, u64),
    /// It is not ours to remove.
    stays: AtomicBool,
}

impl UnixPath {
    /// Listens at `path`, with the permission bits `mode` or those that the process's umask leaves.
    pub(super) fn bind(path: &Path, mode: Option<u32>) -> io::Result<(UnixListener, Self)> {
        let (listener, id) = match listen(path, mode) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                make_free(path, error)?;
                listen(path, mode)?
            }
            result => result?,
        };
        Ok((listener, Self { path: path.to_owned(), id, stays: AtomicBool::new(false) }))
    }

    /// The path of a socket that listens already. It is another process's until it is [taken over](Self::take_over).
    pub(super) fn existing(path: &Path) -> Self {
        // A path that is gone has no such id.
        let id = std::fs::symlink_metadata(path).map_or((0, 0), |meta| id(&meta));
        Self { path: path.to_owned(), id, stays: AtomicBool::new(true) }
    }

    /// Has the path stay when this is dropped: another process serves it.
    pub(super) fn leave(&self) {
        self.stays.store(true, Ordering::SeqCst);
    }

    /// Has the path be removed when this is dropped: the other process has left it to this one.
    pub(super) fn take_over(&self) {
        self.stays.store(false, Ordering::SeqCst);
    }

    pub(super) fn as_path(&self) -> &Path {
        &self.path
    }

    /// Whether the path still names this socket.
    pub(super) fn is_ours(&self) -> bool {
        std::fs::symlink_metadata(&self.path).is_ok_and(|meta| id(&meta) == self.id)
    }

    /// Marks the path as free for a successor.
    pub(super) fn hand_over(&self) {
        let Ok(meta) = std::fs::symlink_metadata(&self.path) else { return };
        if id(&meta) == self.id {
            // If this fails, the successor waits until this process has closed.
            let _ = std::fs::set_permissions(&self.path, Permissions::from_mode(meta.mode() | LEAVING));
        }
    }
}

impl Drop for UnixPath {
    fn drop(&mut self) {
        if !self.stays.load(Ordering::SeqCst) && self.is_ours() {
            // Another process may be removing it at the same time.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn id(meta: &Metadata) -> (u64, u64) {
    (meta.dev(), meta.ino())
}

fn listen(path: &Path, mode: Option<u32>) -> io::Result<(UnixListener, (u64, u64))> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    let prepare = || {
        if let Some(mode) = mode {
            std::fs::set_permissions(path, Permissions::from_mode(mode))?;
        }
        // Before this no client could connect, whatever the mode.
        socket.listen(BACKLOG)?;
        std::fs::symlink_metadata(path)
    };
    match prepare() {
        Ok(meta) => Ok((UnixListener::from(std::os::fd::OwnedFd::from(socket)), id(&meta))),
        Err(error) => {
            let _ = std::fs::remove_file(path);
            Err(error)
        }
    }
}

/// Removes a socket that is no longer listened on, or whose listener drains; otherwise fails with `in_use`.
fn make_free(path: &Path, in_use: io::Error) -> io::Result<()> {
    let meta = std::fs::symlink_metadata(path)?;
    if !meta.file_type().is_socket() {
        let text = "it is not a socket";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
    }
    if meta.mode() & LEAVING == 0 && !is_deserted(path)? {
        return Err(in_use);
    }
    // Another process may have bound the path meanwhile, and must not lose it.
    match std::fs::symlink_metadata(path) {
        Ok(now) if id(&now) == id(&meta) => std::fs::remove_file(path),
        Ok(_) => Err(in_use),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Whether the socket at `path` refuses connections because its process is gone. Never waits: a full backlog means that
/// there is a listener.
fn is_deserted(path: &Path) -> io::Result<bool> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)?;
    let connected = socket.connect(&SockAddr::unix(path)?);
    Ok(connected.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(path: &Path) -> io::Result<(UnixListener, UnixPath)> {
        UnixPath::bind(path, None)
    }

    #[test]
    fn a_deserted_socket_is_replaced_and_a_live_one_or_a_file_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        drop(UnixListener::bind(&path).unwrap());
        let live = bind(&path).unwrap();
        assert_eq!(bind(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(live);
        assert!(!path.exists(), "removed with its listener");
        std::fs::write(&path, "a file").unwrap();
        let error = bind(&path).unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (io::ErrorKind::AlreadyExists, "it is not a socket")
        );
        assert_eq!(std::fs::read(&path).unwrap(), b"a file");
    }

    #[test]
    fn a_listener_with_a_full_queue_is_live_and_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let full = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        full.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        full.listen(0).unwrap();
        let mut queued = Vec::new();
        loop {
            let client = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None).unwrap();
            if client.connect(&SockAddr::unix(&path).unwrap()).is_err() {
                break;
            }
            queued.push(client);
        }
        assert_eq!(bind(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn only_the_socket_that_was_bound_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let first = bind(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let second = bind(&path).unwrap();
        assert!(!first.1.is_ours());
        drop(first);
        assert!(second.1.is_ours(), "it is the second's");
        drop(second);
        assert!(!path.exists());
    }

    #[test]
    fn a_path_that_another_process_serves_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let first = bind(&path).unwrap();
        let (heir, passed) = (first.0.try_clone().unwrap(), UnixPath::existing(&path));
        drop(UnixPath::existing(&path));
        assert!(path.exists(), "the first has not left it yet");
        first.1.leave();
        passed.take_over();
        drop(first);
        assert!(path.exists() && passed.is_ours());
        drop((heir, passed));
        assert!(!path.exists());
    }

    #[test]
    fn a_successor_binds_while_the_first_still_accepts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let first = bind(&path).unwrap();
        first.1.hand_over();
        let _queued = std::os::unix::net::UnixStream::connect(&path).unwrap();
        let second = bind(&path).unwrap();
        assert!(!first.1.is_ours() && second.1.is_ours());
        first.1.hand_over();
        assert_eq!(bind(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse, "the second stays");
    }

    #[test]
    fn the_mode_is_the_one_that_was_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        for mode in [0o660, 0o600, 0o777] {
            let _bound = UnixPath::bind(&path, Some(mode)).unwrap();
            assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, mode);
        }
    }
}
