//! A connection to the upstream, with bytes that were read and not used yet.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};

use super::link::Link;
use crate::clock::Instant;

/// A connection to the upstream. Dropping it closes it.
#[derive(Debug)]
pub(super) struct Connection {
    link: Link,
    unread: Bytes,
    /// When it must no longer be reused; `None` is never.
    until: Option<Instant>,
}

impl Connection {
    pub(super) fn new(link: Link) -> Self {
        Self { link, unread: Bytes::new(), until: None }
    }

    /// Forbids reuse from `until` on.
    pub(super) fn reusable_until(self, until: Instant) -> Self {
        Self { until: Some(until), ..self }
    }

    /// Bytes that were read and not used yet.
    pub(super) fn unread(&mut self) -> &mut Bytes {
        &mut self.unread
    }

    /// Reads at most `want` more bytes after [`unread`](Self::unread). Returns how many; 0 at the end of the stream.
    pub(super) fn poll_more(&mut self, cx: &mut Context<'_>, want: usize) -> Poll<io::Result<usize>> {
        let more = ready!(self.link.poll_read_behind(cx, &[], want))?;
        let len = more.len();
        if self.unread.is_empty() {
            self.unread = more;
        } else if len > 0 {
            // Grows in place if nothing else holds the bytes, so that input byte by byte is not copied each time.
            let mut both = std::mem::take(&mut self.unread).try_into_mut().unwrap_or_else(|shared| {
                let mut own = BytesMut::with_capacity(shared.len() + len);
                own.extend_from_slice(&shared);
                own
            });
            both.extend_from_slice(&more);
            self.unread = both.freeze();
        }
        Poll::Ready(Ok(len))
    }

    /// Reads at most `want` bytes behind a copy of `before`; empty at the end of the stream. Nothing may be unread.
    pub(super) fn poll_read_behind(
        &mut self,
        cx: &mut Context<'_>,
        before: &[u8],
        want: usize,
    ) -> Poll<io::Result<Bytes>> {
        self.link.poll_read_behind(cx, before, want)
    }

    /// Has the processor fetch what a read uses.
    pub(super) fn prefetch(&self) {
        if let Link::Plain(socket) = &self.link {
            socket.prefetch();
        }
    }

    pub(super) fn link(&mut self) -> &mut Link {
        &mut self.link
    }

    /// The bytes that were read and not used yet, and the link, for a tunnel.
    pub(super) fn into_parts(self) -> (Bytes, Link) {
        (self.unread, self.link)
    }

    /// Whether another exchange can use it: it has not expired, and the upstream neither closed it nor sent anything
    /// unasked.
    pub(super) fn is_reusable(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| now < until) && self.unread.is_empty() && self.link.is_quiet()
    }
}
