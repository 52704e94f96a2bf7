//! A tree with its lock, its timer and the tasks that wait.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, MutexGuard};
use std::task::{Wake, Waker};

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

    /// Requests a turn; `waker` is woken when it is granted. Returns it, or the node that cannot pay yet; and the instant.
    pub(super) fn ask(
        self: &Arc<Self>,
        stream: NodeId,
        bytes: u64,
        waker: &Waker,
    ) -> (Result<u64, NodeId>, Instant) {
        let now = self.clock.now();
        let mut state = self.state.lock();
        let turn = state.tree.ask(stream, bytes, now);
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
        (turn, now)
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
