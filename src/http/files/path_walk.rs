//! Walks a path from the root to an open file again, and checks that it still leads there.
//!
//! A walk follows no symbolic links and looks each name up in the folder before it, which is kept open. So it stays
//! below the root, as opening one segment after the other does, and a rename meanwhile cannot lead it out. A file that is
//! reached by a link has no walk.

use std::ffi::{CStr, CString};
use std::fs::{File, Metadata};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, Mode, OFlags, Statx, StatxFlags};
use rustix::io::Errno;

use super::validators::SETTLED;

/// The most folders of a walk. For more, opening the file anew is as cheap as looking at each.
const MAX_FOLDERS: usize = 4;

/// The names that led to a file, and the file's state when it was opened.
#[derive(Debug)]
pub(super) struct PathWalk {
    folders: Vec<Arc<Folder>>,
    /// In the last of the folders, or in the root.
    name: CString,
    file: State,
}

/// A folder of a walk. It is kept open, so that no other can have its inode.
#[derive(Debug)]
pub(super) struct Folder {
    /// Its path below the root.
    path: Box<[u8]>,
    /// In the folder before it.
    name: CString,
    folder: OwnedFd,
    place: Place,
}

/// Identifies a file or folder while it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    device: u64,
    inode: u64,
}

/// Identifies a file with its content and permissions: when one of them changes, the state does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    place: Place,
    mode: u32,
    size: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    /// When anything of the inode was changed last.
    changed: (i64, i64),
}

impl PathWalk {
    /// The walk by which `path`, a name below `root` that is served, leads to the open `file`. `None` if it does not, or
    /// only by symbolic links, or has too many folders; or if the file was changed so short a time before `now` that a
    /// later change may not show.
    ///
    /// `near` finds folders of other walks by their paths below the root.
    pub(super) fn new(
        root: BorrowedFd<'_>,
        path: &CStr,
        file: &Metadata,
        now: SystemTime,
        near: impl Fn(&[u8]) -> Option<Arc<Folder>>,
    ) -> Option<Self> {
        let path = path.to_bytes();
        let file = State::of(file);
        if !file.is_settled(now) || path.iter().filter(|byte| **byte == b'/').count() > MAX_FOLDERS {
            return None;
        }
        let mut folders: Vec<Arc<Folder>> = Vec::new();
        let mut from = 0;
        for slash in memchr::memchr_iter(b'/', path) {
            let before = folders.last().map_or(root, |folder| folder.folder.as_fd());
            let folder = match near(&path[..slash]) {
                Some(folder) => folder,
                None => Arc::new(Folder::open(before, &path[..slash], &path[from..slash])?),
            };
            folders.push(folder);
            from = slash + 1;
        }
        let walk = Self { folders, name: CString::new(&path[from..]).ok()?, file };
        walk.leads_from(root).then_some(walk)
    }

    /// Whether each name still leads where it led from this root, and the file has not changed since.
    pub(super) fn leads_from(&self, root: BorrowedFd<'_>) -> bool {
        let mut at = root;
        for folder in &self.folders {
            if !look(at, &folder.name).is_ok_and(|found| Place::found(&found) == folder.place) {
                return false;
            }
            at = folder.folder.as_fd();
        }
        look(at, &self.name).is_ok_and(|found| State::found(&found) == self.file)
    }

    /// Its folder that has this path below the root.
    pub(super) fn folder(&self, path: &[u8]) -> Option<&Arc<Folder>> {
        self.folders.iter().find(|folder| *folder.path == *path)
    }
}

impl Folder {
    fn open(before: BorrowedFd<'_>, path: &[u8], name: &[u8]) -> Option<Self> {
        let name = CString::new(name).ok()?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = rustix::fs::openat(before, &name, flags, Mode::empty()).ok()?;
        let place = Place::of(&File::from(folder.try_clone().ok()?).metadata().ok()?);
        Some(Self { path: path.into(), name, folder, place })
    }
}

