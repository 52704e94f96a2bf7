//! A worker's reactor: sockets whose readiness its thread waits for.
//!
//! Each is registered once, edge-triggered for both directions, and stays so until it is closed or polled on another worker.
//! What is known of its readiness is kept beside it, so that a read or a write that could only say "not now" is not made.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};
use slab::Slab;

use super::workers::{self, Worker};
use crate::sync::Mutex;

/// Events of one look.
const MAX_EVENTS: usize = 256;

/// The key of the bell.
const BELL: u64 = u64::MAX;

/// A direction of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Read,
    Write,
}

impl Direction {
    fn bit(self) -> u64 {
        match self {
            Self::Read => READABLE,
            Self::Write => WRITABLE,
        }
    }
}

const READABLE: u64 = 1;
const WRITABLE: u64 = 2;
/// Its peer has ended, failed, or sent urgent data: a read that returns less than was asked for has not read all.
const UNUSUAL: u64 = 4;
/// One event, above the flags: tells states apart that an event lies between.
const EVENT: u64 = 8;

/// What was known of a socket's readiness at one moment.
#[derive(Clone, Copy)]
pub(super) struct Seen(u64);

/// Something that is waited for, and what is known of its readiness.
pub(super) struct Polled<T: AsFd> {
    io: T,
    /// Flags, and the number of events.
    state: AtomicU64,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    home: Option<Home>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// Where a socket is registered.
#[derive(Clone, Copy)]
struct Home {
    worker: &'static Worker,
    key: u64,
}

/// What a reactor does with a socket.
trait Notify: Send + Sync {
    fn notify(&self, flags: u64);
}

impl<T: AsFd + Send + Sync + 'static> Polled<T> {
    /// A non-blocking socket that is tried before it is waited for.
    pub(super) fn new(io: T) -> Arc<Self> {
        Self::with(io, READABLE | WRITABLE)
    }

    /// A non-blocking socket of which nothing is known: it is waited for until an event tells.
    pub(super) fn unknown(io: T) -> Arc<Self> {
        Self::with(io, 0)
    }

    fn with(io: T, state: u64) -> Arc<Self> {
        Arc::new(Self { io, state: AtomicU64::new(state), waiting: Mutex::default() })
    }

    /// The socket.
    pub(super) fn get_ref(&self) -> &T {
        &self.io
    }

    /// What is known now: to be read before a system call whose result is noted.
    pub(super) fn seen(&self) -> Seen {
        Seen(self.state.load(Ordering::Acquire))
    }

    /// Has the next poll try, whatever is known: an event that has happened may not have been told yet.
    pub(super) fn suppose_ready(&self, direction: Direction) {
        self.state.fetch_or(direction.bit(), Ordering::AcqRel);
    }

    /// Notes that a system call after `seen` found the socket not ready.
    pub(super) fn not_ready(&self, direction: Direction, seen: Seen) {
        let mut state = seen.0;
        // An event since may be of what came after the system call.
        while state / EVENT == seen.0 / EVENT && state & direction.bit() != 0 {
            let cleared = state & !direction.bit();
            match self.state.compare_exchange_weak(state, cleared, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return,
                Err(now) => state = now,
            }
        }
    }

    /// Notes that a read of a TCP socket after `seen` returned less than there was room for: it is empty, and the next byte is
    /// an event (epoll(7), question 9).
    pub(super) fn was_emptied(&self, seen: Seen) {
        if seen.0 & UNUSUAL == 0 {
            self.not_ready(Direction::Read, seen);
        }
    }

