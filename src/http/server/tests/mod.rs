//! The server's connections on wires in memory and a clock that is moved by hand: all of them, from the
//! first byte of a request to the log line, at exact instants and to the byte.
//!
//! Over HTTP/1 nothing here runs on a thread of its own, so each scene goes the same way each time.

mod accounts;
mod classes;
mod clients;
mod conformance;
mod faults;
mod gone;
mod lengths;
mod pace_rules;
mod pipe;
mod pushing;
mod reports;
mod requests;
mod schedules;
mod shedding;
mod slow_reader;
mod small_files;
mod smooth;
mod sole;
mod uploads;
mod windows;
mod writes;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};

use super::connection::{Connection, Ends};
use super::pacing::Calendar;
use super::serve::serve;
use super::{Handle, Settings, Shared};
use crate::clock::{Clock, Instant, ManualClock};
use crate::http::body::RequestBody;
use crate::http::content::Content;
use crate::http::peer::PeerAddr;
use crate::http::proxy::Client as From;
use crate::http::route::{Answer, Handler, Route};
use crate::limit::Rate;
use crate::sink::Sink;
use crate::wake_count::WakeCount;
use pipe::{Client, Road, pipe};
use testkit::recorder;

/// A server with one route to one page, and its connections.
struct World {
    clock: Arc<ManualClock>,
    server: Arc<Shared>,
    handle: Handle,
    connections: Vec<Task>,
}

/// A connection's task, while it lives.
struct Task {
    future: Option<Pin<Box<dyn Future<Output = ()>>>>,
    wakes: WakeCount,
    /// Of these, how many it was polled for; `None` before the first poll.
    seen: Option<usize>,
}

/// Answers all requests with the same bytes.
struct Page {
    status: u16,
    bytes: Bytes,
    /// Its length is known; else it comes over time.
    sized: bool,
}

impl Handler for Page {
    fn respond<'a>(&'a self, _: Request<RequestBody>, _: &'a From) -> Answer<'a> {
        let mut answer = Response::builder().status(self.status);
        let bytes = self.bytes.clone();
        let content = if self.sized {
            answer = answer.header("content-length", bytes.len());
            Content::text(bytes)
        } else {
            over_time(bytes)
        };
        Box::pin(async move { answer.body(content).unwrap() })
    }
}

/// Content whose length nobody knows before its end.
fn over_time(bytes: impl Into<Bytes>) -> Content {
    Content::Stream(Box::new(Content::text(bytes)))
}

/// The ends of a connection of `peer`, which is not trusted.
fn ends_of(peer: PeerAddr) -> Ends {
    Ends { fd: 70, ..Ends::of(peer, false) }
}

/// Bytes in which a missing, doubled or misplaced one shows.
fn content(len: usize) -> Bytes {
    (0..len).map(|at| (at % 251) as u8).collect()
}

const GET: &[u8] = b"GET /page HTTP/1.1\r\nHost: t\r\n\r\n";

/// The same over HTTP/2: the preface, settings without any, and a head in HPACK's static table.
const GET_2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\
    \0\0\0\x04\0\0\0\0\0\
    \0\0\x0c\x01\x05\0\0\0\x01\x82\x86\x04\x05/page\x01\x01t";

impl World {
    /// A page of `len` bytes on the route `/`, at `rate` bytes per second; 0 is unlimited.
    fn new(settings: Settings, len: usize, rate: u64) -> Self {
        Self::of(settings, Page { status: 200, bytes: content(len), sized: true }, rate)
    }

    fn of(settings: Settings, handler: impl Handler + 'static, rate: u64) -> Self {
        Self::on(settings, Route::handler("/", handler).rate(Rate::or_unlimited(rate)))
    }

    /// The same with any route.
    fn on(settings: Settings, route: Route) -> Self {
        Self::on_all(settings, vec![route])
    }

    /// The same with several.
    fn on_all(settings: Settings, routes: Vec<Route>) -> Self {
        Self::with_calendar(settings, routes, Calendar::default())
    }

    /// The same, in which nothing follows the calendar but [`Handle::follow_calendar`].
    fn on_followed(settings: Settings, route: Route) -> Self {
        Self::with_calendar(settings, vec![route], Calendar::followed())
    }

    fn with_calendar(settings: Settings, routes: Vec<Route>, calendar: Calendar) -> Self {
        let clock = Arc::new(ManualClock::new());
        // Not at the very beginning: zero often means "never".
        clock.advance(Duration::from_secs(100));
        let on = |route: Route| route.uploads_on(Arc::clone(&clock) as Arc<dyn Clock>);
        let routes = routes.into_iter().map(on).collect();
        let own = Arc::clone(&clock) as Arc<dyn Clock>;
        let shared = Shared::new(settings, routes, (BTreeMap::new(), None), own);
        let server = Arc::new(Shared { calendar, ..shared });
        recorder::begin(log::LevelFilter::Debug);
        Self { clock, handle: Handle(Arc::clone(&server)), server, connections: Vec::new() }
    }

