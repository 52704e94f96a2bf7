//! What a body waits for, published by the task that pulls it.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::budget::{FlowWatch, Held, HeldBy};
use crate::clock::Instant;
use crate::sync::Mutex;

const NOTHING: u64 = 0;
const TURN: u64 = u64::MAX;
const SOURCE: u64 = u64::MAX - 1;
/// The latest due instant that can be published.
const MAX_DUE: u64 = u64::MAX - 2;

/// What one body waits for. One task writes, any may read at any time.
#[derive(Default)]
pub(super) struct PublishedWait {
    /// [`NOTHING`], [`SOURCE`], [`TURN`], or the instant at which the pace is due, in nanoseconds: one word, so that no
    /// reader sees half of a change.
    wait: AtomicU64,
    /// Where it waits for a [`TURN`]. Locked only while it is read or replaced, which a stream does when it takes
    /// another place in a tree of budgets.
    flow: Mutex<Option<FlowWatch>>,
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
    use std::sync::Arc;
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
}
