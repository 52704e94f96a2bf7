//! The lingering close (RFC 9112, section 9.6), of both versions of HTTP: a close while the client sends would make the kernel
//! reset the connection, and the client could lose the end of what it was sent.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_lite::io::AsyncRead;

use crate::clock::{Clock, Sleep};

/// How long a client that has everything has time to close.
const PATIENCE: Duration = Duration::from_secs(5);

/// The most bytes that are discarded.
const MAX_DISCARDED: usize = 16 * 1024 * 1024;

/// Bytes of one read.
const PIECE: usize = 8 * 1024;

/// Reads in a row before other tasks have a turn.
const READS: usize = 16;

/// A connection whose write half is shut down, while its client may still send.
pub(super) struct Lingering {
    discarded: usize,
    patience: Sleep,
}

impl Lingering {
    pub(super) fn new(clock: &Arc<dyn Clock>) -> Self {
        Self { discarded: 0, patience: Sleep::lasting(Arc::clone(clock), PATIENCE) }
    }

    /// Discards what the client sends. Ready when that has ended, no matter how, or is too much, or takes too long.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, client: &mut (impl AsyncRead + Unpin)) -> Poll<()> {
        if Pin::new(&mut self.patience).poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let mut piece = [0; PIECE];
        for _ in 0..READS {
            match Pin::new(&mut *client).poll_read(cx, &mut piece) {
                Poll::Ready(Ok(len @ 1..)) if self.discarded + len <= MAX_DISCARDED => self.discarded += len,
                // A reset is fine: the client has what it wanted.
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::clock::ManualClock;

    /// Has so many bytes to read; then it waits, or has ended.
    struct Sending {
        bytes: usize,
        ended: Option<io::Result<usize>>,
    }

    impl AsyncRead for Sending {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            let len = self.bytes.min(buf.len());
            self.bytes -= len;
            match self.ended.take() {
                _ if len > 0 => Poll::Ready(Ok(len)),
                Some(ended) => Poll::Ready(ended),
                None => Poll::Pending,
            }
        }
    }

    /// Whether it is over after so long for a client that sends so many bytes.
    fn is_over(after: Duration, mut client: Sending) -> bool {
        let clock = Arc::new(ManualClock::new());
        let mut lingering = Lingering::new(&(Arc::clone(&clock) as Arc<dyn Clock>));
        clock.advance(after);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        // More polls than all the bytes take.
        (0..=MAX_DISCARDED / PIECE / READS).any(|_| lingering.poll(&mut cx, &mut client).is_ready())
    }

    #[test]
    fn it_lasts_until_the_client_ends_or_too_much_came_or_too_late() {
        let nanosecond = Duration::from_nanos(1);
        let quiet = |bytes| Sending { bytes, ended: None };
        assert!(!is_over(PATIENCE - nanosecond, quiet(0)));
        assert!(is_over(PATIENCE, quiet(0)));
        assert!(!is_over(Duration::ZERO, quiet(MAX_DISCARDED)));
        assert!(is_over(Duration::ZERO, quiet(MAX_DISCARDED + 1)));
        for ended in [Ok(0), Err(io::ErrorKind::ConnectionReset.into())] {
            assert!(is_over(Duration::ZERO, Sending { bytes: 0, ended: Some(ended) }));
        }
    }

    #[test]
    fn much_that_is_there_at_once_gives_other_tasks_a_turn() {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new());
        let wakes = crate::wake_count::WakeCount::default();
        let mut client = Sending { bytes: MAX_DISCARDED, ended: None };
        let polled = Lingering::new(&clock).poll(&mut Context::from_waker(&wakes.waker()), &mut client);
        assert_eq!((polled, client.bytes, wakes.get()), (Poll::Pending, MAX_DISCARDED - READS * PIECE, 1));
    }
}