    /// Ready when the socket may be, perhaps without reason. One task at a time waits for each direction; another that comes
    /// takes its place and wakes it.
    ///
    /// # Errors
    /// The socket cannot be registered.
    pub(super) fn poll_ready(
        self: &Arc<Self>,
        cx: &mut Context<'_>,
        direction: Direction,
    ) -> Poll<io::Result<Seen>> {
        let seen = self.seen();
        if seen.0 & direction.bit() != 0 {
            return Poll::Ready(Ok(seen));
        }
        let mut waiting = self.waiting.lock();
        self.settle(&mut waiting)?;
        let place = match direction {
            Direction::Read => &mut waiting.reader,
            Direction::Write => &mut waiting.writer,
        };
        let old = match place {
            Some(waker) if waker.will_wake(cx.waker()) => None,
            place => place.replace(cx.waker().clone()),
        };
        drop(waiting);
        if let Some(old) = old {
            old.wake();
        }
        // An event before the waker was there has woken nobody.
        let seen = self.seen();
        if seen.0 & direction.bit() != 0 { Poll::Ready(Ok(seen)) } else { Poll::Pending }
    }

    /// Registers it with this thread's worker, or any if this thread is none. An event that has happened is told anew.
    fn settle(self: &Arc<Self>, waiting: &mut Waiting) -> io::Result<()> {
        let here = workers::here();
        let is_home = match (waiting.home, here) {
            (Some(home), Some(here)) => std::ptr::eq(home.worker, here),
            (Some(_), None) => true,
            (None, _) => false,
        };
        if is_home {
            return Ok(());
        }
        let worker = here.unwrap_or_else(workers::any);
        let twin: Weak<Self> = Arc::downgrade(self);
        // Added first: if that fails, who waits for the other direction is still woken from where it was.
        let key = worker.reactor.add(&self.io, twin)?;
        if let Some(old) = waiting.home.replace(Home { worker, key }) {
            old.worker.reactor.remove(&self.io, old.key);
        }
        Ok(())
    }

    /// Calls `operation` when the socket may be ready, until it does not answer `WouldBlock`.
    pub(super) fn poll_with<R>(
        self: &Arc<Self>,
        cx: &mut Context<'_>,
        direction: Direction,
        mut operation: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<(R, Seen)>> {
        loop {
            let seen = ready!(self.poll_ready(cx, direction))?;
            match operation(&self.io) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.not_ready(direction, seen),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return Poll::Ready(result.map(|result| (result, seen))),
            }
        }
    }

    /// Waits for [`poll_ready`](Self::poll_ready).
    pub(super) async fn ready(self: &Arc<Self>, direction: Direction) -> io::Result<()> {
        poll_fn(|cx| self.poll_ready(cx, direction)).await.map(drop)
    }
}

impl<T: AsFd + Send + Sync> Notify for Polled<T> {
    fn notify(&self, flags: u64) {
        let noted = |state: u64| Some((state | flags).wrapping_add(EVENT));
        // Before the wakers are taken: see `poll_ready`.
        let _ = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, noted);
        let mut waiting = self.waiting.lock();
        let reader = if flags & READABLE != 0 { waiting.reader.take() } else { None };
        let writer = if flags & WRITABLE != 0 { waiting.writer.take() } else { None };
        drop(waiting);
        reader.into_iter().chain(writer).for_each(Waker::wake);
    }
}

impl<T: AsFd> Drop for Polled<T> {
    fn drop(&mut self) {
        if let Some(home) = self.waiting.lock().home.take() {
            home.worker.reactor.remove(&self.io, home.key);
        }
    }
}

impl<T: AsFd + fmt::Debug> fmt::Debug for Polled<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.io.fmt(f)
    }
}

/// The sockets that one worker waits for.
pub(super) struct Reactor {
    epoll: OwnedFd,
    /// An eventfd, never read: each write is an edge.
    bell: OwnedFd,
    registered: Mutex<Registered>,
}

#[derive(Default)]
struct Registered {
    sockets: Slab<(u64, Weak<dyn Notify>)>,
    /// Registrations so far: a key is not used again soon.
    count: u64,
}

impl Registered {
    fn get(&self, key: u64) -> Option<Arc<dyn Notify>> {
        let (known, socket) = self.sockets.get(place(key))?;
        if *known == key { socket.upgrade() } else { None }
    }
}

