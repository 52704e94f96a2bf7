//! Many sockets in one thread: which of them has something, by epoll.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData};
use rustix::io::Errno;

pub use rustix::event::epoll::EventFlags;

/// Sockets, each under a number of the caller's choice. Closing a socket takes it out.
pub struct Poller {
    epoll: OwnedFd,
    ready: Vec<Event>,
}

impl Poller {
    /// One without sockets.
    ///
    /// # Errors
    /// The process has too many descriptors.
    pub fn new() -> io::Result<Self> {
        Ok(Self { epoll: epoll::create(CreateFlags::CLOEXEC)?, ready: Vec::with_capacity(1024) })
    }

    /// Watches `socket` for `flags`.
    ///
    /// # Errors
    /// The system's, as for a socket that is watched already.
    pub fn add(&self, socket: impl AsFd, number: usize, flags: EventFlags) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, socket, EventData::new_u64(number as u64), flags)?)
    }

    /// Watches a socket that is there for other `flags`.
    ///
    /// # Errors
    /// It is not there.
    pub fn modify(&self, socket: impl AsFd, number: usize, flags: EventFlags) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, socket, EventData::new_u64(number as u64), flags)?)
    }

    /// Waits until some are ready, and returns their numbers; none after `timeout`.
    ///
    /// # Errors
    /// The system's.
    pub fn wait(&mut self, timeout: Duration) -> io::Result<impl ExactSizeIterator<Item = usize>> {
        let timeout = Timespec::try_from(timeout).map_err(io::Error::other)?;
        while let Err(error) = epoll::wait(&self.epoll, spare_capacity(&mut self.ready), Some(&timeout)) {
            if error != Errno::INTR {
                return Err(error.into());
            }
        }
        Ok(self.ready.drain(..).map(|event| event.data.u64() as usize))
    }
}
