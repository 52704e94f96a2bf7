//! Requests of streams.

use super::node::Ask;
use super::{NodeId, Tree};
use crate::clock::Instant;
use std::time::Duration;

impl Tree {
    /// Requests a turn to send `bytes`; queues the stream and returns `None` if none can be granted now.
    ///
    /// A turn granted since the last call is returned at once. It may be for less than `bytes`, or for more if more was
    /// requested then; [give back](Self::give_back) what is not sent. A request for zero bytes is granted zero.
    pub fn ask(&mut self, stream: NodeId, bytes: u64, now: Instant) -> Option<u64> {
        let waited = matches!(self.node(stream).ask, Ask::Waiting(_));
        match self.node(stream).ask {
            Ask::Granted(granted) => {
                self.quiet(stream);
                return Some(granted);
            }
            Ask::Waiting(_) => self.node_mut(stream).ask = Ask::Waiting(bytes.max(1)),
            Ask::Quiet if bytes == 0 => return Some(0),
            Ask::Quiet => {
                self.node_mut(stream).ask = Ask::Waiting(bytes);
                self.count(stream);
                self.enqueue(stream);
            }
        }
        self.dispatch(now);
        let Ask::Granted(granted) = self.node(stream).ask else {
            if let (Some(binding), false) = (self.binding(stream), waited) {
                self.node_mut(binding).parts_mut().waits += 1;
                if let Some(above) = self.node(binding).parent {
                    self.node_mut(above).parts_mut().below.waits += 1;
                }
            }
            return None;
        };
        self.quiet(stream);
        // Returned here, so not listed too.
        self.granted.retain(|granted| *granted != stream);
        Some(granted)
    }

    /// Withdraws what a stream asked for, and gives back a grant that it has not collected.
    pub fn withdraw(&mut self, stream: NodeId, now: Instant) {
        match self.quiet(stream) {
            Ask::Quiet => {}
            Ask::Waiting(_) => self.dequeue(stream),
            Ask::Granted(bytes) => {
                self.granted.retain(|granted| *granted != stream);
                self.give_back(stream, bytes, now);
            }
        }
    }

    /// Adds the weight of a stream that waits to its parent's sum, and so on up to the first that is counted already.
    fn count(&mut self, stream: NodeId) {
        let mut at = stream;
        while let (false, Some(parent)) = (self.node(at).is_counted, self.node(at).parent) {
            let weight = self.node(at).weight();
            self.node_mut(at).is_counted = true;
            self.node_mut(parent).parts_mut().waiting_weight += weight;
            at = parent;
        }
    }

    /// Ends what a stream asked for; returns that.
    pub(super) fn quiet(&mut self, stream: NodeId) -> Ask {
        let asked = std::mem::replace(&mut self.node_mut(stream).ask, Ask::Quiet);
        self.unweigh(stream);
        self.discount(stream);
        asked
    }

    /// Takes a stream that no longer waits, and the nodes above of which the same holds, from the sums of their parents.
    pub(super) fn discount(&mut self, stream: NodeId) {
        let mut at = stream;
        while let (true, false, Some(parent)) =
            (self.node(at).is_counted, self.node(at).is_active(), self.node(at).parent)
        {
            self.set_short(at, false);
            let weight = self.node(at).weight();
            self.node_mut(at).is_counted = false;
            self.node_mut(parent).parts_mut().waiting_weight -= weight;
            at = parent;
        }
    }

    /// Returns `bytes` of a turn that were not sent, for others to use.
    pub fn give_back(&mut self, stream: NodeId, bytes: u64, now: Instant) {
        if bytes == 0 {
            return;
        }
        self.node_mut(stream).bytes -= bytes.min(self.node(stream).bytes);
        let mut child = stream;
        while let Some(parent) = self.node(child).parent {
            self.node_mut(child).finish_earlier(bytes);
            self.node_mut(parent).give_back(bytes);
            // It may be able to pay sooner than it was parked for.
            self.unpark(parent);
            child = parent;
        }
        let mut at = self.node(stream).parent;
        while let Some(id) = at {
            self.enqueue(id);
            at = self.node(id).parent;
        }
        self.dispatch(now);
    }

    /// Returns the node that a waiting stream is held by: the lowest above it that cannot pay, else the root, whose
    /// turn it waits for. `None` if the stream is not waiting.
    pub fn binding(&self, stream: NodeId) -> Option<NodeId> {
        if !matches!(self.node(stream).ask, Ask::Waiting(_)) {
            return None;
        }
        let mut at = stream;
        while let Some(parent) = self.node(at).parent {
            if self.node(parent).is_parked() {
                return Some(parent);
            }
            at = parent;
        }
        Some(at)
    }

    /// Estimates when a waiting stream's turn comes if no stream joins or leaves. `None` if it is not waiting.
    pub fn expected(&self, stream: NodeId) -> Option<Instant> {
        let binding = self.binding(stream)?;
        let due = self.node(binding).parked()?;
        let rate = self.node(binding).parts().meter.as_ref()?.rate().bytes_per_second();
        let (mut ahead, mut at) = (0, stream);
        while let Some(parent) = self.node(at).parent {
            ahead = ahead.max(self.node(parent).ahead_of(self.node(at).place));
            if parent == binding {
                break;
            }
            at = parent;
        }
        let nanos = u128::from(ahead) * 1_000_000_000 / u128::from(rate);
        Some(due + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }
}
