//! One watch on a followed file, for all its followers.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use event_listener::{Event, EventListener};
use futures_lite::future;

use crate::clock::{Clock, Sleep};
use crate::rt::{self, FileWatch};
use crate::sync::Mutex;

/// How often the file is checked without events: changes by other machines, or no watch available.
const LOOK: Duration = Duration::from_secs(1);

/// A file's identity: device and inode.
pub(super) type FileId = (u64, u64);

pub(super) fn id(meta: &Metadata) -> FileId {
    (meta.dev(), meta.ino())
}

/// Wakes followers when their file changed. Costs one task while there are followers.
pub(super) struct Watch {
    path: PathBuf,
    changed: Event,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    followers: usize,
    running: bool,
    /// The file at the path when last checked, and its length.
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
        let mut state = self.state.lock();
        state.followers += 1;
        if !std::mem::replace(&mut state.running, true) {
            rt::spawn(watch(Arc::clone(self), Arc::clone(clock)));
        }
        Follower(Arc::clone(self))
    }

    /// Whether there are no followers left, so that the watch ends.
    fn is_over(&self) -> bool {
        let mut state = self.state.lock();
        state.running = state.followers > 0;
        !state.running
    }

    /// Checks the path. Returns whether it has another file or length than before.
    async fn look(self: &Arc<Self>) -> bool {
        let path = self.path.clone();
        let meta = rt::blocking(move || std::fs::metadata(path)).await;
        let found = meta.ok().map(|meta| (id(&meta), meta.len()));
        std::mem::replace(&mut self.state.lock().seen, found) != found
    }
}

impl Follower {
    /// The file at the path when last checked; `None` if there was none.
    pub(super) fn present(&self) -> Option<FileId> {
        self.0.state.lock().seen.map(|(id, _)| id)
    }

    /// Listens for changes from now on.
    pub(super) fn listen(&self) -> EventListener {
        self.0.changed.listen()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.0.state.lock().followers -= 1;
    }
}

async fn watch(watch: Arc<Watch>, clock: Arc<dyn Clock>) {
    let mut told = match FileWatch::new(&watch.path) {
        Ok(told) => Some(told),
        Err(error) => {
            log::warn!(file:% = watch.path.display(), error:%; "cannot watch a followed file: checking it each second");
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
            log::warn!(file:% = watch.path.display(), error:%; "the watch on a followed file failed: checking it each second");
            told = None;
            true
        });
    }
}
