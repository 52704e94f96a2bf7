//! Bytes read from the client and not yet consumed.

use std::hint::black_box;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker, ready};

use bytes::{Buf, Bytes, BytesMut};
use http::StatusCode;

use super::super::MAX_HEAD;
use crate::http1::{Progress, Refused, check_beginning, empty_lines};
use crate::rt::{Turn, turn};
use crate::sink::{Charge, HeldAs, Sink, Wire};
use crate::sync::Mutex;

/// A head that comes in pieces is charged above this size; most are smaller.
const CHARGED_ABOVE: usize = 4 * 1024;

/// The most bytes of empty lines before a request.
const MAX_EMPTY: usize = 64;

/// The read buffer of one connection.
///
/// Reads again only after the wire reported readiness: polling a connection for other reasons, such as each chunk of a
/// response, costs no system call and no lock here.
pub(super) struct Input {
    /// The unread bytes: `whole`, or `partial` if a head came in pieces. One of them is empty.
    whole: Bytes,
    partial: BytesMut,
    /// For `partial`, if that is above [`CHARGED_ABOVE`].
    charge: Option<Charge>,
    progress: Progress,
    /// Bytes of empty lines before the next head.
    empty: usize,
    /// The start of the request line was validated.
    is_checked: bool,
    /// The client closed its half.
    has_ended: bool,
    /// The turn in which the unread bytes were read, if they are of one read and the first of them were there when the turn began.
    arrived: Option<Turn>,
    readable: Arc<Readable>,
    waker: Waker,
    /// The wire will wake `readable`.
    is_armed: bool,
    /// The task that `readable` wakes.
    task: Option<Waker>,
}

/// The waker for the wire: notes readiness and wakes the task.
#[derive(Default)]
struct Readable {
    is_ready: AtomicBool,
    task: Mutex<Task>,
}

#[derive(Default)]
struct Task {
    waker: Option<Waker>,
    /// The turn in which readiness was noted last, if it was by a worker.
    noted: Option<Turn>,
}

impl Wake for Readable {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut task = self.task.lock();
        task.noted = turn();
        let waker = task.waker.clone();
        self.is_ready.store(true, Ordering::Release);
        drop(task);
        if let Some(task) = waker {
            task.wake();
        }
    }
}

impl Default for Input {
    fn default() -> Self {
        let readable = Arc::new(Readable::default());
        Self {
            whole: Bytes::new(),
            partial: BytesMut::new(),
            charge: None,
            progress: Progress::default(),
            empty: 0,
            is_checked: false,
            has_ended: false,
            arrived: None,
            waker: Waker::from(Arc::clone(&readable)),
            readable,
            is_armed: false,
            task: None,
        }
    }
}

impl Input {
    pub(super) fn len(&self) -> usize {
        self.whole.len() + self.partial.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Has the processor fetch what tells whether there is something to read.
    pub(super) fn prefetch(&self) {
        black_box((self.readable.is_ready.load(Ordering::Relaxed), self.task.is_some(), self.has_ended));
    }

    /// Whether nothing but half an empty line is unread.
    pub(super) fn is_blank(&self) -> bool {
        self.is_empty() || self.whole[..] == b"\r"[..]
    }

    /// Whether the client has closed its half.
    pub(super) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Whether the unread bytes are charged as held.
    pub(super) fn is_charged(&self) -> bool {
        self.charge.is_some()
    }

    /// Reads about `want` bytes and returns how many came; 0 once the client has closed its half. Holds no buffer while
    /// pending.
    pub(super) fn poll_more<W: Wire>(
        &mut self,
        cx: &mut Context<'_>,
        sink: &mut Sink<W>,
        want: usize,
    ) -> Poll<io::Result<usize>> {
        if self.has_ended {
            return Poll::Ready(Ok(0));
        }
        if !self.task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            self.task = Some(cx.waker().clone());
            self.readable.task.lock().waker.clone_from(&self.task);
        }
        if self.is_armed && !self.readable.is_ready.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        self.readable.is_ready.store(false, Ordering::Release);
        let noted = if self.is_armed && self.is_empty() { self.readable.task.lock().noted } else { None };
        self.is_armed = true;
        let bytes = ready!(sink.poll_read_bytes(&mut Context::from_waker(&self.waker), want))?;
        self.is_armed = false;
        let len = bytes.len();
        self.has_ended = len == 0;
        // Where another worker noted that they are there, they may have come at any time of this one's turn.
        self.arrived = turn().filter(|now| noted.is_some_and(|noted| noted.is_of_worker_of(*now)));
        self.append(bytes);
        if self.partial.len() > CHARGED_ABOVE {
            let charge = self.charge.get_or_insert_with(|| Charge::new(sink.state(), HeldAs::Request));
            charge.set(self.partial.capacity() as u64);
        }
        Poll::Ready(Ok(len))
    }

