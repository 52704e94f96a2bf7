//! The root folder, and opening what lies below it and nothing else.
//!
//! The kernel does the confining: `openat2` with `RESOLVE_BENEATH` follows no `..`, no absolute path
//! and no symbolic link out of the root, at no instant, whatever is renamed meanwhile. Links that
//! stay inside are followed, but not to what a name would not lead to either: where dot files are not
//! served, what was reached by a link is looked at for its real path (`/proc/self/fd`; without `/proc` no link
//! is followed then). `RESOLVE_CACHED` says whether the answer is at hand: if it is, and the root's file system opens
//! without waiting for a network or another program, the file is opened on the spot, else on the blocking pool.
//!
//! Where `openat2` is missing (Linux before 5.6, some sandboxes) the path is walked segment by
//! segment, and no symbolic link is followed at all, unless links may lead anywhere.

use std::ffi::{CStr, CString};
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::path::{Below, is_hidden};
use crate::http::files::FollowLinks;
use crate::rt::{self, Disk};

/// For reading. Opening a FIFO must not wait for its writer, nor make a terminal ours.
const READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// How often an open is tried again that raced with a rename. Each try races anew, so a few are many.
const TRIES: usize = 8;

/// Why there is no `openat2`, once a root was opened without; and whether that was said.
static NO_OPENAT2: OnceLock<Errno> = OnceLock::new();
static SAID: AtomicBool = AtomicBool::new(false);

/// What is served of what lies below a root.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shown {
    /// All names that begin with a dot.
    pub(super) dot_files: bool,
    /// How far symbolic links lead.
    pub(super) links: FollowLinks,
}

/// A folder, opened once, below which files are opened.
///
/// It is the folder that was there then, whatever its name leads to later.
#[derive(Clone, Debug)]
pub struct Root {
    folder: Arc<OwnedFd>,
    how: How,
    disk: Disk,
    /// Its file system opens and closes what it knows without waiting.
    is_local: bool,
}

/// How paths are resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// By `openat2`, on the spot if the answer is cached.
    Cached,
    /// By `openat2`, on the pool: `RESOLVE_CACHED` came with Linux 5.12, and tells nothing of how long opening takes on FUSE
    /// or NFS.
    Kernel,
    /// Segment by segment, on the pool.
    Walk,
}

/// What was found below the root.
#[derive(Debug)]
pub(super) enum Opened {
    /// A regular file.
    File(File, Metadata),
    /// A folder.
    Folder(File),
}

/// Why nothing was opened.
#[derive(Debug)]
pub(super) enum Refused {
    /// Nothing is served by that name: it does not exist, leads out of the root, or is neither a file
    /// nor a folder.
    NotFound,
    /// The file's permissions do not let us.
    Forbidden,
    /// Too many files are open, in this process or on this machine.
    Exhausted(io::Error),
    /// Something else.
    Failed(io::Error),
}

impl Root {
    /// Opens the folder at `path`.
    ///
    /// # Errors
    /// If there is none, if it is no folder, or if it may not be entered.
    pub fn new(path: &Path) -> io::Result<Self> {
        let root = Self::walking(path)?;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::CACHED;
        let how = match openat2(root.folder.as_fd(), c".", OFlags::PATH, resolve) {
            Err(error @ (Errno::NOSYS | Errno::PERM)) => {
                // Said with the first request: roots are opened before there is a log.
                NO_OPENAT2.get_or_init(|| error);
                How::Walk
            }
            Err(Errno::INVAL) => How::Kernel,
            Ok(_) | Err(Errno::AGAIN) if root.is_local => How::Cached,
            Ok(_) | Err(Errno::AGAIN) => How::Kernel,
            Err(error) => return Err(error.into()),
        };
        Ok(Self { how, ..root })
    }

