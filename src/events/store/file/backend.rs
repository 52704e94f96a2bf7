//! The file that the engine reads and writes: locked, for its owner alone, and with its room taken before it is written to.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{FallocateFlags, FlockOperation, fallocate, flock};
use rustix::io::Errno;

use crate::rt::folder;
use crate::sync::Mutex;

/// Mode of a new file: it has all that was published.
const MODE: u32 = 0o600;

/// How many bytes say that a file is one of the engine.
const MAGIC: usize = 9;

/// The files that this process has open, by device and number.
static OPEN: Mutex<Vec<(u64, u64)>> = Mutex::new(Vec::new());

#[derive(Debug)]
pub(super) struct LockedFile {
    file: File,
    number: (u64, u64),
}

/// Why a file is not locked.
#[derive(Debug)]
pub(super) enum LockError {
    /// It is open already: in this process, or in another one.
    Taken {
        here: bool,
    },
    Io(io::Error),
}

impl LockedFile {
    /// Opens the file at `path`, which is made if it is not there, for this process alone. Blocks.
    pub(super) fn open(path: &Path) -> Result<Self, LockError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(MODE);
        let file = options.open(path).map_err(LockError::Io)?;
        let meta = file.metadata().map_err(LockError::Io)?;
        if !meta.is_file() {
            let text = "this is a folder, a device or a pipe, not a regular file";
            return Err(LockError::Io(io::Error::new(ErrorKind::InvalidInput, text)));
        }
        let number = (meta.dev(), meta.ino());
        let mut open = OPEN.lock();
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => open.push(number),
            Err(Errno::WOULDBLOCK) => return Err(LockError::Taken { here: open.contains(&number) }),
            Err(error) => return Err(LockError::Io(error.into())),
        }
        drop(open);
        let locked = Self { file, number };
        locked.begin(path).map_err(LockError::Io)?;
        Ok(locked)
    }
}

impl LockedFile {
    /// Has the name of a new file on the disk. The engine writes how its files begin last: one that begins with zeros was being made
    /// when its server or the machine crashed, and has nothing.
    fn begin(&self, path: &Path) -> io::Result<()> {
        let len = self.file.metadata()?.len();
        let mut first = [0; MAGIC];
        if len >= MAGIC as u64 {
            self.file.read_exact_at(&mut first, 0)?;
            if first != [0; MAGIC] {
                return Ok(());
            }
            self.file.set_len(0)?;
        } else if len > 0 {
            return Ok(());
        }
        folder::sync(folder::of(path))
    }
}

impl Drop for LockedFile {
    fn drop(&mut self) {
        let mut open = OPEN.lock();
        // A child that was started meanwhile may share the descriptor until it runs its program.
        let _ = flock(&self.file, FlockOperation::Unlock);
        open.retain(|number| *number != self.number);
    }
}

impl redb::StorageBackend for LockedFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        self.file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    /// A full disk is noticed here, before anything is written.
    fn set_len(&self, len: u64) -> io::Result<()> {
        let now = self.file.metadata()?.len();
        if len <= now {
            return self.file.set_len(len);
        }
        match fallocate(&self.file, FallocateFlags::empty(), now, len - now) {
            Err(Errno::OPNOTSUPP) => self.file.set_len(len),
            Err(error) => {
                // Some of it may be taken already.
                let _ = self.file.set_len(now);
                Err(error.into())
            }
            Ok(()) => Ok(()),
        }
    }

    fn sync_data(&self, _eventual: bool) -> io::Result<()> {
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write_all_at(data, offset)
    }
}
