//! Accepted connections: a node each, equal shares, one limit for each and live.

use std::io;
use std::net::Ipv4Addr;
use std::task::Poll;

use futures_lite::{Stream, StreamExt, future, stream};
use sluicegate::budget::{ClientKey, Clients, Each};
use sluicegate::clock::{Clock, Instant};
use sluicegate::limit::{Budget, Rate};
use sluicegate::throttle::{Incoming, Throttle};

use super::levels::run;
use super::scene::{CleanClock, Script, Task, content, node};

fn connections(n: usize) -> impl Stream<Item = io::Result<Script>> + Unpin {
    stream::iter((0..n).map(|_| Ok(Script::default())))
}

fn accept<S, IO>(incoming: &mut Incoming<S, IO>) -> Vec<Throttle<IO>>
where
    S: Stream<Item = io::Result<IO>> + Unpin,
{
    future::block_on(incoming.map(Result::unwrap).collect())
}

#[test]
fn connections_share_equally_however_much_one_does() {
    let (clock, server) = node(1 << 20);
    let mut incoming = Incoming::new(connections(4), &server, Each::new("connection", Budget::default()));
    let mut accepted = accept(&mut incoming);
    let task = Task::default();
    let of = |one: &Throttle<Script>| one.reads().report().bytes + one.writes().report().bytes;
    let mut before = Vec::new();
    while clock.0.now() < Instant::from_millis(62_000) {
        if before.is_empty() && clock.0.now() >= Instant::from_millis(2_000) {
            before = accepted.iter().map(of).collect();
        }
        for (at, one) in accepted.iter_mut().enumerate() {
            while task.read(&mut *one, 8_192).is_ready() {}
            // One that reads and writes at once is one connection all the same.
            while at == 3 && task.write(&mut *one, &content(0..65_536)).is_ready() {}
        }
        clock.0.advance_to_next();
    }
    for (one, before) in accepted.iter().zip(before) {
        let (bytes, due) = (of(one) - before, 60 * (1 << 20) / 4);
        assert!(bytes.abs_diff(due) < due / 500, "{bytes} instead of {due}");
        assert_eq!((one.read_node().name(), one.read_node().children() <= 2), ("connection", true));
    }
    let sums = incoming.reads().report().bytes + incoming.writes().report().bytes;
    assert_eq!(sums, accepted.iter().map(of).sum::<u64>());
    drop(accepted);
    assert_eq!((server.passed().bytes, server.children()), (sums, 0), "what was reserved came back");
}

#[test]
fn the_limit_of_each_changes_for_present_and_future_connections() {
    let (clock, server) = node(1 << 20);
    let each = Each::new("connection", Budget::of(Rate::or_unlimited(10_000)));
    let mut incoming = Incoming::new(connections(2), &server, each.clone());
    let mut accepted = accept(&mut incoming);
    run(&clock, &mut accepted, 10_000);
    let before: Vec<u64> = accepted.iter().map(|one| one.reads().report().bytes).collect();
    assert!(before.iter().all(|bytes| bytes.abs_diff(100_000) <= 2_000), "{before:?}");
    incoming.each().set(Budget::of(Rate::or_unlimited(50_000)));
    run(&clock, &mut accepted, 20_000);
    for (one, before) in accepted.iter().zip(before) {
        let report = one.reads().report();
        assert!(report.bytes.abs_diff(before + 500_000) <= 10_000, "{report:?} after {before}");
        assert!(report.rate.abs_diff(50_000) <= 10_000, "{report:?}");
    }
    let mut late = accept(&mut Incoming::new(connections(1), &server, each));
    assert_eq!(late.pop().unwrap().read_node().budget().rate, Rate::or_unlimited(50_000));
}

#[test]
fn by_client_those_with_many_connections_get_no_more() {
    let (clock, server) = node(1 << 20);
    let clients = Clients::new(server, "client", Budget::default());
    let from = |last: u8| move |_: &Script| ClientKey::V4(Ipv4Addr::new(192, 0, 2, last));
    let each = Each::new("connection", Budget::default());
    let mut many = accept(&mut Incoming::by_client(connections(20), &clients, from(1), each.clone()));
    let one = accept(&mut Incoming::by_client(connections(1), &clients, from(2), each));
    many.extend(one);
    run(&clock, &mut many, 30_000);
    let bytes: Vec<u64> = many.iter().map(|one| one.reads().report().bytes).collect();
    let (many, one) = (bytes[..20].iter().sum::<u64>(), bytes[20]);
    assert!(many.abs_diff(one) < one / 50, "{many} for twenty beside {one} for one");
    assert_eq!(clients.len(), 2);
}

#[test]
fn the_two_directions_can_stand_below_two_nodes() {
    let clock = CleanClock::default();
    let (upload, download) = (clock.node(10_000), clock.node(20_000));
    let each = Each::new("connection", Budget::default());
    let mut incoming = Incoming::new(connections(1), &upload, each).with_write_parent(&download);
    let mut one = accept(&mut incoming).pop().unwrap();
    let task = Task::default();
    assert_eq!(task.read(&mut one, 50_000).map(|read| read.unwrap().len()), Poll::Ready(2_000));
    assert_eq!(task.write(&mut one, &content(0..50_000)).map(Result::unwrap), Poll::Ready(4_000));
    assert_eq!((incoming.reads().report().bytes, incoming.writes().report().bytes), (2_000, 4_000));
}

#[test]
fn errors_of_the_listener_pass_and_it_goes_on() {
    let (clock, server) = node(10_000);
    let accepted = [Err(io::ErrorKind::ConnectionAborted), Ok(()), Err(io::ErrorKind::OutOfMemory), Ok(())];
    let listener = stream::iter(accepted.map(|one| one.map(|()| Script::default()).map_err(io::Error::from)));
    let mut incoming = Incoming::new(listener, &server, Each::new("connection", Budget::default()));
    assert_eq!(incoming.size_hint(), (4, Some(4)));
    let kinds: Vec<Option<io::ErrorKind>> =
        future::block_on((&mut incoming).map(|one| one.err().map(|error| error.kind())).collect());
    let expected = [Some(io::ErrorKind::ConnectionAborted), None, Some(io::ErrorKind::OutOfMemory), None];
    assert_eq!(kinds, expected);
    assert_eq!((server.children(), incoming.each().len()), (0, 0));
    assert_eq!(incoming.get_ref().size_hint(), (0, Some(0)));
    assert_eq!(incoming.get_mut().size_hint(), incoming.into_inner().size_hint());
    assert_eq!(clock.0.now(), Instant::ZERO);
}
