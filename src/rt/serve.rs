//! What every server does: stages from running to stopped, the tasks that work for it, and the accept loop.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::task::{Poll, Waker};
use std::time::Duration;

use event_listener::Event;
use futures_lite::future;
use rustix::io::Errno;

use super::{Listener, Socket, wait_until};
use crate::clock::{Clock, Sleep};

/// The pause when the system has no descriptors or memory for another connection.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// Connections accepted before other tasks of the thread have their turn.
const MAX_ACCEPTS: usize = 32;

/// How far a server is on its way down. It never goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Accepts connections.
    Running,
    /// Accepts no new connections; those it has finish their work.
    Draining,
    /// Ends every connection.
    Stopped,
}

/// The stage of a server.
#[derive(Debug)]
pub struct Stages {
    stage: AtomicU8,
    changed: Event,
}

impl Default for Stages {
    fn default() -> Self {
        Self { stage: AtomicU8::new(Stage::Running as u8), changed: Event::new() }
    }
}

impl Stages {
    /// Goes to `stage`, unless the server is beyond it.
    pub fn reach(&self, stage: Stage) {
        self.stage.fetch_max(stage as u8, Ordering::SeqCst);
        self.changed.notify(usize::MAX);
    }

    /// Whether the server is at `stage` or beyond.
    pub fn has_reached(&self, stage: Stage) -> bool {
        self.stage.load(Ordering::SeqCst) >= stage as u8
    }

    /// Waits until the server is at `stage` or beyond.
    ///
    /// Polled again by the same task while the server runs, it takes no lock, which all who wait would share.
    pub async fn reached(&self, stage: Stage) {
        let mut waiting = pin!(wait_until(&self.changed, || self.has_reached(stage)));
        let mut known: Option<Waker> = None;
        poll_fn(|cx| {
            let is_known = known.as_ref().is_some_and(|known| known.will_wake(cx.waker()));
            if is_known && !self.has_reached(Stage::Draining) {
                return Poll::Pending;
            }
            if !is_known {
                known = Some(cx.waker().clone());
            }
            waiting.as_mut().poll(cx)
        })
        .await;
    }

    /// Waits until `tasks` have all ended, `patience` of `clock` has passed, or the server is stopped.
    pub async fn drained(&self, tasks: &Tasks, clock: Arc<dyn Clock>, patience: Duration) {
        let stopped = future::or(Sleep::lasting(clock, patience), self.reached(Stage::Stopped));
        future::or(tasks.idle(), stopped).await;
    }
}

/// The number of tasks that work for a server.
#[derive(Debug, Default)]
pub struct Tasks {
    number: AtomicUsize,
    ended: Event,
}

/// One of the [`Tasks`] of a server, until it is dropped.
#[derive(Debug)]
pub struct Task(Arc<Tasks>);

impl Tasks {
    /// Counts one more task.
    pub fn begin(self: &Arc<Self>) -> Task {
        self.number.fetch_add(1, Ordering::SeqCst);
        Task(Arc::clone(self))
    }

    /// Waits until there is no task.
    pub async fn idle(&self) {
        wait_until(&self.ended, || self.number.load(Ordering::SeqCst) == 0).await;
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.number.fetch_sub(1, Ordering::SeqCst);
        self.0.ended.notify(usize::MAX);
    }
}

/// Accepts connections and passes them to `begin` until `end` is ready, then those that the kernel has queued:
/// closing the listener would reset them. If others have the socket too, they stay queued for those.
///
/// An error of one connection is skipped. After any other it pauses for 100 ms of `clock`; the log has one line for
/// each run of these.
pub async fn accept(
    listener: &Listener,
    clock: &Arc<dyn Clock>,
    end: impl Future<Output = ()>,
    mut begin: impl FnMut(Socket),
) {
    let has_complained = AtomicBool::new(false);
    let next = async || next(|| listener.accept(), &has_complained, || listener.name(), clock).await;
    let accepting = async {
        loop {
            for _ in 0..MAX_ACCEPTS {
                begin(next().await);
            }
            future::yield_now().await;
        }
    };
    future::or(accepting, end).await;
    let mut accepted = 0;
    while !listener.is_shared()
        && let Some(socket) = future::poll_once(next()).await
    {
        begin(socket);
        accepted += 1;
        if accepted % MAX_ACCEPTS == 0 {
            future::yield_now().await;
        }
    }
}

