//! The long test of uploads: the pace of each, and each limit that they share, on real sockets over 15 seconds.
//!
//! Real time, because it is the system's clock, the wheel, sockets with their buffers and the executor together that must keep
//! the rates; on the manual clock they are exact. All limits run side by side, each in a server of its own. A machine that has
//! no time for the test is late, or catches up on what it was late with: then, and only then, another 15 seconds are looked at.
//! `cargo test --test http upload_rates -- --ignored --nocapture` runs it and prints the table.

use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::StreamBody;
use hyper::body::Frame;
use sluicegate::clock::Lateness;
use sluicegate::config::SharedLimits;
use sluicegate::http::UploadLimits;
use sluicegate::http::route::Route;
use sluicegate::http::server::{Server, Settings};
use sluicegate::limit::{Budget, Rate};
use sluicegate::rt::{self, Listener};
use sluicegate::tcp::Service;
use testkit::backend::Backend;
use testkit::h2::{WIDE, connect_with};
use testkit::served::{Served, connect_from};
use testkit::wait::until;

const KIB: u64 = 1024;
const WARM_UP: Duration = Duration::from_secs(1);
const WINDOW: Duration = Duration::from_secs(15);

/// Windows of which all but one may be those of a machine that was late.
const TRIES: usize = 8;

/// How long a thread sleeps that finds out whether the machine is late.
const NAP: Duration = Duration::from_millis(20);

/// How long a machine that was late may catch up.
const CATCHES_UP: Duration = Duration::from_secs(2);

/// Notes when this machine gives threads no time: beyond the lateness that paces make up for, a window's end and its bytes
/// are late too.
struct Watch {
    late: Arc<Mutex<Vec<(Instant, Duration)>>>,
    is_over: Arc<AtomicBool>,
}

