//! A reader of a body on a manual clock, and sources by script.

use std::collections::VecDeque;
use std::fs::File;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use http_body::{Body, Frame};
use sluicegate::body::{BodyError, PacedBody};
use sluicegate::brigade::{Brigade, Bucket, FileSlice, SourceError};
use sluicegate::clock::{Clock, Instant, ManualClock, Sleep};
use sluicegate::filter::{Chain, RateFilter};
use sluicegate::generator::Generator;
use sluicegate::limit::{Limit, Rate};
use sluicegate::rt::FileReader;
use testkit::task::Task;

/// Nanoseconds in a millisecond.
pub const MS: u64 = 1_000_000;

/// A body, who reads it, and the clock it runs on.
pub struct Reading<G> {
    pub clock: Arc<ManualClock>,
    pub body: PacedBody<G, FileReader>,
    pub task: Task,
}

impl<G: Generator + Unpin> Reading<G> {
    /// What `source` gives on this clock, through a rate filter alone.
    pub fn new(clock: &Arc<ManualClock>, limit: &Limit, source: G) -> Self {
        Self::through(clock, Chain::new().then(RateFilter::new(limit.clone())), source)
    }

    /// The same through any chain.
    pub fn through(clock: &Arc<ManualClock>, chain: Chain, source: G) -> Self {
        let body = PacedBody::with_files(source, chain, clock.clone() as Arc<dyn Clock>, FileReader::new());
        Self { clock: Arc::clone(clock), body, task: Task::default() }
    }

    pub fn poll(&mut self) -> Poll<Option<Result<Frame<bytes::Bytes>, BodyError>>> {
        self.task.poll(|cx| Pin::new(&mut self.body).poll_frame(cx))
    }

    /// Takes what comes at once: its bytes, and how it ended if it did.
    pub fn take(&mut self) -> (u64, Option<Result<(), BodyError>>) {
        let mut bytes = 0;
        loop {
            match self.poll() {
                Poll::Pending => return (bytes, None),
                Poll::Ready(None) => return (bytes, Some(Ok(()))),
                Poll::Ready(Some(Err(error))) => return (bytes, Some(Err(error))),
                Poll::Ready(Some(Ok(frame))) => bytes += frame.data_ref().map_or(0, |data| data.len() as u64),
            }
        }
    }

    /// Reads to the end as a reader that always keeps up, moving the clock from one deadline to the
    /// next: when how much came, in milliseconds and bytes.
    pub fn timeline(&mut self) -> Vec<(u64, u64)> {
        let mut timeline = Vec::new();
        loop {
            let (bytes, end) = self.take();
            if bytes > 0 {
                timeline.push((self.millis(), bytes));
            }
            match end {
                Some(end) => {
                    end.unwrap();
                    return timeline;
                }
                None => drop(self.clock.advance_to_next().expect("somebody is to wake the reader")),
            }
        }
    }

    pub fn millis(&self) -> u64 {
        self.clock.now().as_nanos() / MS
    }
}

/// Buckets by script, each at its instant.
pub struct Timed {
    coming: VecDeque<(Instant, Bucket)>,
    sleep: Sleep,
    /// Bytes given so far.
    pub given: Arc<AtomicUsize>,
}

impl Timed {
    /// Each bucket with its instant in milliseconds.
    pub fn new(clock: &Arc<ManualClock>, coming: impl IntoIterator<Item = (u64, Bucket)>) -> Self {
        let coming = coming.into_iter().map(|(ms, bucket)| (Instant::from_millis(ms), bucket)).collect();
        Self::at(clock, coming)
    }

    pub fn at(clock: &Arc<ManualClock>, coming: VecDeque<(Instant, Bucket)>) -> Self {
        let sleep = Sleep::until(clock.clone() as Arc<dyn Clock>, Instant::ZERO);
        Self { coming, sleep, given: Arc::default() }
    }

    fn is_due(&self) -> bool {
        self.coming.front().is_some_and(|(at, _)| *at <= self.sleep.clock().now())
    }
}

impl Generator for Timed {
    fn poll_fill(&mut self, cx: &mut Context<'_>, brigade: &mut Brigade) -> Poll<()> {
        if !self.is_due() {
            // One that has nothing more to say is silent for ever.
            let next = self.coming.front().map_or(Instant::MAX, |(at, _)| *at);
            self.sleep.reset(next);
            return Pin::new(&mut self.sleep).poll(cx);
        }
        self.sleep.disarm();
        loop {
            let room = brigade.room().max(1);
            let Some((at, bucket)) = self.coming.pop_front() else { break };
            let (now, later) = cut(bucket, room);
            self.given.fetch_add(now.len() as usize, Ordering::SeqCst);
            brigade.push(now);
            if let Some(later) = later {
                self.coming.push_front((at, later));
            }
            if !self.is_due() || brigade.room() == 0 {
                break;
            }
        }
        Poll::Ready(())
    }
}

/// As from a socket: no more bytes in memory than there is room for.
fn cut(bucket: Bucket, room: u64) -> (Bucket, Option<Bucket>) {
    match bucket {
        Bucket::Data(mut bytes) if bytes.len() as u64 > room => {
            let rest = bytes.split_off(room as usize);
            (Bucket::Data(bytes), Some(Bucket::Data(rest)))
        }
        bucket => (bucket, None),
    }
}

pub fn data(len: usize) -> Bucket {
    Bucket::Data(vec![b'x'; len].into())
}

pub fn broken() -> Bucket {
    Bucket::Error(SourceError::new("the script says so"))
}

/// A body of `bytes` in memory.
pub fn page(bytes: u64) -> Brigade {
    [data(bytes as usize), Bucket::Eos].into_iter().collect()
}

/// A body that is all of `file`.
pub fn page_of(file: File) -> Brigade {
    let len = file.metadata().unwrap().len();
    [Bucket::File(FileSlice::new(Arc::new(file), 0, len)), Bucket::Eos].into_iter().collect()
}

pub fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new())
}

pub fn limit(bytes_per_second: u64) -> Limit {
    Limit::new(Rate::or_unlimited(bytes_per_second))
}
