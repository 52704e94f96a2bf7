//! One node of the tree: its budget, its place in its parent's queue, and the queue of its own children.

use std::collections::BTreeSet;

use super::budget::{Budget, Meter, Weight};
use crate::clock::Instant;

/// Identifies a node or stream of one tree. Not to be used after its removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(super) usize);

impl NodeId {
    /// Returns a small number, unique in the tree, to index a table with.
    pub fn index(self) -> usize {
        self.0
    }
}

/// Virtual time: bytes per unit of weight, in fractions of a byte.
pub(super) type Virtual = u128;

/// Fractions of a byte in virtual time. Fine enough that 65 535 weights divide a byte.
const FRACTIONS: u128 = 1 << 20;

/// What passed through a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Bytes granted and debited.
    pub bytes: u64,
    /// How often a stream below had to wait for this node.
    pub waits: u64,
    /// Bytes that a node which only reports would have delayed.
    pub over: u64,
}

/// What nodes that share a parent counted, all together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Below {
    pub(super) waits: u64,
    pub(super) over: u64,
}

/// What a stream has asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// Nothing.
    Quiet,
    /// A turn to send this many bytes.
    Waiting(u64),
    /// Granted this many bytes, and not collected yet.
    Granted(u64),
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) parent: Option<NodeId>,
    pub(super) budget: Budget,
    /// With a rate only.
    pub(super) meter: Option<Meter>,
    pub(super) passed: Passed,
    /// What the nodes directly below counted, those that are gone too.
    pub(super) below: Below,
    pub(super) children: usize,
    /// The sum of their weights, of those that want nothing too.
    pub(super) children_weight: u64,

    /// Where its last grant ended in the parent's virtual time.
    pub(super) finish: Virtual,
    /// Its place in the parent's queue: virtual start time and arrival number.
    pub(super) place: Option<(Virtual, u64)>,
    /// Out of the parent's queue until then, because it cannot pay.
    pub(super) parked: Option<Instant>,

    /// The children that wait, in the order of service.
    pub(super) queue: BTreeSet<(Virtual, u64, NodeId)>,
    /// The sum of the queued weights.
    pub(super) queued_weight: u64,
    /// The virtual time of the queue.
    pub(super) time: Virtual,

    /// Of a stream only.
    pub(super) ask: Ask,
}

impl Node {
    pub(super) fn inner(parent: Option<NodeId>, budget: Budget, now: Instant) -> Self {
        Self {
            parent,
            budget,
            meter: budget.rate.map(|rate| Meter::full(rate, budget.burst, now)),
            passed: Passed::default(),
            below: Below::default(),
            children: 0,
            children_weight: 0,
            finish: 0,
            place: None,
            parked: None,
            queue: BTreeSet::new(),
            queued_weight: 0,
            time: 0,
            ask: Ask::Quiet,
        }
    }

    pub(super) fn stream(parent: NodeId, weight: Weight) -> Self {
        Self::inner(Some(parent), Budget::default().with_weight(weight), Instant::ZERO)
    }

    pub(super) fn weight(&self) -> u64 {
        self.budget.weight.get().into()
    }

    /// The meter, if it delays.
    pub(super) fn gate(&mut self) -> Option<&mut Meter> {
        if self.budget.report_only { None } else { self.meter.as_mut() }
    }

    pub(super) fn change(&mut self, budget: Budget, now: Instant) {
        self.budget = budget;
        match (budget.rate, &mut self.meter) {
            (Some(rate), Some(meter)) => meter.change(rate, budget.burst, now),
            // A burst is for a quiet time, and a time without a limit was none.
            (Some(rate), meter) => *meter = Some(Meter::without_burst(rate, budget.burst, now)),
            (None, meter) => *meter = None,
        }
    }

    /// Returns whether it waits, or a child of it does.
    pub(super) fn wants(&self) -> bool {
        !self.queue.is_empty() || matches!(self.ask, Ask::Waiting(_))
    }

    /// Charges a grant that was paid below. Returns how much of it would have been delayed, if this node only
    /// reports.
    pub(super) fn pay(&mut self, bytes: u64, now: Instant) -> u64 {
        self.passed.bytes = self.passed.bytes.saturating_add(bytes);
        let report_only = self.budget.report_only;
        if let Some(meter) = &mut self.meter {
            // One that only reports counts the excess and forgets it, else the excess would add up.
            if report_only && meter.can_pay(bytes, now).is_err() {
                self.passed.over = self.passed.over.saturating_add(bytes);
                return bytes;
            }
            meter.pay(bytes);
        }
        0
    }

    /// Charges bytes that were sent without asking; otherwise like [`pay`](Self::pay).
    pub(super) fn debit(&mut self, bytes: u64, now: Instant) -> u64 {
        if self.budget.report_only {
            return self.pay(bytes, now);
        }
        self.passed.bytes = self.passed.bytes.saturating_add(bytes);
        if let Some(meter) = &mut self.meter {
            // Settled first: what time earned pays before a debt is made.
            let _ = meter.can_pay(0, now);
            meter.debit(bytes);
        }
        0
    }

    pub(super) fn give_back(&mut self, bytes: u64) {
        self.passed.bytes = self.passed.bytes.saturating_sub(bytes);
        if let Some(meter) = &mut self.meter {
            meter.give_back(bytes);
        }
    }

    /// Moves its finish later in the parent's virtual time by what `bytes` cost at its weight.
    pub(super) fn finish_later(&mut self, bytes: u64) {
        self.finish = self.finish.saturating_add(per_weight(bytes, self.weight()));
    }

    /// Reverts [`finish_later`](Self::finish_later).
    pub(super) fn finish_earlier(&mut self, bytes: u64) {
        self.finish = self.finish.saturating_sub(per_weight(bytes, self.weight()));
    }

    /// Advances the virtual time by a grant to a child that began at `began`.
    ///
    /// Divides by the weights of all children, so that it never overtakes what queued ones are owed.
    pub(super) fn served(&mut self, bytes: u64, began: Virtual) {
        self.time = self.time.saturating_add(per_weight(bytes, self.children_weight.max(1))).max(began);
    }

    /// Estimates the bytes to be served before the child at `place`.
    pub(super) fn ahead_of(&self, place: Option<(Virtual, u64)>) -> u64 {
        let (Some((start, _)), Some((first, _, _))) = (place, self.queue.first()) else { return 0 };
        let distance = (start - first).saturating_mul(self.queued_weight.into());
        u64::try_from(distance / FRACTIONS).unwrap_or(u64::MAX)
    }
}

fn per_weight(bytes: u64, weight: u64) -> Virtual {
    u128::from(bytes) * FRACTIONS / u128::from(weight)
}