    fn append(&mut self, bytes: Bytes) {
        if self.is_empty() {
            self.whole = bytes;
            return;
        }
        if self.partial.is_empty() {
            self.partial.extend_from_slice(&std::mem::take(&mut self.whole));
        }
        self.partial.extend_from_slice(&bytes);
    }

    /// The unread bytes as content; the caller consumes them from the front. A head behind it may have come later.
    pub(super) fn content(&mut self) -> &mut Bytes {
        self.arrived = None;
        self.unread()
    }

    fn unread(&mut self) -> &mut Bytes {
        if !self.partial.is_empty() {
            self.whole = std::mem::take(&mut self.partial).freeze();
            self.charge = None;
        }
        &mut self.whole
    }

    /// The present turn, if the head that is taken next began to arrive before it. Not for the next head.
    pub(super) fn take_arrived(&mut self) -> Option<Turn> {
        self.arrived.take().filter(|arrived| Some(*arrived) == turn())
    }

    /// Takes the next request's head; `None` if it is incomplete.
    ///
    /// # Errors
    /// It is too large, or does not begin as a request does.
    pub(super) fn take_head(&mut self) -> Result<Option<Bytes>, Refused> {
        if self.progress == Progress::default() {
            let skipped = empty_lines(self.unread());
            self.whole.advance(skipped);
            if skipped > 0 {
                // They came before the turn, and the head behind them perhaps did not.
                self.arrived = None;
            }
            self.empty += skipped;
            if self.empty > MAX_EMPTY {
                let text = "There are nothing but empty lines where a request should begin.";
                return Err(Refused::new(StatusCode::BAD_REQUEST, text));
            }
            if &self.whole[..] == b"\r" {
                return Ok(None);
            }
        }
        let bytes = if self.partial.is_empty() { &self.whole[..] } else { &self.partial[..] };
        if let Some(len) = self.progress.end_of_head(bytes) {
            if len > MAX_HEAD {
                return Err(self.too_large());
            }
            self.forget_head();
            let content = self.unread();
            let head = content.split_to(len);
            if content.is_empty() {
                *content = Bytes::new();
            }
            return Ok(Some(head));
        }
        if bytes.len() >= MAX_HEAD {
            return Err(self.too_large());
        }
        if !self.is_checked && !bytes.is_empty() {
            check_beginning(bytes, &self.progress)?;
            self.is_checked = self.progress.has_line();
        }
        Ok(None)
    }

