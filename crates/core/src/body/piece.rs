//! Takes pieces of content out of a body.

use std::hint::black_box;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;

use super::{BodyError, PacedBody, ReadFile, Wait};
use crate::brigade::{Bucket, FileSlice};
use crate::generator::Generator;

/// The least that is read of a file for a frame of one byte.
const MIN_READ: u64 = 2048;

/// A piece of a body's content.
#[derive(Clone, Debug)]
pub enum Piece {
    /// Bytes in memory.
    Data(Bytes),
    /// Bytes of a file, to be sent without being read. The body keeps them until [`PacedBody::sent`].
    File(FileSlice),
    /// The trailer section. Nothing follows.
    Trailers(Box<HeaderMap>),
}

impl Piece {
    /// Returns the frame of an HTTP body. A file slice has none, and gives no bytes.
    pub(super) fn into_frame(self) -> Frame<Bytes> {
        match self {
            Self::Data(bytes) => Frame::data(bytes),
            Self::File(_) => Frame::data(Bytes::new()),
            Self::Trailers(fields) => Frame::trailers(*fields),
        }
    }
}

impl<G: Generator, R: ReadFile> PacedBody<G, R> {
    /// Returns the next piece of content, as [`poll_frame`](http_body::Body::poll_frame) does, but at least `min_file` bytes
    /// that are due of a file whose reader says that they [are at hand](ReadFile::is_at_hand) as [`Piece::File`].
    ///
    /// Such a piece stays in the body: report what was sent of it to [`sent`](Self::sent). The next call returns what is
    /// left, or the same again; with another `min_file` perhaps as bytes.
    ///
    /// # Errors
    /// The source or a filter failed. Abort the exchange.
    pub fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
        min_file: u64,
    ) -> Poll<Option<Result<Piece, BodyError>>> {
        let began = self.clock.now();
        self.yielded = false;
        let polled = self.poll_next(cx, began, min_file);
        self.waits.end(began);
        // The gate adds up its waits itself.
        if polled.is_pending() && !self.gate.is_waiting() && !self.yielded {
            let wait = if self.sleep.is_armed() { Wait::Pace(self.due) } else { Wait::Source };
            self.waits.begin(wait, began);
        }
        if self.ended || polled.is_pending() && !self.yielded {
            self.turn.end();
        }
        polled
    }

    /// Has the processor fetch what [`poll_piece`](Self::poll_piece) is about to use, all at once: reads a word of each part,
    /// none of which is known from another. Of thousands of bodies, each has left the cache when its turn comes, and one word
    /// fetched after the other takes longer than the work.
    pub fn prefetch(&self) {
        self.generator.prefetch();
        self.chain.prefetch();
        self.output.prefetch();
        self.gate.prefetch();
        black_box((self.due, self.max_frame, self.ended, self.exhausted, self.sleep.is_armed()));
        black_box((self.reading.is_some(), self.ahead.is_some(), self.waits.past(), self.yielded));
    }

    /// Removes the first `bytes` of the last [`Piece::File`], which were sent.
    ///
    /// # Panics
    /// In debug builds, if that is more than the piece had.
    pub fn sent(&mut self, bytes: u64) {
        let sent = self.output.pop_within(bytes);
        debug_assert!(matches!(sent, Some(Bucket::File(_))), "there was no file to send");
        self.gate.sent(bytes);
    }

    /// Takes the next piece out of `output`; `Ready(None)` when that is empty.
    pub(super) fn poll_output(
        &mut self,
        cx: &mut Context<'_>,
        min_file: u64,
    ) -> Poll<Option<Result<Piece, BodyError>>> {
        while let Some(bucket) = self.output.front() {
            let len = bucket.len();
            if len > 0 && self.gate.granted() == 0 {
                ready!(self.gate.poll_turn(cx, self.output.bytes()));
            }
            let granted = self.gate.granted().min(self.max_frame);
            if let Bucket::File(slice) = bucket {
                let slice = slice.clone();
                return self.poll_file(cx, slice, granted, min_file).map(Some);
            }
            match self.output.pop_within(granted) {
                Some(Bucket::Data(bytes)) => {
                    self.gate.sent(bytes.len() as u64);
                    return Poll::Ready(Some(Ok(Piece::Data(bytes))));
                }
                Some(Bucket::Trailers(fields)) => return Poll::Ready(Some(Ok(Piece::Trailers(fields)))),
                Some(Bucket::Error(error)) => {
                    return Poll::Ready(Some(Err(self.fail(BodyError::source(error)))));
                }
                // HTTP framing flushes whenever the body has nothing more at the moment.
                Some(Bucket::Flush | Bucket::File(_)) => {}
                Some(Bucket::Eos) | None => self.ended = true,
            }
        }
        Poll::Ready(None)
    }

    /// Returns or reads the beginning of `slice`, the first in `output`.
    fn poll_file(
        &mut self,
        cx: &mut Context<'_>,
        mut slice: FileSlice,
        granted: u64,
        min_file: u64,
    ) -> Poll<Result<Piece, BodyError>> {
        if slice.len().min(granted) >= min_file {
            slice = slice.split_to(granted);
            if self.files.is_at_hand(&slice) {
                return Poll::Ready(Ok(Piece::File(slice)));
            }
        }
        // Reading one byte costs as much as reading some more: those wait in `output`, in memory of their size.
        let slice = slice.split_to(if self.max_frame == 1 { MIN_READ } else { granted });
        let read = ready!(self.files.poll_read(cx, &slice));
        Poll::Ready(match read.and_then(|bytes| slice.accept(bytes)) {
            Ok(mut bytes) => {
                let _read = self.output.pop_within(bytes.len() as u64);
                if bytes.len() as u64 > granted {
                    bytes = Bytes::copy_from_slice(&bytes);
                    // Less than the length, so it is a usize.
                    self.output.push_front(bytes.split_off(granted as usize));
                }
                self.gate.sent(bytes.len() as u64);
                Ok(Piece::Data(bytes))
            }
            Err(error) => Err(self.fail(BodyError::source(error))),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::Waker;

    use http_body::Body;

    use super::*;
    use crate::brigade::{Brigade, MAX_PIECE, SourceError};
    use crate::budget::{Gate, Node};
    use crate::clock::{Clock, Instant, ManualClock};
    use crate::filter::{Chain, Filter, FilterError, RateFilter, Verdict};
    use crate::limit::{Budget, Limit, Rate};

    /// Has files at hand if told so, and reads `x`.
    struct Disk {
        at_hand: bool,
    }

    impl ReadFile for Disk {
        fn poll_read(&mut self, _: &mut Context<'_>, slice: &FileSlice) -> Poll<Result<Bytes, SourceError>> {
            Poll::Ready(Ok(vec![b'x'; slice.len() as usize].into()))
        }

        fn is_at_hand(&mut self, _: &FileSlice) -> bool {
            self.at_hand
        }
    }

    struct Scene {
        clock: Arc<ManualClock>,
        body: PacedBody<Brigade, Disk>,
    }

    impl Scene {
        fn new(len: u64, rate: u64) -> Self {
            let clock = Arc::new(ManualClock::new());
            let slice = FileSlice::new(Arc::new(tempfile::tempfile().unwrap()), 7, len);
            let page: Brigade = [slice.into()].into_iter().collect();
            let chain = Chain::new().then(RateFilter::new(Limit::new(Rate::or_unlimited(rate))));
            let body = PacedBody::with_files(page, chain, clock.clone(), Disk { at_hand: true });
            Self { clock, body }
        }

        /// What comes next: `Err` for bytes, else offset and length in the file; `None` for nothing or the end.
        fn next(&mut self, min_file: u64) -> Option<Result<(u64, u64), u64>> {
            match self.body.poll_piece(&mut Context::from_waker(Waker::noop()), min_file) {
                Poll::Ready(Some(Ok(Piece::File(slice)))) => Some(Ok((slice.offset(), slice.len()))),
                Poll::Ready(Some(Ok(Piece::Data(bytes)))) => Some(Err(bytes.len() as u64)),
                Poll::Ready(Some(other)) => panic!("{other:?}"),
                Poll::Ready(None) | Poll::Pending => None,
            }
        }
    }

    #[test]
    fn a_slice_stays_until_it_is_sent_and_may_be_read_after_all() {
        let mut scene = Scene::new(100_000, 50_000);
        assert_eq!(scene.next(1), Some(Ok((7, 10_000))));
        assert_eq!(scene.next(1), Some(Ok((7, 10_000))), "none of it was sent");
        scene.body.sent(4_000);
        assert_eq!(scene.next(1), Some(Ok((4_007, 6_000))));
        assert_eq!(scene.next(6_001), Some(Err(6_000)), "it is read");
        assert_eq!(scene.next(1), None);
        assert_eq!(scene.clock.advance_to_next().unwrap().as_nanos(), 200_000_000);
        assert_eq!(scene.next(10_000), Some(Ok((10_007, 10_000))));
        scene.body.files.at_hand = false;
        assert_eq!(scene.next(1), Some(Err(10_000)));
    }

    #[test]
    fn a_piece_is_as_large_as_the_output_and_the_end_is_seen_with_the_last() {
        let mut scene = Scene::new(MAX_PIECE + 1, 0);
        assert_eq!(scene.next(1), Some(Ok((7, MAX_PIECE))));
        assert!(!scene.body.is_end_stream());
        scene.body.sent(MAX_PIECE);
        assert_eq!(scene.next(1), Some(Ok((7 + MAX_PIECE, 1))));
        scene.body.sent(1);
        assert!(scene.body.is_end_stream());
        assert_eq!(scene.next(1), None);
    }

    #[test]
    fn a_turn_that_is_granted_is_paid_with_what_is_sent() {
        let mut scene = Scene::new(100_000, 0);
        let root = Node::root("server", Budget::of(Rate::or_unlimited(50_000)), scene.clock.clone());
        scene.body = scene.body.with_gate(Gate::new(root.clone(), Default::default()));
        assert_eq!(scene.next(1), Some(Ok((7, 10_000))));
        scene.body.sent(9_999);
        assert_eq!(scene.next(1), Some(Ok((10_006, 1))));
        scene.body.sent(1);
        assert_eq!(scene.next(1), None);
        assert_eq!(root.passed().bytes, 10_000);
        assert_eq!(scene.clock.now().as_nanos(), 0);
    }

    /// A body of `len` bytes that shares 50 000 bytes a second.
    fn shared(len: u64, chain: Chain) -> Scene {
        let mut scene = Scene::new(len, 0);
        scene.body.chain = chain;
        let root = Node::root("server", Budget::of(Rate::or_unlimited(50_000)), scene.clock.clone());
        scene.body = scene.body.with_gate(Gate::new(root, Default::default()));
        scene
    }

    /// The length of each piece that is sent until there is nothing more.
    fn sent(scene: &mut Scene) -> Vec<u64> {
        let mut lens = Vec::new();
        loop {
            match scene.next(1) {
                Some(Ok((offset, len))) => {
                    assert_eq!(offset, 7 + lens.iter().sum::<u64>());
                    scene.body.sent(len);
                    lens.push(len);
                }
                Some(Err(len)) => panic!("{len} bytes were read"),
                None if scene.body.is_end_stream() => return lens,
                None => drop(scene.clock.advance_to_next().expect("it waits for a turn")),
            }
        }
    }

    // A piece is no multiple of a share: each piece ended with a turn for what was left of them.
    #[test]
    fn every_turn_for_a_file_is_a_whole_share_until_the_end() {
        for chain in [Chain::new(), Chain::new().then(RateFilter::new(Limit::unlimited()))] {
            let mut scene = shared(10 * MAX_PIECE, chain);
            let lens = sent(&mut scene);
            let (last, all) = lens.split_last().unwrap();
            assert!(all.iter().all(|len| *len == 10_000), "{lens:?}");
            assert_eq!((all.len(), *last), (61, 4_400));
            // When the last byte is paid for, at 50 000 bytes a second.
            assert_eq!(scene.clock.now().as_nanos(), (10 * MAX_PIECE - 10_000) * 20_000);
        }
    }

    /// Lets so many bytes pass, and fails.
    struct Failing(u64);

    impl Filter for Failing {
        fn filter(
            &mut self,
            _: Instant,
            input: &mut Brigade,
            output: &mut Brigade,
        ) -> Result<Verdict, FilterError> {
            let passing = self.0.min(output.room());
            input.move_to(output, passing);
            self.0 -= passing;
            if self.0 == 0 { Err(FilterError::Failed("enough".into())) } else { Ok(Verdict::Ready) }
        }

        fn reads_bytes(&self) -> bool {
            false
        }
    }

    #[test]
    fn what_was_put_out_before_a_failure_is_sent_before_it() {
        // It fails while 35 536 bytes and less are still to be sent.
        let mut scene = shared(10 * MAX_PIECE, Chain::new().then(Failing(70_000)));
        let mut sent = 0;
        loop {
            match scene.body.poll_piece(&mut Context::from_waker(Waker::noop()), 1) {
                Poll::Ready(Some(Ok(Piece::File(slice)))) => {
                    scene.body.sent(slice.len());
                    sent += slice.len();
                }
                Poll::Ready(Some(Err(error))) => {
                    break assert!(error.to_string().contains("enough"), "{error}");
                }
                Poll::Ready(other) => panic!("{other:?}"),
                Poll::Pending => drop(scene.clock.advance_to_next().unwrap()),
            }
        }
        assert_eq!(sent, 70_000);
        assert!(matches!(
            scene.body.poll_piece(&mut Context::from_waker(Waker::noop()), 1),
            Poll::Ready(None)
        ));
    }
}
