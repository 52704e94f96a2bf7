//! The interval of a route and of a port, on real sockets.
//!
//! A chunk is told from the next by a pause of nearly half a second; that nothing comes early is asserted without
//! tolerance. The exact timelines are asserted on the manual clock in `core`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use sluicegate::config::{FilterKinds, Loader};
use sluicegate::filter::EndOfStream;
use sluicegate::http::route::Route;
use sluicegate::http::server::Server;
use sluicegate::limit::{Interval, Rate};
use sluicegate::rt;
use sluicegate::tcp::Service;
use testkit::backend::{Backend, routed};
use testkit::h2::{WIDE, connect, get, read};
use testkit::message::{read_head, response_head};
use testkit::served::Served;
use testkit::wire::content;

use crate::tcp::fixture::{Ported, file, relay_to, upstream};

const RATE: u64 = 10_000;

/// Between chunks of the shorter intervals nothing pauses for so long.
const PAUSE: Duration = Duration::from_millis(450);

/// Two chunks and a half at 1 s.
const LEN: usize = 25_000;

/// Checks the shape of chunks of 10 000 bytes a second, given the bytes so far after each read: none is early, and nothing comes
/// for long behind a whole one. A machine that is busy adds pauses, and may hide one.
fn assert_a_chunk_a_second(arrivals: &[(Duration, usize)]) {
    for (at, bytes) in arrivals {
        assert!(*bytes <= RATE as usize * (1 + at.as_secs() as usize), "early: {arrivals:?}");
    }
    let paused = |pair: &[(Duration, usize)]| pair[1].0 - pair[0].0 > PAUSE && pair[0].1 > 1;
    let whole = |pair: &[(Duration, usize)]| pair[0].1.is_multiple_of(RATE as usize);
    assert!(arrivals.windows(2).any(|pair| paused(pair) && whole(pair)), "no pause: {arrivals:?}");
    assert_eq!(arrivals.last().map(|last| last.1), Some(LEN));
}

/// After each read: time since `began`, before the stream was asked for, and bytes so far.
pub(crate) fn watch(began: Instant, mut stream: TcpStream) -> Vec<(Duration, usize)> {
    let (mut buf, mut arrivals) = ([0; 4096], vec![(Duration::ZERO, 0)]);
    loop {
        match stream.read(&mut buf).unwrap() {
            0 => return arrivals,
            n => arrivals.push((began.elapsed(), arrivals.last().unwrap().1 + n)),
        }
    }
}

fn paced(route: Route, interval: Interval) -> Route {
    route.rate(Rate::or_unlimited(RATE)).interval(interval).end_of_stream(EndOfStream::Paced)
}

#[test]
fn a_chunk_a_second_leaves_over_every_protocol_from_every_source() {
    let body = content(LEN);
    let (folder, path) = file(&body);
    let backend = Backend::saying([response_head(LEN as u64).as_bytes(), &body].concat());
    let files = |path| paced(Route::files(path, folder.path()).unwrap(), Interval::MAX);
    let proxied = paced(routed("/proxied/", backend.source(), None), Interval::MAX);
    let served = Served::new(vec![files("/one/"), files("/two/"), proxied]);
    let port = |service: Service| {
        let service = service.rate(Rate::or_unlimited(RATE)).interval(Interval::MAX);
        Ported::new(service.end_of_stream(EndOfStream::Paced))
    };
    let peer = upstream(move |mut stream| stream.write_all(&body).unwrap());
    let (file, relay) = (port(Service::file(&path)), port(relay_to(peer)));
    let all = std::thread::scope(|scope| {
        let h1 = ["/one/a", "/proxied/a"].map(|path| scope.spawn(|| served.get(path, "").arrivals));
        let h2 = scope.spawn(|| {
            rt::block_on(async {
                let mut sender = connect(served.addr, WIDE).await;
                let began = Instant::now();
                read(get(&mut sender, "/two/a").await, began).await.arrivals
            })
        });
        let tcp = [&file, &relay].map(|ported| scope.spawn(|| watch(Instant::now(), ported.connect())));
        h1.into_iter().chain([h2]).chain(tcp).map(|read| read.join().unwrap()).collect::<Vec<_>>()
    });
    for arrivals in all {
        assert_a_chunk_a_second(&arrivals);
    }
}

/// Twenty chunks of 500 bytes take 19 intervals; five of 2 000 would take 0.8 s.
#[test]
fn twenty_chunks_a_second_take_nineteen_intervals() {
    let (folder, _) = file(&content(10_000));
    let served = Served::new(vec![paced(Route::files("/", folder.path()).unwrap(), Interval::MIN)]);
    let answer = served.get("/a", "");
    assert!(answer.lasted() >= Duration::from_millis(950), "{:?}", answer.arrivals);
}

#[test]
fn a_reload_gives_new_responses_the_new_interval_and_leaves_the_others_theirs() {
    let body = content(LEN);
    let (folder, _) = file(&body);
    let config = |interval: &str| {
        let text = format!(
            "listen = '127.0.0.1:0'\n[[route]]\npath = '/'\nfiles = '.'\nrate = '{RATE}B'\n\
             interval = '{interval}'\nend_of_stream = 'paced'"
        );
        Loader::new().parse(&text, "test.toml", folder.path()).unwrap()
    };
    let kinds = FilterKinds::default();
    let served = Served::running(Server::from_config(&config("1s"), &kinds).unwrap());
    let request = "GET /a HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n";
    let began = Instant::now();
    let mut old = served.send(request);
    let head = read_head(&mut old).unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let old = std::thread::spawn(move || watch(began, old));
    assert_eq!(served.handle.reload(&config("50ms"), &kinds).unwrap().changes, ["route / changed"]);
    // Had it the old interval it would end half a second earlier.
    let new = served.get("/a", "Connection: close\r\n");
    assert!(new.body == body && new.lasted() >= Duration::from_millis(2_450), "{:?}", new.arrivals);
    assert_a_chunk_a_second(&old.join().unwrap());
}