/// The next connection. Cancel safe if `accept` is.
async fn next<T, F>(
    mut accept: impl FnMut() -> F,
    has_complained: &AtomicBool,
    listener: impl Fn() -> String,
    clock: &Arc<dyn Clock>,
) -> T
where
    F: Future<Output = io::Result<T>>,
{
    loop {
        match accept().await {
            Ok(connection) => {
                has_complained.store(false, Ordering::Relaxed);
                return connection;
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                // The log must not fill the disk while descriptors are short.
                if !has_complained.swap(true, Ordering::Relaxed) {
                    log::error!(listener = listener(), error:%; "cannot accept connections; trying again every 100 ms");
                }
                Sleep::lasting(Arc::clone(clock), EXHAUSTED_PAUSE).await;
            }
        }
    }
}

/// Whether the error is about a connection that ended before it was accepted, not about us: Linux passes on pending
/// network errors and what a packet filter forbids (accept(2), "Error handling").
fn is_of_one_connection(error: &io::Error) -> bool {
    [
        Errno::CONNABORTED,
        Errno::CONNRESET,
        Errno::CONNREFUSED,
        Errno::INTR,
        Errno::PERM,
        Errno::PROTO,
        Errno::NOPROTOOPT,
        Errno::OPNOTSUPP,
        Errno::NETDOWN,
        Errno::NETUNREACH,
        Errno::HOSTDOWN,
        Errno::HOSTUNREACH,
        Errno::NONET,
        Errno::TIMEDOUT,
    ]
    .contains(&Errno::from_io_error(error).unwrap_or(Errno::BADF))
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn an_error_of_one_connection_costs_no_time_and_one_of_ours_a_pause() {
        let manual = Arc::new(ManualClock::new());
        let clock: Arc<dyn Clock> = Arc::clone(&manual) as _;
        let has_complained = AtomicBool::new(false);
        let mut script = [
            Err(Errno::CONNABORTED),
            Err(Errno::PROTO),
            Err(Errno::PERM),
            Err(Errno::MFILE),
            Err(Errno::CONNABORTED),
            Err(Errno::NOBUFS),
            Ok("connection"),
        ]
        .into_iter();
        let left = std::cell::Cell::new(7);
        let accept = || {
            left.set(left.get() - 1);
            std::future::ready(script.next().unwrap().map_err(io::Error::from))
        };
        let mut next = pin!(next(accept, &has_complained, || "127.0.0.1:80".to_owned(), &clock));
        let mut cx = Context::from_waker(Waker::noop());
        for (millis, expected) in [(0, 3), (99, 3), (1, 1), (99, 1)] {
            manual.advance(Duration::from_millis(millis));
            assert!(next.as_mut().poll(&mut cx).is_pending());
            assert_eq!(left.get(), expected);
            assert!(has_complained.load(Ordering::Relaxed));
        }
        manual.advance(Duration::from_millis(1));
        assert_eq!(next.as_mut().poll(&mut cx), Poll::Ready("connection"));
        assert!(!has_complained.load(Ordering::Relaxed), "the next run of errors is logged again");
    }

    #[test]
    fn a_stage_never_goes_back_and_a_drain_ends_with_the_last_task_its_time_or_a_stop() {
        let manual = Arc::new(ManualClock::new());
        let (stages, tasks) = (Stages::default(), Arc::<Tasks>::default());
        let mut cx = Context::from_waker(Waker::noop());
        let drained = || Box::pin(stages.drained(&tasks, Arc::clone(&manual) as _, Duration::from_secs(5)));
        let mut draining = pin!(stages.reached(Stage::Draining));
        assert!(draining.as_mut().poll(&mut cx).is_pending());
        assert!(drained().as_mut().poll(&mut cx).is_ready(), "there is no task");
        let (one, other) = (tasks.begin(), tasks.begin());
        let (mut idle, mut late) = (drained(), drained());
        assert!(idle.as_mut().poll(&mut cx).is_pending() && late.as_mut().poll(&mut cx).is_pending());
        drop(one);
        assert!(idle.as_mut().poll(&mut cx).is_pending());
        manual.advance(Duration::from_nanos(4_999_999_999));
        assert!(late.as_mut().poll(&mut cx).is_pending());
        manual.advance(Duration::from_nanos(1));
        assert!(late.as_mut().poll(&mut cx).is_ready(), "time is up");
        let mut cut = drained();
        assert!(cut.as_mut().poll(&mut cx).is_pending());
        stages.reach(Stage::Stopped);
        stages.reach(Stage::Draining);
        assert!(stages.has_reached(Stage::Stopped));
        assert!(draining.as_mut().poll(&mut cx).is_ready() && cut.as_mut().poll(&mut cx).is_ready());
        drop(other);
        assert!(pin!(tasks.idle()).poll(&mut cx).is_ready());
    }

    #[test]
    fn a_lack_of_resources_is_not_of_one_connection() {
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::BADF, Errno::INVAL] {
            assert!(!is_of_one_connection(&errno.into()), "{errno}");
        }
        assert!(!is_of_one_connection(&io::Error::other("no number")));
    }
}
