//! A file as a source, which may be followed as it grows.

use std::fs::File;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_lite::future;

use super::watch::{FileId, Follower, id};
use crate::body::ReadFile;
use crate::brigade::{Brigade, Bucket, FileSlice, SourceError};
use crate::generator::Generator;
use crate::named_file;
use crate::rt::serve::{Stage, Stages};
use crate::rt::{self, Disk, FileReader};

/// Largest read of a followed file. It is read into memory and held until it leaves, so that truncating the file
/// meanwhile does no harm.
const PIECE: u64 = 16 * 1024;

/// The bytes of a file from its start.
///
/// If followed, it continues like `tail -F`: waits for more at the end; starts over when the file was truncated; and
/// when another file has taken its place, reads the old one to its end and then the new one. Bytes written to the old
/// file after that are missed, and so is a truncation if the file grew past the offset before it was checked.
pub(super) struct Tail {
    /// `None` while `next` has it.
    state: Option<State>,
    next: Option<Next>,
}

/// The next bucket, being read.
type Next = Pin<Box<dyn Future<Output = (State, Bucket)> + Send>>;

struct State {
    path: PathBuf,
    file: Arc<File>,
    id: FileId,
    /// Its length is known without waiting.
    is_local: bool,
    offset: u64,
    /// Where the stream ends, unless the file is followed.
    end: u64,
    follow: Option<(Follower, Arc<Stages>)>,
    reader: FileReader,
}

impl Tail {
    /// Opens the file at `path`: up to its present length, or followed as it grows until the server drains.
    ///
    /// # Errors
    /// It cannot be opened, or is not a regular file.
    pub(super) async fn open(path: &Path, follow: Option<(Follower, Arc<Stages>)>) -> io::Result<Self> {
        let Opened { file, id, len: end, is_local } = open(path).await?;
        let (path, reader) = (path.to_owned(), FileReader::new());
        let state = State { path, file, id, is_local, offset: 0, end, follow, reader };
        Ok(Self { state: Some(state), next: None })
    }
}

/// A file that was opened.
struct Opened {
    file: Arc<File>,
    id: FileId,
    len: u64,
    is_local: bool,
}

async fn open(path: &Path) -> io::Result<Opened> {
    let (disk, path) = (Disk::at(path), path.to_owned());
    let opened = disk.blocking(move || {
        let file = named_file::open(&path)?;
        let meta = file.metadata()?;
        let is_local = rt::is_local(&file);
        Ok::<_, io::Error>(Opened { file: Arc::new(file), id: id(&meta), len: meta.len(), is_local })
    });
    let opened = opened.await?;
    if !opened.is_local {
        rt::close_when_unused(Arc::clone(&opened.file));
    }
    Ok(opened)
}

/// The present length of a file, asked on the spot if it is local.
async fn length(file: Arc<File>, is_local: bool) -> io::Result<u64> {
    let ask = |file: Arc<File>| file.metadata().map(|meta| meta.len());
    if is_local { ask(file) } else { Disk::of(&file).blocking(move || ask(file)).await }
}

impl State {
    async fn next(mut self) -> (Self, Bucket) {
        loop {
            let Some((follower, stages)) = &self.follow else { return (self, Bucket::Eos) };
            // Before the check, so that a change after it is noticed.
            let changed = follower.listen();
            let present = follower.present();
            let len = match length(Arc::clone(&self.file), self.is_local).await {
                Ok(len) => len,
                Err(error) => return (self, Bucket::Error(SourceError::new(format!("read: {error}")))),
            };
            if len < self.offset {
                log::info!(file:% = self.path.display(), bytes = self.offset; "a followed file was truncated: starting over");
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
                    // Truncated since the check: check again.
                    Err(error) => match length(Arc::clone(&self.file), self.is_local).await {
                        Ok(now) if now < len => continue,
                        _ => return (self, Bucket::Error(error)),
                    },
                }
            }
            if present.is_some_and(|present| present != self.id)
                && let Ok(Opened { file, id, is_local, .. }) = open(&self.path).await
            {
                // Unless the watch has seen the new file, it would be opened again and again.
                if id != self.id {
                    log::info!(file:% = self.path.display(), bytes = self.offset; "a followed file was replaced: continuing with the new one");
                    (self.file, self.id, self.is_local, self.offset) = (file, id, is_local, 0);
                    continue;
                }
            }
            if stages.has_reached(Stage::Draining) {
                return (self, Bucket::Eos);
            }
            future::or(changed, stages.reached(Stage::Draining)).await;
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
