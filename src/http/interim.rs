//! Interim responses (1xx): heads that are sent ahead of the answer (RFC 9110, section 15.2).

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use http::{HeaderMap, StatusCode};

use crate::sync::Mutex;

/// Interim responses that wait for one request, at most: a backend could send them faster than the client reads.
const MAX_WAITING: usize = 16;

/// Sends interim responses to the client of a request, such as 103 Early Hints.
///
/// The server puts one into the extensions of requests over HTTP/1.1 and HTTP/2, if the route's source sends them.
/// Without one, interim responses are dropped.
///
/// ```
/// use http::{HeaderMap, StatusCode};
/// use sluicegate::http::interim::Interim;
///
/// let interim = Interim::default();
/// let mut hints = HeaderMap::new();
/// hints.insert("link", "</style.css>; rel=preload".parse()?);
/// assert!(interim.send(StatusCode::EARLY_HINTS, hints.clone()));
/// assert!(!interim.send(StatusCode::OK, hints), "that is an answer");
/// # Ok::<(), http::header::InvalidHeaderValue>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Interim(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    heads: VecDeque<(StatusCode, HeaderMap)>,
    /// The connection's task, waiting for a head.
    task: Option<Waker>,
    /// The final response has begun: nothing more is sent before it.
    is_over: bool,
}

impl Interim {
    /// Queues a head with these fields. Does not wait. Returns false, and drops the head, if the final response has
    /// begun, 16 wait already, or the status is not interim or is one that the server sends itself (100, 101).
    pub fn send(&self, status: StatusCode, fields: HeaderMap) -> bool {
        let own = [StatusCode::CONTINUE, StatusCode::SWITCHING_PROTOCOLS];
        let mut waiting = self.0.lock();
        if !status.is_informational()
            || own.contains(&status)
            || waiting.is_over
            || waiting.heads.len() >= MAX_WAITING
        {
            return false;
        }
        waiting.heads.push_back((status, fields));
        let task = waiting.task.take();
        drop(waiting);
        task.into_iter().for_each(Waker::wake);
        true
    }

    /// Takes the next head, or waits for one.
    pub fn poll_next(&self, cx: &mut Context<'_>) -> Poll<(StatusCode, HeaderMap)> {
        let mut waiting = self.0.lock();
        if let Some(head) = waiting.heads.pop_front() {
            return Poll::Ready(head);
        }
        if !waiting.task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            waiting.task = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Notes that the final response has begun; heads that still wait are dropped.
    pub fn end(&self) {
        let mut waiting = self.0.lock();
        waiting.is_over = true;
        waiting.heads.clear();
        waiting.task = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wake_count::WakeCount;

    #[test]
    fn heads_come_out_in_order_and_wake_who_waits() {
        let interim = Interim::default();
        let wakes = WakeCount::default();
        let waker = wakes.waker();
        let mut cx = Context::from_waker(&waker);
        assert!(interim.poll_next(&mut cx).is_pending());
        for status in [StatusCode::EARLY_HINTS, StatusCode::PROCESSING] {
            assert!(interim.send(status, HeaderMap::new()));
        }
        assert_eq!(wakes.get(), 1);
        assert_eq!(interim.poll_next(&mut cx), Poll::Ready((StatusCode::EARLY_HINTS, HeaderMap::new())));
        assert_eq!(interim.poll_next(&mut cx), Poll::Ready((StatusCode::PROCESSING, HeaderMap::new())));
        assert!(interim.poll_next(&mut cx).is_pending());
    }

    #[test]
    fn only_what_may_go_ahead_is_taken_and_not_without_end() {
        let interim = Interim::default();
        for status in [100, 101, 200, 404] {
            assert!(!interim.send(StatusCode::from_u16(status).unwrap(), HeaderMap::new()), "{status}");
        }
        let sent = (0..100).filter(|_| interim.send(StatusCode::EARLY_HINTS, HeaderMap::new())).count();
        assert_eq!(sent, MAX_WAITING);
        interim.end();
        assert!(!interim.send(StatusCode::EARLY_HINTS, HeaderMap::new()), "too late");
        assert!(interim.poll_next(&mut Context::from_waker(Waker::noop())).is_pending());
    }
}
