//! One node of the tree: its budget, its place in its parent's queue, and the queue of its own children.

use std::num::NonZeroU64;

use super::Tree;
use super::budget::{Budget, Meter, Weight};
use super::queue::Queue;
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

/// A stream, or a node that others are below. What each grant to a stream uses lies in two cache lines: of thousands of streams
/// each has left the cache when its turn comes.
#[derive(Debug)]
pub(super) struct Node {
    /// Where its last grant ended in the parent's virtual time.
    pub(super) finish: Virtual,
    /// Its place in the parent's queue: virtual start time and arrival number.
    pub(super) place: Option<(Virtual, NonZeroU64)>,
    pub(super) parent: Option<NodeId>,
    weight: Weight,
    /// Of a stream only.
    pub(super) ask: Ask,
    /// Its weight is in the parent's `waiting_weight`.
    pub(super) is_counted: bool,
    /// Its weight is in the parent's `queued_weight`.
    pub(super) is_weighed: bool,
    /// Bytes granted and debited.
    pub(super) bytes: u64,
    /// Of a node that others may be below.
    shared: Option<Box<Shared>>,
}

/// What a node has that others are below.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) budget: Budget,
    /// With a rate only.
    pub(super) meter: Option<Meter>,
    /// How often a stream below had to wait for it.
    pub(super) waits: u64,
    /// Bytes that would have been delayed, had it not only reported.
    pub(super) over: u64,
    /// What the nodes directly below counted, those that are gone too.
    pub(super) below: Below,
    pub(super) children: usize,
    /// The sum of their weights, of those that want nothing too.
    pub(super) children_weight: u64,

    /// Out of the parent's queue until then, because it cannot pay.
    pub(super) parked: Option<Instant>,

    /// It was short of tokens since its bucket was full; false while nothing below it waits, except at the root, which keeps it
    /// until its bucket is full.
    pub(super) is_short: bool,
    /// How many children are, or are above one that is.
    pub(super) short_below: usize,

    /// The children that wait, in the order of service.
    pub(super) queue: Queue<(Virtual, NonZeroU64, NodeId)>,
    /// The sum of the weights of children that are queued, or have something granted that is not collected.
    pub(super) queued_weight: u64,
    /// The sum of the weights of children that wait: queued, parked, or above one that is parked.
    pub(super) waiting_weight: u64,
    /// The virtual time of the queue.
    pub(super) time: Virtual,
    /// Where the last grant to a child began.
    pub(super) began: Virtual,
}

impl Node {
    pub(super) fn inner(parent: Option<NodeId>, budget: Budget, now: Instant) -> Self {
        let shared = Shared {
            budget,
            meter: budget.rate.map(|rate| Meter::full(rate, budget.burst, now)),
            waits: 0,
            over: 0,
            below: Below::default(),
            children: 0,
            children_weight: 0,
            parked: None,
            is_short: false,
            short_below: 0,
            queue: Queue::default(),
            queued_weight: 0,
            waiting_weight: 0,
            time: 0,
            began: 0,
        };
        Self { parent, shared: Some(Box::new(shared)), ..Self::stream(Tree::ROOT, budget.weight) }
    }

    pub(super) fn stream(parent: NodeId, weight: Weight) -> Self {
        Self {
            finish: 0,
            place: None,
            parent: Some(parent),
            weight,
            ask: Ask::Quiet,
            is_counted: false,
            is_weighed: false,
            bytes: 0,
            shared: None,
        }
    }

    /// What others below it share; `None` of a stream.
    pub(super) fn shared(&self) -> Option<&Shared> {
        self.shared.as_deref()
    }

    /// What others below it share.
    ///
    /// # Panics
    /// If it is a stream: none is a parent.
    pub(super) fn parts(&self) -> &Shared {
        self.shared.as_deref().expect("a stream has nothing below")
    }

    /// What others below it share, to be changed.
    ///
    /// # Panics
    /// If it is a stream: none is a parent.
    pub(super) fn parts_mut(&mut self) -> &mut Shared {
        self.shared.as_deref_mut().expect("a stream has nothing below")
    }

    pub(super) fn is_parked(&self) -> bool {
        self.parked().is_some()
    }

    /// Out of the parent's queue until then, because it cannot pay.
    pub(super) fn parked(&self) -> Option<Instant> {
        self.shared()?.parked
    }

