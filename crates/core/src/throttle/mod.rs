//! Limits the rate of readers, writers, streams, listeners and HTTP bodies.
//!
//! One line for one limit, on the process's own clock, blocking or not, in any executor:
//!
//! ```
//! use std::io::{self, Cursor};
//! use sluicegate_core::limit::Rate;
//! use sluicegate_core::throttle::pace;
//!
//! let mut source = pace(Cursor::new("two lines\nof text\n"), Rate::kib_per_second(64));
//! assert_eq!(io::copy(&mut source, &mut io::sink())?, 18);
//! # Ok::<(), io::Error>(())
//! ```
//!
//! | what | one limit of its own | below a node |
//! |---|---|---|
//! | reader, writer, seeker (`std::io`, `futures-io`, with the feature `tokio` tokio's) | [`pace`] | [`Throttle::new`] |
//! | `Stream` or `Sink` of `Bytes` | [`pace_stream`] | [`PacedStream::new`] |
//! | [`http_body::Body`], up or down | [`pace_body`] | [`Paced::new`] |
//! | listener | | [`Incoming`] |
//! | tower service (feature `tower`) | | `PaceLayer`, for uploads `PaceRequestLayer` |
//!
//! Limits are [nodes](crate::budget::Node) of a tree of budgets: handles that can be cloned, read, and set while bytes flow.
//! A stream is limited by its node and by every node above. [`Node::at`](crate::budget::Node::at) makes one for several
//! streams to share.
//!
//! 100 KiB/s with a burst of 100 KiB: the first half of 200 KiB is read at once, the second takes a second.
//!
//! ```
//! use std::sync::Arc;
//! use futures_lite::{AsyncReadExt, future, io::Cursor};
//! use sluicegate_core::budget::Node;
//! use sluicegate_core::clock::{Clock, Instant, ManualClock};
//! use sluicegate_core::limit::{Budget, Rate};
//! use sluicegate_core::throttle::Throttle;
//!
//! const KIB: u64 = 1024;
//!
//! // A program uses a `SystemClock`, and just awaits.
//! let clock = Arc::new(ManualClock::new());
//! let budget = Budget::of(Rate::or_unlimited(100 * KIB)).with_burst(100 * KIB);
//! let download = Node::root("download", budget, clock.clone());
//!
//! let mut reader = Throttle::new(Cursor::new(vec![7; 200 * 1024]), &download);
//! let meter = reader.reads().clone();
//! let mut content = Vec::new();
//! let mut reading = Box::pin(reader.read_to_end(&mut content));
//! while future::block_on(future::poll_once(&mut reading)).is_none() {
//!     clock.advance_to_next().expect("it waits for a turn");
//! }
//! drop(reading);
//! assert_eq!(clock.now(), Instant::from_millis(1_000), "exactly");
//! assert_eq!((content.len(), meter.report().bytes), (204_800, 204_800));
//! ```
//!
//! Two levels: 1 MiB/s in total, 200 KiB/s for each download. Two downloads run at their own rate; eight share the total
//! equally.
//!
//! ```
//! # use std::pin::Pin;
//! # use std::sync::Arc;
//! # use std::task::{Context, Waker};
//! # use futures_lite::{AsyncRead, io};
//! # use sluicegate_core::budget::{Each, Node};
//! # use sluicegate_core::clock::{Clock, Instant, ManualClock};
//! # use sluicegate_core::limit::{Budget, Rate};
//! # use sluicegate_core::throttle::Throttle;
//! # const KIB: u64 = 1024;
//! for (downloads, expected) in [(2, 200 * KIB), (8, 128 * KIB)] {
//!     let clock = Arc::new(ManualClock::new());
//!     let server = Node::root("server", Budget::of(Rate::or_unlimited(1024 * KIB)), clock.clone());
//!     let each = Each::new("download", Budget::of(Rate::or_unlimited(200 * KIB)));
//!     let mut readers: Vec<_> =
//!         (0..downloads).map(|_| Throttle::new(io::repeat(0), &each.child_of(&server))).collect();
//!
//!     let mut cx = Context::from_waker(Waker::noop());
//!     let mut buf = [0; 8192];
//!     while clock.now() < Instant::from_millis(60_000) {
//!         for reader in &mut readers {
//!             while Pin::new(&mut *reader).poll_read(&mut cx, &mut buf).is_ready() {}
//!         }
//!         clock.advance_to_next();
//!     }
//!     for reader in &readers {
//!         let rate = reader.reads().report().bytes / 60;
//!         assert!(rate.abs_diff(expected) * 100 < expected, "{rate} instead of {expected}");
//!     }
//! }
//! ```
//!
//! Nothing here spawns or needs a runtime: the nodes' [`Clock`](crate::clock::Clock) wakes the tasks that wait.

mod blocking;
mod body;
mod last_second;
mod listener;
mod meter;
mod nonblocking;
mod one_line;
mod pace;
mod parent;
mod read;
mod seek;
mod stream;
#[cfg(feature = "tokio")]
mod tokio;
#[cfg(feature = "tower")]
mod tower;
#[cfg(feature = "tower")]
mod tower_request;
mod write;

use std::pin::Pin;

use crate::budget::{Held, Node};
use crate::sync::Mutex;
use pace::Pace;
use read::Reading;

