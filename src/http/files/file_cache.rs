//! A cache of open files, for those that are asked for again and again.
//!
//! It remembers which file a name leads to and what answers say of it, never content: that is read for each answer. Each
//! request has the name looked up again after it began to arrive; those that a worker finds waiting together share a look.
//! Unless it still leads to that file, unchanged in size, times and permissions, the entry is dropped and what is there now
//! is opened.
//!
//! A file enters with the second request for it within a short time, and is closed after 2 to 4 seconds without one:
//! what was removed must not fill a disk much longer.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::fmt;
use std::fs::{File, Metadata};
use std::hash::BuildHasher;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::task::{Wake, Waker};
use std::time::{Duration, SystemTime};

use http::{Response, request};

use super::file_answer::with_file;
use super::looked;
use super::path::Below;
use super::path_walk::PathWalk;
use super::version::Version;
use crate::clock::Clock;
use crate::http::content::Content;
use crate::http1::KeptLines;
use crate::rt::{self, Turn};
use crate::sync::RwLock;

/// The most files kept open. Each takes a descriptor, and so does each folder they are in.
const MAX_FILES: usize = 256;

/// How many names are remembered that were asked for once.
const ASKED: usize = 1024;

/// The time between sweeps, which close what was not asked for since the last.
const SWEEP: Duration = Duration::from_secs(2);

/// The open files below one root, by their names.
pub(super) struct FileCache {
    /// The root's device: files on others are not kept. `None` if none are.
    device: Option<u64>,
    table: RwLock<Table>,
    /// Hashes of names that were asked for once, each at the index that it says.
    asked: Box<[AtomicU64]>,
    clock: OnceLock<Arc<dyn Clock>>,
}

#[derive(Debug, Default)]
struct Table {
    files: HashMap<CString, Arc<CachedFile>>,
    /// A sweep is scheduled.
    sweeps: bool,
}

/// An open file with what answers say of it.
#[derive(Debug)]
pub(in crate::http) struct CachedFile {
    walk: PathWalk,
    file: Arc<File>,
    version: Version,
    /// A request came for it since the last sweep.
    used: AtomicBool,
}

impl FileCache {
    /// An empty cache of what lies below `root`. It stays empty unless the file system answers from memory.
    pub(super) fn below(root: BorrowedFd<'_>) -> Self {
        let device =
            if rt::is_local(root) { rustix::fs::fstat(root).ok().map(|stat| stat.st_dev) } else { None };
        Self {
            device,
            table: RwLock::default(),
            asked: (0..ASKED).map(|_| AtomicU64::new(0)).collect(),
            clock: OnceLock::new(),
        }
    }

    /// A cache that stays empty.
    pub(super) fn none() -> Self {
        Self { device: None, table: RwLock::default(), asked: Box::default(), clock: OnceLock::new() }
    }

    /// The file that `name` led to before, if it still does and the file has not changed. Drops the entry if not.
    ///
    /// `arrived` is the present turn of this worker, if the request began to arrive before it: a look in this turn is as late
    /// as one of its own then.
    pub(super) fn get(
        &self,
        root: BorrowedFd<'_>,
        name: &Below,
        arrived: Option<Turn>,
    ) -> Option<Arc<CachedFile>> {
        self.device?;
        let name = name.as_c_str();
        let cached = self.table.read().files.get(name).map(Arc::clone)?;
        if arrived.is_some_and(|turn| looked::in_turn(turn, address(&cached))) {
            return Some(cached);
        }
        if cached.walk.leads_from(root) {
            looked::note(address(&cached));
            if !cached.used.load(Ordering::Relaxed) {
                cached.used.store(true, Ordering::Relaxed);
            }
            return Some(cached);
        }
        let mut table = self.table.write();
        // Another request may have added what is there now.
        if table.files.get(name).is_some_and(|there| Arc::ptr_eq(there, &cached)) {
            table.files.remove(name);
        }
        None
    }

    /// Adds a file that was just opened by its `name`, unless it was not asked for lately, may have changed meanwhile, or
    /// there is no room. `metadata` and `version` are of that moment.
    pub(super) fn offer(
        self: &Arc<Self>,
        root: BorrowedFd<'_>,
        name: &Below,
        (file, metadata): (&Arc<File>, &Metadata),
        version: Version,
        now: SystemTime,
    ) {
        use std::os::unix::fs::MetadataExt;
        let name = name.as_c_str();
        if self.device != Some(metadata.dev())
            || !version.validators.are_strong()
            || !self.is_asked_again(name)
        {
            return;
        }
        if self.table.read().files.len() >= MAX_FILES {
            return;
        }
        let near = |path: &[u8]| {
            let table = self.table.read();
            table.files.values().find_map(|cached| cached.walk.folder(path).cloned())
        };
        let Some(walk) = PathWalk::new(root, name, metadata, now, near) else { return };
        let cached = CachedFile { walk, file: Arc::clone(file), version, used: AtomicBool::new(true) };
        let mut table = self.table.write();
        // Others may have come meanwhile.
        if table.files.len() < MAX_FILES {
            table.files.insert(name.to_owned(), Arc::new(cached));
            self.schedule_sweep(&mut table);
        }
    }