impl Watch {
    /// Begins, on a thread for each core.
    fn begin() -> Self {
        let watch = Self { late: Arc::default(), is_over: Arc::default() };
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            let (late, is_over) = (Arc::clone(&watch.late), Arc::clone(&watch.is_over));
            std::thread::spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    std::thread::sleep(NAP);
                    let by = began.elapsed().saturating_sub(NAP);
                    if by > Lateness::TOLERANCE {
                        late.lock().unwrap().push((Instant::now(), by));
                    }
                }
            });
        }
        watch
    }

    /// The most that a thread was late by between the two, if it was more than paces make up for.
    fn late(&self, began: Instant, ended: Instant) -> Option<Duration> {
        let late = self.late.lock().unwrap();
        late.iter().filter(|(at, _)| (began..=ended).contains(at)).map(|(_, by)| *by).max()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// How much had been read of an upload, after each time that it was.
type Arrivals = Vec<(Instant, u64)>;

/// What the application behind the server has read of each upload, by its target.
#[derive(Clone, Default)]
struct Came(Arc<Mutex<Vec<(String, Arrivals)>>>);

impl Came {
    /// Notes what `stream` sends of the upload to `target`, until it ends.
    fn note(&self, target: &str, stream: &mut impl Read) {
        let at = {
            let mut uploads = self.0.lock().unwrap();
            uploads.push((target.to_owned(), Vec::new()));
            uploads.len() - 1
        };
        let (mut buf, mut sum) = (vec![0; 65_536], 0);
        while let Ok(n @ 1..) = stream.read(&mut buf) {
            sum += n as u64;
            self.0.lock().unwrap()[at].1.push((Instant::now(), sum));
        }
    }

    /// Uploads of which something came.
    fn begun(&self) -> usize {
        self.0.lock().unwrap().iter().filter(|(_, came)| !came.is_empty()).count()
    }

    /// Bytes per second of all uploads to `target` together. Of each from the last bytes before `began` to the last before
    /// `ended`: they come in chunks, and the window is not to gain or lose one by where it cuts.
    fn rate(&self, target: &str, began: Instant, ended: Instant) -> f64 {
        let uploads = self.0.lock().unwrap();
        let rate = |came: &Arrivals| {
            let last = |before: Instant| came[came.partition_point(|(at, _)| *at <= before) - 1];
            let ((from, before), (to, after)) = (last(began), last(ended));
            (after - before) as f64 / (to - from).as_secs_f64()
        };
        uploads.iter().filter(|(of, _)| of == target).map(|(_, came)| rate(came)).sum()
    }
}

/// Uploads without an end from an address of the loopback's network, over HTTP/1, each on a connection of its own.
fn over_1(server: SocketAddr, client: u8, target: &str) -> JoinHandle<()> {
    let mut stream = connect_from([127, 0, 0, client], server);
    let head = format!("POST {target} HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n");
    std::thread::spawn(move || {
        let chunk = [b"4000\r\n", &[b'x'; 0x4000][..], b"\r\n"].concat();
        let mut sent = stream.write_all(head.as_bytes());
        // Until the server ends.
        while sent.is_ok() {
            sent = stream.write_all(&chunk);
        }
    })
}

/// Two uploads of 127.0.0.1 without an end on one connection of HTTP/2.
fn over_2(server: SocketAddr, target: &str) -> JoinHandle<()> {
    let target = format!("http://t{target}");
    std::thread::spawn(move || {
        rt::block_on(async {
            let mut sender = connect_with(server, WIDE).await;
            let mut begin = || {
                let frame = || Ok::<_, Infallible>(Frame::data(Bytes::from_static(&[b'x'; 0x4000])));
                let body = StreamBody::new(futures_lite::stream::repeat_with(frame));
                sender.send_request(Request::post(&*target).body(body).unwrap())
            };
            let both = [begin(), begin()];
            for sending in both {
                // Until the server ends.
                let _ = sending.await;
            }
        });
    })
}

/// A server with one limit, and what is due to the uploads to each target.
struct Part {
    name: &'static str,
    due: Vec<(&'static str, u64)>,
    came: Came,
    /// Where uploads are sent.
    addr: SocketAddr,
    /// Ends before its senders.
    _served: Served,
}

impl Part {
    fn new(
        name: &'static str,
        upload: UploadLimits,
        settle: impl FnOnce(Route) -> Route,
        due: Vec<(&'static str, u64)>,
    ) -> Self {
        let (came, backend) = backend();
        let limits = SharedLimits { upload, ..SharedLimits::default() };
        let settings = Settings { limits, ..Settings::default() };
        let served = Served::with(settings, vec![settle(backend.route(0))]);
        Self { name, due, came, addr: served.addr, _served: served }
    }

    /// A relay of raw TCP with this pace of what each client sends. What goes through it are requests all the same.
    fn relayed(name: &'static str, pace: Rate, due: Vec<(&'static str, u64)>) -> Self {
        let (came, backend) = backend();
        let bind = || Listener::bind_tcp(([127, 0, 0, 1], 0).into()).unwrap();
        let service = Service::relay(&backend.addr.ip().to_string(), backend.addr.port()).upload_rate(pace);
        let server = Server::new(Settings::default(), vec![bind()], Vec::new()).with_port(bind(), service);
        let addr = server.handle().ports()[0].addr();
        Self { name, due, came, addr, _served: Served::running(server) }
    }

    /// Returns where more or less came in a window than is due.
    fn check(&self, began: Instant, ended: Instant) -> Vec<String> {
        let mut wrong = Vec::new();
        for (target, due) in &self.due {
            let rate = self.came.rate(target, began, ended);
            let error = rate / *due as f64 - 1.0;
            let line = format!(
                "{:<24}{:<6}{:>9}{:>9.1}{:>+8.2} %",
                self.name,
                target,
                due / KIB,
                rate / KIB as f64,
                error * 100.0
            );
            println!("{line}");
            if error.abs() > 0.01 {
                wrong.push(line);
            }
        }
        wrong
    }
}

/// An application that reads all, and what it has read.
fn backend() -> (Came, Backend) {
    let came = Came::default();
    let noted = came.clone();
    let backend = Backend::new(move |stream, head| {
        let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
        noted.note(&target, stream);
    });
    (came, backend)
}

/// A server for each limit, and what is due below it.
fn parts() -> [Part; 6] {
    let budget = |kib: u64| Budget::of(Rate::or_unlimited(kib * KIB));
    let off = UploadLimits::default();
    let server = UploadLimits { server: budget(1024), ..off };
    let client = UploadLimits { client: budget(512), ..off };
    [
        Part::new("server", server, |route| route, vec![("/all", 1024 * KIB)]),
        Part::new(
            "client",
            client,
            |route| route,
            vec![("/1", 512 * KIB), ("/2", 512 * KIB), ("/3", 512 * KIB)],
        ),
        Part::new("route", off, |route| route.upload_total(budget(1024)), vec![("/all", 1024 * KIB)]),
        Part::new(
            "client of a route",
            off,
            |route| route.upload_per_client(budget(512)),
            vec![("/1", 512 * KIB), ("/2", 512 * KIB)],
        ),
        // Two of them over HTTP/2.
        Part::new(
            "request",
            off,
            |route| route.upload(budget(256)),
            vec![("/1", 256 * KIB), ("/2", 2 * 256 * KIB)],
        ),
        Part::relayed(
            "stream of raw TCP",
            Rate::new(256 * KIB).unwrap(),
            vec![("/1", 256 * KIB), ("/2", 256 * KIB)],
        ),
    ]
}

/// Begins all uploads.
fn uploads(parts: &[Part; 6]) -> [JoinHandle<()>; 19] {
    let [all, each, route, of_route, request, raw] = parts.each_ref().map(|part| part.addr);
    [
        // Clients of their own, and two streams of one connection.
        over_1(all, 2, "/all"),
        over_1(all, 3, "/all"),
        over_2(all, "/all"),
        // The first has one connection with two streams, the second three connections, the third one.
        over_2(each, "/1"),
        over_1(each, 2, "/2"),
        over_1(each, 2, "/2"),
        over_1(each, 2, "/2"),
        over_1(each, 3, "/3"),
        over_1(route, 2, "/all"),
        over_1(route, 2, "/all"),
        over_2(route, "/all"),
        over_2(of_route, "/1"),
        over_1(of_route, 1, "/1"),
        over_1(of_route, 2, "/2"),
        over_1(of_route, 2, "/2"),
        over_1(request, 2, "/1"),
        over_2(request, "/2"),
        over_1(raw, 2, "/1"),
        over_1(raw, 2, "/2"),
    ]
}

#[test]
#[ignore = "takes 17 s; .ci/run runs it"]
fn paces_and_limits_of_uploads_are_met_within_a_per_cent_over_15_seconds() {
    let (watch, parts) = (Watch::begin(), parts());
    let senders = uploads(&parts);
    let begun = || parts.iter().map(|part| part.came.begun()).collect::<Vec<_>>();
    until("all uploads", || begun() == [4, 6, 4, 5, 3, 2]);
    std::thread::sleep(WARM_UP);
    for tries in 1.. {
        let began = Instant::now();
        std::thread::sleep(WINDOW);
        let ended = Instant::now();
        println!("{:<30}{:>9}{:>9}{:>10}", "", "KiB/s due", "came", "error");
        let wrong: Vec<String> = parts.iter().flat_map(|part| part.check(began, ended)).collect();
        if wrong.is_empty() {
            break;
        }
        let Some(late) = watch.late(began - CATCHES_UP, ended) else {
            panic!("another amount than was due came while the machine was not late: {wrong:#?}");
        };
        println!("the machine was late by {late:?}");
        assert!(tries < TRIES, "the machine was late in each of {TRIES} windows, the last time by {late:?}");
    }
    drop(parts);
    for sender in senders {
        sender.join().unwrap();
    }
}
