//! Bodies of other frameworks through a chain, and a chain as the body of other frameworks.

use std::cell::Cell;
use std::convert::Infallible;
use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use sluicegate::body::PacedBody;
use sluicegate::brigade::{Brigade, Bucket};
use sluicegate::clock::ManualClock;
use sluicegate::filter::{Chain, RateFilter};
use sluicegate::generator::{BodyGenerator, Generator};
use sluicegate::limit::{Limit, Rate};
use testkit::task::Task;

/// Takes all buckets of a body into brigades with so much room.
fn buckets<B>(body: B, room: u64) -> Vec<Bucket>
where
    B: Body + Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let (mut generator, mut all) = (BodyGenerator::new(body), Vec::new());
    loop {
        let mut brigade = Brigade::with_budget(room);
        assert!(Task::default().poll(|cx| generator.poll_fill(cx, &mut brigade)).is_ready());
        assert!(!brigade.is_empty() && brigade.bytes() <= room, "{brigade:?}");
        all.extend(std::iter::from_fn(|| brigade.pop()));
        if matches!(all.last(), Some(Bucket::Eos | Bucket::Error(_))) {
            return all;
        }
    }
}

fn frames<D: Buf, E>(frames: Vec<Result<Frame<D>, E>>) -> impl Body<Data = D, Error = E> {
    StreamBody::new(futures_lite::stream::iter(frames))
}

fn text(buckets: &[Bucket]) -> String {
    format!("{buckets:?}")
}

#[test]
fn frames_become_buckets_no_larger_than_the_room_and_empty_ones_are_skipped() {
    let (first, second): (&[u8], &[u8]) = (b"abcde", b"f");
    let mut fields = HeaderMap::new();
    fields.insert("checksum", "1".parse().unwrap());
    let body = frames::<&[u8], Infallible>(vec![
        Ok(Frame::data(first)),
        Ok(Frame::data(b"")),
        Ok(Frame::data(second)),
        Ok(Frame::trailers(fields.clone())),
    ]);
    let expected = [
        Bucket::Data("ab".into()),
        Bucket::Data("cd".into()),
        Bucket::Data("e".into()),
        Bucket::Data("f".into()),
        Bucket::Trailers(Box::new(fields)),
        Bucket::Eos,
    ];
    assert_eq!(text(&buckets(body, 2)), text(&expected));
    assert_eq!(text(&buckets(Empty::<Bytes>::new(), 2)), text(&[Bucket::Eos]));
}

#[test]
fn an_error_of_the_body_follows_what_came_before_it_with_its_causes() {
    let broken = std::io::Error::other("connection reset");
    let body = frames(vec![Ok(Frame::data(Bytes::from("ab"))), Err(broken)]);
    let [Bucket::Data(data), Bucket::Error(error)] = &buckets(body, 100)[..] else { panic!("two buckets") };
    assert_eq!((&data[..], error.to_string().as_str()), (&b"ab"[..], "body: connection reset"));
}

#[test]
fn the_length_that_is_known_is_passed_on() {
    let mut generator = BodyGenerator::new(Full::new(Bytes::from("abcde")));
    assert_eq!(generator.min_remaining(), 5);
    let mut brigade = Brigade::with_budget(2);
    assert!(Task::default().poll(|cx| generator.poll_fill(cx, &mut brigade)).is_ready());
    assert_eq!((brigade.to_bytes(), generator.min_remaining()), (Bytes::from("ab"), 3));
}

/// A body that may be sent to another thread and not shared, as axum's.
struct Unsync(Full<Bytes>, Cell<u32>);

impl Body for Unsync {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.1.set(self.1.get() + 1);
        Pin::new(&mut self.0).poll_frame(cx)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

// `.boxed()` needs `Send + Sync`.
#[test]
fn a_paced_body_is_boxed_whatever_it_is_made_of() {
    let clock = Arc::new(ManualClock::new());
    let chain = Chain::new().then(RateFilter::new(Limit::new(Rate::new(5_000).unwrap())));
    let inner = Unsync(Full::new(Bytes::from(vec![7; 2_000])), Cell::new(0));
    let mut body = PacedBody::new(BodyGenerator::new(inner), chain, clock.clone()).boxed();
    let (task, mut all) = (Task::default(), Vec::new());
    loop {
        match task.poll(|cx| Pin::new(&mut body).poll_frame(cx)) {
            Poll::Pending => drop(clock.advance_to_next().expect("it sleeps")),
            Poll::Ready(None) => break,
            Poll::Ready(Some(frame)) => all.push(frame.unwrap().into_data().unwrap().len()),
        }
    }
    assert_eq!(all, [1_000, 1_000]);
}
