//! A tree with its lock, its timer and the tasks that wait.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, MutexGuard};
use std::task::{Wake, Waker};
use std::time::Duration;

use crate::clock::{Clock, Instant, TimerKey};
use crate::limit::{NodeId, Rate, Tree};
use crate::sync::Mutex;

/// A tree on a clock. It is the waker of its own timer: waking it grants the turns that are due.
pub(super) struct SharedTree {
    clock: Arc<dyn Clock>,
    /// How many nodes have a rate.
    limits: AtomicUsize,
    state: Mutex<State>,
}

struct State {
    tree: Tree,
    /// The tasks that wait, by index of their flow.
    waiting: Vec<Option<Waker>>,
    alarm: Alarm,
}

#[derive(Default)]
struct Alarm {
    /// When the timer is set for.
    due: Option<Instant>,
    key: Option<TimerKey>,
    /// A thread is setting the timer, without the lock: a clock may wake at once, in the same thread.
    setting: bool,
    /// It fired meanwhile.
    fired: bool,
}

/// How late the timer may be before who asks does its work: a slot of the system's clock, and some for its thread.
const MAX_LATE: Duration = Duration::from_millis(20);

impl Alarm {
    /// Whether the timer is set and due.
    fn is_coming(&self, now: Instant) -> bool {
        self.key.is_some() && self.due.is_some_and(|due| due <= now && now - due < MAX_LATE)
    }
}

impl SharedTree {
    pub(super) fn new(tree: Tree, clock: Arc<dyn Clock>) -> Arc<Self> {
        let state = State { tree, waiting: Vec::new(), alarm: Alarm::default() };
        Arc::new(Self { clock, limits: AtomicUsize::new(0), state: Mutex::new(state) })
    }

    pub(super) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    pub(super) fn is_limited(&self) -> bool {
        self.limits.load(Ordering::Relaxed) > 0
    }

    /// Updates the number of nodes with a rate.
    pub(super) fn limits_changed(&self, old: Option<Rate>, new: Option<Rate>) {
        match (old, new) {
            (None, Some(_)) => drop(self.limits.fetch_add(1, Ordering::Relaxed)),
            (Some(_), None) => drop(self.limits.fetch_sub(1, Ordering::Relaxed)),
            _ => {}
        }
    }

    pub(super) fn read<T>(&self, look: impl FnOnce(&Tree) -> T) -> T {
        look(&self.state.lock().tree)
    }

    /// Changes the tree, wakes the flows whose turn that granted, and sets the timer for the next.
    pub(super) fn with<T>(self: &Arc<Self>, change: impl FnOnce(&mut Tree, Instant) -> T) -> T {
        let now = self.clock.now();
        let mut state = self.state.lock();
        let result = change(&mut state.tree, now);
        self.follow_up(state);
        result
    }

    /// Requests a turn; `waker` is woken when it is granted.
    ///
    /// # Errors
    /// The node that cannot pay yet.
    pub(super) fn ask(self: &Arc<Self>, stream: NodeId, bytes: u64, waker: &Waker) -> Result<u64, NodeId> {
        let now = self.clock.now();
        let mut state = self.state.lock();
        // The timer is about to grant what is due, to all at once. Done here it would wake one task at a time, and mostly
        // another thread for it.
        let waits = state.alarm.is_coming(now) && state.tree.queue_below_due(stream, bytes, now);
        let turn = if waits { None } else { state.tree.ask(stream, bytes, now) };
        let turn = turn.ok_or_else(|| state.tree.binding(stream).unwrap_or(Tree::ROOT));
        if turn.is_err() {
            let index = stream.index();
            if state.waiting.len() <= index {
                state.waiting.resize(index + 1, None);
            }
            match &mut state.waiting[index] {
                Some(known) => known.clone_from(waker),
                unknown => *unknown = Some(waker.clone()),
            }
        }
        self.follow_up(state);
        turn
    }

    /// Removes a flow with what it requested and was granted.
    pub(super) fn remove_stream(self: &Arc<Self>, stream: NodeId, unsent: u64) {
        let now = self.clock.now();
        let mut state = self.state.lock();
        state.tree.withdraw(stream, now);
        state.tree.give_back(stream, unsent, now);
        state.tree.remove(stream, now);
        let waker = state.waiting.get_mut(stream.index()).and_then(Option::take);
        self.follow_up(state);
        // Outside the lock: this may drop the task.
        drop(waker);
    }

    fn follow_up(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        let State { tree, waiting, .. } = &mut *state;
        let woken: Vec<Waker> =
            tree.granted().filter_map(|stream| waiting.get_mut(stream.index())?.take()).collect();
        self.set_alarm(state);
        woken.into_iter().for_each(Waker::wake);
    }

    /// Sets the timer for the next turn. One that is set too early stays: it does no harm.
    fn set_alarm<'a>(self: &'a Arc<Self>, mut state: MutexGuard<'a, State>) {
        while !state.alarm.setting {
            let due = state.tree.next_due();
            match (due, state.alarm.due) {
                (None, None) => return,
                (Some(due), Some(set)) if set <= due => return,
                _ => {}
            }
            let old = state.alarm.key.take();
            state.alarm = Alarm { due, key: None, setting: true, fired: false };
            drop(state);
            if let Some(old) = old {
                self.clock.cancel(old);
            }
            let key = due.map(|due| self.clock.wake_at(due, Waker::from(Arc::clone(self))));
            state = self.state.lock();
            state.alarm.setting = false;
            if state.alarm.fired {
                state.alarm = Alarm::default();
            } else {
                state.alarm.key = key;
            }
        }
    }
}

