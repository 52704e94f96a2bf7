//! Values made from files, remade when the files change.

use std::fmt;
use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustix::fs::{Mode, OFlags, ResolveFlags};

use super::disk::{Disk, is_local};
use super::{blocking, clock};
use crate::clock::Clock;
use crate::sync::{Mutex, RwLock};

/// Longest time between two checks of the paths.
pub const MAX_AGE: Duration = Duration::from_secs(1);

/// Opens a path without opening what is there.
const PATH: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

/// A value made from the files or folders at some paths, and remade when a path names another file or folder, or a file's
/// content changes.
///
/// The paths are checked when the value is read, at most once a second; otherwise reading costs a read of the clock and an
/// uncontended lock. If the value cannot be remade, that is logged and the old value stays; each further check tries again, and
/// logs only another error.
pub struct Fresh<T> {
    /// `None` for a fixed value.
    source: Option<Source<T>>,
    clock: OnceLock<Arc<dyn Clock>>,
    /// When the paths were last checked, in nanoseconds of the clock.
    looked: AtomicU64,
    /// Held during a check: a disk that does not respond blocks one thread, and not another one each second.
    looking: Mutex<()>,
    state: RwLock<State<T>>,
}

struct Source<T> {
    paths: Vec<PathBuf>,
    make: Box<dyn Fn() -> Result<T, String> + Send + Sync>,
}

struct State<T> {
    /// The state of the paths when the value was made.
    seen: Vec<Option<Identity>>,
    /// Why it could not be remade at the last check.
    complaint: Option<String>,
    value: Arc<T>,
}

/// Identity of a file or folder, and the state of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    /// The size, and when the content and the inode last changed, in seconds and nanoseconds. `None` for a folder, whose
    /// entries change.
    content: Option<(u64, [i64; 4])>,
    /// Its file system, if the kernel knows all of that: no network or other program is asked.
    local: Option<Disk>,
}

impl<T: Send + Sync + 'static> Fresh<T> {
    /// A fixed value.
    pub fn fixed(value: T) -> Self {
        Self::of(None, State { seen: Vec::new(), complaint: None, value: Arc::new(value) })
    }

    /// Makes the value with `make`, now and whenever `paths` change. Blocks; meant for the start of the program.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn new<E: fmt::Display>(
        paths: impl IntoIterator<Item = PathBuf>,
        make: impl Fn() -> Result<T, E> + Send + Sync + 'static,
    ) -> Result<Self, E> {
        let paths: Vec<PathBuf> = paths.into_iter().collect();
        // Checked before it is made, so that a change in between is seen at the next check.
        let seen = paths.iter().map(|path| Identity::of(path)).collect();
        let value = Arc::new(make()?);
        let make = Box::new(move || make().map_err(|error| error.to_string()));
        Ok(Self::of(Some(Source { paths, make }), State { seen, complaint: None, value }))
    }

    fn of(source: Option<Source<T>>, state: State<T>) -> Self {
        Self {
            source,
            clock: OnceLock::new(),
            looked: AtomicU64::new(0),
            looking: Mutex::new(()),
            state: RwLock::new(state),
        }
    }

    /// Uses `clock` instead of the process's to decide when to check. Meant for tests; only the first call before the value is
    /// read has an effect.
    pub fn run_on(&self, clock: Arc<dyn Clock>) {
        let _ = self.clock.set(clock);
    }

    /// The value, at most a second out of date; older only while another task checks. Does not block the executor. Cancel
    /// safe.
    pub async fn get(self: &Arc<Self>) -> Arc<T> {
        if let Some(source) = &self.source
            && self.is_due()
            && !self.is_cached(source)
        {
            let fresh = Arc::clone(self);
            blocking(move || fresh.look()).await;
        }
        self.last()
    }

    /// The value, unless a check is due.
    pub fn get_if_fresh(&self) -> Option<Arc<T>> {
        let is_due = self.source.is_some() && self.old_since(self.now()).is_some();
        (!is_due).then(|| self.last())
    }

    /// The value, as [`get`](Self::get). Blocks while it checks.
    pub fn get_blocking(&self) -> Arc<T> {
        if self.source.is_some() && self.is_due() {
            self.look();
        }
        self.last()
    }

    /// The last value, without a check.
    pub fn last(&self) -> Arc<T> {
        Arc::clone(&self.state.read().value)
    }

    /// Whether a check is due and not under way. The caller does it.
    fn is_due(&self) -> bool {
        let now = self.now();
        self.old_since(now).is_some_and(|looked| {
            self.looked.compare_exchange(looked, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        })
    }

    fn now(&self) -> u64 {
        self.clock.get_or_init(|| clock()).now().as_nanos()
    }

    /// When the paths were last checked, if that is too long ago.
    fn old_since(&self, now: u64) -> Option<u64> {
        let looked = self.looked.load(Ordering::Relaxed);
        (now.saturating_sub(looked) >= MAX_AGE.as_nanos() as u64).then_some(looked)
    }

    /// Whether nothing changed, as far as the kernel can tell without waiting for a disk.
    fn is_cached(&self, source: &Source<T>) -> bool {
        let state = self.state.read();
        source.paths.iter().zip(&state.seen).all(|(path, seen)| seen.is_some_and(|seen| seen.is_cached(path)))
    }

    /// Checks the paths, and remakes the value if they changed. May wait for a disk.
    fn look(&self) {
        let Some(source) = &self.source else { return };
        let Some(_looking) = self.looking.try_lock() else { return };
        let now: Vec<_> = source.paths.iter().map(|path| Identity::of(path)).collect();
        if self.state.read().seen == now {
            self.state.write().complaint = None;
            return;
        }
        let made = (source.make)();
        let path = source.paths.first().map(|path| path.display().to_string()).unwrap_or_default();
        let mut state = self.state.write();
        match made {
            Ok(value) => {
                let is_gone = now.first().is_some_and(Option::is_none);
                *state = State { seen: now, complaint: None, value: Arc::new(value) };
                if is_gone {
                    log::warn!(path = path.as_str(); "path is gone: nothing has this name now");
                } else {
                    log::info!(path = path.as_str(); "path was replaced: reloaded");
                }
            }
            // What failed may have been short for a moment, as descriptors are.
            Err(error) if state.complaint.as_ref() != Some(&error) => {
                log::warn!(path = path.as_str(), error = error.as_str(); "path was replaced and cannot be loaded: keeping the previous one");
                state.complaint = Some(error);
            }
            Err(_) => {}
        }
    }
}

