//! HTTP bodies of any kind at a pace.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full, StreamBody};
use sluicegate::throttle::Paced;

use super::scene::{CleanClock, Task, content, node};

/// Reads a body to its end: data by the instant at which it came, and the trailers.
fn drain<B>(body: B, clock: &CleanClock) -> (Vec<u8>, Vec<(u64, usize)>, Option<HeaderMap>)
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Debug,
{
    let (mut body, task) = (body, Task::default());
    let (mut all, mut timeline, mut trailers) = (Vec::new(), Vec::new(), None);
    loop {
        match task.poll(|cx| Pin::new(&mut body).poll_frame(cx)) {
            Poll::Pending => drop(clock.0.advance_to_next().expect("it waits for its turn")),
            Poll::Ready(None) => return (all, timeline, trailers),
            Poll::Ready(Some(frame)) => match frame.unwrap().into_data() {
                Ok(data) => {
                    all.extend_from_slice(&data);
                    timeline.push((clock.millis(), all.len()));
                }
                Err(frame) => trailers = frame.into_trailers().ok(),
            },
        }
    }
}

#[test]
fn data_waits_for_its_turn_and_the_rest_is_reported_exactly() {
    let (clock, node) = node(10_000);
    let mut body = Paced::new(Full::new(Bytes::from(content(0..7_000))), &node);
    assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(7_000), false));
    let first = Task::default().poll(|cx| Pin::new(&mut body).poll_frame(cx));
    assert!(matches!(first, Poll::Ready(Some(Ok(frame))) if frame.data_ref().unwrap() == &content(0..2_000)));
    assert_eq!(body.size_hint().exact(), Some(5_000), "the inner body has given all it had");
    assert!(body.get_ref().is_end_stream() && !body.is_end_stream());
    let (all, timeline, _) = drain(&mut body, &clock);
    assert!(all == content(2_000..7_000));
    assert_eq!(timeline, [(200, 2_000), (400, 4_000), (500, 5_000)]);
    assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(0), true));
    let report = body.meter().report();
    assert_eq!((report.bytes, report.waits), (7_000, 3));
}

#[test]
fn trailers_empty_frames_and_errors_need_no_turn() {
    let (clock, node) = node(10_000);
    let mut fields = HeaderMap::new();
    fields.insert("checksum", "1".parse().unwrap());
    let frames = |end: Result<Frame<Bytes>, &'static str>| {
        let data = |len| Ok(Frame::data(Bytes::from(content(0..len))));
        StreamBody::new(futures_lite::stream::iter([data(0), data(2_000), data(0), end]))
    };
    let (all, timeline, trailers) =
        drain(Paced::new(frames(Ok(Frame::trailers(fields.clone()))), &node), &clock);
    assert_eq!((all.len(), timeline), (2_000, vec![(0, 0), (0, 2_000), (0, 2_000)]));
    assert_eq!(trailers, Some(fields));
    clock.0.advance(std::time::Duration::from_millis(200));
    let failed = Paced::new(frames(Err("broken")), &node);
    assert_eq!(futures_lite::future::block_on(failed.collect()).err(), Some("broken"));
    assert_eq!(clock.millis(), 200);
}

/// Data in two parts that are not one piece of memory.
struct Parts(VecDeque<(Bytes, Bytes)>);

impl Body for Parts {
    type Data = bytes::buf::Chain<Bytes, Bytes>;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|(a, b)| Ok(Frame::data(a.chain(b)))))
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = SizeHint::new();
        hint.set_lower(self.0.iter().map(|(a, b)| (a.len() + b.len()) as u64).sum());
        hint
    }
}

#[test]
fn any_kind_of_data_will_do_and_the_next_frame_is_asked_for_when_the_last_went() {
    let (clock, node) = node(10_000);
    let part = |from: usize, to: usize| Bytes::from(content(from..to));
    let parts = [(part(0, 1_500), part(1_500, 3_000)), (part(3_000, 3_001), part(3_001, 4_000))];
    let mut body = Paced::new(Parts(parts.into()), &node);
    assert!(Task::default().poll(|cx| Pin::new(&mut body).poll_frame(cx)).is_ready());
    assert_eq!(body.get_ref().0.len(), 1);
    assert_eq!((body.size_hint().lower(), body.size_hint().upper()), (2_000, None));
    let (all, timeline, _) = drain(body, &clock);
    assert!(all == content(2_000..4_000));
    assert_eq!(timeline, [(100, 1_000), (200, 2_000)]);
}

#[test]
fn dropped_while_it_waits_it_leaves_nothing_behind() {
    let (clock, node) = node(10_000);
    let (task, mut body) = (Task::default(), Paced::new(Full::new(Bytes::from(content(0..7_000))), &node));
    assert!(task.poll(|cx| Pin::new(&mut body).poll_frame(cx)).is_ready());
    assert!(task.poll(|cx| Pin::new(&mut body).poll_frame(cx)).is_pending());
    assert_eq!(body.held().unwrap().by.as_ref(), "server");
    assert_eq!((clock.0.sleepers(), body.node().children()), (1, 1));
    drop(body);
    assert_eq!((node.passed().bytes, node.children(), clock.0.sleepers()), (2_000, 0, 0));
}
