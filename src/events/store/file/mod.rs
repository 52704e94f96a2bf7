//! A store in a file of this server's own.
//!
//! Memory has all that the file has: the file is read when the server starts. A batch is checked, numbered, written, on the disk, and then
//! published and answered; what comes meanwhile goes with the next write (group commit). Only the [`Writer`] writes.

mod backend;
mod disk;
mod disk_error;
mod writer;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use event_listener::Event as Changed;
use futures_lite::FutureExt;
use tokio::sync::oneshot;

use self::writer::Writer;
use super::{StoreError, StoreState};
use crate::clock::{Clock, Sleep};
use crate::events::channel::Channel;
use crate::events::event::Draft;
use crate::events::hub::Hub;
use crate::events::hub_error::HubError;
use crate::rt;
use crate::sync::Mutex;

/// The most batches that wait to be written; further ones are refused.
const MAX_JOBS: usize = 4096;

/// The most bytes of events that wait to be written, unless one batch has more.
const MAX_BYTES: usize = 32 << 20;

/// How long a publisher waits for the disk before it is answered that nobody knows.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a request waits for a file that another process has still.
const HAND_OVER: Duration = Duration::from_secs(5);

/// What the writer is passed.
pub(in crate::events) struct FileStore {
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
}

struct Shared {
    state: Mutex<State>,
    /// There is something to do.
    work: Changed,
    /// The state of the store is another one.
    turned: Changed,
}

struct State {
    store: StoreState,
    jobs: VecDeque<Job>,
    bytes: usize,
    follow: bool,
    /// Whether the file was read.
    is_read: bool,
    closing: bool,
    /// Keeps what is in memory until it is written.
    last: Option<Arc<Hub>>,
}

/// A batch that is to be published.
struct Job {
    channel: Arc<Channel>,
    batch: Vec<Draft>,
    bytes: usize,
    answer: oneshot::Sender<Result<Vec<Box<str>>, HubError>>,
}

impl FileStore {
    /// A store that is not open yet.
    pub(in crate::events) fn new(clock: Arc<dyn Clock>) -> Self {
        let state = State {
            store: StoreState::Opening,
            jobs: VecDeque::new(),
            bytes: 0,
            follow: false,
            is_read: false,
            closing: false,
            last: None,
        };
        let shared = Shared { state: Mutex::new(state), work: Changed::new(), turned: Changed::new() };
        Self { shared: Arc::new(shared), clock }
    }

    /// Opens the file at `path`, has `hub`, whose store this is, go on with the streams in it, and spawns the writer. If a process whose
    /// place this one takes has the file, or this process itself, it is opened once that is closed. Blocks.
    ///
    /// # Errors
    /// The file cannot be used, or another server uses it.
    pub(in crate::events) fn open(&self, path: &Path, hub: &Arc<Hub>) -> Result<(), StoreError> {
        let mut writer = Writer::new(Arc::clone(&self.shared), path, hub, Arc::clone(&self.clock));
        match writer.open(hub) {
            Ok(()) => {}
            // The writer opens it once it can.
            Err(error) if error.is_taken().is_some_and(|here| here || rt::is_successor()) => {}
            Err(error) => return Err(StoreError(error.to_string())),
        }
        rt::spawn(writer.run());
        Ok(())
    }

    pub(in crate::events) async fn publish(
        &self,
        channel: Arc<Channel>,
        batch: Vec<Draft>,
    ) -> Result<Vec<Box<str>>, HubError> {
        let bytes = batch.iter().map(Draft::size).sum();
        let (answer, answered) = oneshot::channel();
        {
            let mut state = self.shared.state.lock();
            match state.store {
                StoreState::Ready if !state.closing => {}
                StoreState::Ready | StoreState::Closed => return Err(HubError::Closing),
                StoreState::Opening | StoreState::Failed(_) => return Err(HubError::StoreDown),
            }
            let is_full = state.jobs.len() >= MAX_JOBS || state.bytes + bytes > MAX_BYTES;
            if is_full && !state.jobs.is_empty() {
                return Err(HubError::StoreDown);
            }
            state.bytes += bytes;
            state.jobs.push_back(Job { channel, batch, bytes, answer });
        }
        self.shared.work.notify(1);
        let answered = async { answered.await.unwrap_or(Err(HubError::StoreFailed)) };
        let late = async {
            Sleep::lasting(Arc::clone(&self.clock), PATIENCE).await;
            Err(HubError::StoreFailed)
        };
        answered.or(late).await
    }

    pub(in crate::events) fn follow(&self) {
        self.shared.state.lock().follow = true;
        self.shared.work.notify(1);
    }

    /// Ends the writer once it has written what there is; `hub` lives as long.
    pub(in crate::events) fn close(&self, hub: &Arc<Hub>) {
        let mut state = self.shared.state.lock();
        if state.store != StoreState::Closed && !state.closing {
            state.last = Some(Arc::clone(hub));
        }
        state.closing = true;
        drop(state);
        self.shared.work.notify(1);
    }

    /// Completes when the file was read.
    pub(in crate::events) async fn opened(&self) -> Result<(), HubError> {
        let is_read = || self.shared.state.lock().is_read;
        if !is_read() {
            let late = Sleep::lasting(Arc::clone(&self.clock), HAND_OVER);
            self.turned(|| is_read() || self.state() == StoreState::Closed).or(late).await;
        }
        if is_read() { Ok(()) } else { Err(HubError::StoreDown) }
    }

    pub(in crate::events) fn state(&self) -> StoreState {
        self.shared.state.lock().store.clone()
    }

    pub(in crate::events) async fn turned(&self, is_awaited: impl Fn() -> bool) {
        rt::wait_until(&self.shared.turned, is_awaited).await;
    }
}

impl Drop for FileStore {
    fn drop(&mut self) {
        self.shared.state.lock().closing = true;
        self.shared.work.notify(1);
    }
}