/// The metadata of one name in a folder; of a symbolic link, its own.
fn look(folder: BorrowedFd<'_>, name: &CStr) -> Result<Statx, Errno> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    loop {
        match rustix::fs::statx(folder, name, flags, StatxFlags::BASIC_STATS) {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}

impl Place {
    fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }

    fn found(found: &Statx) -> Self {
        Self { device: rustix::fs::makedev(found.stx_dev_major, found.stx_dev_minor), inode: found.stx_ino }
    }
}

impl State {
    fn of(metadata: &Metadata) -> Self {
        Self {
            place: Place::of(metadata),
            mode: metadata.mode(),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    fn found(found: &Statx) -> Self {
        Self {
            place: Place::found(found),
            mode: found.stx_mode.into(),
            size: found.stx_size,
            modified: (found.stx_mtime.tv_sec, found.stx_mtime.tv_nsec.into()),
            changed: (found.stx_ctime.tv_sec, found.stx_ctime.tv_nsec.into()),
        }
    }

    /// Whether a change from `now` on shows in its times, as coarse as the file system keeps them.
    fn is_settled(&self, now: SystemTime) -> bool {
        let Ok(now) = now.duration_since(UNIX_EPOCH) else { return false };
        [self.modified, self.changed].into_iter().all(|(seconds, nanos)| {
            u64::try_from(seconds).is_ok_and(|seconds| {
                Duration::new(seconds, u32::try_from(nanos).unwrap_or(0)) + SETTLED <= now
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    /// A root with one file below some folders, and the walk to it.
    struct Scene {
        dir: tempfile::TempDir,
        root: OwnedFd,
        walk: PathWalk,
    }

    fn root(dir: &Path) -> OwnedFd {
        File::open(dir.join("root")).unwrap().into()
    }

    fn walk(root: &OwnedFd, dir: &Path, path: &str) -> Option<PathWalk> {
        let file = File::open(dir.join("root").join(path)).unwrap().metadata().unwrap();
        let later = SystemTime::now() + SETTLED + Duration::from_secs(1);
        PathWalk::new(root.as_fd(), &CString::new(path).unwrap(), &file, later, |_| None)
    }

    impl Scene {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            fs::create_dir_all(dir.path().join("root/a/b")).unwrap();
            fs::create_dir_all(dir.path().join("outside")).unwrap();
            fs::write(dir.path().join("root/a/b/f"), "0123456789").unwrap();
            let root = root(dir.path());
            let walk = walk(&root, dir.path(), "a/b/f").unwrap();
            Self { dir, root, walk }
        }

        fn at(&self, name: &str) -> std::path::PathBuf {
            self.dir.path().join(name)
        }

        fn leads(&self) -> bool {
            self.walk.leads_from(self.root.as_fd())
        }
    }

    #[test]
    fn a_way_leads_until_the_name_or_the_file_changes() {
        type Change = fn(&Scene);
        let changes: &[(&str, Change)] = &[
            ("made longer", |scene| fs::write(scene.at("root/a/b/f"), "0123456789a").unwrap()),
            ("made shorter", |scene| {
                File::options().write(true).open(scene.at("root/a/b/f")).unwrap().set_len(9).unwrap();
            }),
            ("another time", |scene| {
                let file = File::options().write(true).open(scene.at("root/a/b/f")).unwrap();
                file.set_modified(UNIX_EPOCH).unwrap();
            }),
            ("other permissions", |scene| {
                fs::set_permissions(scene.at("root/a/b/f"), fs::Permissions::from_mode(0o000)).unwrap();
            }),
            ("removed", |scene| fs::remove_file(scene.at("root/a/b/f")).unwrap()),
            ("replaced by its copy", |scene| {
                fs::copy(scene.at("root/a/b/f"), scene.at("root/a/b/g")).unwrap();
                fs::rename(scene.at("root/a/b/g"), scene.at("root/a/b/f")).unwrap();
            }),
            ("replaced by a link to itself", |scene| {
                fs::rename(scene.at("root/a/b/f"), scene.at("root/a/b/g")).unwrap();
                symlink("g", scene.at("root/a/b/f")).unwrap();
            }),
            ("moved out", |scene| fs::rename(scene.at("root/a"), scene.at("outside/a")).unwrap()),
            ("moved out, a link where it was", |scene| {
                fs::rename(scene.at("root/a/b"), scene.at("outside/b")).unwrap();
                symlink(scene.at("outside/b"), scene.at("root/a/b")).unwrap();
            }),
            ("a folder with the same file in place of the one before", |scene| {
                fs::rename(scene.at("root/a"), scene.at("root/was")).unwrap();
                fs::create_dir_all(scene.at("root/a/b")).unwrap();
                fs::hard_link(scene.at("root/was/b/f"), scene.at("root/a/b/f")).unwrap();
            }),
        ];
        for (what, change) in changes {
            let scene = Scene::new();
            assert!(scene.leads() && scene.leads(), "before: {what}");
            change(&scene);
            assert!(!scene.leads(), "{what}");
        }
    }

    #[test]
    fn what_changes_beside_it_does_not_matter() {
        let scene = Scene::new();
        fs::write(scene.at("root/a/b/g"), "").unwrap();
        fs::write(scene.at("root/a/b2"), "").unwrap();
        fs::set_permissions(scene.at("root/a"), fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(fs::read(scene.at("root/a/b/f")).unwrap(), b"0123456789", "nor who reads it");
        assert!(scene.leads());
    }

    // As many bytes, written at once after: only the time of the change tells.
    #[test]
    fn a_way_is_of_a_file_that_was_left_alone_for_long_enough() {
        let scene = Scene::new();
        let file = File::open(scene.at("root/a/b/f")).unwrap().metadata().unwrap();
        let changed = UNIX_EPOCH + Duration::new(file.ctime() as u64, file.ctime_nsec() as u32);
        for (age, is_settled) in
            [(SETTLED, true), (SETTLED - Duration::from_nanos(1), false), (Duration::ZERO, false)]
        {
            let walk = PathWalk::new(scene.root.as_fd(), c"a/b/f", &file, changed + age, |_| None);
            assert_eq!(walk.is_some(), is_settled, "{age:?}");
        }
        assert!(
            PathWalk::new(scene.root.as_fd(), c"a/b/f", &file, UNIX_EPOCH, |_| None).is_none(),
            "in the future"
        );
    }

    #[test]
    fn folders_on_other_ways_are_shared_while_they_are_there() {
        let scene = Scene::new();
        fs::write(scene.at("root/a/b/g"), "other").unwrap();
        let metadata = fs::metadata(scene.at("root/a/b/g")).unwrap();
        let later = SystemTime::now() + SETTLED + Duration::from_secs(1);
        let near = |path: &[u8]| scene.walk.folder(path).cloned();
        let other = || PathWalk::new(scene.root.as_fd(), c"a/b/g", &metadata, later, near);
        let walk = other().unwrap();
        for path in [&b"a"[..], b"a/b"] {
            assert!(Arc::ptr_eq(walk.folder(path).unwrap(), scene.walk.folder(path).unwrap()));
        }
        assert!(walk.folder(b"b").is_none());
        fs::rename(scene.at("root/a/b"), scene.at("root/a/c")).unwrap();
        fs::create_dir(scene.at("root/a/b")).unwrap();
        fs::rename(scene.at("root/a/c/g"), scene.at("root/a/b/g")).unwrap();
        assert!(other().is_none(), "it is in another folder of that name now");
    }

    #[test]
    fn links_and_depths_have_no_way() {
        let dir = tempfile::tempdir().unwrap();
        let deep: Vec<String> = (0..=MAX_FOLDERS + 1).map(|depth| "d/".repeat(depth)).collect();
        fs::create_dir_all(dir.path().join("root").join(&deep[MAX_FOLDERS + 1])).unwrap();
        let root = root(dir.path());
        for (depth, folder) in deep.iter().enumerate() {
            let path = format!("{folder}f");
            fs::write(dir.path().join("root").join(&path), "").unwrap();
            assert_eq!(walk(&root, dir.path(), &path).is_some(), depth <= MAX_FOLDERS, "{path}");
        }
        symlink("f", dir.path().join("root/link")).unwrap();
        symlink("d", dir.path().join("root/e")).unwrap();
        for path in ["link", "e/f", "d/../f"] {
            assert_eq!(walk(&root, dir.path(), path).is_some(), path == "d/../f", "{path}");
        }
    }
}