    pub(super) fn budget(&self) -> Budget {
        self.shared().map_or_else(|| Budget::default().with_weight(self.weight), |shared| shared.budget)
    }

    pub(super) fn weight(&self) -> u64 {
        self.weight.get().into()
    }

    /// The meter, if it delays.
    pub(super) fn gate(&mut self) -> Option<&mut Meter> {
        let shared = self.shared.as_deref_mut()?;
        if shared.budget.report_only { None } else { shared.meter.as_mut() }
    }

    pub(super) fn change(&mut self, budget: Budget, now: Instant) {
        self.weight = budget.weight;
        let shared = self.parts_mut();
        shared.budget = budget;
        match (budget.rate, &mut shared.meter) {
            (Some(rate), Some(meter)) => meter.change(rate, budget.burst, now),
            // A burst is for a quiet time, and a time without a limit was none.
            (Some(rate), meter) => *meter = Some(Meter::without_burst(rate, budget.burst, now)),
            (None, meter) => *meter = None,
        }
    }

    /// Returns whether it waits, or a child of it does.
    pub(super) fn wants(&self) -> bool {
        matches!(self.ask, Ask::Waiting(_)) || self.shared().is_some_and(|shared| !shared.queue.is_empty())
    }

    /// Returns whether it waits, or anything below it, parked or not.
    pub(super) fn is_active(&self) -> bool {
        self.ask != Ask::Quiet || self.shared().is_some_and(|shared| shared.waiting_weight > 0)
    }

    /// Returns whether it is queued, or something is granted to it or below it and not collected; false of one that is parked.
    pub(super) fn is_served(&self) -> bool {
        self.place.is_some()
            || matches!(self.ask, Ask::Granted(_))
            || self.shared().is_some_and(|shared| shared.parked.is_none() && shared.queued_weight > 0)
    }

    /// Charges a grant that was paid below. Returns how much of it would have been delayed, if this node only
    /// reports.
    pub(super) fn pay(&mut self, bytes: u64, now: Instant) -> u64 {
        self.bytes = self.bytes.saturating_add(bytes);
        let Some(shared) = self.shared.as_deref_mut() else { return 0 };
        if let Some(meter) = &mut shared.meter {
            // One that only reports counts the excess and forgets it, else the excess would add up.
            if shared.budget.report_only && meter.can_pay(bytes, now).is_err() {
                shared.over = shared.over.saturating_add(bytes);
                return bytes;
            }
            meter.pay(bytes);
        }
        0
    }

    /// Charges bytes that were sent without asking; otherwise like [`pay`](Self::pay).
    pub(super) fn debit(&mut self, bytes: u64, now: Instant) -> u64 {
        if self.budget().report_only {
            return self.pay(bytes, now);
        }
        self.bytes = self.bytes.saturating_add(bytes);
        if let Some(meter) = self.shared.as_deref_mut().and_then(|shared| shared.meter.as_mut()) {
            // Settled first: what time earned pays before a debt is made.
            let _ = meter.can_pay(0, now);
            meter.debit(bytes);
        }
        0
    }

    pub(super) fn give_back(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_sub(bytes);
        if let Some(meter) = &mut self.parts_mut().meter {
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
        let shared = self.parts_mut();
        let end = shared.time.saturating_add(per_weight(bytes, shared.children_weight.max(1)));
        shared.time = end.max(began);
        shared.began = began;
    }

    /// Estimates the bytes to be served before the child at `place`.
    pub(super) fn ahead_of(&self, place: Option<(Virtual, NonZeroU64)>) -> u64 {
        let shared = self.parts();
        let (Some((start, _)), Some((first, _, _))) = (place, shared.queue.first()) else { return 0 };
        let distance = (start - first).saturating_mul(shared.queued_weight.into());
        u64::try_from(distance / FRACTIONS).unwrap_or(u64::MAX)
    }
}

pub(super) fn per_weight(bytes: u64, weight: u64) -> Virtual {
    // A division of 64 bits takes a fraction of the time of one of 128.
    match bytes.checked_mul(FRACTIONS as u64) {
        Some(fractions) => (fractions / weight).into(),
        None => u128::from(bytes) * FRACTIONS / u128::from(weight),
    }
}
