//! A tree with its lock, its one timer and the tasks to wake.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

use crate::clock::{Clock, Instant, TimerKey};
use crate::limit::{NodeId, Rate, Tree};

/// A tree on a clock. It is its own waker: what the timer wakes gives the turns that are due.
pub(super) struct SharedTree {
    clock: Arc<dyn Clock>,
    /// Nodes with a rate.
    limits: AtomicUsize,
    state: Mutex<State>,
}

struct State {
    tree: Tree,
    /// The tasks that wait, by their stream's index.
    waiting: Vec<Option<Waker>>,
    alarm: Alarm,
}

#[derive(Default)]
struct Alarm {
    /// What it is set for.
    due: Option<Instant>,
    key: Option<TimerKey>,
    /// Somebody sets it at the moment, without the lock: a clock may wake at once, in the same thread.
    setting: bool,
    /// It rang meanwhile.
    rang: bool,
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

    /// Counts the nodes that have a rate.
    pub(super) fn limits_changed(&self, old: Option<Rate>, new: Option<Rate>) {
        match (old, new) {
            (None, Some(_)) => drop(self.limits.fetch_add(1, Ordering::Relaxed)),
            (Some(_), None) => drop(self.limits.fetch_sub(1, Ordering::Relaxed)),
            _ => {}
        }
    }

    pub(super) fn read<T>(&self, look: impl FnOnce(&Tree) -> T) -> T {
        look(&self.lock().tree)
    }

    /// Changes the tree, wakes whose turn came by it, and sets the alarm for the next.
    pub(super) fn with<T>(self: &Arc<Self>, change: impl FnOnce(&mut Tree, Instant) -> T) -> T {
        let now = self.clock.now();
        let mut state = self.lock();
        let result = change(&mut state.tree, now);
        self.follow_up(state);
        result
    }

    /// Asks for a turn, and has `waker` woken when it comes.
    ///
    /// # Errors
    /// It has not come; the node that makes the stream wait.
    pub(super) fn ask(self: &Arc<Self>, stream: NodeId, bytes: u64, waker: &Waker) -> Result<u64, NodeId> {
        let now = self.clock.now();
        let mut state = self.lock();
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
        turn
    }

    /// Takes a stream out of the tree, with what it asked for and was granted.
    pub(super) fn remove_stream(self: &Arc<Self>, stream: NodeId, unsent: u64) {
        let now = self.clock.now();
        let mut state = self.lock();
        state.tree.withdraw(stream, now);
        state.tree.give_back(stream, unsent, now);
        state.tree.remove(stream, now);
        let waker = state.waiting.get_mut(stream.index()).and_then(Option::take);
        self.follow_up(state);
        // Outside the lock: it may be the last that holds its task.
        drop(waker);
    }

    fn follow_up(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        let State { tree, waiting, .. } = &mut *state;
        let woken: Vec<Waker> =
            tree.granted().filter_map(|stream| waiting.get_mut(stream.index())?.take()).collect();
        self.set_alarm(state);
        woken.into_iter().for_each(Waker::wake);
    }

    /// Sets the alarm for the next turn. One that rings too early is left: it does no harm.
    fn set_alarm<'a>(self: &'a Arc<Self>, mut state: MutexGuard<'a, State>) {
        while !state.alarm.setting {
            let due = state.tree.next_due();
            match (due, state.alarm.due) {
                (None, None) => return,
                (Some(due), Some(set)) if set <= due => return,
                _ => {}
            }
            let old = state.alarm.key.take();
            state.alarm = Alarm { due, key: None, setting: true, rang: false };
            drop(state);
            if let Some(old) = old {
                self.clock.cancel(old);
            }
            let key = due.map(|due| self.clock.wake_at(due, Waker::from(Arc::clone(self))));
            state = self.lock();
            state.alarm.setting = false;
            if state.alarm.rang {
                state.alarm = Alarm::default();
            } else {
                state.alarm.key = key;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for SharedTree {
    fn wake(self: Arc<Self>) {
        let now = self.clock.now();
        let mut state = self.lock();
        if state.alarm.setting {
            state.alarm.rang = true;
        } else {
            state.alarm = Alarm::default();
        }
        state.tree.dispatch(now);
        self.follow_up(state);
    }
}
