//! Limits the rate of any HTTP body.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};

use super::Meter;
use super::pace::Pace;
use crate::budget::{Held, Node};

pin_project_lite::pin_project! {
    /// Limits the rate of an [`http_body::Body`] by a node and all nodes above.
    ///
    /// Data waits for its turn and is passed on in pieces; trailers and errors pass at once. At most one frame is held: the
    /// inner body is polled for the next when that has passed, which holds its source back.
    ///
    /// *Cancel safety*: dropping it returns what was reserved.
    pub struct Paced<B> {
        #[pin]
        body: B,
        // What waits of the last frame.
        data: Bytes,
        pace: Pace,
    }
}

impl<B> Paced<B> {
    /// Limits `body` by `node`.
    pub fn new(body: B, node: &Node) -> Self {
        Self::metered(body, node, Meter::new(node.clock().clone()))
    }

    pub(super) fn metered(body: B, node: &Node, meter: Meter) -> Self {
        Self { body, data: Bytes::new(), pace: Pace::new(node, meter) }
    }

    /// Returns the meter of what passed.
    pub fn meter(&self) -> &Meter {
        self.pace.meter()
    }

    /// Returns the node that limits it.
    pub fn node(&self) -> &Node {
        self.pace.node()
    }

    /// Returns what it waits for; `None` if it does not wait.
    pub fn held(&self) -> Option<Held> {
        self.pace.held()
    }

    /// Returns the inner body.
    pub fn get_ref(&self) -> &B {
        &self.body
    }

    /// Returns the inner body. Data that waits for its turn is not in it any more.
    pub fn get_mut(&mut self) -> &mut B {
        &mut self.body
    }

    /// Returns the inner body. Data that waits for its turn is lost.
    pub fn into_inner(self) -> B {
        self.body
    }
}

impl<B: Body> Body for Paced<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        if this.data.is_empty() {
            let Some(frame) = ready!(this.body.poll_frame(cx)?) else { return Poll::Ready(None) };
            // No copy if it is `Bytes` already.
            match frame.map_data(|mut data| data.copy_to_bytes(data.remaining())).into_data() {
                Ok(data) if data.is_empty() => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Ok(data) => *this.data = data,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        let turn = ready!(this.pace.poll_turn(cx, this.data.len()));
        this.pace.passed(turn);
        Poll::Ready(Some(Ok(Frame::data(this.data.split_to(turn)))))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (inner, here) = (self.body.size_hint(), self.data.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower().saturating_add(here));
        if let Some(upper) = inner.upper().and_then(|upper| upper.checked_add(here)) {
            hint.set_upper(upper);
        }
        hint
    }
}

impl<B: fmt::Debug> fmt::Debug for Paced<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Paced").field("body", &self.body).field("pace", &self.pace).finish_non_exhaustive()
    }
}
