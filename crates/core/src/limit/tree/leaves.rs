//! What a stream does: ask, give back, find out what holds it.

use super::node::Ask;
use super::{NodeId, Tree};
use crate::clock::Instant;
use std::time::Duration;

impl Tree {
    /// Asks for a turn to send `bytes`, and stands in line if it is not there.
    ///
    /// A turn that came since the last call is given at once: it may be less than is asked for, and also
    /// more if that was more; what is not sent is to be [given back](Self::give_back). Asked for nothing,
    /// it gives nothing.
    pub fn ask(&mut self, stream: NodeId, bytes: u64, now: Instant) -> Option<u64> {
        let waited = matches!(self.node(stream).ask, Ask::Waiting(_));
        match self.node(stream).ask {
            Ask::Granted(granted) => {
                self.node_mut(stream).ask = Ask::Quiet;
                return Some(granted);
            }
            Ask::Waiting(_) => self.node_mut(stream).ask = Ask::Waiting(bytes.max(1)),
            Ask::Quiet if bytes == 0 => return Some(0),
            Ask::Quiet => {
                self.node_mut(stream).ask = Ask::Waiting(bytes);
                self.stand_in_line(stream);
            }
        }
        self.dispatch(now);
        let Ask::Granted(granted) = self.node(stream).ask else {
            if let (Some(binding), false) = (self.binding(stream), waited) {
                self.node_mut(binding).passed.waits += 1;
                if let Some(above) = self.node(binding).parent {
                    self.node_mut(above).below.waits += 1;
                }
            }
            return None;
        };
        self.node_mut(stream).ask = Ask::Quiet;
        // It is told here and now.
        self.granted.retain(|granted| *granted != stream);
        Some(granted)
    }

    /// Takes back what a stream asked for, and what it was granted and did not come for.
    pub fn withdraw(&mut self, stream: NodeId, now: Instant) {
        let asked = std::mem::replace(&mut self.node_mut(stream).ask, Ask::Quiet);
        match asked {
            Ask::Quiet => {}
            Ask::Waiting(_) => self.leave_line(stream),
            Ask::Granted(bytes) => {
                self.granted.retain(|granted| *granted != stream);
                self.give_back(stream, bytes, now);
            }
        }
    }

    /// Puts back `bytes` of a turn that were not sent: others may have them.
    pub fn give_back(&mut self, stream: NodeId, bytes: u64, now: Instant) {
        if bytes == 0 {
            return;
        }
        self.node_mut(stream).passed.bytes -= bytes.min(self.node(stream).passed.bytes);
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
            self.stand_in_line(id);
            at = self.node(id).parent;
        }
        self.dispatch(now);
    }

    /// The node that makes a waiting stream wait: the lowest above it that cannot pay, or the root for
    /// whose turn it waits. `None` if the stream waits for nothing.
    pub fn binding(&self, stream: NodeId) -> Option<NodeId> {
        if !matches!(self.node(stream).ask, Ask::Waiting(_)) {
            return None;
        }
        let mut at = stream;
        while let Some(parent) = self.node(at).parent {
            if self.node(parent).parked.is_some() {
                return Some(parent);
            }
            at = parent;
        }
        Some(at)
    }

    /// When a waiting stream's turn comes, about, if nobody comes or goes. `None` if it waits for nothing.
    pub fn expected(&self, stream: NodeId) -> Option<Instant> {
        let binding = self.binding(stream)?;
        let due = self.node(binding).parked?;
        let rate = self.node(binding).meter.as_ref()?.rate().bytes_per_second();
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
