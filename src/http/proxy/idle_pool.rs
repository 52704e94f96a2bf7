//! Idle connections to an upstream, kept for the next request.

use std::sync::Arc;
use std::time::Duration;

use super::connection::Connection;
use crate::clock::{Clock, Instant, Sleep};
use crate::rt::{self, WorkerId};
use crate::sync::Mutex;

/// How often idle connections are checked: those the upstream closed, or that timed out, are dropped.
const SWEEP: Duration = Duration::from_secs(1);

pub(super) struct IdlePool {
    state: Mutex<State>,
    max: usize,
    /// How long a connection may be idle.
    timeout: Duration,
    clock: Arc<dyn Clock>,
}

#[derive(Default)]
struct State {
    /// The latest is last and taken first, so that under light load the rest time out.
    connections: Vec<Idle>,
    is_swept: bool,
}

struct Idle {
    connection: Connection,
    since: Instant,
    /// The worker that used it, where its socket is registered.
    worker: Option<WorkerId>,
}

impl State {
    fn take(&mut self, here: Option<WorkerId>) -> Option<Idle> {
        let own = self.connections.iter().rposition(|idle| idle.worker == here);
        match own {
            Some(index) => Some(self.connections.remove(index)),
            None => self.connections.pop(),
        }
    }
}

impl IdlePool {
    pub(super) fn new(max: usize, timeout: Duration, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), max, timeout, clock })
    }

    /// Takes a connection that the upstream has not closed, as far as the kernel knows: the latest that this worker used, which
    /// need not be registered with it anew, or the latest.
    pub(super) fn take(&self) -> Option<Connection> {
        let here = rt::worker();
        loop {
            // The system call of the check is made without the lock.
            let Idle { connection, since, .. } = self.state.lock().take(here)?;
            let now = self.clock.now();
            if now < since + self.timeout && connection.is_reusable(now) {
                return Some(connection);
            }
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.state.lock().connections.len()
    }

    /// Keeps a connection whose exchange is over, unless the pool is full. Whether it can be reused is checked when it
    /// is taken.
    pub(super) fn put(self: &Arc<Self>, connection: Connection) {
        let mut state = self.state.lock();
        if state.connections.len() >= self.max {
            return;
        }
        state.connections.push(Idle { connection, since: self.clock.now(), worker: rt::worker() });
        if !std::mem::replace(&mut state.is_swept, true) {
            drop(state);
            self.start_sweeping();
        }
    }

    /// Spawns the sweep; it ends when the pool is empty or dropped.
    fn start_sweeping(self: &Arc<Self>) {
        let (pool, clock) = (Arc::downgrade(self), Arc::clone(&self.clock));
        let interval = SWEEP.min(self.timeout);
        rt::spawn(async move {
            loop {
                Sleep::lasting(Arc::clone(&clock), interval).await;
                if pool.upgrade().is_none_or(|pool| !pool.sweep()) {
                    return;
                }
            }
        });
    }

    /// Closes connections that timed out or cannot be reused. Returns whether any are left.
    fn sweep(&self) -> bool {
        let mut state = self.state.lock();
        let now = self.clock.now();
        state.connections.retain(|idle| now < idle.since + self.timeout && idle.connection.is_reusable(now));
        state.is_swept = !state.connections.is_empty();
        state.is_swept
    }
}

#[cfg(test)]
#[path = "idle_pool_tests.rs"]
mod tests;
