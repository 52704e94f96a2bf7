//! The content of a response before filters: none, buckets at hand, or a generator of buckets.

use std::task::{Context, Poll};

use crate::brigade::{Brigade, Bucket};
use crate::generator::Generator;

/// The content of a response, not yet paced.
///
/// ```
/// use futures_lite::{AsyncReadExt, io};
/// use sluicegate::generator::{BodyGenerator, ReadGenerator};
/// use sluicegate::http::content::Content;
///
/// // At hand: the server states its length, unless a filter of the route changes it.
/// let page = Content::text("<h1>Hello</h1>");
/// // From what reads asynchronously (`futures-io`), as the pace asks for it; any `http_body::Body` likewise.
/// let zeros = Content::Stream(Box::new(ReadGenerator::new(io::repeat(0).take(1 << 30))));
/// let body = Content::Stream(Box::new(BodyGenerator::new(String::from("of another server"))));
/// # drop((page, zeros, body));
/// ```
pub enum Content {
    /// No bytes: the answer to HEAD, 204, 304 and their like.
    Empty,
    /// Buckets at hand: a page, an error text, slices of a file. `Eos` is added if it is missing.
    Buckets(Brigade),
    /// Buckets that arrive over time: an upstream's body, or what a program makes or reads, by a
    /// [`ReadGenerator`](crate::generator::ReadGenerator), a [`BodyGenerator`](crate::generator::BodyGenerator) or a
    /// [`Generator`] of its own. Without a `Content-Length` in the head it is sent in chunks.
    Stream(Box<dyn Generator>),
}

opaque!(Content);

impl Content {
    /// One bucket of text or bytes.
    pub fn text(text: impl Into<bytes::Bytes>) -> Self {
        Self::Buckets([Bucket::Data(text.into())].into_iter().collect())
    }

    /// The length that a head can state: of buckets that are at hand, and of which none fails or has trailers, which need chunks.
    pub(crate) fn len_at_hand(&self) -> Option<u64> {
        let Self::Buckets(whole) = self else { return None };
        let is_framed = |bucket: &Bucket| matches!(bucket, Bucket::Error(_) | Bucket::Trailers(_));
        (!whole.iter().any(is_framed)).then(|| whole.bytes())
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
