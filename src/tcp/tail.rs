//! A file as a stream: what is there, and if it is followed, what comes.

use std::fs::File;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use event_listener::Event;
use futures_lite::future;

use super::watch::{FileId, Follower, id};
use crate::body::ReadFile;
use crate::brigade::{Brigade, Bucket, FileSlice, SourceError};
use crate::generator::Generator;
use crate::named_file;
use crate::rt::{self, FileReader};

/// The most of a followed file that is read at a time. What is read of it is held until it may leave, so
/// that a file cut short in between does no harm.
const PIECE: u64 = 16 * 1024;

/// Tells the streams of followed files that the server drains: they end at the end of what is there.
#[derive(Default)]
pub(crate) struct Drain {
    begun: AtomicBool,
    event: Event,
}

impl Drain {
    pub(crate) fn begin(&self) {
        self.begun.store(true, Ordering::SeqCst);
        self.event.notify(usize::MAX);
    }

    fn has_begun(&self) -> bool {
        self.begun.load(Ordering::SeqCst)
    }

    async fn begun(&self) {
        let listener = self.event.listen();
        if !self.has_begun() {
            listener.await;
        }
    }
}

/// The bytes of a file from its start.
///
/// Followed, it goes on as `tail -F` does: waits at the end for more; from the start of the file when that
/// was truncated; with the new file when another has taken its place and the old one is read to its end.
/// Bytes that are written to the old file after that are not seen, nor is a truncation if the file grew
/// beyond the place before it was looked at again.
pub(super) struct Tail {
    /// `None` while `next` works with it.
    state: Option<State>,
    next: Option<Next>,
}

/// The bucket that is waited for.
type Next = Pin<Box<dyn Future<Output = (State, Bucket)> + Send>>;

struct State {
    path: PathBuf,
    file: Arc<File>,
    id: FileId,
    offset: u64,
    /// The end of what is served, if it is not followed.
    end: u64,
    follow: Option<(Follower, Arc<Drain>)>,
    reader: FileReader,
}

impl Tail {
    /// The file at `path`, as long as it is now.
    ///
    /// # Errors
    /// It cannot be opened, or is no file.
    pub(super) async fn open(path: &Path) -> io::Result<Self> {
        let (file, id, end) = open(path).await?;
        let state = State {
            path: path.to_owned(),
            file,
            id,
            offset: 0,
            end,
            follow: None,
            reader: FileReader::new(),
        };
        Ok(Self { state: Some(state), next: None })
    }

    /// The same, going on as it grows until `drain`.
    #[must_use]
    pub(super) fn followed(mut self, follower: Follower, drain: Arc<Drain>) -> Self {
        if let Some(state) = &mut self.state {
            state.follow = Some((follower, drain));
        }
        self
    }
}

async fn open(path: &Path) -> io::Result<(Arc<File>, FileId, u64)> {
    let path = path.to_owned();
    rt::blocking(move || {
        let file = named_file::open(&path)?;
        let meta = file.metadata()?;
        Ok((Arc::new(file), id(&meta), meta.len()))
    })
    .await
}

impl State {
    /// The next bucket of a followed file.
    async fn next(mut self) -> (Self, Bucket) {
        loop {
            let Some((follower, drain)) = &self.follow else { return (self, Bucket::Eos) };
            // Before looking, or a change in between would not be heard.
            let changed = follower.listen();
            let present = follower.present();
            let len = match self.file.metadata() {
                Ok(meta) => meta.len(),
                Err(error) => return (self, Bucket::Error(SourceError::new(format!("read: {error}")))),
            };
            if len < self.offset {
                log::info!(file:% = self.path.display(), bytes = self.offset; "a followed file was truncated: going on from its start");
                self.offset = 0;
                continue;
            }
            if len > self.offset {
                let slice =
                    FileSlice::new(Arc::clone(&self.file), self.offset, (len - self.offset).min(PIECE));
                let reader = &mut self.reader;
                match future::poll_fn(|cx| reader.poll_read(cx, &slice)).await {
                    Ok(bytes) => {
                        self.offset += bytes.len() as u64;
                        return (self, Bucket::Data(bytes));
                    }
                    // Cut short since it was looked at: looked at again.
                    Err(_) if self.file.metadata().is_ok_and(|meta| meta.len() < len) => continue,
                    Err(error) => return (self, Bucket::Error(error)),
                }
            }
            if present.is_some_and(|present| present != self.id)
                && let Ok((file, id, _)) = open(&self.path).await
            {
                // Without a watch that is newer than this, it would be opened again and again.
                if id != self.id {
                    log::info!(file:% = self.path.display(), bytes = self.offset; "a followed file was replaced: going on with the new one");
                    (self.file, self.id, self.offset) = (file, id, 0);
                    continue;
                }
            }
            if drain.has_begun() {
                return (self, Bucket::Eos);
            }
            future::or(changed, drain.begun()).await;
        }
    }
}

impl Generator for Tail {
    fn poll_fill(&mut self, cx: &mut Context<'_>, brigade: &mut Brigade) -> Poll<()> {
        if let Some(mut state) = self.state.take() {
            if state.follow.is_none() {
                let slice = FileSlice::new(Arc::clone(&state.file), state.offset, state.end - state.offset);
                state.offset = state.end;
                brigade.push(if slice.is_empty() { Bucket::Eos } else { Bucket::File(slice) });
                self.state = Some(state);
                return Poll::Ready(());
            }
            self.next = Some(Box::pin(state.next()));
        }
        let Some(next) = &mut self.next else { return Poll::Pending };
        let (state, bucket) = ready!(next.as_mut().poll(cx));
        self.next = None;
        self.state = Some(state);
        brigade.push(bucket);
        Poll::Ready(())
    }
}