    /// Whether a name was asked for before, with not too many others since. Forgets that it was.
    fn is_asked_again(&self, name: &CStr) -> bool {
        // Zero is no name's.
        let hash = self.table.read().files.hasher().hash_one(name) | 1;
        let Some(place) = self.asked.get(hash as usize / 2 % self.asked.len().max(1)) else { return false };
        if place.load(Ordering::Relaxed) == hash {
            place.store(0, Ordering::Relaxed);
            return true;
        }
        place.store(hash, Ordering::Relaxed);
        false
    }

    fn schedule_sweep(self: &Arc<Self>, table: &mut Table) {
        if !table.sweeps {
            table.sweeps = true;
            let clock = self.clock.get_or_init(|| rt::clock());
            clock.wake_at(clock.now() + SWEEP, Waker::from(Arc::new(Sweeper(Arc::downgrade(self)))));
        }
    }

    /// Takes out and returns what was not asked for since the last sweep.
    fn sweep(self: &Arc<Self>) -> Vec<Arc<CachedFile>> {
        let mut table = self.table.write();
        let idle = table.files.extract_if(|_, cached| !cached.used.swap(false, Ordering::Relaxed));
        let idle = idle.map(|(_, cached)| cached).collect();
        table.sweeps = false;
        if !table.files.is_empty() {
            self.schedule_sweep(&mut table);
        }
        idle
    }
}

impl fmt::Debug for FileCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileCache")
            .field("device", &self.device)
            .field("files", &self.table.read().files)
            .finish()
    }
}

/// What tells a file from the others of the cache.
fn address(file: &Arc<CachedFile>) -> usize {
    Arc::as_ptr(file) as usize
}

impl CachedFile {
    /// The response to a request for it.
    pub(in crate::http) fn respond(&self, request: &request::Parts) -> Response<Content> {
        with_file(request, &self.version, &self.file)
    }

    /// Its size.
    pub(in crate::http) fn size(&self) -> u64 {
        self.version.size
    }

    /// The lines of the head of a response with all of it.
    pub(in crate::http) fn lines(&self) -> &KeptLines {
        &self.version.lines
    }

    /// The open file.
    pub(in crate::http) fn file(&self) -> &File {
        &self.file
    }
}

/// The waker of a scheduled sweep.
struct Sweeper(Weak<FileCache>);

impl Wake for Sweeper {
    fn wake(self: Arc<Self>) {
        let Some(files) = self.0.upgrade() else { return };
        // Closing the last of a large file that was removed may wait for a disk.
        rt::spawn(async move { rt::blocking(move || drop(files.sweep())).await });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Instant, ManualClock};
    use crate::http::files::media_type::Types;
    use crate::http::files::validators::SETTLED;
    use crate::sync::Mutex;
    use std::os::fd::{AsFd, OwnedFd};

    struct Scene {
        dir: tempfile::TempDir,
        root: OwnedFd,
        clock: Arc<ManualClock>,
        cache: Arc<FileCache>,
    }

    impl Scene {
        /// `None` on a file system whose look-ups may wait.
        fn new() -> Option<Self> {
            let dir = tempfile::tempdir().unwrap();
            let root = OwnedFd::from(File::open(dir.path()).unwrap());
            let clock = Arc::new(ManualClock::new());
            let cache = Arc::new(FileCache::below(root.as_fd()));
            if cache.device.is_none() {
                println!("skipped: temporary files are on a file system that may wait for a network");
                return None;
            }
            cache.clock.set(Arc::clone(&clock) as _).ok().unwrap();
            Some(Self { dir, root, clock, cache })
        }

        fn write(&self, name: &str) {
            std::fs::write(self.dir.path().join(name), name).unwrap();
        }

        /// As when a request comes for it: whether it was in the cache.
        fn ask(&self, name: &str) -> bool {
            let below = Below::parse(name, false).unwrap();
            if let Some(cached) = self.cache.get(self.root.as_fd(), &below, None) {
                assert_eq!(cached.version.size, name.len() as u64);
                return true;
            }
            let file = Arc::new(File::open(self.dir.path().join(name)).unwrap());
            let metadata = file.metadata().unwrap();
            let later = SystemTime::now() + SETTLED + Duration::from_secs(1);
            let version = Version::new(&below, &metadata, later, &Types::default()).unwrap();
            self.cache.offer(self.root.as_fd(), &below, (&file, &metadata), version, later);
            false
        }

