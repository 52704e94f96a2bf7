//! What one stream has in the framing, and how much its connection may have there in all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes};

use crate::sink::{Charge, HeldAs, SinkState};
use crate::sync::Mutex;

/// Bytes that the streams of one connection may hold together, content and pieces in the framing. Above that each
/// gets at most [`CROWDED_CHUNK`] at a time, and no more before these have left.
const MAX_HELD: u64 = 1024 * 1024;

/// The most bytes a stream asks its body for at a time while its connection holds more than [`MAX_HELD`].
pub(super) const CROWDED_CHUNK: u64 = 4096;

/// Responses of one connection that are coded at a time; further ones are sent uncoded. A coder holds some
/// 300 KiB for as long as its response lasts.
pub(in crate::http::server) const MAX_CODERS: usize = 8;

/// Whether a connection's streams hold more than they may together.
pub(in crate::http::server) fn is_crowded(sink: &SinkState) -> bool {
    let held = sink.counts().held();
    held.of(HeldAs::Http2) + held.of(HeldAs::Content) > MAX_HELD
}

/// Some bytes of a response in the framing, which drops them once they are written.
pub(super) struct Piece {
    bytes: Bytes,
    /// For the chunk that this is the last piece of.
    _charge: Option<StreamCharge>,
}

impl Piece {
    pub(super) fn new(bytes: Bytes, charge: Option<StreamCharge>) -> Self {
        Self { bytes, _charge: charge }
    }

    /// No bytes: the end of a stream.
    pub(super) fn end() -> Self {
        Self::new(Bytes::new(), None)
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, n: usize) {
        self.bytes.advance(n);
    }
}

/// The pieces of one stream that are in the framing.
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

    /// Ready when nothing of this stream is in the framing.
    pub(super) fn poll_empty(&self, cx: &Context<'_>) -> Poll<()> {
        if self.bytes.load(Ordering::SeqCst) == 0 {
            return Poll::Ready(());
        }
        *self.waiting.lock() = Some(cx.waker().clone());
        self.is_awaited.store(true, Ordering::SeqCst);
        // The last may have been dropped before the flag was set.
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
            let waiting = self.stream.waiting.lock().take();
            if let Some(waiting) = waiting {
                waiting.wake();
            }
        }
    }
}
