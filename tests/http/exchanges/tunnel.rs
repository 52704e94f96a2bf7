//! Changed protocols, through the whole server.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use sluicegate::http::server::Settings;
use sluicegate::limit::Rate;

use testkit::backend::{Backend, routed};
use testkit::message::read_head;
use testkit::served::Served;
use testkit::wait::{soon, until};

const RATE: u64 = 50_000;
const UPGRADE: &[u8] = b"GET /chat HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

/// Changes protocols, greets, gives `down` bytes, and then back whatever comes.
fn echoing(down: usize) -> Backend {
    Backend::new(move |stream, _| {
        let head = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n";
        let _ = stream.write_all(&[head.as_bytes(), &vec![b'x'; down]].concat());
        let mut buf = [0; 1_000];
        while let Ok(n @ 1..) = stream.read(&mut buf) {
            let _ = stream.write_all(&buf[..n]);
        }
    })
}

fn upgraded(served: &Served) -> TcpStream {
    let mut stream = served.send(UPGRADE);
    let head = read_head(&mut stream).unwrap();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    stream
}

fn say(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).unwrap();
    let mut echo = vec![0; text.len()];
    stream.read_exact(&mut echo).unwrap();
    assert_eq!(echo, text.as_bytes());
}

#[test]
fn a_tunnel_goes_both_ways_paced_downstream_and_counts_as_a_connection() {
    let served = Served::new(vec![echoing(30_000).route(RATE)]);
    let began = Instant::now();
    let mut stream = upgraded(&served);
    stream.read_exact(&mut [0; 30_000]).unwrap();
    // Chunks of 10 000 bytes at 0, 200 and 400 ms.
    assert!(began.elapsed() >= Duration::from_millis(400), "{:?}", began.elapsed());
    say(&mut stream, "hello");
    assert_eq!(served.handle.connections(), 1);
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "the backend's end comes through");
    until("its end", || served.handle.connections() == 0);
}

#[test]
fn a_stop_ends_tunnels_at_once() {
    let served = Served::new(vec![echoing(0).route(RATE)]);
    let mut streams: Vec<_> = (0..3).map(|_| upgraded(&served)).collect();
    streams.iter_mut().for_each(|stream| say(stream, "hello"));
    served.handle.stop();
    for mut stream in streams {
        // An end or a reset: a tunnel has no framing that could tell.
        assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)));
    }
    served.join();
}

#[test]
fn a_drain_leaves_tunnels_their_time_and_no_more() {
    let settings = Settings { drain: Duration::from_millis(300), ..Settings::default() };
    let served = Served::with(settings, vec![echoing(0).route(RATE)]);
    let mut stream = upgraded(&served);
    say(&mut stream, "hello");
    let began = Instant::now();
    served.handle.drain();
    say(&mut stream, "still here");
    assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)));
    assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());
    served.join();
}

#[test]
fn a_tunnel_in_which_nothing_moves_is_closed_after_a_time_of_its_own() {
    let settings = Settings { idle_timeout: Duration::from_millis(20), ..Settings::default() };
    let mut source = echoing(0).source();
    source.tunnel_timeout = Duration::from_millis(200);
    let served = Served::with(settings, vec![routed("/", source, Rate::or_unlimited(RATE))]);
    let mut stream = upgraded(&served);
    say(&mut stream, "hello");
    let began = Instant::now();
    assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)));
    assert!(began.elapsed() >= Duration::from_millis(150), "{:?}", began.elapsed());
}

#[test]
fn a_tunnel_is_reported_while_it_lasts_and_can_be_closed() {
    let served = Served::new(vec![echoing(0).route(RATE)]);
    let mut stream = upgraded(&served);
    say(&mut stream, "hello");
    let report = soon("the tunnel", || {
        let report = served.handle.connections_after(0, 10, 10).pop().unwrap();
        // The exchange it began as may be told of beside it until it is booked.
        let is_told =
            matches!(&report.transfers[..], [transfer] if transfer.is_tunnel && transfer.bytes == 5);
        is_told.then_some(report)
    });
    let tunnel = &report.transfers[0];
    assert_eq!((report.transfers.len(), tunnel.target.as_str(), tunnel.number), (1, "/chat", 1));
    assert_eq!((tunnel.route.as_deref(), tunnel.pace.unwrap().bytes_per_second()), (Some("/"), RATE));
    assert!(served.handle.close_connection(report.id, "a test"));
    assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)));
    until("its end", || served.handle.connections() == 0);
    assert!(!served.handle.close_connection(report.id, "a test"), "it is gone");
}
