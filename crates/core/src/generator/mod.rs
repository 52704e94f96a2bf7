//! Generators: sources of buckets.

mod activity;
mod body;
mod pieces;
mod read;
mod upstream;

use std::task::{Context, Poll};

use crate::brigade::{Brigade, Bucket};

pub use activity::Activity;
pub use body::BodyGenerator;
pub use pieces::Pieces;
pub use read::ReadGenerator;
pub use upstream::UpstreamBody;

/// A source of buckets, polled by a driver.
pub trait Generator: Send {
    /// Appends at least one bucket to `brigade`, if possible no more data than [`brigade.room()`](Brigade::room); file slices
    /// may be of any length. The last bucket is `Eos`, or `Error` if the source failed; the generator is not polled after it.
    ///
    /// *Cancel safety*: what was taken from the source is in `brigade`.
    fn poll_fill(&mut self, cx: &mut Context<'_>, brigade: &mut Brigade) -> Poll<()>;

    /// Returns a lower bound of the bytes to come, by default 0. A source that fails may give less.
    ///
    /// If it is more than the driver has room for, the end is not near, and the driver need not poll before the chain is due:
    /// the bytes stay in the kernel's buffers or with the sender.
    fn min_remaining(&self) -> u64 {
        0
    }

    /// Has the processor fetch what [`poll_fill`](Self::poll_fill) uses. See
    /// [`PacedBody::prefetch`](crate::body::PacedBody::prefetch). By default nothing.
    fn prefetch(&self) {}
}

impl<G: Generator + ?Sized> Generator for Box<G> {
    fn poll_fill(&mut self, cx: &mut Context<'_>, brigade: &mut Brigade) -> Poll<()> {
        (**self).poll_fill(cx, brigade)
    }

    fn min_remaining(&self) -> u64 {
        (**self).min_remaining()
    }

    fn prefetch(&self) {
        (**self).prefetch();
    }
}

/// Complete content: a page, an error text, or parts of a file.
impl Generator for Brigade {
    fn poll_fill(&mut self, _cx: &mut Context<'_>, brigade: &mut Brigade) -> Poll<()> {
        while let Some(bucket) = self.pop() {
            brigade.push(bucket);
        }
        if !brigade.is_closed() {
            brigade.push(Bucket::Eos);
        }
        Poll::Ready(())
    }
}
