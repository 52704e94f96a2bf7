//! What a service manager is told (sd_notify(3)), and its watchdog. Nothing happens where there is none.

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_io::Async;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use sd_notify::NotifyState;

use super::workers;
use crate::clock::{Clock, Sleep};

/// The state of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceState {
    /// It serves, or continues to after a reload.
    Ready,
    /// It reads its configuration again; `Ready` follows.
    Reloading,
    /// It ends within that time.
    Stopping(Duration),
    /// The process with this number takes its place.
    MainPid(u32),
    /// What it was.
    Unchanged,
}

/// Tells the service manager the state and a line for people. `Ready` and `MainPid` feed its watchdog too: else the time
/// from the last word of one main process to the first of the next could be more than it waits. Logs the first failure.
pub fn tell_service_manager(state: ServiceState, status: &str) {
    let status = NotifyState::Status(status);
    let mut told = match state {
        ServiceState::Ready => vec![NotifyState::Ready, status],
        ServiceState::Reloading => {
            // Type=notify-reload pairs it with the signal by the time.
            let now = NotifyState::monotonic_usec_now().ok();
            [NotifyState::Reloading, status].into_iter().chain(now).collect()
        }
        ServiceState::Stopping(within) => {
            let within = u32::try_from(within.as_micros()).unwrap_or(u32::MAX);
            vec![NotifyState::Stopping, NotifyState::ExtendTimeoutUsec(within), status]
        }
        ServiceState::MainPid(id) => vec![NotifyState::MainPid(id), status],
        ServiceState::Unchanged => vec![status],
    };
    if matches!(state, ServiceState::Ready | ServiceState::MainPid(_)) && watchdog().is_some() {
        told.push(NotifyState::Watchdog);
    }
    tell(&told);
}

/// How long the service manager's watchdog waits.
fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|within| !within.is_zero())
}

/// Whether a service manager asked to be told.
pub fn has_service_manager() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some_and(|path| !path.is_empty())
}

fn tell(state: &[NotifyState<'_>]) {
    static HAS_FAILED: AtomicBool = AtomicBool::new(false);
    if let Err(error) = sd_notify::notify(state)
        && !HAS_FAILED.swap(true, Ordering::Relaxed)
    {
        log::warn!(error:%; "the service manager cannot be told: NOTIFY_SOCKET does not take messages");
    }
}

/// Tells the service manager's watchdog, at half of `WATCHDOG_USEC`, that the server makes progress: that each
/// worker ran a task since the last time. Never ends.
pub async fn feed_watchdog(clock: Arc<dyn Clock>) {
    match watchdog() {
        Some(within) => feed_while_workers_run(clock, within / 2, || tell(&[NotifyState::Watchdog])).await,
        None => std::future::pending().await,
    }
}

/// Calls `tell` each time that all workers ran a task, `pause` after the last time. Never ends.
async fn feed_while_workers_run(clock: Arc<dyn Clock>, pause: Duration, tell: impl FnMut()) {
    let Ok((mut ours, theirs)) = pair() else {
        return std::future::pending().await;
    };
    let theirs = Arc::new(theirs);
    let progress = async || {
        for worker in workers::workers() {
            let theirs = Arc::clone(&theirs);
            worker.spawn(async move {
                let _ = (&*theirs).write_all(&[0]).await;
            });
        }
        // If it fails there is no progress that could be told of.
        if ours.read_exact(&mut vec![0; workers::workers().len()]).await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    feed(clock, pause, progress, tell).await;
}

fn pair() -> std::io::Result<(Async<UnixStream>, Async<UnixStream>)> {
    let (one, other) = UnixStream::pair()?;
    Ok((Async::new(one)?, Async::new(other)?))
}

async fn feed(
    clock: Arc<dyn Clock>,
    pause: Duration,
    mut progress: impl AsyncFnMut(),
    mut tell: impl FnMut(),
) {
    loop {
        progress().await;
        tell();
        Sleep::lasting(Arc::clone(&clock), pause).await;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::pin::pin;
    use std::sync::mpsc::channel;
    use std::task::{Context, Waker};

    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn the_watchdog_is_fed_at_its_pace_and_only_after_progress() {
        let manual = Arc::new(ManualClock::new());
        let (fed, works) = (Cell::new(0), Cell::new(true));
        let progress = async || {
            if !works.get() {
                std::future::pending::<()>().await;
            }
        };
        let pause = Duration::from_millis(500);
        let mut feeding = pin!(feed(Arc::clone(&manual) as _, pause, progress, || fed.set(fed.get() + 1)));
        let mut cx = Context::from_waker(Waker::noop());
        for (millis, is_working, expected) in
            [(0, true, 1), (499, true, 1), (1, true, 2), (499, true, 2), (1, false, 2), (9_000, false, 2)]
        {
            works.set(is_working);
            manual.advance(Duration::from_millis(millis));
            assert!(feeding.as_mut().poll(&mut cx).is_pending());
            assert_eq!(fed.get(), expected);
        }
    }

    #[test]
    fn the_watchdog_is_not_fed_while_a_worker_is_blocked_and_again_when_it_goes_on() {
        const LONG: Duration = Duration::from_secs(60);
        let manual = Arc::new(ManualClock::new());
        let fed = Cell::new(0);
        let pause = Duration::from_millis(500);
        let mut feeding =
            pin!(feed_while_workers_run(Arc::clone(&manual) as _, pause, || fed.set(fed.get() + 1)));
        let mut cx = Context::from_waker(Waker::noop());
        let mut poll = || assert!(feeding.as_mut().poll(&mut cx).is_pending());
        let mut expected = 0;
        for blocked in workers::workers() {
            let (release, released) = channel::<()>();
            let (began, begins) = channel();
            blocked.spawn(async move {
                let _ = began.send(());
                let _ = released.recv_timeout(LONG);
            });
            begins.recv_timeout(LONG).unwrap();
            manual.advance(pause);
            poll();
            // All others ran what came before this.
            for other in workers::workers().iter().filter(|other| !std::ptr::eq(*other, blocked)) {
                let (ran, runs) = channel();
                other.spawn(async move { ran.send(()).unwrap() });
                runs.recv_timeout(LONG).unwrap();
            }
            for _ in 0..3 {
                poll();
                manual.advance(10 * pause);
            }
            assert_eq!(fed.get(), expected, "a worker is blocked");

            drop(release);
            expected += 1;
            while fed.get() < expected {
                poll();
                std::thread::yield_now();
            }
        }
    }
}