pub use body::Paced;
pub use listener::Incoming;
pub use meter::{Meter, Report};
pub use one_line::{pace, pace_body, pace_stream};
pub use read::MAX_AHEAD;
pub use stream::{ByteItem, PacedStream};
#[cfg(feature = "tower")]
pub use tower::{PaceFuture, PaceLayer, PaceService};
#[cfg(feature = "tower")]
pub use tower_request::{PaceRequestLayer, PaceRequestService};

pin_project_lite::pin_project! {
    /// Limits the rate of a reader, a writer, or both.
    ///
    /// Reads are a flow below one node and writes a flow below another; below the same node both are limited together.
    ///
    /// - **Reading**: what is not read stays in the socket, and TCP holds the sender back. Bytes that were read wait for
    ///   their turn in memory: as many as the caller's buffer took, at most [`MAX_AHEAD`]. A reader that has nothing takes
    ///   no turn; the end of the stream needs none.
    /// - **Writing** takes turns for the bytes to be written, piece by piece. A writer that would block returns its turn,
    ///   and requests another when it is ready. Bytes not written cost nothing; flush and close pass through.
    ///
    /// *Cancel safety*: an abandoned read or write keeps its place in the queue, and loses no bytes. Dropping the wrapper
    /// returns what was reserved.
    ///
    /// Where `&IO` reads or writes, as a `File` or a `TcpStream` does, so does `&Throttle<IO>`: put it in an `Arc`, and read in
    /// one thread or task while another writes. In asynchronous code one task at a time may read, and one may write: only the
    /// latest is woken.
    ///
    /// [`BufRead`](std::io::BufRead) and [`AsyncBufRead`](futures_io::AsyncBufRead) show of the inner buffer as much as may pass;
    /// what was shown is paid for. A seek forgets what was read ahead; a write does not: it begins where `IO` stands, which may be up to
    /// [`MAX_AHEAD`] bytes behind what the caller has read. Seek before you write to what you read, with `SeekFrom::Current(0)` for
    /// instance.
    ///
    /// If `IO` blocks, so does the wrapper, through [`std::io::Read`] and [`std::io::Write`]:
    ///
    /// ```
    /// use std::io::Read;
    /// use sluicegate_core::budget::Node;
    /// use sluicegate_core::limit::Rate;
    /// use sluicegate_core::throttle::Throttle;
    ///
    /// // Both files together: 1 MiB/s.
    /// let limit = Node::at(Rate::mib_per_second(1));
    /// for name in ["Cargo.toml", "README.md"] {
    ///     let mut file = Throttle::new(std::fs::File::open(name)?, &limit);
    ///     let mut text = String::new();
    ///     file.read_to_string(&mut text)?;
    ///     assert_eq!(file.reads().report().bytes, text.len() as u64);
    /// }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[derive(Debug)]
    pub struct Throttle<IO> {
        #[pin]
        io: IO,
        reading: Mutex<Reading>,
        writing: Mutex<Pace>,
        // Of both directions, to be had without the lock.
        reads: (Node, Meter),
        writes: (Node, Meter),
    }
}

impl<IO> Throttle<IO> {
    /// Limits reads and writes by `node`.
    ///
    /// Beside other flows below `node` both have a share each; for one share together pass a [child](Node::child).
    pub fn new(io: IO, node: &Node) -> Self {
        Self::directional(io, node, node)
    }

    /// Limits reads by one node and writes by another; they may be of different trees.
    pub fn directional(io: IO, reads: &Node, writes: &Node) -> Self {
        let meter = |node: &Node| Meter::new(node.clock().clone());
        Self::metered(io, (reads, meter(reads)), (writes, meter(writes)))
    }

    fn metered(io: IO, reads: (&Node, Meter), writes: (&Node, Meter)) -> Self {
        let reading = Mutex::new(Reading::new(Pace::new(reads.0, reads.1.clone())));
        let writing = Mutex::new(Pace::new(writes.0, writes.1.clone()));
        Self { io, reading, writing, reads: (reads.0.clone(), reads.1), writes: (writes.0.clone(), writes.1) }
    }

    /// Returns the meter of reads.
    pub fn reads(&self) -> &Meter {
        &self.reads.1
    }

    /// Returns the meter of writes.
    pub fn writes(&self) -> &Meter {
        &self.writes.1
    }

    /// Returns the node that limits reads.
    pub fn read_node(&self) -> &Node {
        &self.reads.0
    }

    /// Returns the node that limits writes.
    pub fn write_node(&self) -> &Node {
        &self.writes.0
    }

    /// Returns what the read waits for, or else the write; `None` if neither waits, and of a direction that another thread is
    /// inside of.
    pub fn held(&self) -> Option<Held> {
        let read = self.reading.try_lock().and_then(|reading| reading.pace.held());
        read.or_else(|| self.writing.try_lock()?.held())
    }

    /// Returns the bytes that were read and wait for their turn.
    pub fn buffer(&mut self) -> &[u8] {
        self.reading.get_mut().ahead()
    }

    /// Returns the reader or writer.
    pub fn get_ref(&self) -> &IO {
        &self.io
    }

    /// Returns the reader or writer. Reading from it skips the bytes in the [`buffer`](Self::buffer).
    pub fn get_mut(&mut self) -> &mut IO {
        &mut self.io
    }

    /// Returns the reader or writer, pinned.
    pub fn get_pin_mut(self: Pin<&mut Self>) -> Pin<&mut IO> {
        self.project().io
    }

    /// Returns the reader or writer. The bytes in the [`buffer`](Self::buffer) are lost, as with a
    /// [`BufReader`](std::io::BufReader).
    pub fn into_inner(self) -> IO {
        self.io
    }
}
