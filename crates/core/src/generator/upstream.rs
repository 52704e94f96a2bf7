//! A generator that polls the body of a message, usually an upstream's response.

use std::fmt;
use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};

use super::{Activity, Generator, Pieces};
use crate::brigade::{Brigade, Bucket, SourceError};
use crate::clock::{Clock, Instant, Sleep};

/// Bytes that are copied to leave in one piece with what follows them.
pub(super) const MAX_KEPT: u64 = 256;

/// An error with its causes, in one line.
pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        line.push_str(": ");
        line.push_str(&cause.to_string());
        next = cause.source();
    }
    line
}

/// Generates buckets from [`Pieces`], usually an upstream's response.
///
/// Reads no more than there is room for, so that a backend faster than the pace is held back. A body that fails, or sends
/// nothing for too long *while it is polled*, ends with [`Bucket::Error`]. Time in which it is not polled (the chain sleeps,
/// the client does not read) does not count.
pub struct UpstreamBody<B> {
    body: B,
    /// The upstream's name, for errors.
    name: Arc<str>,
    /// The part of the last frame that there was no room for.
    rest: Bytes,
    /// Whether [`Bucket::Flush`] follows each frame.
    flush: bool,
    timeout: Duration,
    /// The other direction, whose activity postpones the timeout.
    activity: Option<Activity>,
    /// Since when a frame is waited for.
    waiting: Option<Instant>,
    clock: Arc<dyn Clock>,
    sleep: Sleep,
}

impl<B: Pieces> UpstreamBody<B> {
    /// Creates a generator from `body`, which may wait `timeout` for each frame; errors name the upstream `name`.
    pub fn new(body: B, name: Arc<str>, timeout: Duration, clock: Arc<dyn Clock>) -> Self {
        let sleep = Sleep::until(Arc::clone(&clock), clock.now());
        Self {
            body,
            name,
            rest: Bytes::new(),
            flush: false,
            timeout,
            activity: None,
            waiting: None,
            clock,
            sleep,
        }
    }

    /// Sets whether a [`Bucket::Flush`] follows each frame, so that coders pass on what they have.
    #[must_use]
    pub fn with_flush(mut self, flush: bool) -> Self {
        self.flush = flush;
        self
    }

    /// Restarts the timeout with `activity` too, as of an upload in progress.
    #[must_use]
    pub fn with_activity(mut self, activity: Activity) -> Self {
        self.activity = Some(activity);
        self
    }

    /// Pushes as much of the last frame as there is room for.
    fn push_rest(&mut self, brigade: &mut Brigade) {
        brigade.push(self.rest.split_to(room(brigade).min(self.rest.len())));
        if self.rest.is_empty() {
            // An empty slice would keep the frame's memory.
            self.rest = Bytes::new();
            if self.flush {
                brigade.push(Bucket::Flush);
            }
        }
    }

    fn fail(&mut self, reason: &str, brigade: &mut Brigade) {
        brigade.push(Bucket::Error(SourceError::new(format!("upstream {}: {reason}", self.name))));
    }

