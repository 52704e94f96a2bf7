//! Puts a pace on anything that is read or written: below the nodes of a tree of budgets.
//!
//! [`Throttle`] wraps an [`AsyncRead`](futures_io::AsyncRead), an
//! [`AsyncWrite`](futures_io::AsyncWrite) or both, and a [`std::io::Read`] or [`std::io::Write`] for
//! blocking code; [`Incoming`] wraps a listener, [`Paced`] an HTTP body. The limits are
//! [nodes](crate::budget::Node): handles to be cloned, set while bytes run, and read. A stream is bounded by
//! its node and by every node above that.
//!
//! 100 KiB/s with a burst of 100 KiB: of 200 KiB the first half is there at once, the second takes a second.
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
//! // A program takes `rt::clock()` instead, and just awaits.
//! let clock = Arc::new(ManualClock::new());
//! let budget = Budget::of(Rate::or_unlimited(100 * KIB)).with_burst(100 * KIB);
//! let download = Node::root("download", budget, clock.clone());
//!
//! let mut reader = Throttle::new(Cursor::new(vec![7; 200 * 1024]), &download);
//! let meter = reader.reads().clone();
//! let mut content = Vec::new();
//! let mut reading = Box::pin(reader.read_to_end(&mut content));
//! while future::block_on(future::poll_once(&mut reading)).is_none() {
//!     clock.advance_to_next().expect("it waits for its turn");
//! }
//! drop(reading);
//! assert_eq!(clock.now(), Instant::from_millis(1_000), "exactly");
//! assert_eq!((content.len(), meter.report().bytes), (204_800, 204_800));
//! ```
//!
//! Both levels: a shared total of 1 MiB/s, 200 KiB/s for each. For 60 s two downloads run at their own rate;
//! with eight, the total is shared equally.
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
//! Spawns nothing and needs no runtime: the nodes' [`Clock`](crate::clock::Clock) wakes what waits.

mod blocking;
mod body;
mod last_second;
mod listener;
mod meter;
mod pace;
mod parent;
mod read;
#[cfg(feature = "tower")]
mod tower;
mod write;

use std::pin::Pin;

use crate::budget::{Held, Node};
use pace::Pace;
use read::Reading;

pub use body::Paced;
pub use listener::Incoming;
pub use meter::{Meter, Report};
pub use read::MAX_AHEAD;
#[cfg(feature = "tower")]
pub use tower::{PaceFuture, PaceLayer, PaceService};

pin_project_lite::pin_project! {
    /// A reader, a writer, or both, at the pace of the nodes it stands below.
    ///
    /// It has a place below a node for reading and one for writing, and takes none where it never waits.
    /// Two directions below one node are bounded by it together.
    ///
    /// **Reading** is limited too: what is not read stays in the socket, and TCP holds its sender back. What
    /// was read waits in memory for its turn, as much as the caller's buffer took and at most
    /// [`MAX_AHEAD`] bytes. A reader that has nothing takes no turn; the end of the stream needs none.
    /// **Writing** asks for the bytes in hand, and goes down in pieces as the turns come. A writer
    /// that would block gives its turn back, and asks again when it is ready. Bytes that were not read or
    /// written cost nothing; flush and close pass through.
    ///
    /// Cancel safe: a read or a write that is given up keeps its place in line, and what was read is not
    /// lost. Dropping the wrapper returns what was reserved.
    ///
    /// Where `IO` blocks, so does the wrapper, through [`std::io::Read`] and [`std::io::Write`]:
    ///
    /// ```
    /// use std::io::Read;
    /// use std::sync::Arc;
    ///
    /// use sluicegate_core::budget::Node;
    /// use sluicegate_core::clock::SystemClock;
    /// use sluicegate_core::limit::{Budget, Rate};
    /// use sluicegate_core::throttle::Throttle;
    ///
    /// let clock = Arc::new(SystemClock::new());
    /// let limit = Node::root("file", Budget::of(Rate::or_unlimited(1 << 20)), clock);
    /// let mut file = Throttle::new(std::fs::File::open("Cargo.toml")?, &limit);
    /// let mut text = String::new();
    /// file.read_to_string(&mut text)?;
    /// assert_eq!(file.reads().report().bytes, text.len() as u64);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[derive(Debug)]
    pub struct Throttle<IO> {
        #[pin]
        io: IO,
        reading: Reading,
        writing: Pace,
    }
}

impl<IO> Throttle<IO> {
    /// `io` below `node`, with all it reads and all it writes.
    ///
    /// Its reads and its writes have a share each, if others are below the same node. For one share give it
    /// a [child](Node::child) of its own.
    pub fn new(io: IO, node: &Node) -> Self {
        Self::directional(io, node, node)
    }

    /// `io` with its reads below one node and its writes below another. The two need not be of one tree.
    pub fn directional(io: IO, reads: &Node, writes: &Node) -> Self {
        let meter = |node: &Node| Meter::new(node.clock().clone());
        Self::metered(io, (reads, meter(reads)), (writes, meter(writes)))
    }

    fn metered(io: IO, reads: (&Node, Meter), writes: (&Node, Meter)) -> Self {
        let (reading, writing) = (Pace::new(reads.0, reads.1), Pace::new(writes.0, writes.1));
        Self { io, reading: Reading::new(reading), writing }
    }

    /// What was read.
    pub fn reads(&self) -> &Meter {
        self.reading.pace.meter()
    }

    /// What was written.
    pub fn writes(&self) -> &Meter {
        self.writing.meter()
    }

    /// The node that reads stand below.
    pub fn read_node(&self) -> &Node {
        self.reading.pace.node()
    }

    /// The node that writes stand below.
    pub fn write_node(&self) -> &Node {
        self.writing.node()
    }

    /// What makes it wait at the moment: its read, or else its write.
    pub fn held(&self) -> Option<Held> {
        self.reading.pace.held().or_else(|| self.writing.held())
    }

    /// What was read and waits for its turn: the next reads give it.
    pub fn buffer(&self) -> &[u8] {
        self.reading.ahead()
    }

    /// What is wrapped.
    pub fn get_ref(&self) -> &IO {
        &self.io
    }

    /// What is wrapped. Reading here passes over what is in the [`buffer`](Self::buffer).
    pub fn get_mut(&mut self) -> &mut IO {
        &mut self.io
    }

    /// What is wrapped, pinned.
    pub fn get_pin_mut(self: Pin<&mut Self>) -> Pin<&mut IO> {
        self.project().io
    }

    /// Gives back what was wrapped. What is in the [`buffer`](Self::buffer) is lost, as with a
    /// [`BufReader`](std::io::BufReader).
    pub fn into_inner(self) -> IO {
        self.io
    }
}
