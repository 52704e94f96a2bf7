//! One watch on a followed file for all who follow it.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use event_listener::{Event, EventListener};
use futures_lite::future;

use crate::clock::{Clock, Sleep};
use crate::rt::{self, FileWatch};

/// How often the file is looked at where nothing tells of its changes: by another machine, or because the
/// system gives no watch.
const LOOK: Duration = Duration::from_secs(1);

/// Which file it is: device and inode.
pub(super) type FileId = (u64, u64);

pub(super) fn id(meta: &Metadata) -> FileId {
    (meta.dev(), meta.ino())
}

/// Tells followers when to look at their file again. It costs one task while there are any.
pub(super) struct Watch {
    path: PathBuf,
    changed: Event,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    followers: usize,
    running: bool,
    /// What is at the path, as far as is known: which file, and how long.
    seen: Option<(FileId, u64)>,
}

/// Keeps the watch going.
pub(super) struct Follower(Arc<Watch>);

impl Watch {
    pub(super) fn new(path: PathBuf) -> Arc<Self> {
        Arc::new(Self { path, changed: Event::new(), state: Mutex::default() })
    }

    /// Starts the watch, if it does not run, for as long as somebody follows.
    pub(super) fn follow(self: &Arc<Self>, clock: &Arc<dyn Clock>) -> Follower {
        let mut state = self.lock();
        state.followers += 1;
        if !std::mem::replace(&mut state.running, true) {
            rt::spawn(watch(Arc::clone(self), Arc::clone(clock)));
        }
        Follower(Arc::clone(self))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nobody follows any more; the watch is then over.
    fn is_over(&self) -> bool {
        let mut state = self.lock();
        state.running = state.followers > 0;
        !state.running
    }

    /// Looks at what is at the path; says whether that is something else, or of another length.
    async fn look(self: &Arc<Self>) -> bool {
        let path = self.path.clone();
        let meta = rt::blocking(move || std::fs::metadata(path)).await;
        let found = meta.ok().map(|meta| (id(&meta), meta.len()));
        std::mem::replace(&mut self.lock().seen, found) != found
    }
}

impl Follower {
    /// Which file is at the path, as far as is known; `None` if none is.
    pub(super) fn present(&self) -> Option<FileId> {
        self.0.lock().seen.map(|(id, _)| id)
    }

    /// Hears of changes from now on.
    pub(super) fn listen(&self) -> EventListener {
        self.0.changed.listen()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.0.lock().followers -= 1;
    }
}

async fn watch(watch: Arc<Watch>, clock: Arc<dyn Clock>) {
    let mut told = match FileWatch::new(&watch.path) {
        Ok(told) => Some(told),
        Err(error) => {
            log::warn!(file:% = watch.path.display(), error:%; "no watch on a followed file: it is looked at each second");
            None
        }
    };
    let mut heard = true;
    loop {
        if watch.look().await || heard {
            watch.changed.notify(usize::MAX);
        }
        if watch.is_over() {
            return;
        }
        let look = async {
            Sleep::lasting(Arc::clone(&clock), LOOK).await;
            Ok(false)
        };
        let tell = async {
            match &mut told {
                Some(told) => told.changed().await.map(|()| true),
                None => future::pending().await,
            }
        };
        let next = future::or(tell, look).await;
        heard = next.unwrap_or_else(|error: std::io::Error| {
            log::warn!(file:% = watch.path.display(), error:%; "the watch on a followed file broke: it is looked at each second");
            told = None;
            true
        });
    }
}