/// The place in the list of sockets, which is the lower half of a key.
fn place(key: u64) -> usize {
    (key & u64::from(u32::MAX)) as usize
}

impl Reactor {
    pub(super) fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&epoll, &bell, epoll::EventData::new_u64(BELL), flags)?;
        Ok(Self { epoll, bell, registered: Mutex::default() })
    }

    /// Ends the sleep of the reactor's thread, or its next one.
    pub(super) fn ring(&self) {
        // Fails only if the counter is full, which is an edge that was not taken yet.
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }

    fn add(&self, io: impl AsFd, socket: Weak<dyn Notify>) -> io::Result<u64> {
        use epoll::EventFlags as Flags;
        let mut registered = self.registered.lock();
        registered.count = (registered.count + 1) % (1 << 31);
        let count = registered.count;
        let entry = registered.sockets.vacant_entry();
        let key = count << 32 | entry.key() as u64;
        entry.insert((key, socket));
        drop(registered);
        let flags = Flags::IN | Flags::OUT | Flags::RDHUP | Flags::PRI | Flags::ET;
        if let Err(error) = epoll::add(&self.epoll, io, epoll::EventData::new_u64(key), flags) {
            self.forget(key);
            return Err(error.into());
        }
        Ok(key)
    }

    fn remove(&self, io: impl AsFd, key: u64) {
        // Cannot fail: it is registered until this.
        let _ = epoll::delete(&self.epoll, io);
        self.forget(key);
    }

    fn forget(&self, key: u64) {
        let mut registered = self.registered.lock();
        if registered.sockets.get(place(key)).is_some_and(|(known, _)| *known == key) {
            registered.sockets.remove(place(key));
        }
    }

    /// Wakes tasks whose sockets have become ready. If it `may_sleep`, waits for the first, at most for `patience`.
    pub(super) fn wake_ready(&self, scratch: &mut Scratch, patience: Option<Duration>, may_sleep: bool) {
        let patience = if may_sleep { patience } else { Some(Duration::ZERO) };
        let timeout = patience.map(|patience| Timespec {
            tv_sec: patience.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: patience.subsec_nanos().into(),
        });
        // An interrupted wait is a short one.
        let _ = epoll::wait(&self.epoll, spare_capacity(&mut scratch.events), timeout.as_ref());
        workers::begin_turn();
        if scratch.events.is_empty() {
            return;
        }
        let registered = self.registered.lock();
        for event in scratch.events.drain(..) {
            let key = event.data.u64();
            if key != BELL
                && let Some(socket) = registered.get(key)
            {
                scratch.ready.push((socket, flags_of(event.flags)));
            }
        }
        drop(registered);
        // Outside the lock: the last handle to a socket may be dropped here.
        for (socket, flags) in scratch.ready.drain(..) {
            socket.notify(flags);
        }
    }
}

/// Memory that is kept between two looks; empty then.
pub(super) struct Scratch {
    events: Vec<epoll::Event>,
    ready: Vec<(Arc<dyn Notify>, u64)>,
}

impl Default for Scratch {
    fn default() -> Self {
        Self { events: Vec::with_capacity(MAX_EVENTS), ready: Vec::with_capacity(MAX_EVENTS) }
    }
}

fn flags_of(flags: epoll::EventFlags) -> u64 {
    use epoll::EventFlags as Flags;
    let over = Flags::HUP | Flags::ERR;
    let unusual = over | Flags::RDHUP | Flags::PRI;
    let mut found = 0;
    if flags.intersects(unusual | Flags::IN) {
        found |= READABLE;
    }
    if flags.intersects(over | Flags::OUT) {
        found |= WRITABLE;
    }
    if flags.intersects(unusual) {
        found |= UNUSUAL;
    }
    found
}

#[cfg(test)]
mod tests;