        /// So often that it is kept.
        fn ask_often(&self, name: &str) -> bool {
            [0; 3].map(|_| self.ask(name))[2]
        }

        fn len(&self) -> usize {
            self.cache.table.read().files.len()
        }
    }

    #[test]
    fn a_file_is_kept_from_the_second_request_on() {
        let Some(scene) = Scene::new() else { return };
        scene.write("f");
        assert_eq!([0; 4].map(|_| scene.ask("f")), [false, false, true, true]);
        std::fs::rename(scene.dir.path().join("f"), scene.dir.path().join("g")).unwrap();
        scene.write("f");
        assert_eq!([0; 4].map(|_| scene.ask("f")), [false, false, true, true], "another one");
        assert_eq!(scene.len(), 1);
    }

    // Where nothing says that a request began to arrive before the worker's turn, its name is looked up for it alone.
    #[test]
    fn requests_that_came_before_a_turn_share_a_look_in_it() {
        let Some(scene) = Scene::new() else { return };
        scene.write("f");
        assert!(scene.ask_often("f"));
        let told = Arc::new(Mutex::new(Vec::new()));
        let (tells, dir) = (Arc::clone(&told), scene.dir.path().to_owned());
        let finds = move |arrived| {
            let below = Below::parse("f", false).unwrap();
            scene.cache.get(scene.root.as_fd(), &below, arrived).is_some()
        };
        let (done, is_done) = std::sync::mpsc::channel();
        rt::spawn(async move {
            let turn = rt::turn();
            tells.lock().push((turn.is_some(), finds(turn)));
            std::fs::remove_file(dir.join("f")).unwrap();
            tells.lock().push((rt::turn() == turn, finds(turn)));
            futures_lite::future::yield_now().await;
            let next = rt::turn();
            tells.lock().push((next != turn, finds(next)));
            done.send(()).unwrap();
        });
        is_done.recv().unwrap();
        assert_eq!(*told.lock(), [(true, true), (true, true), (true, false)]);
    }

    #[test]
    fn what_is_asked_for_once_is_not_kept_and_there_is_a_bound() {
        let Some(scene) = Scene::new() else { return };
        let names: Vec<String> = (0..3 * MAX_FILES).map(|n| n.to_string()).collect();
        for name in &names {
            scene.write(name);
            assert!(!scene.ask(name));
        }
        assert_eq!((scene.len(), scene.clock.sleepers()), (0, 0));
        for name in names.iter().cycle().take(10 * names.len()) {
            scene.ask(name);
        }
        assert_eq!((scene.len(), scene.clock.sleepers()), (MAX_FILES, 1));
    }

    #[test]
    fn what_is_not_asked_for_between_two_sweeps_is_closed() {
        let Some(scene) = Scene::new() else { return };
        for name in ["a", "b"] {
            scene.write(name);
            assert!(scene.ask_often(name));
        }
        assert_eq!(scene.clock.next_deadline(), Some(Instant::ZERO + SWEEP));
        assert!(scene.cache.sweep().is_empty(), "both were asked for since the last");
        assert!(scene.ask("a"));
        assert_eq!(scene.cache.sweep().len(), 1);
        assert!(scene.ask("a") && !scene.ask("b"));
    }

    #[test]
    fn the_clock_has_them_closed_and_then_sleeps_no_more() {
        let Some(scene) = Scene::new() else { return };
        scene.write("f");
        assert!(scene.ask_often("f"));
        for (sweep, left) in [(1, 1), (2, 0)] {
            assert_eq!(scene.clock.advance_to_next(), Some(Instant::ZERO + SWEEP * sweep));
            // The sweep is a task's.
            while scene.cache.table.read().sweeps != (left > 0)
                || scene.len() != left
                || scene.clock.sleepers() != left
            {
                std::thread::yield_now();
            }
        }
    }

    #[test]
    fn a_folder_that_is_dropped_has_its_files_closed() {
        let Some(scene) = Scene::new() else { return };
        scene.write("f");
        assert!(scene.ask_often("f"));
        let file = Arc::downgrade(&scene.cache.table.read().files[c"f"].file);
        drop(scene.cache);
        assert_eq!(file.strong_count(), 0);
        scene.clock.advance_to_next();
        assert_eq!(scene.clock.sleepers(), 0);
    }
}