impl Identity {
    /// The state of the path; `None` if nothing is there. May wait for a disk.
    fn of(path: &Path) -> Option<Self> {
        let found = File::from(rustix::fs::open(path, PATH, Mode::empty()).ok()?);
        let metadata = found.metadata().ok()?;
        Some(Self::of_metadata(&metadata, is_local(&found).then(|| Disk::of(&found))))
    }

    /// Whether the path has this state still. `false` also if telling would wait for a disk.
    fn is_cached(self, path: &Path) -> bool {
        let opened = rustix::fs::openat2(rustix::fs::CWD, path, PATH, Mode::empty(), ResolveFlags::CACHED);
        let (Some(local), Ok(found)) = (self.local, opened) else { return false };
        let found = File::from(found);
        // Something else may have been mounted there.
        let metadata = if Disk::of(&found) == local { found.metadata().ok() } else { None };
        metadata.is_some_and(|metadata| Self::of_metadata(&metadata, self.local) == self)
    }

    fn of_metadata(metadata: &Metadata, local: Option<Disk>) -> Self {
        let (modified, changed) = (metadata.mtime(), metadata.ctime());
        let times = [modified, metadata.mtime_nsec(), changed, metadata.ctime_nsec()];
        let content = (!metadata.is_dir()).then_some((metadata.len(), times));
        Self { device: metadata.dev(), inode: metadata.ino(), content, local }
    }
}

