//! The live connections of a server by number, to report and to close.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use super::Handle;
use super::connection::Connection;
use super::report::{ConnectionReport, Protocol};
use super::transfer::Transfer;
use crate::clock::Instant;

/// All connections that are served.
#[derive(Default)]
pub(super) struct Registry(Mutex<BTreeMap<u64, Weak<Connection>>>);

impl Registry {
    pub(super) fn add(&self, id: u64, connection: Weak<Connection>) {
        self.lock().insert(id, connection);
    }

    pub(super) fn remove(&self, id: u64) {
        self.lock().remove(&id);
    }

    fn get(&self, id: u64) -> Option<Arc<Connection>> {
        self.lock().get(&id)?.upgrade()
    }

    /// The first `most` connections with numbers above `after`.
    fn behind(&self, after: u64, most: usize) -> Vec<Arc<Connection>> {
        let live = self.lock();
        // Collected under the lock and dropped outside it: dropping the last takes the lock again.
        live.range((Excluded(after), Unbounded)).filter_map(|(_, weak)| weak.upgrade()).take(most).collect()
    }

    /// Adds the content so far of responses and streams under way to the counts of their routes.
    pub(super) fn count_content(&self) {
        self.all().iter().for_each(|connection| connection.count_content());
    }

    /// All connections.
    pub(super) fn all(&self) -> Vec<Arc<Connection>> {
        self.behind(0, usize::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Weak<Connection>>> {
        lock(&self.0)
    }
}

impl Handle {
    /// Reports live connections with numbers above `after` in ascending order: at most `most`, and no more once they
    /// have `most_transfers` under way together. Refused connections are left out.
    pub fn connections_after(&self, after: u64, most: usize, most_transfers: usize) -> Vec<ConnectionReport> {
        let mut transfers = 0;
        let mut reports = Vec::new();
        for connection in self.0.registry.behind(after, most) {
            if transfers >= most_transfers {
                break;
            }
            let report = connection.report();
            transfers += report.transfers.len();
            reports.push(report);
        }
        reports
    }

    /// Reports the live connection with this number.
    pub fn connection(&self, id: u64) -> Option<ConnectionReport> {
        self.0.registry.get(id).map(|connection| connection.report())
    }

    /// Resets a connection, so that its client cannot take a response under way for complete. Logs `by` as who asked.
    /// False if there is no such connection.
    pub fn close_connection(&self, id: u64, by: &str) -> bool {
        let Some(connection) = self.0.registry.get(id) else { return false };
        if connection.close() {
            let route = connection.server.telemetry.path(connection.last_route.load(Ordering::Relaxed));
            log::warn!(
                connection = id,
                client:% = connection.client_addr(),
                peer:% = connection.ends.peer,
                route = route.as_str(),
                bytes_written = connection.sink.counts().bytes_written(),
                by;
                "closed by the admin listener: connection reset"
            );
        }
        true
    }
}

impl Connection {
    /// Lists `transfer` in reports until [`forget`](Self::forget) is called.
    pub(super) fn track(&self, number: u64, transfer: &Arc<Transfer>) {
        lock(&self.transfers).push((number, Arc::clone(transfer)));
    }

    /// The number of a listed transfer.
    pub(super) fn number_of(&self, transfer: &Arc<Transfer>) -> u64 {
        let transfers = lock(&self.transfers);
        let tracked = transfers.iter().find(|(_, tracked)| Arc::ptr_eq(tracked, transfer));
        tracked.map_or(0, |(number, _)| *number)
    }

    pub(super) fn forget(&self, transfer: &Arc<Transfer>) {
        let mut transfers = lock(&self.transfers);
        let at = transfers.iter().position(|(_, tracked)| Arc::ptr_eq(tracked, transfer));
        let forgotten = at.map(|at| transfers.remove(at));
        drop(transfers);
        drop(forgotten);
    }

    /// Ends it with a reset. False if it was closed before.
    fn close(&self) -> bool {
        self.sink.abort();
        self.closer.close()
    }

    fn count_content(&self) {
        let telemetry = &self.server.telemetry;
        if let Some(raw) = self.raw.get() {
            telemetry.content_passed(Some(self.last_route.load(Ordering::Relaxed)), raw.take_uncounted());
        }
        for (_, transfer) in &*lock(&self.transfers) {
            // Of a transfer that is being polled, content is counted the next time.
            if let Some((route, bytes)) = transfer.take_uncounted() {
                telemetry.content_passed(route, bytes);
            }
        }
    }

    /// The instant since which it has no request under way and no bytes waiting; `None` if it has some, and for raw
    /// TCP.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let is_idle = self.in_flight.load(Ordering::Acquire) == 0
            && !self.sink.is_writing()
            && self.protocol.get() != Some(&Protocol::Tcp);
        is_idle.then(|| Instant::from_nanos(self.idle_since.load(Ordering::Relaxed)))
    }

    /// Asks its task to end it if it is idle now and still idle when the task runs. False if it is not idle, or was
    /// asked before.
    pub(super) fn end_if_idle(&self) -> bool {
        self.idle_since().is_some() && self.closer.ask()
    }

    fn report(&self) -> ConnectionReport {
        let transfers = lock(&self.transfers).clone();
        let counts = self.sink.counts();
        let now = self.now();
        ConnectionReport {
            at: now,
            id: self.id,
            peer: self.ends.peer,
            local: self.ends.local,
            protocol: self.protocol.get().copied(),
            age: now - self.began,
            requests: self.requests.load(Ordering::Relaxed),
            bytes_read: counts.bytes_read(),
            bytes_written: counts.bytes_written(),
            bytes_per_second: self.sink.bytes_per_second(),
            buffered: counts.buffered(),
            held: self.sink.held(),
            transfers: transfers.iter().map(|(number, transfer)| transfer.report(self, *number)).collect(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks a connection's task to end it.
#[derive(Default)]
pub(super) struct Closer {
    closed: AtomicBool,
    /// Asked to end if idle.
    asked: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl Closer {
    /// Closes it and wakes the task. False if it was closed before.
    pub(super) fn close(&self) -> bool {
        let first = !self.closed.swap(true, Ordering::SeqCst);
        let task = lock(&self.task).take();
        if let Some(task) = task {
            task.wake();
        }
        first
    }

    /// Asks the task to end the connection if it is idle, and wakes it. False if it was asked before.
    fn ask(&self) -> bool {
        let first = !self.asked.swap(true, Ordering::SeqCst);
        // Left there for `close`: the task may find that it is not idle.
        let task = lock(&self.task).clone();
        if let Some(task) = task {
            task.wake();
        }
        first
    }

    /// Whether the task was asked to end the connection if idle, since the last call.
    pub(super) fn take_asked(&self) -> bool {
        // Read at each poll, and mostly not set.
        self.asked.load(Ordering::SeqCst) && self.asked.swap(false, Ordering::SeqCst)
    }

    /// Waits to be closed, or to be asked to end.
    pub(super) async fn closed_or_asked(&self) {
        let asked = std::future::poll_fn(|_| match self.take_asked() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        });
        // In this order: the waker is registered before the flag is read.
        futures_lite::future::or(self.closed(), asked).await;
    }

    /// Waits to be closed.
    pub(super) async fn closed(&self) {
        // The waker is registered again only if it changed: no lock at each poll.
        let mut known: Option<Waker> = None;
        std::future::poll_fn(move |cx: &mut Context<'_>| {
            if !known.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
                let task = cx.waker().clone();
                known = Some(task.clone());
                *lock(&self.task) = Some(task);
            }
            if self.closed.load(Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;

    use crate::wake_count::WakeCount;

    #[test]
    fn who_is_asked_to_end_may_go_on_and_be_closed_later() {
        let closer = Closer::default();
        let wakes = WakeCount::default();
        let waker = wakes.waker();
        let mut cx = Context::from_waker(&waker);
        let mut closed = pin!(closer.closed());
        assert_eq!(closed.as_mut().poll(&mut cx), Poll::Pending);
        assert!(closer.ask() && !closer.ask());
        assert!(closer.take_asked() && !closer.take_asked());
        assert_eq!(closed.as_mut().poll(&mut cx), Poll::Pending);
        closer.close();
        assert_eq!(wakes.get(), 3);
        assert_eq!(closed.as_mut().poll(&mut cx), Poll::Ready(()));

        let closer = Closer::default();
        let mut told = pin!(closer.closed_or_asked());
        assert_eq!(told.as_mut().poll(&mut cx), Poll::Pending);
        closer.ask();
        assert_eq!(wakes.get(), 4);
        assert_eq!(told.as_mut().poll(&mut cx), Poll::Ready(()));
    }

    #[test]
    fn a_connection_is_told_once_before_it_listens_or_while_it_does() {
        let (early, late) = (Closer::default(), Closer::default());
        let wakes = WakeCount::default();
        let waker = wakes.waker();
        let mut cx = Context::from_waker(&waker);
        assert!(early.close() && !early.close());
        assert_eq!(pin!(early.closed()).poll(&mut cx), Poll::Ready(()));

        let mut closed = pin!(late.closed());
        assert_eq!(closed.as_mut().poll(&mut cx), Poll::Pending);
        assert_eq!(closed.as_mut().poll(&mut cx), Poll::Pending);
        assert_eq!(wakes.get(), 0);
        late.close();
        assert_eq!(wakes.get(), 1);
        assert_eq!(closed.as_mut().poll(&mut cx), Poll::Ready(()));
    }
}
