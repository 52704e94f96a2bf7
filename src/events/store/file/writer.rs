//! The task that writes the file: batches as they come, and what changed in memory besides.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_lite::FutureExt;

use super::disk::{Change, Disk};
use super::disk_error::DiskError;
use super::{Job, MAX_BYTES, Shared};
use crate::clock::{Clock, Instant, Sleep};
use crate::events::channel::Channel;
use crate::events::event::Event;
use crate::events::hub::Hub;
use crate::events::hub_error::HubError;
use crate::events::log::Staged;
use crate::events::store::{StoreState, Times};
use crate::rt;

/// The most batches that are written at once.
const MAX_GROUP: usize = 512;

/// How often a file that another process has is tried.
const HAND_OVER: Duration = Duration::from_millis(20);

/// After how long it is told that the other one still has it.
const LONG_HAND_OVER: Duration = Duration::from_secs(5);

/// How often a file that failed is opened anew.
const RECOVERY: Duration = Duration::from_secs(1);

pub(super) struct Writer {
    shared: Arc<Shared>,
    path: PathBuf,
    hub: Weak<Hub>,
    route: String,
    clock: Arc<dyn Clock>,
    /// `None` until it is opened, and after a failure.
    disk: Option<Disk>,
    /// When what is in memory must be on the disk, if it may not be.
    due: Option<Instant>,
    /// Events that were answered, and may not be on the disk.
    unwritten: usize,
    /// Whether the file is opened no more: it was, once, while closing.
    is_last_try: bool,
    /// Bytes of events that could not be written.
    lacks: Option<usize>,
    /// Whether the file says that answered events may be missing in it.
    lags: bool,
}