impl Wake for SharedTree {
    fn wake(self: Arc<Self>) {
        let now = self.clock.now();
        let mut state = self.state.lock();
        if state.alarm.setting {
            state.alarm.fired = true;
        } else {
            state.alarm = Alarm::default();
        }
        state.tree.dispatch(now);
        self.follow_up(state);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;
    use std::task::{Context, Poll};

    use super::*;
    use crate::budget::{Flow, Node};
    use crate::limit::Budget;

    /// A clock whose timers fire when the test says so.
    #[derive(Default)]
    struct LateClock {
        now: AtomicU64,
        timers: Mutex<Vec<Waker>>,
    }

    impl LateClock {
        fn set(&self, millis: u64) {
            self.now.store(millis * 1_000_000, Ordering::SeqCst);
        }

        fn fire(&self) {
            let due = std::mem::take(&mut *self.timers.lock());
            due.into_iter().for_each(Waker::wake);
        }
    }

    impl Clock for LateClock {
        fn now(&self) -> Instant {
            Instant::from_nanos(self.now.load(Ordering::SeqCst))
        }

        fn wake_at(&self, _: Instant, waker: Waker) -> TimerKey {
            self.timers.lock().push(waker);
            TimerKey { slot: 0, generation: 0 }
        }

        fn cancel(&self, _: TimerKey) {
            self.timers.lock().clear();
        }
    }

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// A flow, and how often its task was woken.
    struct Task(Flow, Arc<Count>);

    impl Task {
        fn poll(&mut self, bytes: u64) -> Poll<u64> {
            let waker = Waker::from(Arc::clone(&self.1));
            let turn = self.0.poll_turn(&mut Context::from_waker(&waker), bytes);
            if let Poll::Ready(turn) = turn {
                self.0.sent(turn);
            }
            turn
        }

        fn woken(&self) -> usize {
            self.1.0.load(Ordering::SeqCst)
        }
    }

    /// 2 000 bytes an interval, of which the first has had one; its next turn is due at 200 ms.
    fn scene(root: Option<Rate>, client: Option<Rate>) -> (Arc<LateClock>, Node, [Task; 2]) {
        let clock = Arc::new(LateClock::default());
        let root = Node::root("server", Budget::of(root), Arc::clone(&clock) as _);
        let client = root.child("client", Budget::of(client));
        let mut tasks = [(); 2].map(|()| Task(client.flow(Default::default()), Arc::default()));
        assert_eq!(tasks[0].poll(2_000), Poll::Ready(2_000));
        assert_eq!(tasks[0].poll(2_000), Poll::Pending);
        (clock, if client.budget().rate.is_some() { client } else { root }, tasks)
    }

    #[test]
    fn who_asks_while_the_timer_is_about_to_fire_is_served_by_it_with_all_others() {
        let rate = Rate::or_unlimited(10_000);
        for (root, client) in [(rate, None), (None, rate), (rate, Rate::or_unlimited(20_000))] {
            for late in [0, 19] {
                let (clock, node, [mut first, mut second]) = scene(root, client);
                clock.set(200 + late);
                assert_eq!(second.poll(900), Poll::Pending);
                assert_eq!((first.woken(), second.woken()), (0, 0));
                let held = second.0.held().map(|(name, _)| name.to_string());
                assert_eq!(held.as_deref(), Some(if root.is_some() { "server" } else { "client" }));
                clock.fire();
                assert_eq!((first.woken(), second.woken()), (0, 1), "the first has had a turn before");
                assert_eq!(second.poll(900), Poll::Ready(900));
                clock.set(320);
                clock.fire();
                assert_eq!((first.woken(), second.woken()), (1, 1));
                assert_eq!(first.poll(2_000), Poll::Ready(2_000));
                if client.is_none() || root.is_none() {
                    assert_eq!(node.passed().waits, 2);
                }
                assert_eq!(node.passed().bytes, 4_900);
            }
        }
    }

    #[test]
    fn a_timer_that_is_later_than_that_is_not_waited_for() {
        let (clock, node, [mut first, mut second]) = scene(Rate::or_unlimited(10_000), None);
        clock.set(220);
        assert_eq!(second.poll(900), Poll::Ready(900));
        assert_eq!((first.woken(), node.passed().bytes), (0, 2_900));
        clock.set(320);
        clock.fire();
        assert_eq!(first.poll(2_000), Poll::Ready(2_000));
    }

    #[test]
    fn who_leaves_while_the_timer_is_about_to_fire_leaves_nothing() {
        let (clock, node, [mut first, mut second]) = scene(Rate::or_unlimited(10_000), None);
        clock.set(205);
        assert_eq!(second.poll(900), Poll::Pending);
        drop(second);
        clock.fire();
        assert_eq!(first.poll(2_000), Poll::Ready(2_000));
        drop(first);
        assert_eq!((node.passed().bytes, node.children()), (4_000, 0));
        assert!(clock.timers.lock().is_empty());
    }
}
