//! Generators: where buckets come from.

mod read;
mod upstream;

use std::task::{Context, Poll};

use crate::brigade::Brigade;

pub use read::ReadGenerator;
pub use upstream::{Activity, Pieces, UpstreamBody};

/// A source of buckets, pulled by a driver.
pub trait Generator: Send {
    /// Appends at least one bucket to `brigade`, as far as possible no more data than
    /// [`brigade.room()`](Brigade::room); file slices may be of any length.
    ///
    /// The last bucket of a stream is `Eos`, or `Error` where the source failed; after it the
    /// generator is not polled again. Cancel safe: what was taken from the source is in `brigade`.
    fn poll_fill(&mut self, cx: &mut Context<'_>, brigade: &mut Brigade) -> Poll<()>;

    /// How many bytes of data are yet to come at least, as far as is known; 0 unless the source says more.
    /// Those of a source that has failed never come.
    ///
    /// Where it is more than a driver has room for, the end cannot be near, and the driver need not look
    /// for it before its time: what it does not ask for stays where it is, in the kernel's buffers or with
    /// the sender.
    fn min_remaining(&self) -> u64 {
        0
    }
}

impl<G: Generator + ?Sized> Generator for Box<G> {
    fn poll_fill(&mut self, cx: &mut Context<'_>, brigade: &mut Brigade) -> Poll<()> {
        (**self).poll_fill(cx, brigade)
    }

    fn min_remaining(&self) -> u64 {
        (**self).min_remaining()
    }
}

/// A body that is at hand: a page, an error text, or the parts of a file.
impl Generator for Brigade {
    fn poll_fill(&mut self, _cx: &mut Context<'_>, brigade: &mut Brigade) -> Poll<()> {
        while let Some(bucket) = self.pop() {
            brigade.push(bucket);
        }
        if !brigade.is_closed() {
            brigade.push(crate::brigade::Bucket::Eos);
        }
        Poll::Ready(())
    }
}
