//! Who wakes what is due: a task of the executor, if there is one.
//!
//! Woken one by one from the clock's thread, tasks find the executor's threads asleep again and again,
//! and each time one is woken by the kernel. Woken from one of these threads, they find it running:
//! a sixth of the processor time of 1 000 paced streams.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

/// Hands wake-ups to a task.
#[derive(Default)]
pub(super) struct Herald {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Due and not yet woken.
    due: Vec<Waker>,
    /// The task, while it waits for more.
    task: Option<Waker>,
}

impl Herald {
    /// Has the task wake what is `due`; wakes it here if the task does not wait.
    pub(super) fn wake(&self, due: &mut Vec<Waker>) {
        let mut state = self.lock();
        let Some(task) = state.task.take() else {
            drop(state);
            return due.drain(..).for_each(Waker::wake);
        };
        state.due.append(due);
        drop(state);
        task.wake();
    }

    /// Is the task: wakes what is due, and never completes.
    pub(super) async fn serve(&self) {
        std::future::poll_fn(|cx| {
            let mut state = self.lock();
            state.task = Some(cx.waker().clone());
            let due = std::mem::take(&mut state.due);
            drop(state);
            due.into_iter().for_each(Waker::wake);
            Poll::Pending
        })
        .await
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Wake};

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn what_is_due_is_woken_by_the_task_and_without_one_at_once() {
        let herald = Herald::default();
        let (sleeper, task) = (Arc::new(Count::default()), Arc::new(Count::default()));
        let woken = || (sleeper.0.load(Ordering::SeqCst), task.0.load(Ordering::SeqCst));
        let wake = || herald.wake(&mut vec![Arc::clone(&sleeper).into()]);

        wake();
        assert_eq!(woken(), (1, 0), "there is no task yet");
        let waker = Arc::clone(&task).into();
        let mut cx = Context::from_waker(&waker);
        let mut serving = pin!(herald.serve());
        assert!(serving.as_mut().poll(&mut cx).is_pending());
        wake();
        assert_eq!(woken(), (1, 1), "the task will do it");
        wake();
        assert_eq!(woken(), (2, 1), "the task is on its way: this one is not left to it");
        assert!(serving.as_mut().poll(&mut cx).is_pending());
        assert_eq!(woken(), (3, 1));
    }
}
