//! What was made of files or folders, made anew when their names lead to others.

use std::fmt;
use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, TryLockError};
use std::time::Duration;

use rustix::fs::{Mode, OFlags, ResolveFlags};

use super::{blocking, clock};
use crate::clock::Clock;

/// How old a look at the names may be when what was made of them is given out.
pub const MAX_AGE: Duration = Duration::from_secs(1);

/// A value that is made of what some paths lead to, and made anew when they lead to something else: another file
/// or folder, and of a file another content.
///
/// The paths are looked at when the value is asked for, at most once a second; between, asking costs a read
/// of the clock and an uncontended lock. What cannot be made anew is logged once, and the value before stays.
pub struct Fresh<T> {
    /// `None` for a value that stays.
    source: Option<Source<T>>,
    clock: OnceLock<Arc<dyn Clock>>,
    /// When the paths were looked at last, in the clock's nanoseconds.
    looked: AtomicU64,
    /// Held by who looks: a disk that does not answer holds one thread, and not one more each second.
    looking: Mutex<()>,
    state: RwLock<State<T>>,
}

struct Source<T> {
    paths: Vec<PathBuf>,
    make: Box<dyn Fn() -> Result<T, String> + Send + Sync>,
}

struct State<T> {
    /// What the paths led to when the value was made, or could not be.
    seen: Vec<Option<Identity>>,
    value: Arc<T>,
}

/// Which file or folder it is, and of a file in which state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    /// `None` of a folder, in which names come and go.
    content: Option<Content>,
}

/// The state of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Content {
    size: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    /// When anything of the inode was changed last.
    changed: (i64, i64),
}

impl<T: Send + Sync + 'static> Fresh<T> {
    /// A value that stays.
    pub fn fixed(value: T) -> Self {
        Self::of(None, State { seen: Vec::new(), value: Arc::new(value) })
    }

    /// What `make` makes of `paths`, now and when they changed. Blocks; meant for the start.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn new<E: fmt::Display>(
        paths: impl IntoIterator<Item = PathBuf>,
        make: impl Fn() -> Result<T, E> + Send + Sync + 'static,
    ) -> Result<Self, E> {
        let paths: Vec<PathBuf> = paths.into_iter().collect();
        // Looked at before: what changes meanwhile is seen as another then.
        let seen = paths.iter().map(|path| Identity::of(path)).collect();
        let value = Arc::new(make()?);
        let make = Box::new(move || make().map_err(|error| error.to_string()));
        Ok(Self::of(Some(Source { paths, make }), State { seen, value }))
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

    /// Has `clock` say when it is time to look, and not the process's. Meant for tests; the first time before the value
    /// is asked for counts.
    pub fn run_on(&self, clock: Arc<dyn Clock>) {
        let _ = self.clock.set(clock);
    }

    /// The value, which is of what the paths led to at most a second ago; older only while another task looks.
    /// Does not block the executor. Cancel safe.
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

    /// The value as it was made last.
    pub fn last(&self) -> Arc<T> {
        Arc::clone(&self.state.read().unwrap_or_else(PoisonError::into_inner).value)
    }

    /// Whether it is time to look, and for nobody else to.
    fn is_due(&self) -> bool {
        let now = self.clock.get_or_init(|| clock()).now().as_nanos();
        let looked = self.looked.load(Ordering::Relaxed);
        now.saturating_sub(looked) >= MAX_AGE.as_nanos() as u64
            && self.looked.compare_exchange(looked, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Whether nothing changed, as far as the kernel can tell without waiting for a disk.
    fn is_cached(&self, source: &Source<T>) -> bool {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        source
            .paths
            .iter()
            .zip(&state.seen)
            .all(|(path, seen)| seen.is_some() && Identity::cached(path) == *seen)
    }

    /// Looks at the paths, and makes the value anew if they changed. May wait for a disk.
    fn look(&self) {
        let Some(source) = &self.source else { return };
        let _looking = match self.looking.try_lock() {
            Ok(looking) => looking,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        let now: Vec<_> = source.paths.iter().map(|path| Identity::of(path)).collect();
        if self.state.read().unwrap_or_else(PoisonError::into_inner).seen == now {
            return;
        }
        let made = (source.make)();
        let path = source.paths.first().map(|path| path.display().to_string()).unwrap_or_default();
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let is_gone = now.first().is_some_and(Option::is_none);
        state.seen = now;
        match made {
            Ok(value) if is_gone => {
                state.value = Arc::new(value);
                log::warn!(path = path.as_str(); "gone from disk: nothing is there by this name any more");
            }
            Ok(value) => {
                state.value = Arc::new(value);
                log::info!(path = path.as_str(); "replaced on disk, taken anew");
            }
            Err(error) => {
                log::warn!(path = path.as_str(), error = error.as_str(); "replaced on disk, of no use: the one before stays");
            }
        }
    }
}

impl Identity {
    /// What the path leads to; `None` if to nothing. May wait for a disk.
    fn of(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().map(|metadata| Self::of_metadata(&metadata))
    }

    /// The same, and `None` too if it would wait for a disk.
    fn cached(path: &Path) -> Option<Self> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let found =
            rustix::fs::openat2(rustix::fs::CWD, path, flags, Mode::empty(), ResolveFlags::CACHED).ok()?;
        File::from(found).metadata().ok().map(|metadata| Self::of_metadata(&metadata))
    }

    fn of_metadata(metadata: &Metadata) -> Self {
        let content = Content {
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        };
        let content = (!metadata.is_dir()).then_some(content);
        Self { device: metadata.dev(), inode: metadata.ino(), content }
    }
}

impl<T: fmt::Debug> fmt::Debug for Fresh<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths = self.source.as_ref().map(|source| &source.paths);
        let value = Arc::clone(&self.state.read().unwrap_or_else(PoisonError::into_inner).value);
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
    fn what_a_name_leads_to_is_at_most_a_second_old() {
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
        // The same name, another content.
        fs::write(folder.path().join("two"), "zwo").unwrap();
        clock.advance(MAX_AGE);
        assert_eq!(get(&fresh), "zwo");
        assert_eq!(*fresh.last(), "zwo");
    }

    #[test]
    fn what_cannot_be_made_leaves_the_one_before_until_it_can() {
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
