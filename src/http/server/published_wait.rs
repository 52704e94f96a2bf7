//! What a body waits for, published by the task that pulls it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::body::Waits;
use crate::budget::{FlowWatch, Gate, Held, HeldBy};
use crate::clock::Instant;
use crate::sync::Mutex;

const NOTHING: u64 = 0;
const TURN: u64 = u64::MAX;
const SOURCE: u64 = u64::MAX - 1;
/// The latest due instant that can be published.
const MAX_DUE: u64 = u64::MAX - 2;

/// How long was waited for turns, by the names of nodes. In a box of its own, since most streams have none.
#[derive(Default)]
struct Turns(Vec<(Arc<str>, Duration)>);

/// What one body waits for. One task writes, any may read at any time.
#[derive(Default)]
pub(super) struct PublishedWait {
    /// [`NOTHING`], [`SOURCE`], [`TURN`], or the instant at which the pace is due, in nanoseconds: one word, so that no
    /// reader sees half of a change.
    wait: AtomicU64,
    /// Where it waits for a [`TURN`]. Locked only while it is read or replaced, which a stream does when it takes
    /// another place in a tree of budgets.
    flow: Mutex<Option<FlowWatch>>,
    /// Nanoseconds of waits that are over: for the pace, and for the source.
    past: [AtomicU64; 2],
    /// Of those for turns, by the names of nodes. Locked only while it is read, and when such a wait is over.
    turns: Mutex<Option<Box<Turns>>>,
    /// How many of those had begun when it was published last, twice, and one if one lasted. Of the task that writes alone.
    begun: AtomicU64,
}

impl PublishedWait {
    /// Publishes what is waited for, if not for a turn.
    pub(super) fn set(&self, held: Option<&Held>) {
        let wait = match held {
            None => NOTHING,
            Some(Held { until: Some(due), .. }) => due.as_nanos().clamp(NOTHING + 1, MAX_DUE),
            Some(_) => SOURCE,
        };
        self.wait.store(wait, Ordering::Relaxed);
    }

    /// Has the processor fetch it.
    pub(super) fn prefetch(&self) {
        std::hint::black_box(self.wait.load(Ordering::Relaxed));
    }

    /// Publishes a wait for a turn at the flow that was published last.
    pub(super) fn set_turn(&self) {
        // Release: a reader that sees the turn finds its flow.
        self.wait.store(TURN, Ordering::Release);
    }

    /// Publishes the flow of turns to come.
    pub(super) fn set_flow(&self, flow: Option<FlowWatch>) {
        *self.flow.lock() = flow;
    }