    /// Opens the folder at `path`, below which paths are walked without `openat2`, as [`new`](Self::new)
    /// does by itself where that is missing.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn walking(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(path, flags, Mode::empty())?;
        let (disk, is_local) = (Disk::of(&folder), rt::is_local(&folder));
        Ok(Self { folder: Arc::new(folder), how: How::Walk, disk, is_local })
    }

    /// Opens a file or folder for reading. Does not block the executor.
    pub(super) async fn open(&self, below: &Below, shown: Shown) -> Result<Opened, Refused> {
        if self.how == How::Walk
            && let Some(error) = NO_OPENAT2.get()
            && !SAID.swap(true, Ordering::Relaxed)
        {
            log::warn!(error:%; "this kernel or sandbox has no openat2: paths are walked, symbolic links are not followed");
        }
        let mut disk = self.disk;
        if self.how == How::Cached {
            match self.resolved(below, READ, shown, ResolveFlags::CACHED | ResolveFlags::NO_XDEV) {
                Err(Errno::AGAIN) => {}
                // Nothing is known of what is mounted there.
                Err(Errno::XDEV) => disk = disk.beyond(),
                result => return opened(result),
            }
        }
        let (root, below) = (self.clone(), below.clone());
        disk.blocking(move || opened(root.descriptor(&below, READ, shown))).await
    }

    /// Whether a file that was opened may be closed on the spot: it is in the root's file system, which does not wait then.
    pub(super) fn closes_at_once(&self, file: &Metadata) -> bool {
        self.is_local && self.disk.has(file)
    }

    /// The folder, to look names up in; `None` where `openat2` is missing.
    pub(super) fn folder(&self) -> Option<BorrowedFd<'_>> {
        (self.how == How::Cached).then(|| self.folder.as_fd())
    }

    /// What is there under this name, without opening it for reading. May wait for a disk.
    pub(super) fn look(&self, below: &Below, shown: Shown) -> Result<Metadata, Refused> {
        let file = File::from(self.descriptor(below, OFlags::PATH | OFlags::CLOEXEC, shown)?);
        Ok(file.metadata()?)
    }

    fn descriptor(&self, below: &Below, flags: OFlags, shown: Shown) -> Result<OwnedFd, Errno> {
        match (self.how, shown.links) {
            (How::Walk, FollowLinks::Inside) => walk(self.folder.as_fd(), below.as_c_str(), flags),
            (How::Walk, FollowLinks::Anywhere) => {
                let flags = flags | OFlags::CLOEXEC;
                let file = rustix::fs::openat(&self.folder, below.as_c_str(), flags, Mode::empty())?;
                self.unless_hidden(file, shown)
            }
            (How::Cached | How::Kernel, _) => self.resolved(below, flags, shown, ResolveFlags::empty()),
        }
    }

    /// By `openat2`. A name without links needs no second look: its own segments were looked at.
    fn resolved(
        &self,
        below: &Below,
        flags: OFlags,
        shown: Shown,
        resolve: ResolveFlags,
    ) -> Result<OwnedFd, Errno> {
        let open = |how| openat2(self.folder.as_fd(), below.as_c_str(), flags, resolve | how);
        let following = match shown.links {
            FollowLinks::Inside => ResolveFlags::BENEATH,
            FollowLinks::Anywhere => ResolveFlags::empty(),
        };
        if shown.dot_files {
            return open(following);
        }
        match open(ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS) {
            Err(Errno::LOOP) => self.unless_hidden(open(following)?, shown),
            result => result,
        }
    }

    /// The file, which a link may have led to, unless a name that is not served would lead to it. What lies
    /// outside of the root has no name that could be asked for.
    fn unless_hidden(&self, file: OwnedFd, shown: Shown) -> Result<OwnedFd, Errno> {
        if shown.dot_files {
            return Ok(file);
        }
        let (root, path) = (real_path(self.folder.as_fd())?, real_path(file.as_fd())?);
        let is_hidden = match path.strip_prefix(root.strip_suffix(b"/").unwrap_or(&root)) {
            Some([b'/', inside @ ..]) => inside
                .split(|byte| *byte == b'/')
                .enumerate()
                .any(|(depth, name)| is_hidden(name, depth == 0)),
            Some([]) => false,
            _ => shown.links == FollowLinks::Inside,
        };
        if is_hidden { Err(Errno::NOENT) } else { Ok(file) }
    }
}

