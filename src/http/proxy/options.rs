//! What a proxied route is told: where to, for how long, how much.

use std::time::Duration;

use http::HeaderValue;

use super::target::Upstream;
use crate::limit::{INTERVAL, Rate};

/// The largest message head that passes, in bytes: 32 KiB, request and response alike.
pub(super) const HEAD_MAX: usize = 32 * 1024;

/// Which host the upstream is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HostPolicy {
    /// The upstream's own, as its URL has it; the default, as in nginx and Apache httpd. The client's
    /// is in `Forwarded` and `X-Forwarded-Host`.
    #[default]
    Upstream,
    /// The one the client asked for.
    Client,
    /// This one.
    Literal(HeaderValue),
}

/// How a route's requests are passed on. [`new`](Self::new) has the defaults.
#[derive(Clone, Debug)]
pub struct ProxyOptions {
    /// Where requests go.
    pub upstream: Upstream,
    /// Which host the upstream is told.
    pub host: HostPolicy,
    /// The route's pace for each response, in bytes per second; sizes the buffers before it.
    pub pace: Option<Rate>,
    /// Whether the upstream may set limits by `X-Accel-Limit-Rate` and `X-Accel-Buffering`. Default
    /// true, as in nginx; where it may not, the fields are removed all the same.
    pub honour_accel: bool,
    /// For resolving and connecting. Default 5 s: an upstream is near.
    pub connect_timeout: Duration,
    /// From the last piece of the request to the response's head. Default 60 s, as in nginx and
    /// Apache httpd. The same time is given to the client between two pieces of its request's body.
    pub head_timeout: Duration,
    /// Between two pieces of the response's body, as long as they are waited for. Default 60 s.
    pub read_timeout: Duration,
    /// How long an unused connection is kept. Default 4 s: below the 5 s after which Apache httpd and
    /// Node close theirs, so that a request seldom meets a connection that is just being closed.
    pub idle_timeout: Duration,
    /// How many unused connections are kept. Default 64.
    pub idle_connections: usize,
}

impl ProxyOptions {
    /// The defaults.
    pub fn new(upstream: Upstream) -> Self {
        Self {
            upstream,
            host: HostPolicy::default(),
            pace: None,
            honour_accel: true,
            connect_timeout: Duration::from_secs(5),
            head_timeout: Duration::from_secs(60),
            read_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(4),
            idle_connections: 64,
        }
    }

    /// Bytes for the kernel's receive buffer (`SO_RCVBUF`) of a connection to the upstream; `None`
    /// leaves it to the kernel.
    ///
    /// Two chunks (0.4 s of the pace): one that leaves and one that comes. At least 16 KiB, below which
    /// small segments fill the buffer with their bookkeeping. Above 2 MiB the kernel's own tuning is
    /// better: it grows with what is read, while a fixed buffer is cut to `net.core.rmem_max` and binds
    /// a distant upstream. (The kernel doubles the figure for its bookkeeping.)
    pub fn receive_buffer(&self) -> Option<usize> {
        const LEAST: u64 = 16 * 1024;
        const MOST: u64 = 2 * 1024 * 1024;
        let two_chunks = self.chunk()?.saturating_mul(2).max(LEAST);
        usize::try_from(two_chunks).ok().filter(|_| two_chunks <= MOST)
    }

    /// The most bytes taken from the socket at a time: a chunk, between 4 and 16 KiB; `None` without
    /// a pace. Up to three such pieces are held for a stream: in the chain, before it, and being read.
    pub(super) fn piece(&self) -> Option<usize> {
        self.chunk().map(|chunk| chunk.clamp(4 * 1024, 16 * 1024) as usize)
    }

    fn chunk(&self) -> Option<u64> {
        let rate = u128::from(self.pace?.bytes_per_second());
        u64::try_from(rate * INTERVAL.as_millis() / 1000).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_follow_the_pace() {
        for (bytes_per_second, receive_buffer, piece) in [
            (0, None, None),
            (1, Some(16_384), Some(4_096)),
            (61_440, Some(24_576), Some(12_288)),
            (1_048_576, Some(419_430), Some(16_384)),
            (5_242_880, Some(2_097_152), Some(16_384)),
            (5_242_885, None, Some(16_384)),
            (u64::MAX, None, Some(16_384)),
        ] {
            let mut options = ProxyOptions::new("http://127.0.0.1:9000".parse().unwrap());
            options.pace = Rate::new(bytes_per_second);
            assert_eq!(options.receive_buffer(), receive_buffer, "{bytes_per_second}");
            assert_eq!(options.piece(), piece, "{bytes_per_second}");
        }
    }
}
