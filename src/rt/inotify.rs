//! Waits for a file to grow or to be replaced, with inotify(7).

use std::ffi::OsString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;

use async_io::Async;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

/// Events after which a file may be longer or another one.
const CHANGES: WatchFlags = WatchFlags::MODIFY
    .union(WatchFlags::CREATE)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::ATTRIB);

/// Watches for the file at a path being written, replaced or removed.
///
/// Watches its folder, so that a replacing file is seen, and if the path is a link, the target's folder too. Changes that
/// other machines make on a network file system are not reported.
pub struct FileWatch {
    events: Async<OwnedFd>,
    names: Vec<OsString>,
}

opaque!(FileWatch);

impl FileWatch {
    /// Watches the file at `path`, which need not exist; its folder must.
    ///
    /// # Errors
    /// The folder is missing, or the system has no watches left (`fs.inotify.max_user_watches`,
    /// `max_user_instances`).
    pub fn new(path: &Path) -> io::Result<Self> {
        let events = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        let mut names = Vec::new();
        for path in [Some(path.to_owned()), path.canonicalize().ok()].into_iter().flatten() {
            let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
            let folder = match path.parent() {
                Some(folder) if !folder.as_os_str().is_empty() => folder,
                _ => Path::new("."),
            };
            inotify::add_watch(&events, folder, CHANGES)?;
            names.push(name.to_owned());
        }
        Ok(Self { events: Async::new(events)?, names })
    }

    /// Waits for a change since the last call. Cancel safe.
    ///
    /// # Errors
    /// The system's; no further changes are reported then.
    pub async fn changed(&mut self) -> io::Result<()> {
        loop {
            if self.read()? {
                return Ok(());
            }
            self.events.readable().await?;
        }
    }

    /// Reads a buffer of events. Returns whether one concerned the file. The others that are pending are left for when the
    /// reactor has looked again: neighbours that change without end hold up nobody.
    fn read(&self) -> io::Result<bool> {
        let mut buf = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(&self.events, &mut buf);
        let mut found = false;
        loop {
            match reader.next() {
                Ok(event) => {
                    let name = event.file_name().map(|name| name.to_bytes());
                    let is_ours = |name: &[u8]| self.names.iter().any(|ours| ours.as_encoded_bytes() == name);
                    // Without a name it concerns the folder, or says that events were lost.
                    found |= name.is_none_or(is_ours) || event.events().contains(ReadFlags::QUEUE_OVERFLOW);
                    if reader.is_buffer_empty() {
                        return Ok(found);
                    }
                }
                Err(Errno::AGAIN) => return Ok(found),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future;
    use std::io::Write;

    #[test]
    fn neighbours_that_change_without_end_are_read_a_buffer_at_a_time_and_hide_no_change() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("log");
        std::fs::write(&file, "a").unwrap();
        let mut watch = FileWatch::new(&file).unwrap();
        // Of 32 bytes each, or more.
        for number in 0..500 {
            std::fs::write(folder.path().join(format!("neighbour {number}")), "a").unwrap();
        }
        std::fs::OpenOptions::new().append(true).open(&file).unwrap().write_all(b"b").unwrap();
        assert!(!watch.read().unwrap(), "it was read behind the neighbours' changes");
        crate::rt::block_on(watch.changed()).unwrap();
    }

    #[test]
    fn growth_and_replacement_are_reported_and_a_neighbour_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (log, real) = (folder.path().join("log"), folder.path().join("real"));
        std::fs::create_dir(&real).unwrap();
        let file = real.join("app.log");
        std::fs::write(&file, "a").unwrap();
        std::os::unix::fs::symlink(&file, &log).unwrap();
        let mut watch = FileWatch::new(&log).unwrap();
        assert!(!watch.read().unwrap());
        std::fs::write(folder.path().join("neighbour"), "a").unwrap();
        assert!(!watch.read().unwrap());
        std::fs::OpenOptions::new().append(true).open(&file).unwrap().write_all(b"b").unwrap();
        crate::rt::block_on(future::or(watch.changed(), async { panic!("growth was not told") })).unwrap();
        std::fs::rename(folder.path().join("neighbour"), &log).unwrap();
        assert!(watch.read().unwrap(), "another file in its place");
        std::fs::remove_file(&log).unwrap();
        assert!(watch.read().unwrap());
    }

    #[test]
    fn a_folder_that_is_not_there_cannot_be_watched() {
        assert_eq!(FileWatch::new(Path::new("/none/a")).err().unwrap().kind(), io::ErrorKind::NotFound);
        assert!(FileWatch::new(Path::new("Cargo.toml")).is_ok(), "a bare name is here");
    }
}