/// What there is to do.
struct Work {
    jobs: Vec<Job>,
    is_due: bool,
    closing: bool,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, path: &Path, hub: &Arc<Hub>, clock: Arc<dyn Clock>) -> Self {
        let (hub, route) = (Arc::downgrade(hub), hub.route().to_owned());
        Self {
            shared,
            path: path.to_owned(),
            hub,
            route,
            clock,
            disk: None,
            due: None,
            unwritten: 0,
            is_last_try: false,
            lacks: None,
            lags: false,
        }
    }

    /// Opens the file, and has `hub` go on with what is in it. Blocks.
    fn opened(
        path: &Path,
        hub: &Hub,
        (lacks, lags): (Option<usize>, bool),
        clock: &dyn Clock,
    ) -> Result<Disk, DiskError> {
        let mut disk = Disk::open(path, clock, lags)?;
        // It opens on a full disk, too.
        if let Some(bytes) = lacks {
            disk.try_room(bytes)?;
        }
        let kept = disk.read(&hub.wanted(disk.streams()))?;
        hub.restore(kept, disk.tag(), &Times::of(clock));
        Ok(disk)
    }

    /// Opens the file for `hub`. Blocks.
    pub(super) fn open(&mut self, hub: &Hub) -> Result<(), DiskError> {
        let disk = Self::opened(&self.path, hub, (None, false), &*self.clock)?;
        self.begin(disk, hub);
        Ok(())
    }

    fn begin(&mut self, disk: Disk, hub: &Hub) {
        (self.disk, self.lacks) = (Some(disk), None);
        self.shared.state.lock().is_read = true;
        // Streams that begin with the configuration, and events that grew too old meanwhile.
        self.due = Some(self.clock.now());
        self.turn(StoreState::Ready);
        hub.set_stalled(false);
    }

    /// Writes until the hub is gone or closes.
    pub(super) async fn run(mut self) {
        loop {
            if self.disk.is_none() && !self.reopen().await {
                break;
            }
            let work = self.work().await;
            let Some(hub) = self.hub.upgrade() else { break };
            if let Err(error) = self.write(&hub, work.jobs, work.is_due || work.closing).await {
                self.fail(&error);
                self.rest(RECOVERY).await;
            } else if work.closing && self.shared.state.lock().jobs.is_empty() {
                break;
            }
        }
        if self.unwritten > 0 {
            log::error!(route = self.route.as_str(), events = self.unwritten; "the streams are closed, and events that were answered are not in their store");
        }
        // Closing writes, too.
        let (disk, is_whole) = (self.disk.take(), self.lags && self.unwritten == 0);
        rt::blocking(move || {
            let mut disk = disk;
            if let Some(disk) = disk.as_mut().filter(|_| is_whole) {
                // If that fails, the next process gives other ids than it had to.
                let _ = disk.set_lags(false);
            }
        })
        .await;
        let last = self.shared.state.lock().last.take();
        self.turn(StoreState::Closed);
        self.refuse(HubError::Closing);
        drop(last);
    }

    /// Opens the file, as often as it takes; while closing once, if something is to be written. Returns false if nobody needs it any
    /// more.
    async fn reopen(&mut self) -> bool {
        let begun = self.clock.now();
        let mut is_told = false;
        loop {
            let Some(wanted) = self.hub.upgrade() else { return false };
            if self.shared.state.lock().closing {
                if self.due.is_none() || self.is_last_try {
                    return false;
                }
                self.is_last_try = true;
            }
            // The last try writes what fits.
            let lacks = self.lacks.filter(|_| !self.is_last_try);
            let (path, clock, lags) = (self.path.clone(), Arc::clone(&self.clock), self.lags);
            let hub = Arc::clone(&wanted);
            let opened = rt::blocking(move || Self::opened(&path, &hub, (lacks, lags), &*clock));
            let wait = match opened.await {
                Ok(disk) => {
                    log::info!(route = self.route.as_str(); "the store of the streams is open");
                    self.begin(disk, &wanted);
                    return true;
                }
                Err(error) if error.is_taken().is_some() => {
                    if !is_told && self.clock.now() - begun >= LONG_HAND_OVER {
                        is_told = true;
                        log::warn!(route = self.route.as_str(), error = error.to_string().as_str(); "the streams still wait for their store");
                    }
                    HAND_OVER
                }
                Err(error) => {
                    self.fail(&error);
                    RECOVERY
                }
            };
            // Not kept while it rests.
            drop(wanted);
            self.rest(wait).await;
        }
    }

    /// Waits as long, or until it is to end.
    async fn rest(&self, wait: Duration) {
        let closing = async {
            loop {
                let more = self.shared.work.listen();
                if self.shared.state.lock().closing {
                    return;
                }
                more.await;
            }
        };
        Sleep::lasting(Arc::clone(&self.clock), wait).or(closing).await;
    }

    /// Waits for something to do.
    async fn work(&mut self) -> Work {
        loop {
            let more = self.shared.work.listen();
            let now = self.clock.now();
            // Not below the lock: this may be the hub's last owner, and its store takes the lock when it is dropped.
            let sync = self.hub.upgrade().map_or(Duration::ZERO, |hub| hub.settings().store_sync);
            {
                let mut state = self.shared.state.lock();
                if std::mem::take(&mut state.follow) && self.due.is_none() {
                    self.due = Some(now + sync);
                }
                let is_due = self.due.is_some_and(|due| due <= now);
                if is_due || state.closing || !state.jobs.is_empty() {
                    let most = state.jobs.len().min(MAX_GROUP);
                    let jobs: Vec<Job> = state.jobs.drain(..most).collect();
                    state.bytes -= jobs.iter().map(|job| job.bytes).sum::<usize>();
                    return Work { jobs, is_due, closing: state.closing };
                }
            }
            match self.due {
                Some(due) => {
                    let due = Sleep::until(Arc::clone(&self.clock), due);
                    due.or(more).await;
                }
                None => more.await,
            }
        }
    }

    async fn write(&mut self, hub: &Arc<Hub>, jobs: Vec<Job>, is_due: bool) -> Result<(), DiskError> {
        let sync = hub.settings().store_sync;
        if !jobs.is_empty() && !sync.is_zero() {
            if !self.lags
                && let Err(error) = self.lag().await
            {
                jobs.into_iter().for_each(|job| _ = job.answer.send(Err(HubError::StoreDown)));
                return Err(error);
            }
            // In memory first: what a crash loses is what was published since the last write.
            self.due.get_or_insert(self.clock.now() + sync);
            for job in jobs {
                let ids = hub.publish_in_memory(&job.channel, job.batch);
                self.unwritten += ids.as_ref().map_or(0, Vec::len);
                let _ = job.answer.send(ids);
            }
            if !is_due {
                return Ok(());
            }
            return self.settle(hub).await;
        }
        // Nothing may be missing before what is written next.
        if (is_due || self.due.is_some())
            && let Err(error) = self.settle(hub).await
        {
            jobs.into_iter().for_each(|job| _ = job.answer.send(Err(HubError::StoreDown)));
            return Err(error);
        }
        if jobs.is_empty() { Ok(()) } else { self.group(hub, jobs).await }
    }

    /// Writes batches, and publishes them.
    async fn group(&mut self, hub: &Arc<Hub>, jobs: Vec<Job>) -> Result<(), DiskError> {
        let mut staged: Vec<(Arc<Channel>, Staged)> = Vec::new();
        let mut answers = Vec::new();
        for Job { channel, batch, answer, .. } in jobs {
            let at = staged.iter().position(|(staged, _)| Arc::ptr_eq(staged, &channel));
            let at = at.unwrap_or_else(|| {
                let after = channel.with(|stream| Staged::several_after(stream.log()));
                staged.push((Arc::clone(&channel), after));
                staged.len() - 1
            });
            let ids = hub.with_context(|context| {
                channel.with(|stream| stream.stage(&mut staged[at].1, batch, context))
            });
            match ids {
                Ok(ids) => answers.push((answer, ids)),
                Err(error) => _ = answer.send(Err(error)),
            }
        }
        // Repetitions, and what was refused, leave nothing to write.
        let (channels, changes): (Vec<_>, Vec<_>) = staged.into_iter().filter_map(with_change).unzip();
        if changes.is_empty() {
            answers.into_iter().for_each(|(answer, ids)| _ = answer.send(Ok(ids)));
            return Ok(());
        }
        match self.on_disk(changes, Vec::new()).await {
            Ok(changes) => {
                for (channel, change) in channels.iter().zip(changes) {
                    hub.append(channel, change.events.into_iter().filter_map(Arc::into_inner).collect());
                }
                answers.into_iter().for_each(|(answer, ids)| _ = answer.send(Ok(ids)));
                Ok(())
            }
            Err(error) => {
                answers.into_iter().for_each(|(answer, _)| _ = answer.send(Err(HubError::StoreFailed)));
                Err(error)
            }
        }
    }

    /// Writes what the file does not have of what is in memory, and takes out what has left there.
    async fn settle(&mut self, hub: &Arc<Hub>) -> Result<(), DiskError> {
        let Some(disk) = &self.disk else { return Ok(()) };
        let (mut changes, mut names) = (Vec::new(), HashSet::new());
        for channel in hub.channels() {
            let (stream, first) = channel.with(|stream| stream.kept());
            names.insert(stream.name.clone());
            if !disk.has(&stream, first) {
                let after = disk.head_of(&stream);
                // Between these two events may have come and gone.
                let (stream, first, events) = channel.with(|of| {
                    let (stream, first) = of.kept();
                    (stream, first, of.events_after(after))
                });
                changes.push(Change { stream, first, events });
            }
        }
        let gone: Vec<String> = disk
            .streams()
            .into_iter()
            .map(|stream| stream.name)
            .filter(|name| !names.contains(name))
            .collect();
        if !changes.is_empty() || !gone.is_empty() {
            self.on_disk(changes, gone).await?;
        }
        // Only now: what failed is still due when the file is open again, or closes.
        (self.due, self.unwritten) = (None, 0);
        Ok(())
    }

    /// Has the file say that answered events may be missing in it, before the first one is.
    async fn lag(&mut self) -> Result<(), DiskError> {
        let Some(mut disk) = self.disk.take() else { return Err(DiskError::closed(&self.path)) };
        self.lacks = Some(0);
        let disk = rt::blocking(move || disk.set_lags(true).map(|()| disk)).await;
        (self.disk, self.lacks, self.lags) = (Some(disk?), None, true);
        Ok(())
    }

    /// Has `changes` on the disk, and returns them. After an error the file must be opened anew.
    async fn on_disk(&mut self, changes: Vec<Change>, gone: Vec<String>) -> Result<Vec<Change>, DiskError> {
        let Some(mut disk) = self.disk.take() else { return Err(DiskError::closed(&self.path)) };
        let (path, times) = (self.path.clone(), Times::of(&*self.clock));
        let events = changes.iter().flat_map(|change| &change.events);
        self.lacks = Some(events.map(|event| event.cost() as usize).sum::<usize>().min(MAX_BYTES));
        let (written, changes) = rt::blocking(move || {
            let write = || disk.write(&changes, &gone, &times).map(|()| disk);
            let written = catch_unwind(AssertUnwindSafe(write));
            (written.unwrap_or_else(|_| Err(DiskError::closed(&path))), changes)
        })
        .await;
        (self.disk, self.lacks) = (Some(written?), None);
        Ok(changes)
    }

    fn fail(&mut self, error: &DiskError) {
        self.disk = None;
        let text = error.to_string();
        let state = StoreState::Failed(text.clone());
        if self.shared.state.lock().store != state {
            log::error!(route = self.route.as_str(), error = text.as_str(); "the store of the streams cannot be used: nothing can be published");
        }
        self.turn(state);
        self.refuse(HubError::StoreDown);
        if let Some(hub) = self.hub.upgrade() {
            hub.set_stalled(true);
        }
    }

    fn refuse(&self, error: HubError) {
        let jobs = {
            let mut state = self.shared.state.lock();
            state.bytes = 0;
            std::mem::take(&mut state.jobs)
        };
        jobs.into_iter().for_each(|job| _ = job.answer.send(Err(error)));
    }

    fn turn(&self, state: StoreState) {
        self.shared.state.lock().store = state;
        self.shared.turned.notify(usize::MAX);
    }
}

/// What is to be written of a stream; `None` if nothing is new.
fn with_change((channel, staged): (Arc<Channel>, Staged)) -> Option<(Arc<Channel>, Change)> {
    let events: Vec<Arc<Event>> = staged.into_events().into_iter().map(Arc::new).collect();
    let (mut stream, first) = channel.with(|stream| stream.kept());
    stream.head = events.last()?.seq;
    Some((channel, Change { stream, first, events }))
}