    fn too_large(&self) -> Refused {
        if self.progress.has_line() {
            let text = "The request's head is larger than 32 KiB.";
            Refused::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, text)
        } else {
            Refused::new(StatusCode::URI_TOO_LONG, "The request's target is too long.")
        }
    }

    /// Discards the unread bytes.
    pub(super) fn clear(&mut self) {
        *self.content() = Bytes::new();
        self.forget_head();
    }

    fn forget_head(&mut self) {
        (self.progress, self.empty, self.is_checked) = (Progress::default(), 0, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heads(input: &mut Input, text: &[u8]) -> Vec<Bytes> {
        input.append(Bytes::copy_from_slice(text));
        std::iter::from_fn(|| input.take_head().unwrap()).collect()
    }

    #[test]
    fn heads_are_taken_one_by_one_whatever_pieces_they_came_in() {
        let text = b"\r\n\r\nGET /1 HTTP/1.1\r\nA: b\r\n\r\nGET /2 HTTP/1.1\r\n\r\n\nGET /3 HTTP/1.1\r\n";
        for step in 1..=text.len() {
            let mut input = Input::default();
            let came: Vec<Bytes> = text.chunks(step).flat_map(|piece| heads(&mut input, piece)).collect();
            assert_eq!(
                came,
                [&b"GET /1 HTTP/1.1\r\nA: b\r\n\r\n"[..], b"GET /2 HTTP/1.1\r\n\r\n"],
                "by {step}"
            );
            assert_eq!(input.content(), &b"GET /3 HTTP/1.1\r\n"[..]);
        }
    }

    // Of all that one read returned, only the first byte is known to have come before the turn.
    #[test]
    fn only_what_a_read_begins_with_began_to_arrive_before_the_turn() {
        const HEAD: &str = "GET / HTTP/1.1\r\n\r\n";
        let arrived = |text: String, content: usize| {
            let mut input = Input::default();
            input.append(text.into());
            input.arrived = turn();
            if content > 0 {
                input.content().advance(content);
            }
            let heads =
                std::iter::from_fn(|| input.take_head().unwrap().map(|_| input.take_arrived().is_some()));
            heads.collect::<Vec<_>>()
        };
        let (done, is_done) = std::sync::mpsc::channel();
        crate::rt::spawn(async move {
            let came = [
                arrived([HEAD, HEAD].concat(), 0),
                arrived(["\r\n", HEAD].concat(), 0),
                arrived(["abc", HEAD].concat(), 3),
            ];
            done.send(came).unwrap();
        });
        assert_eq!(is_done.recv().unwrap(), [vec![true, false], vec![false], vec![false]]);
    }

    #[test]
    fn empty_lines_in_front_of_a_request_have_a_bound() {
        for (lines, is_refused) in [(MAX_EMPTY, false), (MAX_EMPTY + 1, true)] {
            for step in [1, 7, MAX_EMPTY + 1] {
                let mut input = Input::default();
                let refused = vec![b'\n'; lines].chunks(step).find_map(|piece| {
                    input.append(Bytes::copy_from_slice(piece));
                    input.take_head().err()
                });
                let status = refused.map(|refused| refused.status.as_u16());
                assert_eq!(status, is_refused.then_some(400), "{lines} by {step}");
            }
        }
        // Each request has its own.
        let mut input = Input::default();
        let text = ["\r\n".repeat(MAX_EMPTY / 2).as_str(), "GET / HTTP/1.1\r\n\r\n"].concat();
        assert_eq!(heads(&mut input, text.repeat(3).as_bytes()).len(), 3);
    }

    #[test]
    fn a_head_has_a_bound_to_the_byte() {
        let start = b"GET / HTTP/1.1\r\na: ";
        for (len, status) in [(MAX_HEAD, None), (MAX_HEAD + 1, Some(431))] {
            let head = [&start[..], &vec![b'x'; len - start.len() - 4], b"\r\n\r\n"].concat();
            for step in [1000, len] {
                let mut input = Input::default();
                let refused = head.chunks(step).find_map(|piece| {
                    input.append(Bytes::copy_from_slice(piece));
                    input.take_head().err()
                });
                assert_eq!(refused.map(|refused| refused.status.as_u16()), status, "{len} by {step}");
            }
        }
        let mut input = Input::default();
        input.append([b"GET /", vec![b'x'; MAX_HEAD].as_slice()].concat().into());
        assert_eq!(input.take_head().unwrap_err().status.as_u16(), 414);
    }

    // Each byte is copied and scanned a bounded number of times.
    #[test]
    fn a_head_that_drips_costs_no_more_than_its_bytes() {
        let mut input = Input::default();
        input.append(Bytes::from_static(b"GET / HTTP/1.1\r\na: "));
        for _ in 0..MAX_HEAD - 100 {
            input.append(Bytes::from_static(b"x"));
            assert_eq!(input.take_head(), Ok(None));
        }
        input.append(Bytes::from_static(b"\r\n\r\n"));
        assert!(input.take_head().unwrap().is_some() && input.is_empty());
    }
}