    /// Publishes how long was waited so far.
    pub(super) fn set_past(&self, waits: Waits, gate: &Gate) {
        for (past, waited) in self.past.iter().zip([waits.pace, waits.source]) {
            past.store(u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
        let (before, now) =
            (self.begun.load(Ordering::Relaxed), gate.waits() * 2 + u64::from(gate.is_waiting()));
        if before == now {
            return;
        }
        self.begun.store(now, Ordering::Relaxed);
        // One lasted, and is over or was followed by another.
        if !before.is_multiple_of(2) {
            let mut turns = self.turns.lock();
            let Turns(turns) = &mut **turns.get_or_insert_default();
            turns.clear();
            turns.extend(gate.waited().cloned());
        }
    }

    /// How long was waited, by cause, until the last wait that is over.
    pub(super) fn past(&self) -> Vec<(HeldBy, Duration)> {
        let own = [HeldBy::Pace, HeldBy::Source].into_iter().zip(&self.past);
        let own = own.map(|(by, past)| (by, Duration::from_nanos(past.load(Ordering::Relaxed))));
        let turns = self.turns.lock();
        let turns = turns.iter().flat_map(|turns| turns.0.iter());
        own.chain(turns.map(|(node, waited)| (HeldBy::Budget(Arc::clone(node)), *waited))).collect()
    }

    /// What is waited for at this moment. Of a turn, asks the tree of budgets.
    pub(super) fn held(&self) -> Option<Held> {
        match self.wait.load(Ordering::Acquire) {
            NOTHING => None,
            SOURCE => Some(Held::by(HeldBy::Source)),
            TURN => self.flow.lock().as_ref().and_then(FlowWatch::held),
            due => Some(Held::until(HeldBy::Pace, Instant::from_nanos(due))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::Node;
    use crate::clock::ManualClock;
    use crate::limit::{Budget, Rate};
    use std::task::{Context, Poll, Waker};

    #[test]
    fn what_is_published_is_what_is_read() {
        let wait = PublishedWait::default();
        assert_eq!(wait.held(), None);
        for nanos in [1, 2, 200_000_000, MAX_DUE] {
            let held = Held::until(HeldBy::Pace, Instant::from_nanos(nanos));
            wait.set(Some(&held));
            assert_eq!(wait.held(), Some(held));
        }
        // At the ends of the clock nothing else is read.
        for (due, read) in [(0, 1), (u64::MAX, MAX_DUE)] {
            wait.set(Some(&Held::until(HeldBy::Pace, Instant::from_nanos(due))));
            assert_eq!(wait.held(), Some(Held::until(HeldBy::Pace, Instant::from_nanos(read))));
        }
        wait.set(Some(&Held::by(HeldBy::Source)));
        assert_eq!(wait.held(), Some(Held::by(HeldBy::Source)));
        wait.set_turn();
        assert_eq!(wait.held(), None, "no flow is known");
        wait.set(None);
        assert_eq!(wait.held(), None);
    }

    #[test]
    fn of_a_turn_it_says_what_the_tree_says_when_asked() {
        let clock = Arc::new(ManualClock::new());
        let root = Node::root("server", Budget::of(Rate::or_unlimited(1_000)), clock);
        let (mut flow, mut cx) = (root.flow(Default::default()), Context::from_waker(Waker::noop()));
        assert_eq!(flow.poll_turn(&mut cx, 200), Poll::Ready(200));
        flow.sent(200);
        assert_eq!(flow.poll_turn(&mut cx, 200), Poll::Pending);
        let wait = PublishedWait::default();
        wait.set_flow(Some(flow.watch()));
        wait.set_turn();
        let due = |millis| {
            Some(Held { by: HeldBy::Budget("server".into()), until: Some(Instant::from_millis(millis)) })
        };
        assert_eq!(wait.held(), due(200));
        root.set(Budget::of(Rate::or_unlimited(2_000)));
        assert_eq!(wait.held(), due(100));
        drop(flow);
        assert_eq!(wait.held(), None);
    }

    #[test]
    fn waits_that_are_over_are_added_up_by_cause() {
        let clock = Arc::new(ManualClock::new());
        let root = Node::root("server", Budget::of(Rate::or_unlimited(1_000)), Arc::clone(&clock) as _);
        let (mut gate, mut cx) = (Gate::new(root, Default::default()), Context::from_waker(Waker::noop()));
        let wait = PublishedWait::default();
        let waits = Waits { pace: Duration::from_millis(5), source: Duration::from_millis(7) };
        let turns =
            |wait: &PublishedWait| wait.past().get(2).map(|(by, waited)| (by.as_str().to_owned(), *waited));
        for millis in [200, 400] {
            assert!(gate.poll_turn(&mut cx, 200).is_ready());
            wait.set_past(waits, &gate);
            gate.sent(200);
            assert!(gate.poll_turn(&mut cx, 200).is_pending());
            wait.set_past(waits, &gate);
            // One that lasts is not included.
            let before = Duration::from_millis(millis - 200);
            assert_eq!(turns(&wait), (millis > 200).then(|| ("server".to_owned(), before)));
            clock.advance(Duration::from_millis(200));
            assert!(gate.poll_turn(&mut cx, 200).is_ready());
            wait.set_past(waits, &gate);
            assert_eq!(turns(&wait), Some(("server".to_owned(), Duration::from_millis(millis))));
        }
        assert_eq!(wait.past()[..2], [(HeldBy::Pace, waits.pace), (HeldBy::Source, waits.source)]);
    }
}
