//! The client's body, and which side an exchange waits for while it is sent.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};

use crate::clock::Clock;
use crate::generator::Activity;
use crate::http::body::{RequestBody, RequestBodyError};
use crate::sync::Mutex;

/// The side that an exchange waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// The upstream: to read the request or to respond.
    Upstream,
    /// The client: for the next piece of its body.
    Client,
    /// Neither: the client's body ended early.
    Neither,
    /// Neither: the client's body waits for its pace or a shared limit. That takes as long as it takes.
    Limit,
}

/// Progress of an exchange: when something last moved, and which side is waited for. Clones share it.
#[derive(Clone)]
pub(super) struct Progress {
    activity: Activity,
    side: Arc<Mutex<Side>>,
    clock: Arc<dyn Clock>,
}

impl Progress {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let activity = Activity::new(clock.now());
        Self { activity, side: Arc::new(Mutex::new(Side::Upstream)), clock }
    }

    pub(super) fn activity(&self) -> &Activity {
        &self.activity
    }

    fn side(&self) -> Side {
        *self.side.lock()
    }

    /// Completes when nothing has moved for `timeout`, though no limit held it; returns the side that was waited for.
    pub(super) async fn stalled(&self, timeout: Duration) -> Side {
        loop {
            self.activity.idle(&self.clock, timeout).await;
            match self.side() {
                Side::Limit => self.heard(),
                side => return side,
            }
        }
    }

    /// Notes that the request is about to be sent on a connection: restarts the timeout, and waits for the upstream.
    pub(super) fn begin(&self) {
        self.moved(Side::Upstream);
    }

    /// Notes an interim response: restarts the timeout.
    pub(super) fn heard(&self) {
        self.activity.touch(self.clock.now());
    }

    /// Notes that something moved or another side is waited for: restarts the timeout.
    fn moved(&self, side: Side) {
        let before = std::mem::replace(&mut *self.side.lock(), side);
        let now = self.clock.now();
        self.activity.touch(now);
        match (before == Side::Limit, side == Side::Limit) {
            (false, true) => self.activity.hold(),
            (true, false) => self.activity.release(now),
            _ => {}
        }
    }
}

/// A client's body with its trailers, which reports its progress. It is polled only when the upstream reads more, so
/// that `100 Continue` is sent only when there is an upstream for the body.
pub(super) struct TrackedBody {
    body: RequestBody,
    progress: Progress,
}

impl TrackedBody {
    /// `None`: the request has no body, and can be sent again.
    pub(super) fn new(body: RequestBody, progress: &Progress) -> Option<Self> {
        (!body.is_end_stream()).then(|| Self { body, progress: progress.clone() })
    }

    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Err(_))) => self.progress.moved(Side::Neither),
            Poll::Ready(_) => self.progress.moved(Side::Upstream),
            Poll::Pending => {
                let is_held = self.body.is_held();
                let side = if is_held { Side::Limit } else { Side::Client };
                if self.progress.side() != side {
                    self.progress.moved(side);
                }
            }
        }
        polled
    }
}

impl Drop for TrackedBody {
    fn drop(&mut self) {
        // What is not sent any more is not held.
        if self.progress.side() == Side::Limit {
            self.progress.moved(Side::Neither);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use futures_lite::future::{block_on, poll_once};

    #[test]
    fn a_wait_for_a_limit_is_no_stall_and_the_timeout_begins_behind_it() {
        let clock = Arc::new(ManualClock::new());
        let progress = Progress::new(clock.clone());
        let mut stalled = Box::pin(progress.stalled(Duration::from_secs(10)));
        progress.moved(Side::Limit);
        for _ in 0..100 {
            clock.advance(Duration::from_secs(10));
            assert_eq!(block_on(poll_once(&mut stalled)), None);
        }
        progress.moved(Side::Client);
        clock.advance(Duration::from_secs(10) - Duration::from_nanos(1));
        assert_eq!(block_on(poll_once(&mut stalled)), None);
        clock.advance(Duration::from_nanos(1));
        assert_eq!(block_on(poll_once(&mut stalled)), Some(Side::Client));
    }

    #[test]
    fn a_stall_is_the_fault_of_the_side_waited_for_and_each_move_restarts_the_timeout() {
        let clock = Arc::new(ManualClock::new());
        let progress = Progress::new(clock.clone());
        let mut stalled = Box::pin(progress.stalled(Duration::from_secs(10)));
        assert_eq!(block_on(poll_once(&mut stalled)), None);
        clock.advance(Duration::from_secs(9));
        progress.moved(Side::Client);
        clock.advance(Duration::from_secs(9));
        assert_eq!(block_on(poll_once(&mut stalled)), None);
        clock.advance(Duration::from_secs(1) - Duration::from_nanos(1));
        assert_eq!(block_on(poll_once(&mut stalled)), None);
        clock.advance(Duration::from_nanos(1));
        progress.heard();
        assert_eq!(block_on(poll_once(&mut stalled)), None);
        clock.advance(Duration::from_secs(10));
        assert_eq!(block_on(poll_once(&mut stalled)), Some(Side::Client));
        drop(stalled);
        assert_eq!(clock.sleepers(), 0);
    }
}
