//! How much of the content that an HTTP/2 connection was sent waits to be read.

use std::collections::HashMap;
use std::sync::Arc;

use h2::{FlowControl, RecvStream};

use crate::sync::Mutex;

/// The requests of one HTTP/2 connection whose content may still come, by the numbers of their streams.
#[derive(Clone, Default)]
pub(crate) struct Unread(Arc<Mutex<HashMap<u32, FlowControl>>>);

impl Unread {
    /// Bytes that were sent and are not read. Asks each stream: not for the path of each frame.
    pub(crate) fn bytes(&self) -> usize {
        self.0.lock().values().map(FlowControl::used_capacity).sum()
    }

    pub(super) fn add(&self, stream: &mut RecvStream) {
        let flow = stream.flow_control().clone();
        self.0.lock().insert(stream.stream_id().as_u32(), flow);
    }

    pub(super) fn remove(&self, stream: &RecvStream) {
        // Dropped without the lock, since that takes the framing's.
        let flow = self.0.lock().remove(&stream.stream_id().as_u32());
        drop(flow);
    }
}
