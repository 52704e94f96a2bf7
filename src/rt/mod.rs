//! The runtime: tasks, blocking work, sockets, signals, and hyper's adapters.
//!
//! The only module that names async-std and its reactor, and the only one that spawns. It knows neither brigades nor
//! limits, except for reading the part of a file that a bucket names.

mod at_hand;
mod buffers;
mod busyness;
mod connect;
mod disk;
mod file_read;
pub(crate) mod folder;
mod fresh;
#[cfg(feature = "service")]
mod handed;
mod hyper;
mod inotify;
mod line_writer;
mod listener;
mod listeners;
mod log_pipe;
mod outcomes;
mod pacing;
mod pages;
mod peer_addr;
mod process;
mod random;
mod reactor;
mod read_way;
mod send_file;
pub mod serve;
#[cfg(feature = "service")]
mod service;
mod signals;
mod slices;
mod slots;
mod socket;
#[cfg(feature = "service")]
mod successor;
mod tasks;
mod tcp_port;
mod turns;
mod unix_path;
mod unsent;
mod wait_until;
mod workers;

use std::future::Future;
use std::sync::Arc;

use crate::clock::SystemClock;

pub use buffers::read_buffers;
pub(crate) use buffers::{Buffer, poll_read_behind};
pub use connect::{Connect, connect, connect_unix};
pub(crate) use disk::{Disk, close_on_pool, close_when_unused, is_local};
pub use file_read::FileReader;
pub(crate) use fresh::Fresh;
#[cfg(feature = "service")]
pub use handed::HandedError;
pub use hyper::{Executor, HyperTimer};
pub(crate) use inotify::FileWatch;
pub(crate) use line_writer::{LineEvent, LineOutput, LineWriter};
pub use listener::Listener;
pub use listeners::{Inheritance, Listeners};
pub(crate) use log_pipe::LogPipe;
pub use outcomes::{Outcomes, Reason};
pub(crate) use pages::Pages;
pub use peer_addr::PeerAddr;
pub use process::raise_descriptor_limit;
pub(crate) use process::{memory_limit, thread_time};
pub(crate) use random::{SplitMix64, random};
pub(crate) use read_way::read_at_once;
#[cfg(feature = "service")]
pub use service::{ServiceState, feed_watchdog, has_service_manager, tell_service_manager};
pub use signals::{Signal, Signals};
pub(crate) use slices::{MAX_PIECES, first_bytes};
pub(crate) use slots::{Exchange, Slot, Slots};
pub use socket::Socket;
#[cfg(feature = "service")]
pub use successor::{Predecessor, Ready, Successor, SuccessorError};
pub(crate) use tasks::spawn_spread;
pub use tasks::{blocking, spawn, tasks};
pub(crate) use turns::{TurnLost, Turns};
pub(crate) use unsent::unsent;
pub(crate) use wait_until::wait_until;
pub(crate) use workers::{Turn, WorkerId, turn, worker};

/// The process's clock, started by the first call.
///
/// # Panics
/// If the operating system refuses to start one thread.
pub fn clock() -> Arc<SystemClock> {
    SystemClock::shared()
}

/// Whether this process was started to take another's place, which may hold for a while what both need.
pub(crate) fn is_successor() -> bool {
    #[cfg(feature = "service")]
    return successor::is_started_by_predecessor();
    #[cfg(not(feature = "service"))]
    false
}

const BEHIND: i32 = 10;

/// Runs `work` on a detached thread of low priority: it gets about a tenth of the processor time of other threads.
///
/// # Errors
/// The system cannot start a thread.
#[allow(clippy::disallowed_methods, reason = "what others are told to use")]
pub fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    let patient = move || {
        // Linux has a niceness for each thread. If it cannot be set, the work is done anyway.
        let _ = rustix::process::setpriority_process(None, BEHIND);
        work();
    };
    std::thread::Builder::new().name(name.to_owned()).spawn(patient).map(drop)
}

/// Runs a future to completion on this thread.
///
/// # Panics
/// On a thread of the server's workers, where sockets, timers and tasks of that thread would wait for each other.
pub fn block_on<F: Future>(future: F) -> F::Output {
    assert!(
        workers::here().is_none(),
        "block_on in a task of the server: it would wait for itself; await the future"
    );
    async_std::task::block_on(future)
}
