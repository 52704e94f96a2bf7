//! Passes a request's content from the connection that reads it to its consumer, at most one frame at a time, read
//! only when the consumer asks for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::Frame;

use crate::sync::Mutex;

/// Creates both ends, for content of `length` bytes if that is known.
pub(crate) fn feed(length: Option<u64>) -> (Feed, Reader) {
    let state =
        State { frame: None, end: End::Open, left: length, reader: None, connection: None, gone: false };
    let shared = Arc::new(Shared { wanted: AtomicBool::new(false), state: Mutex::new(state) });
    (Feed { shared: Arc::clone(&shared), task: None }, Reader(shared))
}

struct Shared {
    /// The consumer waits for a frame. Spares the lock otherwise.
    wanted: AtomicBool,
    state: Mutex<State>,
}

struct State {
    frame: Option<Frame<Bytes>>,
    end: End,
    /// Bytes of the length not taken yet.
    left: Option<u64>,
    reader: Option<Waker>,
    connection: Option<Waker>,
    /// The reader was dropped.
    gone: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Open,
    Whole,
    /// The content broke off.
    Broken,
    /// The content broke off, and the consumer was told.
    Told,
}

impl Shared {}

/// The connection's end. If it is dropped early, the content breaks off.
pub(crate) struct Feed {
    shared: Arc<Shared>,
    /// The task noted last.
    task: Option<Waker>,
}

impl Feed {
    /// Whether the consumer waits for a frame.
    pub(crate) fn is_wanted(&self) -> bool {
        self.shared.wanted.load(Ordering::Acquire)
    }

    /// Notes the task to wake when the consumer asks for a frame.
    pub(crate) fn note_task(&mut self, cx: &Context<'_>) {
        if !self.task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            self.task = Some(cx.waker().clone());
            self.shared.state.lock().connection.clone_from(&self.task);
        }
    }

    /// Passes on the frame that was asked for. `is_last` says that the content is complete with it.
    pub(crate) fn push(&self, frame: Frame<Bytes>, is_last: bool) {
        self.hand_over(Some(frame), if is_last { End::Whole } else { End::Open });
    }

    /// Completes the content.
    pub(crate) fn finish(&self) {
        self.hand_over(None, End::Whole);
    }

    /// Breaks the content off.
    pub(crate) fn fail(&self) {
        self.hand_over(None, End::Broken);
    }

    /// Whether the consumer is gone.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.shared.state.lock().gone
    }

    fn hand_over(&self, frame: Option<Frame<Bytes>>, end: End) {
        let mut state = self.shared.state.lock();
        debug_assert!(frame.is_none() || state.frame.is_none(), "it was not asked for");
        state.frame = frame.or(state.frame.take());
        state.end = end;
        self.shared.wanted.store(false, Ordering::Release);
        let reader = state.reader.take();
        drop(state);
        reader.into_iter().for_each(Waker::wake);
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        if self.shared.state.lock().end == End::Open {
            self.fail();
        }
    }
}

/// The consumer's end.
pub(crate) struct Reader(Arc<Shared>);

/// The content broke off.
#[derive(Debug)]
pub(crate) struct Broken;

impl Reader {
    pub(crate) fn poll_frame(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let mut state = self.0.state.lock();
        if let Some(frame) = state.frame.take() {
            let len = frame.data_ref().map_or(0, |data| data.len() as u64);
            state.left = state.left.map(|left| left.saturating_sub(len));
            return Poll::Ready(Some(Ok(frame)));
        }
        match state.end {
            End::Whole | End::Told => return Poll::Ready(None),
            End::Broken => {
                state.end = End::Told;
                return Poll::Ready(Some(Err(Broken)));
            }
            End::Open => {}
        }
        if !state.reader.as_ref().is_some_and(|reader| reader.will_wake(cx.waker())) {
            state.reader = Some(cx.waker().clone());
        }
        self.0.wanted.store(true, Ordering::Release);
        // The connection's own task checks after polling the consumer.
        let connection = state.connection.clone().filter(|task| !task.will_wake(cx.waker()));
        drop(state);
        connection.into_iter().for_each(Waker::wake);
        Poll::Pending
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        let state = self.0.state.lock();
        state.frame.is_none() && matches!(state.end, End::Whole | End::Told)
    }

    /// Bytes not taken yet, if the length is known.
    pub(crate) fn left(&self) -> Option<u64> {
        self.0.state.lock().left
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.gone = true;
        state.frame = None;
        state.reader = None;
        self.0.wanted.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wake_count::WakeCount;

    fn data(text: &'static str) -> Frame<Bytes> {
        Frame::data(Bytes::from_static(text.as_bytes()))
    }

    fn told(polled: Poll<Option<Result<Frame<Bytes>, Broken>>>) -> String {
        match polled {
            Poll::Pending => "pending".to_owned(),
            Poll::Ready(None) => "end".to_owned(),
            Poll::Ready(Some(Err(Broken))) => "broken".to_owned(),
            Poll::Ready(Some(Ok(frame))) => String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap(),
        }
    }

    #[test]
    fn a_frame_is_read_when_it_is_asked_for_and_another_task_is_woken() {
        let (mut feed, reader) = feed(Some(5));
        let (connection, other) = (WakeCount::default(), WakeCount::default());
        let (task, taker) = (connection.waker(), other.waker());
        feed.note_task(&Context::from_waker(&task));
        assert!(!feed.is_wanted());
        let mut cx = Context::from_waker(&taker);
        assert_eq!((told(reader.poll_frame(&mut cx)), feed.is_wanted()), ("pending".into(), true));
        feed.push(data("hel"), false);
        assert_eq!((connection.get(), other.get()), (1, 1));
        assert_eq!(
            (told(reader.poll_frame(&mut cx)), feed.is_wanted(), reader.left()),
            ("hel".into(), false, Some(2))
        );
        // The connection's own task needs no wake-up.
        assert_eq!(told(reader.poll_frame(&mut Context::from_waker(&task))), "pending");
        assert_eq!(connection.get(), 1);
        feed.push(data("lo"), true);
        assert!(!reader.is_end_stream());
        assert_eq!(told(reader.poll_frame(&mut cx)), "lo");
        assert!(reader.is_end_stream());
        drop(feed);
        assert_eq!(told(reader.poll_frame(&mut cx)), "end");
    }

    #[test]
    fn content_that_is_not_whole_breaks_off_with_its_connection() {
        let (feed, reader) = feed(None);
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(told(reader.poll_frame(&mut cx)), "pending");
        feed.push(data("a"), false);
        assert!(!feed.is_abandoned());
        drop(feed);
        assert_eq!(["a", "broken", "end"].map(|_| told(reader.poll_frame(&mut cx))), ["a", "broken", "end"]);
    }

    #[test]
    fn what_nobody_takes_is_not_wanted() {
        let (feed, reader) = feed(None);
        assert_eq!(told(reader.poll_frame(&mut Context::from_waker(Waker::noop()))), "pending");
        drop(reader);
        assert!(feed.is_abandoned() && !feed.is_wanted());
    }
}
