//! On real connections, since only the kernel knows whether one was closed; time is the manual clock's.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use super::super::link::Link;
use super::*;
use crate::clock::ManualClock;

const LASTING: Duration = Duration::from_secs(10);

struct Route {
    idle: Arc<IdlePool>,
    clock: Arc<ManualClock>,
    upstream: TcpListener,
}

impl Route {
    fn new(most: usize, lasting: Duration) -> Self {
        let clock = Arc::new(ManualClock::new());
        let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
        Self { idle: IdlePool::new(most, lasting, clock.clone()), clock, upstream }
    }

    /// A connection, and the upstream's end of it.
    fn connect(&self) -> (Connection, TcpStream) {
        let port = self.upstream.local_addr().unwrap().port();
        let to = rt::Connect { host: "127.0.0.1".into(), port, receive_buffer: None };
        let connection = Connection::new(Link::Plain(rt::block_on(rt::connect(&to)).unwrap()));
        (connection, self.upstream.accept().unwrap().0)
    }

    fn waiting(&self) -> usize {
        self.idle.state.lock().connections.len()
    }

    /// Waits for the sweep to sleep; it runs on the executor's threads.
    fn asleep(&self) {
        while self.clock.sleepers() == 0 {
            std::thread::yield_now();
        }
    }

    /// Advances the clock to the next sweep, and waits until it ran.
    fn sweep(&self) {
        self.asleep();
        self.clock.advance_to_next().unwrap();
        while self.clock.sleepers() == 0 && self.idle.state.lock().is_swept {
            std::thread::yield_now();
        }
    }
}

/// Waits until the kernel has delivered what the other end did.
fn until_unfit(connection: &Connection) {
    while connection.is_reusable(Instant::ZERO) {
        std::thread::yield_now();
    }
}

#[test]
fn the_last_that_came_goes_first_and_no_more_wait_than_may() {
    let route = Route::new(2, LASTING);
    let (links, _ends): (Vec<_>, Vec<_>) = (0..3).map(|_| route.connect()).unzip();
    let names: Vec<_> = links.iter().map(|connection| format!("{connection:?}")).collect();
    links.into_iter().for_each(|connection| route.idle.put(connection));
    assert_eq!(route.waiting(), 2);
    let take = || route.idle.take().map(|connection| format!("{connection:?}"));
    assert_eq!([take(), take(), take()], [Some(names[1].clone()), Some(names[0].clone()), None]);

    let none = Route::new(0, LASTING);
    none.idle.put(none.connect().0);
    assert_eq!((none.waiting(), none.clock.sleepers()), (0, 0));
}

#[test]
fn each_worker_takes_its_own_first() {
    let route = Route::new(3, LASTING);
    let (sender, receiver) = std::sync::mpsc::channel();
    rt::spawn(async move { sender.send(rt::worker()).unwrap() });
    let worker = receiver.recv().unwrap();
    assert!(worker.is_some() && worker != rt::worker());
    let (links, _ends): (Vec<_>, Vec<_>) = (0..3).map(|_| route.connect()).unzip();
    let names: Vec<_> = links.iter().map(|connection| format!("{connection:?}")).collect();
    let mut state = route.idle.state.lock();
    for (connection, worker) in links.into_iter().zip([worker, None, worker]) {
        state.connections.push(Idle { connection, since: Instant::ZERO, worker });
    }
    let mut take = |worker| state.take(worker).map(|idle| format!("{:?}", idle.connection));
    assert_eq!([take(None), take(None)], [Some(names[1].clone()), Some(names[2].clone())]);
    assert_eq!([take(worker), take(worker)], [Some(names[0].clone()), None]);
}

#[test]
fn one_waits_up_to_its_last_nanosecond() {
    let nanosecond = Duration::from_nanos(1);
    for (waited, is_there) in [(LASTING - nanosecond, true), (LASTING, false)] {
        let route = Route::new(2, LASTING);
        let (connection, _end) = route.connect();
        route.idle.put(connection);
        route.asleep();
        route.clock.advance(waited);
        assert_eq!(route.idle.take().is_some(), is_there, "{waited:?}");
    }
}

#[test]
fn a_connection_that_was_closed_or_written_to_is_not_reused() {
    let route = Route::new(3, LASTING);
    let (sound, _end) = route.connect();
    let (closed, end) = route.connect();
    drop(end);
    let (spoken, mut end) = route.connect();
    end.write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n").unwrap();
    until_unfit(&closed);
    until_unfit(&spoken);
    let name = format!("{sound:?}");
    for connection in [sound, closed, spoken] {
        route.idle.put(connection);
    }
    assert_eq!(route.waiting(), 3);
    assert_eq!(route.idle.take().map(|connection| format!("{connection:?}")), Some(name));
    assert_eq!(route.waiting(), 0);
}

#[test]
fn the_next_sweep_closes_what_need_not_wait_and_the_last_one_ends() {
    let route = Route::new(3, SWEEP * 2);
    let (sound, _end) = route.connect();
    let (closed, end) = route.connect();
    drop(end);
    until_unfit(&closed);
    route.idle.put(sound);
    route.idle.put(closed);
    assert_eq!(route.waiting(), 2);
    route.asleep();
    assert_eq!(route.clock.next_deadline(), Some(Instant::ZERO + SWEEP));
    route.sweep();
    assert_eq!(route.waiting(), 1, "the closed one is gone");
    route.sweep();
    assert_eq!(route.waiting(), 0, "the other waited long enough");
    assert_eq!((route.clock.sleepers(), route.idle.state.lock().is_swept), (0, false));

    let (connection, _end) = route.connect();
    route.idle.put(connection);
    route.asleep();
    assert!(route.idle.state.lock().is_swept, "it begins anew");
}

#[test]
fn a_lifetime_below_the_sweep_interval_is_kept() {
    let lasting = SWEEP / 4;
    let route = Route::new(1, lasting);
    let (connection, _end) = route.connect();
    route.idle.put(connection);
    route.asleep();
    assert_eq!(route.clock.next_deadline(), Some(Instant::ZERO + lasting));
    route.sweep();
    assert_eq!((route.waiting(), route.clock.sleepers()), (0, 0));
}

#[test]
fn a_route_that_is_dropped_closes_its_connections_and_ends_its_sweep() {
    let route = Route::new(1, LASTING);
    let (connection, mut end) = route.connect();
    route.idle.put(connection);
    route.asleep();
    let Route { idle, clock, .. } = route;
    drop(idle);
    assert_eq!(end.read(&mut [0]).unwrap(), 0, "closed at once");
    clock.advance_to_next().unwrap();
    // The task drops its clock when it ends.
    while Arc::strong_count(&clock) > 1 {
        std::thread::yield_now();
    }
    assert_eq!(clock.sleepers(), 0);
}
