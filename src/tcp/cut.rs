//! A stream that is given up must not look complete.

use std::sync::Arc;

use super::half::Half;
use super::record::Record;
use crate::rt::Socket;
use crate::sink::{Sink, SinkState};

/// Resets what a stream connects when it is given up or dropped before its end: the client unless it was
/// given all there was, the upstream unless both directions ended.
///
/// It holds the connections, so that they are not closed before.
pub(super) struct Cut {
    sink: Arc<SinkState>,
    record: Arc<Record>,
    _client: Half<Sink>,
    upstream: Option<Half<Socket>>,
}

impl Cut {
    pub(super) fn new(sink: Arc<SinkState>, client: &Half<Sink>, record: &Arc<Record>) -> Self {
        Self { sink, record: Arc::clone(record), _client: client.clone(), upstream: None }
    }

    /// Has the upstream reset too.
    pub(super) fn and(&mut self, upstream: &Half<Socket>) {
        self.upstream = Some(upstream.clone());
    }

    /// Both directions ended as they should.
    pub(super) fn ended(&mut self) {
        self.upstream = None;
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        if !self.record.is_complete() {
            self.sink.abort();
        }
        if let Some(upstream) = &self.upstream {
            upstream.lock().reset_on_close();
        }
    }
}
