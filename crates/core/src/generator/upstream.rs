//! A message's body as it comes from the network: frames in, buckets out.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body::{Body, Frame};

use super::Generator;
use crate::brigade::{Brigade, Bucket, SourceError};
use crate::clock::{Clock, Instant, Sleep};

/// When something last moved on an exchange. Clones share it.
#[derive(Clone, Debug)]
pub struct Activity(Arc<AtomicU64>);

impl Activity {
    /// Something moved at `now`.
    pub fn new(now: Instant) -> Self {
        Self(Arc::new(AtomicU64::new(now.as_nanos())))
    }

    /// Something moves at `now`. A `now` before the last one is passed over.
    pub fn touch(&self, now: Instant) {
        self.0.fetch_max(now.as_nanos(), Ordering::Relaxed);
    }

    /// When something last moved.
    pub fn last(&self) -> Instant {
        Instant::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

/// An error and what caused it, in one line for the log.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        line.push_str(": ");
        line.push_str(&cause.to_string());
        next = cause.source();
    }
    line
}

/// Content that comes piece by piece from the network, as large as it is asked for. Every
/// [`http_body::Body`] is one, with pieces as large as they come.
pub trait Pieces {
    /// Why it ended before its end.
    type Error;

    /// The next frame, of about `want` bytes at most if it is data; `None` behind the last. Cancel safe.
    fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
        want: usize,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>>;

    /// Whether it is known that nothing more comes.
    fn is_over(&self) -> bool;

    /// How many bytes are yet to come at least, as far as is known.
    fn min_remaining(&self) -> u64;
}

impl<B: Body<Data = Bytes> + Unpin> Pieces for B {
    type Error = B::Error;

    fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
        _want: usize,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        Pin::new(self).poll_frame(cx)
    }

    fn is_over(&self) -> bool {
        self.is_end_stream()
    }

    fn min_remaining(&self) -> u64 {
        self.size_hint().lower()
    }
}

/// The buckets of [`Pieces`], usually what an upstream answers.
///
/// The body is polled only when buckets are asked for, and for no more than there is room: a backend
/// faster than the pace is held back by not being read. A body that fails, or that is silent for too
/// long *while it is waited for*, ends in [`Bucket::Error`] behind the bytes it gave. Time in which
/// nobody asks (the chain sleeps, the client does not read) is not counted against the upstream.
pub struct UpstreamBody<B> {
    body: B,
    /// The upstream, named in the error when it fails.
    name: Arc<str>,
    /// What of the last frame there was no room for.
    rest: Bytes,
    /// Puts [`Bucket::Flush`] behind each frame.
    flush: bool,
    timeout: Duration,
    /// What moves in the other direction, and excuses silence in this one.
    activity: Option<Activity>,
    /// Since when the next frame is waited for.
    waiting: Option<Instant>,
    clock: Arc<dyn Clock>,
    sleep: Sleep,
}

impl<B: Pieces> UpstreamBody<B> {
    /// The buckets of `body`, which may be silent for `timeout` between two frames; `name` is the
    /// upstream's, for the error.
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

    /// Puts a [`Bucket::Flush`] behind each frame, so that filters which gather bytes (a coder) hand
    /// on what they have.
    #[must_use]
    pub fn flushing(mut self, flush: bool) -> Self {
        self.flush = flush;
        self
    }

    /// Counts what moves under `activity` as a sign of life too: an upload that still goes on.
    #[must_use]
    pub fn excused_by(mut self, activity: Activity) -> Self {
        self.activity = Some(activity);
        self
    }

    /// Hands on what there is room for of the frame in hand.
    fn give(&mut self, brigade: &mut Brigade) {
        brigade.push(self.rest.split_to(room(brigade).min(self.rest.len())));
        if self.rest.is_empty() {
            // An empty piece of a large frame would keep all of the frame's memory.
            self.rest = Bytes::new();
            if self.flush {
                brigade.push(Bucket::Flush);
            }
        }
    }

    fn fail(&mut self, reason: &str, brigade: &mut Brigade) {
        brigade.push(Bucket::Error(SourceError::new(format!("upstream {}: {reason}", self.name))));
    }

    /// Nothing came. Ready when that lasted too long.
    fn poll_silence(&mut self, cx: &mut Context<'_>, brigade: &mut Brigade) -> Poll<()> {
        let since = *self.waiting.get_or_insert_with(|| self.clock.now());
        loop {
            let last = self.activity.as_ref().map_or(since, |activity| activity.last().max(since));
            let due = last + self.timeout;
            if self.clock.now() >= due {
                self.sleep.disarm();
                self.fail(&format!("silent for {} s", self.timeout.as_secs_f64()), brigade);
                return Poll::Ready(());
            }
            // A wake-up set for an earlier wait stays as it is: it finds out here that it came early.
            // So a wait costs the clock nothing but once in a timeout.
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
                self.give(brigade);
                given = true;
                // A body of known length is known to be over before it says so.
                if self.rest.is_empty() && self.body.is_over() {
                    brigade.push(Bucket::Eos);
                    return Poll::Ready(());
                }
            }
            if given && brigade.room() == 0 {
                return Poll::Ready(());
            }
            match self.body.poll_piece(cx, room(brigade)) {
                Poll::Ready(Some(Ok(frame))) => {
                    self.waiting = None;
                    match frame.into_data() {
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
                Poll::Pending => return self.poll_silence(cx, brigade),
            }
        }
    }

    fn min_remaining(&self) -> u64 {
        self.body.min_remaining().saturating_add(self.rest.len() as u64)
    }
}

/// How much data is wanted, one byte at least.
fn room(brigade: &Brigade) -> usize {
    usize::try_from(brigade.room().max(1)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use http::HeaderMap;
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
    fn a_failure_stands_behind_the_bytes_before_it() {
        let clock = Arc::new(ManualClock::new());
        let broken = Some(Err(io::Error::from(io::ErrorKind::UnexpectedEof)));
        let mut body = source([data("ab"), broken], &clock);
        let Poll::Ready(all) = fill(&mut body, 100) else { panic!("ready") };
        assert!(all.starts_with("ab ERROR(upstream http://backend: "), "{all}");
    }

    #[test]
    fn what_is_there_is_given_at_once_with_a_flush_where_asked() {
        let clock = Arc::new(ManualClock::new());
        let mut body = source([data("ab"), data("c"), None], &clock).flushing(true);
        assert_eq!(fill(&mut body, 1), Poll::Ready("a".into()));
        assert_eq!(fill(&mut body, 100), Poll::Ready("b FLUSH c FLUSH".into()));
        assert_eq!(fill(&mut body, 100), Poll::Pending);
    }

    #[test]
    fn silence_ends_in_an_error_at_the_timeout_and_not_a_nanosecond_before() {
        let clock = Arc::new(ManualClock::new());
        let mut body = source([data("ab"), None], &clock);
        assert_eq!(fill(&mut body, 100), Poll::Ready("ab".into()));
        // Nobody asks for an hour: that is not the upstream's silence.
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
    fn a_wait_begins_anew_with_each_frame_and_an_upload_excuses_it() {
        let clock = Arc::new(ManualClock::new());
        let activity = Activity::new(clock.now());
        let mut body = source([None], &clock).excused_by(activity.clone());
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