    /// A connection over `road`; its peer has the port `9000 +` its number, which begins at 1.
    fn connect(&mut self, road: Road) -> Client {
        self.connect_from([192, 0, 2, 1], road)
    }

    /// The same from another address.
    fn connect_from(&mut self, ip: [u8; 4], road: Road) -> Client {
        let (wire, client) = pipe(road);
        let number = self.connections.len() + 1;
        let peer = PeerAddr::Tcp((ip, 9000 + number as u16).into());
        let server = &self.server;
        let trusted = peer.ip().is_some_and(|ip| server.setup().settings.trusted.contains(ip));
        let ends = Ends { fd: 70 + number as i32, trusted, ..ends_of(peer) };
        let clock = Arc::clone(&server.clock);
        let setup = server.setup();
        let sink = Sink::new(wire, Arc::clone(&setup.sink), Arc::clone(&server.egress), clock);
        let settings = Arc::clone(&setup.settings);
        let connection =
            Connection::new(Arc::clone(server), settings, Arc::clone(sink.state()), ends, None, None);
        let future: Pin<Box<dyn Future<Output = ()>>> = Box::pin(serve(sink, connection));
        self.connections.push(Task { future: Some(future), wakes: WakeCount::default(), seen: None });
        self.settle();
        client
    }

    /// Polls each connection that was woken, until none is.
    fn settle(&mut self) {
        for number in 1..=self.connections.len() {
            while self.poll(number) {}
        }
    }

    /// Polls a connection once, if it was woken. The first is 1.
    fn poll(&mut self, number: usize) -> bool {
        let task = &mut self.connections[number - 1];
        let Some(future) = &mut task.future else { return false };
        let wakes = task.wakes.get();
        if task.seen.replace(wakes) == Some(wakes) {
            return false;
        }
        let waker = task.wakes.waker();
        if future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
            task.future = None;
        }
        true
    }

    /// Lets time pass, deadline by deadline.
    fn pass(&mut self, duration: Duration) {
        let until = self.clock.now() + duration;
        self.settle();
        while let Some(next) = self.clock.next_deadline().filter(|next| *next <= until) {
            self.clock.set(next.max(self.clock.now()));
            self.settle();
        }
        self.clock.set(until);
        self.settle();
    }

    /// Milliseconds since the world began.
    fn millis(&self) -> u64 {
        (self.clock.now() - Instant::from_millis(100_000)).as_millis() as u64
    }

    /// Drops the task of a connection where it stands. The first is 1.
    fn cut(&mut self, number: usize) {
        self.connections[number - 1].future = None;
    }

    fn lives(&self, number: usize) -> bool {
        self.connections[number - 1].future.is_some()
    }

    /// Bytes of content that were taken from chains so far, by responses that ended.
    fn taken(&self) -> u64 {
        self.handle.telemetry().routes().iter().map(|route| route.bytes()).sum()
    }

    /// Lets time pass until something holds that needs the executor's threads, where streams of HTTP/2 run:
    /// real time, a little.
    fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        for _ in 0..PATIENCE {
            self.pass(Duration::from_millis(1));
            if holds(self) {
                return;
            }
            std::thread::park_timeout(Duration::from_millis(1));
        }
        panic!("{what} does not come");
    }

    /// The same until what `client` was sent is enough. Returns that.
    fn read_until(&mut self, what: &str, client: &Client, is_enough: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        let came = RefCell::new(Vec::new());
        self.until(what, |_| {
            came.borrow_mut().extend(client.read(usize::MAX));
            is_enough(&came.borrow())
        });
        came.into_inner()
    }

    /// Checks that connections which ended left nothing: they are not counted, and hold no bytes.
    fn assert_nothing_left(&self) {
        assert_eq!((self.handle.connections(), self.handle.egress().buffered()), (0, 0));
        assert!(self.server.clients.is_empty(), "a client is still counted");
    }
}

/// Milliseconds for what must come.
const PATIENCE: usize = 20_000;

/// No world may end with anything left of its connections.
impl Drop for World {
    fn drop(&mut self) {
        self.connections.clear();
        if std::thread::panicking() {
            return;
        }
        self.assert_nothing_left();
        // What gathers drops for the log runs on the executor.
        self.handle.stop();
        for _ in 0..PATIENCE {
            if self.clock.sleepers() == 0 {
                return;
            }
            std::thread::park_timeout(Duration::from_millis(1));
        }
        panic!("{} timers are left", self.clock.sleepers());
    }
}
