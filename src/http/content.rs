//! The content of a response before filters: none, buckets at hand, or a generator of buckets.

use std::task::{Context, Poll};

use crate::brigade::{Brigade, Bucket};
use crate::generator::Generator;

/// The content of a response, not yet paced.
pub enum Content {
    /// No bytes: the answer to HEAD, 204, 304 and their like.
    Empty,
    /// Buckets at hand: a page, an error text, slices of a file. `Eos` is added if it is missing.
    Buckets(Brigade),
    /// Buckets that arrive over time: an upstream's body.
    Stream(Box<dyn Generator>),
}

opaque!(Content);

impl Content {
    /// One bucket of text or bytes.
    pub fn text(text: impl Into<bytes::Bytes>) -> Self {
        Self::Buckets([Bucket::Data(text.into())].into_iter().collect())
    }
}

impl Generator for Content {
    fn poll_fill(&mut self, cx: &mut Context<'_>, brigade: &mut Brigade) -> Poll<()> {
        match self {
            Self::Empty => {
                brigade.push(Bucket::Eos);
                Poll::Ready(())
            }
            Self::Buckets(buckets) => buckets.poll_fill(cx, brigade),
            Self::Stream(stream) => stream.poll_fill(cx, brigade),
        }
    }

    fn min_remaining(&self) -> u64 {
        match self {
            // At hand, so that nothing is spared by leaving them.
            Self::Empty | Self::Buckets(_) => 0,
            Self::Stream(stream) => stream.min_remaining(),
        }
    }

    fn prefetch(&self) {
        if let Self::Stream(stream) = self {
            stream.prefetch();
        }
    }
}
