//! What a process holds for its connections, counted.

use std::sync::{OnceLock, RwLockWriteGuard};
use std::time::{Duration, Instant};

use sluicegate::http::server::Handle;
use sluicegate::rt;

use testkit::wait::{self, PATIENCE, until};

/// What lives. All of it is the whole process's, but for what one server counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    pub tasks: usize,
    pub timers: usize,
    /// Bytes of buffers with pieces of files.
    pub read_buffers: usize,
    pub descriptors: usize,
    pub connections: usize,
    /// Bytes held by the sinks.
    pub held: u64,
}

impl Census {
    /// Counts what there is now, in the process and in one server.
    pub fn take(server: Option<&Handle>) -> Self {
        Self {
            tasks: rt::tasks(),
            timers: rt::clock().sleepers(),
            read_buffers: rt::read_buffers(),
            // One of them is the folder being read.
            descriptors: std::fs::read_dir("/proc/self/fd").unwrap().count() - 1,
            connections: server.map_or(0, Handle::connections),
            held: server.map_or(0, |server| server.egress().buffered()),
        }
    }
}

/// The whole process, for one scene at a time: what is counted is all of it.
pub struct Turn {
    _turn: RwLockWriteGuard<'static, ()>,
}

impl Turn {
    /// Waits for the scenes before this one. What the runtime starts once (its reactor, its threads, the
    /// clock) is there by then.
    pub fn begin(warm_up: impl FnOnce()) -> Self {
        let turn = wait::alone();
        bare().get_or_init(|| {
            warm_up();
            let rest = || (rt::tasks(), rt::clock().sleepers(), rt::read_buffers());
            until("the end of the warm-up", || rest() == (0, 0, 0));
            Census::take(None)
        });
        Self { _turn: turn }
    }
}

/// What a process holds that has served, and serves nobody.
fn bare() -> &'static OnceLock<Census> {
    static BARE: OnceLock<Census> = OnceLock::new();
    &BARE
}

/// A scene leaves nothing.
impl Drop for Turn {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            wait_for(|| *bare().get().unwrap(), || Census::take(None));
        }
    }
}

/// Waits until what is there is what is expected.
pub fn wait_for(expected: impl Fn() -> Census, there: impl Fn() -> Census) {
    let began = Instant::now();
    loop {
        let (there, expected) = (there(), expected());
        if there == expected {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "\n    left: {there:?}\nexpected: {expected:?}");
        // Real time, a little: what is waited for happens on the server's threads.
        std::thread::sleep(Duration::from_millis(1));
    }
}