/// Where an open file is now.
fn real_path(file: BorrowedFd<'_>) -> Result<Vec<u8>, Errno> {
    let link = format!("/proc/self/fd/{}", file.as_raw_fd());
    rustix::fs::readlink(link, Vec::new()).map(CString::into_bytes)
}

/// `openat2` that follows none of the kernel's magic links.
fn openat2(
    folder: BorrowedFd<'_>,
    name: &CStr,
    flags: OFlags,
    resolve: ResolveFlags,
) -> Result<OwnedFd, Errno> {
    let resolve = resolve | ResolveFlags::NO_MAGICLINKS;
    let mut tries = TRIES;
    loop {
        match rustix::fs::openat2(folder, name, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            Err(Errno::INTR) => {}
            // With RESOLVE_CACHED it means "not cached", without it "raced with a rename".
            Err(Errno::AGAIN) if tries > 1 && !resolve.contains(ResolveFlags::CACHED) => tries -= 1,
            result => return result,
        }
    }
}

/// Opens segment by segment, and follows no symbolic link.
fn walk(root: BorrowedFd<'_>, name: &CStr, flags: OFlags) -> Result<OwnedFd, Errno> {
    let step = |folder: BorrowedFd<'_>, name: &[u8], flags: OFlags| loop {
        match rustix::fs::openat(folder, name, flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
            Err(Errno::INTR) => {}
            result => return result,
        }
    };
    let name = name.to_bytes();
    // A `Below` has none, but this function's promise is not to rest on that.
    if name.split(|byte| *byte == b'/').any(|segment| segment == b".." || segment.is_empty()) {
        return Err(Errno::NOENT);
    }
    let mut folder: Option<OwnedFd> = None;
    let mut rest = name;
    while let Some(slash) = memchr::memchr(b'/', rest) {
        let within = folder.as_ref().map_or(root, |folder| folder.as_fd());
        folder = Some(step(within, &rest[..slash], OFlags::PATH | OFlags::DIRECTORY)?);
        rest = &rest[slash + 1..];
    }
    step(folder.as_ref().map_or(root, |folder| folder.as_fd()), rest, flags)
}

/// Looks at what was opened: only regular files and folders are served.
fn opened(result: Result<OwnedFd, Errno>) -> Result<Opened, Refused> {
    let file = File::from(result?);
    let metadata = file.metadata()?;
    if metadata.is_file() {
        Ok(Opened::File(file, metadata))
    } else if metadata.is_dir() {
        Ok(Opened::Folder(file))
    } else {
        Err(Refused::NotFound)
    }
}

impl From<Errno> for Refused {
    fn from(error: Errno) -> Self {
        match error {
            // XDEV: the path leaves the root. NXIO, NODEV: a socket, or a device that is not there.
            // INVAL: a name the file system does not allow.
            Errno::NOENT
            | Errno::NOTDIR
            | Errno::LOOP
            | Errno::XDEV
            | Errno::NAMETOOLONG
            | Errno::NXIO
            | Errno::NODEV
            | Errno::INVAL
            | Errno::ILSEQ => Self::NotFound,
            Errno::ACCESS | Errno::PERM => Self::Forbidden,
            Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN => Self::Exhausted(error.into()),
            _ => Self::Failed(error.into()),
        }
    }
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        match Errno::from_io_error(&error) {
            Some(errno) => errno.into(),
            None => Self::Failed(error),
        }
    }
}

#[cfg(test)]
#[path = "confine_tests.rs"]
mod tests;
