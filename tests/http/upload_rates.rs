//! The long test of uploads: each limit that they share, on real sockets over 15 seconds, with several uploads below it.
//!
//! Real time, because it is the system's clock, the wheel, sockets with their buffers and the executor together that must keep
//! the rates; on the manual clock they are exact. All limits run side by side, each in a server of its own. A machine that has
//! no time for the test is late, or catches up on what it was late with: then another 15 seconds are looked at, a few times.
//! `cargo test --test http upload_rates -- --ignored --nocapture` runs it and prints the table.

use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::StreamBody;
use hyper::body::Frame;
use sluicegate::config::SharedLimits;
use sluicegate::http::UploadLimits;
use sluicegate::http::route::Route;
use sluicegate::http::server::Settings;
use sluicegate::limit::{Budget, Rate};
use sluicegate::rt;
use testkit::backend::Backend;
use testkit::h2::{WIDE, connect_with};
use testkit::served::{Served, connect_from};
use testkit::wait::until;

const KIB: u64 = 1024;
const WARM_UP: Duration = Duration::from_secs(1);
const WINDOW: Duration = Duration::from_secs(15);

/// Windows in one of which as much as is due must come.
const TRIES: usize = 5;

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
    /// Ends before its senders.
    served: Served,
}

impl Part {
    fn new(
        name: &'static str,
        upload: UploadLimits,
        settle: impl FnOnce(Route) -> Route,
        due: Vec<(&'static str, u64)>,
    ) -> Self {
        let came = Came::default();
        let noted = came.clone();
        let backend = Backend::new(move |stream, head| {
            let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
            noted.note(&target, stream);
        });
        let limits = SharedLimits { upload, ..SharedLimits::default() };
        let settings = Settings { limits, ..Settings::default() };
        let served = Served::with(settings, vec![settle(backend.route(0))]);
        Self { name, due, came, served }
    }

    fn addr(&self) -> SocketAddr {
        self.served.addr
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

#[test]
#[ignore = "takes 17 s; .ci/run runs it"]
fn limits_that_uploads_share_are_met_within_a_per_cent_over_15_seconds() {
    let budget = |kib: u64| Budget::of(Rate::or_unlimited(kib * KIB));
    let off = UploadLimits::default();
    let server = UploadLimits { server: budget(1024), ..off };
    let client = UploadLimits { client: budget(512), ..off };
    let parts = [
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
    ];
    let [all, each, route, of_route] = [0, 1, 2, 3].map(|part| parts[part].addr());
    let senders = [
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
    ];
    let begun = || parts.iter().map(|part| part.came.begun()).collect::<Vec<_>>();
    until("all uploads", || begun() == [4, 6, 4, 5]);
    std::thread::sleep(WARM_UP);
    let window = |_| {
        let began = Instant::now();
        std::thread::sleep(WINDOW);
        let ended = Instant::now();
        println!("{:<30}{:>9}{:>9}{:>10}", "", "KiB/s due", "came", "error");
        parts.iter().flat_map(|part| part.check(began, ended)).collect::<Vec<String>>()
    };
    let right = (0..TRIES).map(window).find(Vec::is_empty);
    assert!(right.is_some(), "in none of {TRIES} windows came what was due");
    drop(parts);
    for sender in senders {
        sender.join().unwrap();
    }
}
