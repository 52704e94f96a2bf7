//! What one stream of HTTP/2 has with the framing, and how much its connection may have there in all.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::sink::{Charge, HeldAs, SinkState};

/// Bytes that streams of one connection may hold together, content and pieces with the framing, before each gets
/// no more than [`CROWDED_PIECE`] at a time, and no more at all before that has left.
pub(super) const MAX_HELD: u64 = 1024 * 1024;

/// The most bytes of a piece while the connection holds more than [`MAX_HELD`].
pub(super) const CROWDED_PIECE: u64 = 4096;

/// Responses of one HTTP/2 connection that are coded at a time; further ones go as they are. A coder has some
/// 300 KiB for as long as its response lasts.
pub(super) const MAX_CODERS: usize = 8;

/// Whether a connection's streams hold more than they may together.
pub(super) fn is_crowded(sink: &SinkState) -> bool {
    let held = sink.counts().held();
    held.of(HeldAs::Http2) + held.of(HeldAs::Content) > MAX_HELD
}

/// The pieces of one stream that are with the framing.
pub(super) struct StreamHeld {
    sink: Arc<SinkState>,
    /// Bytes that were charged and are not dropped.
    bytes: AtomicU64,
    is_awaited: AtomicBool,
    waiting: Mutex<Option<Waker>>,
}

impl StreamHeld {
    pub(super) fn new(sink: &Arc<SinkState>) -> Arc<Self> {
        Arc::new(Self {
            sink: Arc::clone(sink),
            bytes: AtomicU64::new(0),
            is_awaited: AtomicBool::new(false),
            waiting: Mutex::default(),
        })
    }

    /// Whether the connection's streams hold more than they may together.
    pub(super) fn is_crowded(&self) -> bool {
        is_crowded(&self.sink)
    }

    /// Ready when nothing of this stream is with the framing.
    pub(super) fn poll_empty(&self, cx: &Context<'_>) -> Poll<()> {
        if self.bytes.load(Ordering::SeqCst) == 0 {
            return Poll::Ready(());
        }
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
        self.is_awaited.store(true, Ordering::SeqCst);
        // The last may have gone before we said that we wait.
        if self.bytes.load(Ordering::SeqCst) == 0 { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Charges `bytes` that are on their way to the framing.
    pub(super) fn charge(self: &Arc<Self>, bytes: u64) -> StreamCharge {
        let mut charge = Charge::new(&self.sink, HeldAs::Http2);
        charge.set(bytes);
        self.bytes.fetch_add(bytes, Ordering::SeqCst);
        StreamCharge { stream: Arc::clone(self), bytes, _charge: charge }
    }
}

/// Bytes of one stream on its connection's account, until it is dropped.
pub(super) struct StreamCharge {
    stream: Arc<StreamHeld>,
    bytes: u64,
    _charge: Charge,
}

impl Drop for StreamCharge {
    fn drop(&mut self) {
        let left = self.stream.bytes.fetch_sub(self.bytes, Ordering::SeqCst) - self.bytes;
        if left == 0 && self.stream.is_awaited.swap(false, Ordering::SeqCst) {
            let waiting = self.stream.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
            waiting.into_iter().for_each(Waker::wake);
        }
    }
}
