//! One direction of one stream: its flow below a node, and its meter.

use std::fmt;
use std::task::{Context, Poll};

use super::Meter;
use crate::budget::{Gate, Held, Node};
use crate::clock::Instant;

/// Requests turns and counts what passes.
pub(super) struct Pace {
    node: Node,
    gate: Gate,
    meter: Meter,
    /// Since when a turn is waited for.
    since: Option<Instant>,
}

impl Pace {
    pub(super) fn new(node: &Node, meter: Meter) -> Self {
        let gate = Gate::new(node.clone(), Default::default());
        Self { node: node.clone(), gate, meter, since: None }
    }

    /// Requests a turn of at most `wanted` bytes. The caller calls [`passed`](Self::passed) in the same poll: others may wait
    /// for what is not used at once.
    pub(super) fn poll_turn(&mut self, cx: &mut Context<'_>, wanted: usize) -> Poll<usize> {
        if wanted == 0 {
            return Poll::Ready(0);
        }
        // Read before the request: the turn may be granted, and time pass, before that returns.
        let now = self.node.clock().now();
        let turn = self.gate.poll_turn(cx, wanted as u64);
        match (turn.is_pending(), self.since) {
            (true, None) => {
                self.since = Some(now);
                self.meter.waits();
            }
            (false, Some(since)) => {
                self.since = None;
                self.meter.waited(now - since);
            }
            _ => {}
        }
        turn.map(|turn| turn as usize)
    }

    /// Counts what passed, and returns the rest of the turn.
    pub(super) fn passed(&mut self, bytes: usize) {
        self.gate.sent(bytes as u64);
        self.gate.give_back();
        self.meter.passed(bytes as u64);
    }

    pub(super) fn node(&self) -> &Node {
        &self.node
    }

    pub(super) fn meter(&self) -> &Meter {
        &self.meter
    }

    pub(super) fn held(&self) -> Option<Held> {
        self.gate.held()
    }
}

impl fmt::Debug for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pace").field("node", &self.node).field("meter", &self.meter).finish_non_exhaustive()
    }
}
