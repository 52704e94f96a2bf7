//! Blocking work on files, bounded for each file system.
//!
//! The blocking pool has 500 threads. Without a bound, the readers of one disk that hangs would take them all, and those
//! of every other disk would wait with them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::{File, Metadata};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_task::Runnable;
use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, StatxFlags};

use super::{clock, spawn};
use crate::clock::Sleep;
use crate::sync::Mutex;

/// The most threads that wait for one file system: as many requests as a fast disk works on at a time.
const MAX_THREADS: usize = 32;

/// Time between two looks at files that are to be [closed](close_when_unused).
const LOOK: Duration = Duration::from_secs(1);

/// `f_type` of file systems that look up, open and close a file that is known to the kernel without waiting for a network
/// or another program. From the kernel's `linux/magic.h`, and ZFS's own.
const LOCAL: [u64; 11] = [
    0x0000_ef53, // ext2, ext3, ext4
    0x5846_5342, // XFS
    0x9123_683e, // btrfs
    0xf2f5_2010, // F2FS
    0xca45_1a4e, // bcachefs
    0x2fc1_2fc1, // ZFS
    0x7371_7368, // squashfs
    0xe0f5_e1e2, // EROFS
    0x794c_7630, // overlayfs
    0x0102_1994, // tmpfs
    0x8584_58f6, // ramfs
];

/// Work of all file systems. Those without any have no entry.
static LINES: Mutex<BTreeMap<Disk, Line>> = Mutex::new(BTreeMap::new());

/// Files to be closed on the pool. As long as a file system has an entry, a task looks after it.
static CLOSING: Mutex<BTreeMap<Disk, Vec<Arc<File>>>> = Mutex::new(BTreeMap::new());

/// Whether `file` is on a file system that opens and closes files without waiting, once it knows them. May wait itself.
pub fn is_local(file: impl AsFd) -> bool {
    rustix::fs::fstatfs(file).is_ok_and(|stat| LOCAL.contains(&(stat.f_type as u64 & 0xffff_ffff)))
}

/// A file system whose work has threads of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Disk {
    /// Major and minor number; `None` where it is not known: all share one line then.
    device: Option<(u32, u32)>,
    /// Not this one, but whatever is mounted below.
    beyond: bool,
}

/// What waits for one file system.
#[derive(Default)]
struct Line {
    threads: usize,
    /// By number, the first come first.
    waiting: BTreeMap<u64, Runnable>,
}

impl Disk {
    /// The file system of an open file or folder. Does not wait: a network file system is not asked.
    pub fn of(file: impl AsFd) -> Self {
        let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
        let stat = rustix::fs::statx(file, c"", flags, StatxFlags::TYPE).ok();
        Self { device: stat.map(|stat| (stat.stx_dev_major, stat.stx_dev_minor)), beyond: false }
    }

    /// The file system that a path leads to, as far as the kernel knows without asking it.
    pub fn at(path: &Path) -> Self {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let found = rustix::fs::openat2(rustix::fs::CWD, path, flags, Mode::empty(), ResolveFlags::CACHED);
        found.map_or(Self { device: None, beyond: false }, Self::of)
    }

    /// The file systems mounted below this one. Which of them is meant is not known before a file is open.
    #[must_use]
    pub fn beyond(self) -> Self {
        Self { beyond: true, ..self }
    }

    /// Whether a file is in this file system, by its metadata.
    pub fn has(self, file: &Metadata) -> bool {
        self.device == Some((rustix::fs::major(file.dev()), rustix::fs::minor(file.dev())))
    }

    /// Its major and minor number, if they are known.
    pub(super) fn device(self) -> Option<(u32, u32)> {
        self.device
    }

    /// Runs `work` on the blocking pool, where at most `MAX_THREADS` run for this file system; further work waits in turn.
    ///
    /// Cancel safe: work that has begun runs to its end, and its result is dropped there; other work is forgotten.
    ///
    /// # Panics
    /// If `work` panics.
    pub async fn blocking<T: Send + 'static>(self, work: impl FnOnce() -> T + Send + 'static) -> T {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let (runnable, task) =
            async_task::spawn(async move { work() }, move |runnable| self.start(number, runnable));
        let _place = Place { disk: self, number };
        runnable.schedule();
        task.await
    }

    /// Starts a thread for `runnable`, or has it wait.
    fn start(self, number: u64, runnable: Runnable) {
        let mut lines = LINES.lock();
        let line = lines.entry(self).or_default();
        if line.threads == MAX_THREADS {
            line.waiting.insert(number, runnable);
            return;
        }
        line.threads += 1;
        drop(lines);
        ::blocking::unblock(move || self.serve(runnable)).detach();
    }

    /// Runs `runnable`, and then what waits.
    fn serve(self, runnable: Runnable) {
        let mut next = Some(runnable);
        while let Some(runnable) = next {
            // Who waits for it panics too; the others have nothing to do with it.
            let _ = catch_unwind(AssertUnwindSafe(|| runnable.run()));
            next = self.next();
        }
    }

    /// The next that waits. If none does, the calling thread counts no more.
    fn next(self) -> Option<Runnable> {
        let mut lines = LINES.lock();
        let line = lines.get_mut(&self)?;
        if let Some((_, runnable)) = line.waiting.pop_first() {
            return Some(runnable);
        }
        line.threads -= 1;
        if line.threads == 0 {
            lines.remove(&self);
        }
        None
    }
}

/// The place of work that may wait. Dropped, the work is taken out: a disk that hangs keeps nothing of clients that left.
struct Place {
    disk: Disk,
    number: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut lines = LINES.lock();
        let forgotten = lines.get_mut(&self.disk).and_then(|line| line.waiting.remove(&self.number));
        // Outside the lock: it may hold the last handle to a file.
        drop(lines);
        drop(forgotten);
    }
}

/// Closes `file` on the blocking pool: on FUSE it waits for the program behind it.
pub fn close_on_pool(file: Arc<File>) {
    spawn(Disk::of(&file).blocking(move || drop(file)));
}

/// Has the last handle to `file` dropped on the blocking pool, about a second after all others.
pub fn close_when_unused(file: Arc<File>) {
    let disk = Disk::of(&file);
    match CLOSING.lock().entry(disk) {
        Entry::Occupied(mut files) => files.get_mut().push(file),
        Entry::Vacant(place) => {
            place.insert(vec![file]);
            spawn(close_unused(disk));
        }
    }
}

/// Closes files that nobody else has any more, until none is left. One thread at most waits for the disk.
async fn close_unused(disk: Disk) {
    loop {
        Sleep::lasting(clock() as _, LOOK).await;
        let files = CLOSING.lock().get_mut(&disk).map(std::mem::take).unwrap_or_default();
        let used = disk.blocking(move || without_unused(files)).await;
        let mut closing = CLOSING.lock();
        let Some(files) = closing.get_mut(&disk) else { return };
        files.extend(used);
        if files.is_empty() {
            closing.remove(&disk);
            return;
        }
    }
}

/// Closes those of `files` that nobody else has; returns the others.
fn without_unused(files: Vec<Arc<File>>) -> Vec<Arc<File>> {
    files.into_iter().filter_map(|file| Arc::try_unwrap(file).map(drop).err()).collect()
}

#[cfg(test)]
mod tests;
