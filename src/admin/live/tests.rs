//! How often samples are taken, and viewers that take nothing.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, channel};

use testkit::served::{connect, connect_narrow};
use testkit::sse::Answer;
use testkit::wait::{joined, until};

use super::camera::FULL;
use super::*;
use crate::admin::Admin;
use crate::http::server::Server;
use crate::rt::Listener;

#[test]
fn up_to_samples_of_100_ms_sampling_takes_at_most_a_fiftieth_of_a_processor() {
    for (took, expected) in [(0, 200), (4, 200), (5, 250), (30, 1500), (100, 5000), (10_000, 5000)] {
        let interval = interval_after(Duration::from_millis(took));
        assert_eq!(interval, Duration::from_millis(expected), "{took}");
    }
}

#[test]
fn a_sample_that_panics_is_followed_by_a_whole_one() {
    let server = Server::new(Default::default(), Vec::new(), Vec::new());
    let mut camera = Camera::new(server.handle(), Arc::default());
    assert_eq!(camera.guarded(|camera| camera.frame(false)).flatten().map(|(kind, _)| kind), Some(FULL));
    assert_eq!(camera.guarded(|_| panic!("as a bug would")), None::<()>);
    assert_eq!(camera.guarded(|camera| camera.frame(false)).flatten().map(|(kind, _)| kind), Some(FULL));
}

const REQUEST: &[u8] = b"GET /v1/live HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// The types of the events that a viewer gets, read by a thread of its own to the end of its stream.
fn events(mut stream: TcpStream) -> Receiver<String> {
    let (sender, events) = channel();
    std::thread::spawn(move || {
        let (mut answer, mut bytes) = (Answer::default(), vec![0; 64 * 1024]);
        while let Ok(read @ 1..) = stream.read(&mut bytes) {
            answer.push(&bytes[..read]);
            if answer.by_ref().any(|event| sender.send(event.kind).is_err()) {
                return;
            }
        }
    });
    events
}

/// A viewer that takes nothing is suspended as any subscriber: what is held for it is bounded, and let go then; others get what
/// is published, and it is told when it reads again.
#[test]
fn a_viewer_that_stalls_is_suspended_and_nothing_is_held_for_it() {
    const FRAME: usize = 400_000;
    let listener = Listener::bind_tcp(([127, 0, 0, 1], 0).into()).unwrap();
    let server = Server::new(Default::default(), Vec::new(), Vec::new());
    let (handle, admin) = (server.handle(), Admin::new(vec![listener], None, server.handle()).unwrap());
    let (addr, live): (SocketAddr, _) = (admin.local_addrs()[0], Arc::clone(&admin.pages.live));
    let running = std::thread::spawn(move || rt::block_on(future::zip(server.run(), admin.run())));
    // On a machine that is busy enough the sink may give it up before: then it is tried again.
    let attempt = || {
        let mut stalled = connect_narrow(addr);
        stalled.write_all(REQUEST).unwrap();
        until("its view", || live.view.lock().is_some());
        let view = live.view.lock().clone().unwrap();
        let gauges = || view.events.hub().own_gauges().0;
        until("the viewer", || gauges().subscribers == 1);
        // Twice what its queue has room for, beside what its socket takes.
        for _ in 0..2 * settings().queue + 20 {
            view.send("test", "x".repeat(FRAME)).unwrap();
        }
        // All viewers share the log, and nothing beside it is held for one.
        assert!(gauges().queued <= settings().log as u64, "{} frames wait", gauges().queued);
        until("its end", || gauges().subscribers == 0 || gauges().suspended == 1);
        (gauges().suspended == 1).then_some((stalled, view))
    };
    let (stalled, view) = (0..5).find_map(|_| attempt()).expect("it is never suspended");
    let gauges = || view.events.hub().own_gauges().0;
    // It took the place of one viewer, and of nothing else.
    let mut other = connect(addr);
    other.write_all(REQUEST).unwrap();
    let others = events(other);
    until("a whole state", || others.recv().unwrap() == FULL);
    view.send("test", "x".repeat(FRAME)).unwrap();
    until("the frame", || others.recv().unwrap() == "test");
    until("nothing more is held", || gauges().queued == 0);
    // It reads on: what its queue had, and that it is suspended.
    let kinds: Vec<String> = events(stalled).iter().collect();
    assert_eq!(kinds.last().map(String::as_str), Some("sluicegate.pause"), "{kinds:?}");
    handle.stop();
    joined("the end", running);
}