impl<T: fmt::Debug> fmt::Debug for Fresh<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths = self.source.as_ref().map(|source| &source.paths);
        let value = Arc::clone(&self.state.read().value);
        f.debug_struct("Fresh").field("paths", &paths).field("value", &value).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use std::fs;
    use std::os::unix::fs::symlink;

    /// The text of a file behind a link, as long as it is not `bad`; the clock that says when it is looked at.
    fn scene() -> (tempfile::TempDir, Arc<ManualClock>, Arc<Fresh<String>>) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("one"), "one").unwrap();
        symlink("one", folder.path().join("name")).unwrap();
        let path = folder.path().join("name");
        let read = path.clone();
        let make = move || match fs::read_to_string(&read) {
            Ok(text) if text == "bad" => Err("it is bad".to_owned()),
            Ok(text) => Ok(text),
            Err(error) => Err(error.to_string()),
        };
        let fresh = Arc::new(Fresh::new([path], make).unwrap());
        let clock = Arc::new(ManualClock::new());
        fresh.run_on(Arc::clone(&clock) as _);
        (folder, clock, fresh)
    }

    fn get(fresh: &Arc<Fresh<String>>) -> String {
        futures_lite::future::block_on(fresh.get()).to_string()
    }

    #[test]
    fn a_value_is_at_most_a_second_old() {
        let (folder, clock, fresh) = scene();
        let relink = |target: &str| {
            symlink(target, folder.path().join("new")).unwrap();
            fs::rename(folder.path().join("new"), folder.path().join("name")).unwrap();
        };
        fs::write(folder.path().join("two"), "two").unwrap();
        clock.advance(MAX_AGE);
        assert_eq!(get(&fresh), "one");
        relink("two");
        clock.advance(MAX_AGE - Duration::from_nanos(1));
        assert_eq!(get(&fresh), "one", "it was looked at not a second ago");
        clock.advance(Duration::from_nanos(1));
        assert_eq!(get(&fresh), "two");
        // The same name with other content.
        fs::write(folder.path().join("two"), "zwo").unwrap();
        clock.advance(MAX_AGE);
        assert_eq!(get(&fresh), "zwo");
        assert_eq!(*fresh.last(), "zwo");
    }

    #[test]
    fn a_failure_keeps_the_value_before() {
        let (folder, clock, fresh) = scene();
        let name = folder.path().join("name");
        for (text, expected) in [(Some("bad"), "one"), (None, "one"), (Some("three"), "three")] {
            fs::remove_file(&name).unwrap_or_default();
            if let Some(text) = text {
                fs::write(&name, text).unwrap();
            }
            for _ in 0..2 {
                clock.advance(MAX_AGE);
                assert_eq!(get(&fresh), expected, "{text:?}");
            }
        }
    }

    /// Descriptors that are short for a moment, say.
    #[test]
    fn what_could_not_be_made_for_a_moment_is_made_a_second_later() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        fs::write(&path, "one").unwrap();
        let (fails, asked) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (failing, asks, read) = (Arc::clone(&fails), Arc::clone(&asked), path.clone());
        let make = move || {
            asks.fetch_add(1, Ordering::Relaxed);
            match failing.load(Ordering::Relaxed) {
                0 => fs::read_to_string(&read).map_err(|error| error.to_string()),
                code => Err(format!("error {code}")),
            }
        };
        let fresh = Arc::new(Fresh::new([path.clone()], make).unwrap());
        let clock = Arc::new(ManualClock::new());
        fresh.run_on(Arc::clone(&clock) as _);
        fs::write(&path, "second").unwrap();
        let complaint = || fresh.state.read().complaint.clone();
        for (code, expected, complains) in [
            (24, "one", Some("error 24")),
            (24, "one", Some("error 24")),
            (23, "one", Some("error 23")),
            (0, "second", None),
            (24, "second", None),
        ] {
            fails.store(code, Ordering::Relaxed);
            clock.advance(MAX_AGE);
            assert_eq!((get(&fresh).as_str(), complaint().as_deref()), (expected, complains));
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1 + 4);
        // The files are as they were again: there is nothing to complain of.
        fs::remove_file(&path).unwrap();
        clock.advance(MAX_AGE);
        assert_eq!((get(&fresh).as_str(), complaint().is_some()), ("second", true));
    }

    #[test]
    fn a_folder_is_the_same_whatever_comes_and_goes_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        fs::create_dir(&path).unwrap();
        let made = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&made);
        let make = move || Ok::<_, String>(count.fetch_add(1, Ordering::Relaxed));
        let fresh = Arc::new(Fresh::new([path.clone()], make).unwrap());
        let clock = Arc::new(ManualClock::new());
        fresh.run_on(Arc::clone(&clock) as _);
        let ask = || {
            clock.advance(MAX_AGE);
            *futures_lite::future::block_on(fresh.get())
        };
        fs::write(path.join("x"), "").unwrap();
        assert_eq!(ask(), 0);
        // The one that is served is held open by who made it, so that no other has its inode.
        let _held = File::open(&path).unwrap();
        fs::remove_dir_all(&path).unwrap();
        assert_eq!(ask(), 1, "gone");
        fs::create_dir(&path).unwrap();
        assert_eq!((ask(), ask()), (2, 2));
    }
}