    /// Ready with an error when the timeout has passed.
    fn poll_timeout(&mut self, cx: &mut Context<'_>, brigade: &mut Brigade) -> Poll<()> {
        let since = *self.waiting.get_or_insert_with(|| self.clock.now());
        loop {
            let now = self.clock.now();
            let last = self.activity.as_ref().map_or(since, |activity| activity.last_at(now).max(since));
            let due = last + self.timeout;
            if now >= due {
                self.sleep.disarm();
                self.fail(&format!("silent for {} s", self.timeout.as_secs_f64()), brigade);
                return Poll::Ready(());
            }
            // A timer of an earlier wait stays and may fire early: so there is one timer per timeout, not per wait.
            if self.sleep.deadline() <= self.clock.now() || self.sleep.deadline() > due {
                self.sleep.reset(due);
            }
            if Pin::new(&mut self.sleep).poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl<B> Generator for UpstreamBody<B>
where
    B: Pieces + Send,
    B::Error: std::error::Error,
{
    fn poll_fill(&mut self, cx: &mut Context<'_>, brigade: &mut Brigade) -> Poll<()> {
        let mut given = false;
        loop {
            if self.rest.has_remaining() {
                self.push_rest(brigade);
                given = true;
                // A body of known length is known to have ended before it returns `None`.
                if self.rest.is_empty() && self.body.is_over() {
                    brigade.push(Bucket::Eos);
                    return Poll::Ready(());
                }
            }
            if given && brigade.room() == 0 {
                return Poll::Ready(());
            }
            let want = room(brigade);
            // What a sleeping chain kept leaves with what follows it: one piece costs less than two.
            let mut kept = if given { Bytes::new() } else { brigade.take_only(MAX_KEPT) };
            let had = kept.len();
            let polled = self.body.poll_piece_behind(cx, &mut kept, want);
            let is_joined = kept.len() < had;
            brigade.push_front(kept);
            match polled {
                Poll::Ready(Some(Ok(frame))) => {
                    self.waiting = None;
                    match frame.into_data() {
                        Ok(data) if is_joined => {
                            // As much as there was room for beside what was kept.
                            brigade.push(data);
                            given = true;
                            if self.flush {
                                brigade.push(Bucket::Flush);
                            }
                            if self.body.is_over() {
                                brigade.push(Bucket::Eos);
                                return Poll::Ready(());
                            }
                        }
                        Ok(data) => self.rest = data,
                        Err(frame) => {
                            if let Ok(fields) = frame.into_trailers() {
                                brigade.push(Bucket::Trailers(Box::new(fields)));
                                given = true;
                            }
                        }
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    self.fail(&with_causes(&error), brigade);
                    return Poll::Ready(());
                }
                Poll::Ready(None) => {
                    brigade.push(Bucket::Eos);
                    return Poll::Ready(());
                }
                Poll::Pending if given => return Poll::Ready(()),
                Poll::Pending => return self.poll_timeout(cx, brigade),
            }
        }
    }

    fn min_remaining(&self) -> u64 {
        self.body.min_remaining().saturating_add(self.rest.len() as u64)
    }

    fn prefetch(&self) {
        black_box((self.rest.len(), self.flush, self.waiting));
        self.body.prefetch();
    }
}

/// The room of `brigade`, at least one byte.
fn room(brigade: &Brigade) -> usize {
    usize::try_from(brigade.room().max(1)).unwrap_or(usize::MAX)
}

impl<B> fmt::Debug for UpstreamBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamBody")
            .field("name", &self.name)
            .field("rest", &self.rest.len())
            .field("waiting", &self.waiting)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use http::HeaderMap;
    use http_body::{Body, Frame};
    use std::collections::VecDeque;
    use std::io;
    use std::task::Waker;

    /// Frames by script; `None` is a moment in which nothing is there.
    #[derive(Default)]
    struct Script(VecDeque<Option<io::Result<Frame<Bytes>>>>);

    impl Body for Script {
        type Data = Bytes;
        type Error = io::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
        ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
            match self.0.pop_front() {
                Some(Some(frame)) => Poll::Ready(Some(frame)),
                Some(None) => {
                    self.0.push_front(None);
                    Poll::Pending
                }
                None => Poll::Ready(None),
            }
        }
    }

    fn data(text: &'static str) -> Option<io::Result<Frame<Bytes>>> {
        Some(Ok(Frame::data(Bytes::from_static(text.as_bytes()))))
    }

    fn source(
        frames: impl IntoIterator<Item = Option<io::Result<Frame<Bytes>>>>,
        clock: &Arc<ManualClock>,
    ) -> UpstreamBody<Script> {
        let script = Script(frames.into_iter().collect());
        UpstreamBody::new(script, "http://backend".into(), Duration::from_secs(60), clock.clone())
    }

    fn fill(source: &mut impl Generator, room: u64) -> Poll<String> {
        let mut brigade = Brigade::with_budget(room);
        let mut cx = Context::from_waker(Waker::noop());
        source.poll_fill(&mut cx, &mut brigade).map(|()| {
            let text = |bucket: &Bucket| match bucket {
                Bucket::Data(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                Bucket::Trailers(_) => "TRAILERS".to_owned(),
                Bucket::Error(error) => format!("ERROR({error})"),
                mark => format!("{mark:?}").to_uppercase(),
            };
            brigade.iter().map(text).collect::<Vec<_>>().join(" ")
        })
    }

    #[test]
    fn frames_are_cut_to_the_room_and_marks_keep_their_places() {
        let clock = Arc::new(ManualClock::new());
        let trailers = Some(Ok(Frame::trailers(HeaderMap::new())));
        let mut body = source([data("abcdef"), data("g"), trailers], &clock);
        assert_eq!(fill(&mut body, 4), Poll::Ready("abcd".into()));
        assert_eq!(fill(&mut body, 4), Poll::Ready("ef g TRAILERS EOS".into()));
        assert_eq!(clock.sleepers(), 0);
    }

    #[test]
    fn a_failure_follows_the_bytes_before_it() {
        let clock = Arc::new(ManualClock::new());
        let broken = Some(Err(io::Error::from(io::ErrorKind::UnexpectedEof)));
        let mut body = source([data("ab"), broken], &clock);
        let Poll::Ready(all) = fill(&mut body, 100) else { panic!("ready") };
        assert!(all.starts_with("ab ERROR(upstream http://backend: "), "{all}");
    }

    #[test]
    fn frames_are_passed_on_at_once_each_with_a_flush_if_set() {
        let clock = Arc::new(ManualClock::new());
        let mut body = source([data("ab"), data("c"), None], &clock).with_flush(true);
        assert_eq!(fill(&mut body, 1), Poll::Ready("a".into()));
        assert_eq!(fill(&mut body, 100), Poll::Ready("b FLUSH c FLUSH".into()));
        assert_eq!(fill(&mut body, 100), Poll::Pending);
    }

    /// Ten bytes that come behind what they are asked for behind.
    struct Joined(usize);

    impl Pieces for Joined {
        type Error = io::Error;

        fn poll_piece(
            &mut self,
            cx: &mut Context<'_>,
            want: usize,
        ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
            self.poll_piece_behind(cx, &mut Bytes::new(), want)
        }

        fn poll_piece_behind(
            &mut self,
            _cx: &mut Context<'_>,
            before: &mut Bytes,
            want: usize,
        ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
            let given = want.min(self.0);
            self.0 -= given;
            let all = [&std::mem::take(before)[..], &vec![b'x'; given]].concat();
            Poll::Ready(Some(Ok(Frame::data(all.into()))))
        }

        fn is_over(&self) -> bool {
            self.0 == 0
        }

        fn min_remaining(&self) -> u64 {
            self.0 as u64
        }
    }

    #[test]
    fn what_is_kept_comes_in_one_piece_with_what_follows_it_within_the_room() {
        let clock = Arc::new(ManualClock::new());
        let mut body = UpstreamBody::new(Joined(10), "b".into(), Duration::from_secs(1), clock.clone());
        let mut brigade = Brigade::with_budget(8);
        brigade.push(Bytes::from_static(b"ab"));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(body.poll_fill(&mut cx, &mut brigade).is_ready());
        assert_eq!((brigade.len(), brigade.to_bytes()), (1, Bytes::from_static(b"abxxxxxx")));
        brigade.clear();
        brigade.push(Bytes::from_static(b"cd"));
        assert!(body.poll_fill(&mut cx, &mut brigade).is_ready());
        assert_eq!(brigade.to_bytes(), "cdxxxx");
        assert!((brigade.len(), brigade.ends()) == (2, true) && clock.sleepers() == 0);
    }

    #[test]
    fn silence_ends_in_an_error_at_the_timeout_and_not_a_nanosecond_before() {
        let clock = Arc::new(ManualClock::new());
        let mut body = source([data("ab"), None], &clock);
        assert_eq!(fill(&mut body, 100), Poll::Ready("ab".into()));
        // Not polled for an hour, which does not count.
        clock.advance(Duration::from_secs(3600));
        assert_eq!(fill(&mut body, 100), Poll::Pending);
        clock.advance(Duration::from_secs(60) - Duration::from_nanos(1));
        assert_eq!(fill(&mut body, 100), Poll::Pending);
        clock.advance(Duration::from_nanos(1));
        let Poll::Ready(all) = fill(&mut body, 100) else { panic!("ready") };
        assert_eq!(all, "ERROR(upstream http://backend: silent for 60 s)");
        assert_eq!(clock.sleepers(), 0);
    }

    #[test]
    fn each_frame_and_upload_activity_restart_the_timeout() {
        let clock = Arc::new(ManualClock::new());
        let activity = Activity::new(clock.now());
        let mut body = source([None], &clock).with_activity(activity.clone());
        assert_eq!(fill(&mut body, 100), Poll::Pending);
        clock.advance(Duration::from_secs(59));
        body.body.0 = [data("x"), None].into();
        assert_eq!(fill(&mut body, 100), Poll::Ready("x".into()));
        assert_eq!(fill(&mut body, 100), Poll::Pending);
        assert_eq!(clock.sleepers(), 1, "the wake-up of the first wait serves the second");
        clock.advance(Duration::from_secs(59));
        assert_eq!(fill(&mut body, 100), Poll::Pending);
        activity.touch(clock.now());
        clock.advance(Duration::from_secs(59));
        assert_eq!(fill(&mut body, 100), Poll::Pending);
        clock.advance(Duration::from_secs(1));
        assert!(matches!(fill(&mut body, 100), Poll::Ready(error) if error.starts_with("ERROR")));
        drop(body);
        assert_eq!(clock.sleepers(), 0);
    }
}
