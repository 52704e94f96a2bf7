//! The root folder, and opening what lies below it and nothing else.
//!
//! The kernel does the confining: `openat2` with `RESOLVE_BENEATH` follows no `..`, no absolute path
//! and no symbolic link out of the root, at no instant, whatever is renamed meanwhile. Links that
//! stay inside are followed. `RESOLVE_CACHED` says whether the answer is at hand: if it is, the file
//! is opened on the spot, else on the blocking pool.
//!
//! Where `openat2` is missing (Linux before 5.6, some sandboxes) the path is walked segment by
//! segment, and no symbolic link is followed at all.

use std::ffi::CStr;
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::path::Below;
use crate::rt;

/// For reading. Opening a FIFO must not wait for its writer, nor make a terminal ours.
const READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// How often an open is tried again that raced with a rename. Each try races anew, so a few are many.
const TRIES: usize = 8;

/// A folder, opened once, below which files are opened.
///
/// It is the folder that was there then: if its name is given to another one later, this one is still
/// served.
#[derive(Clone, Debug)]
pub struct Root {
    folder: Arc<OwnedFd>,
    how: How,
}

/// How paths are resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// By `openat2`, on the spot if the answer is cached.
    Cached,
    /// By `openat2`, on the pool: `RESOLVE_CACHED` came with Linux 5.12.
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
        static SAID: AtomicBool = AtomicBool::new(false);
        let root = Self::walking(path)?;
        let how = match beneath(root.folder.as_fd(), c".", OFlags::PATH, ResolveFlags::CACHED) {
            Err(error @ (Errno::NOSYS | Errno::PERM)) => {
                if !SAID.swap(true, Ordering::Relaxed) {
                    log::warn!(
                        "this kernel or sandbox has no openat2 ({error}): paths are walked, symbolic links are not followed"
                    );
                }
                How::Walk
            }
            Err(Errno::INVAL) => How::Kernel,
            Ok(_) | Err(Errno::AGAIN) => How::Cached,
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
        Ok(Self { folder: Arc::new(folder), how: How::Walk })
    }

    /// Opens a file or folder for reading. Does not block the executor.
    pub(super) async fn open(&self, below: &Below) -> Result<Opened, Refused> {
        if self.how == How::Cached {
            match beneath(self.folder.as_fd(), below.as_c_str(), READ, ResolveFlags::CACHED) {
                Err(Errno::AGAIN) => {}
                result => return opened(result),
            }
        }
        let (root, below) = (self.clone(), below.clone());
        rt::blocking(move || opened(root.descriptor(&below, READ))).await
    }

    /// The folder, to look names up in; `None` where `openat2` is missing.
    pub(super) fn folder(&self) -> Option<BorrowedFd<'_>> {
        (self.how == How::Cached).then(|| self.folder.as_fd())
    }

    /// What is there under this name, without opening it for reading. May wait for a disk.
    pub(super) fn look(&self, below: &Below) -> Result<Metadata, Refused> {
        let file = File::from(self.descriptor(below, OFlags::PATH | OFlags::CLOEXEC)?);
        Ok(file.metadata()?)
    }

    fn descriptor(&self, below: &Below, flags: OFlags) -> Result<OwnedFd, Errno> {
        match self.how {
            How::Walk => walk(self.folder.as_fd(), below.as_c_str(), flags),
            How::Cached | How::Kernel => {
                beneath(self.folder.as_fd(), below.as_c_str(), flags, ResolveFlags::empty())
            }
        }
    }
}

/// `openat2` that stays below `folder`.
fn beneath(
    folder: BorrowedFd<'_>,
    name: &CStr,
    flags: OFlags,
    resolve: ResolveFlags,
) -> Result<OwnedFd, Errno> {
    let resolve = resolve | ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
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
mod tests {
    use super::*;
    use futures_lite::future::block_on;
    use proptest::prelude::*;
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::symlink;

    /// A root whose files all say "inside", next to a folder whose files say "outside".
    fn tree() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("root/a/b")).unwrap();
        fs::create_dir_all(at("outside/a")).unwrap();
        for name in ["root/f", "root/a/f", "root/a/b/f"] {
            fs::write(at(name), "inside").unwrap();
        }
        for name in ["f", "outside/f", "outside/a/f"] {
            fs::write(at(name), "outside").unwrap();
        }
        for (name, target) in [
            ("root/out", "../outside"),
            ("root/up", ".."),
            ("root/a/in", "../a/b"),
            ("root/a/g", "../../outside/f"),
            ("root/loop", "loop"),
            ("root/proc", "/proc/self/root"),
        ] {
            symlink(target, at(name)).unwrap();
        }
        symlink(at("outside"), at("root/abs")).unwrap();
        symlink(at("root/a"), at("root/absin")).unwrap();
        dir
    }

    fn content(root: &Root, path: &str) -> Option<String> {
        let below = Below::parse(path)?;
        match block_on(root.open(&below)) {
            Ok(Opened::File(mut file, _)) => {
                let mut text = String::new();
                file.read_to_string(&mut text).unwrap();
                Some(text)
            }
            Ok(Opened::Folder(_)) | Err(Refused::NotFound) => None,
            Err(refused) => panic!("{path}: {refused:?}"),
        }
    }

    #[test]
    fn links_are_followed_inside_and_never_out() {
        let dir = tree();
        let root = Root::new(&dir.path().join("root")).unwrap();
        let walking = Root::walking(&dir.path().join("root")).unwrap();
        for (path, followed, walked) in [
            ("f", true, true),
            ("a/b/f", true, true),
            ("a/in/f", root.how != How::Walk, false),
            ("out/f", false, false),
            ("up/f", false, false),
            ("a/g", false, false),
            ("abs/f", false, false),
            ("absin/f", false, false),
            ("loop", false, false),
            ("proc/etc/passwd", false, false),
            ("f/f", false, false),
            ("nothing", false, false),
        ] {
            for (root, expected) in [(&root, followed), (&walking, walked)] {
                let expected = expected.then(|| "inside".to_owned());
                assert_eq!(content(root, path), expected, "{path}, {:?}", root.how);
            }
        }
    }

    #[test]
    fn the_walker_does_not_rest_on_its_caller() {
        let dir = tree();
        let root = Root::walking(&dir.path().join("root")).unwrap();
        for name in [c"../f", c"a/../../f", c"..", c"/etc/passwd", c"a//f", c""] {
            let error = walk(root.folder.as_fd(), name, READ).unwrap_err();
            assert_eq!(error, Errno::NOENT, "{name:?}");
        }
    }

    #[test]
    fn a_root_is_a_folder() {
        let dir = tree();
        for (name, error) in [("f", io::ErrorKind::NotADirectory), ("none", io::ErrorKind::NotFound)] {
            assert_eq!(Root::new(&dir.path().join(name)).unwrap_err().kind(), error);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
        #[test]
        fn no_path_reaches_what_lies_outside(paths in prop::collection::vec(prop::collection::vec(
            prop::sample::select(vec![
                "f", "a", "b", "in", "out", "up", "g", "abs", "absin", "outside", "root", "..", ".", "", "%2e%2e",
                "..%2f..", "%00", "proc", "loop",
            ]), 1..7), 32))
        {
            let dir = tree();
            for root in [Root::new(&dir.path().join("root")).unwrap(), Root::walking(&dir.path().join("root")).unwrap()] {
                for path in &paths {
                    let path = path.join("/");
                    prop_assert_ne!(content(&root, &path), Some("outside".to_owned()), "{}", path);
                }
            }
        }
    }
}
