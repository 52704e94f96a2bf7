//! Generators: where buckets come from.

mod read;
mod stream;
mod upstream;

use std::task::{Context, Poll};

use crate::brigade::Brigade;

pub use read::ReadGenerator;
pub use stream::StreamGenerator;
pub(crate) use upstream::with_causes;
pub use upstream::{Activity, UpstreamBody};

/// A source of buckets, pulled by a driver.
pub trait Generator: Send {
    /// Appends at least one bucket to `brigade`, as far as possible no more data than
    /// [`brigade.room()`](Brigade::room); file slices may be of any length.
    ///
    /// The last bucket of a stream is `Eos`, or `Error` where the source failed; after it the
    /// generator is not polled again. Cancel safe: what was taken from the source is in `brigade`.
    fn poll_fill(&mut self, cx: &mut Context<'_>, brigade: &mut Brigade) -> Poll<()>;
}

impl<G: Generator + ?Sized> Generator for Box<G> {
    fn poll_fill(&mut self, cx: &mut Context<'_>, brigade: &mut Brigade) -> Poll<()> {
        (**self).poll_fill(cx, brigade)
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
