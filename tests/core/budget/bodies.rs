//! Bodies that pass shared budgets: what leaves when, byte for byte.

use std::io::Write;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use http_body::Body;
use sluicegate::body::PacedBody;
use sluicegate::brigade::{Brigade, Bucket, FileSlice};
use sluicegate::budget::Gate;
use sluicegate::filter::{Chain, RateFilter};
use sluicegate::limit::{Limit, Rate};
use sluicegate::rt::FileReader;

use testkit::task::{CleanClock, node};
use testkit::timeline::by_instant;
use testkit::wire::content;

/// What a body gives: milliseconds and bytes; and all of it.
fn drain(mut body: PacedBody<Brigade, FileReader>, clock: &CleanClock) -> (Vec<(u64, usize)>, Vec<u8>) {
    let mut cx = Context::from_waker(Waker::noop());
    let (mut timeline, mut all) = (Vec::new(), Vec::new());
    loop {
        match Pin::new(&mut body).poll_frame(&mut cx) {
            Poll::Ready(Some(frame)) => {
                let bytes = frame.unwrap().into_data().unwrap();
                timeline.push((clock.millis(), bytes.len()));
                all.extend_from_slice(&bytes);
            }
            Poll::Ready(None) => return (timeline, all),
            Poll::Pending => assert!(clock.0.advance_to_next().is_some(), "nobody would wake it"),
        }
    }
}

#[test]
fn file_and_memory_leave_at_the_pace_of_the_tightest_budget() {
    let expected = [(0, 2_000), (200, 2_000), (400, 2_000), (500, 1_000)];
    for file in [false, true] {
        let (clock, server) = node(10_000);
        let page: Brigade = if file {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&content(7_000)).unwrap();
            [Bucket::File(FileSlice::new(Arc::new(file), 0, 7_000)), Bucket::Eos].into_iter().collect()
        } else {
            [Bucket::Data(content(7_000).into()), Bucket::Eos].into_iter().collect()
        };
        // Its own pace is twice the server's.
        let chain = Chain::new().then(RateFilter::new(Limit::new(Rate::or_unlimited(20_000))));
        let body = PacedBody::with_files(page, chain, clock.0.clone(), FileReader::new())
            .with_gate(Gate::new(server.clone(), Default::default()));
        let (timeline, all) = drain(body, &clock);
        assert_eq!(by_instant(timeline), expected, "file: {file}");
        assert!(all == content(7_000), "file: {file}");
        assert_eq!(server.passed().bytes, 7_000);
    }
}

#[test]
fn a_gate_that_limits_nothing_leaves_the_timeline_as_it_is() {
    let (clock, server) = node(0);
    let page: Brigade = [Bucket::Data(content(38_400).into()), Bucket::Eos].into_iter().collect();
    let chain = Chain::new().then(RateFilter::new(Limit::new(Rate::or_unlimited(60 * 1024))));
    let body = PacedBody::with_files(page, chain, clock.0.clone(), FileReader::new())
        .with_gate(Gate::new(server, Default::default()));
    assert_eq!(drain(body, &clock).0, [(0, 12_288), (200, 12_288), (400, 13_824)]);
}

#[test]
fn a_body_dropped_while_it_waits_for_a_turn_leaves_nothing_behind() {
    let (clock, server) = node(10_000);
    let page: Brigade = [Bucket::Data(content(7_000).into()), Bucket::Eos].into_iter().collect();
    let mut body = PacedBody::new(page, Chain::new(), clock.0.clone())
        .with_gate(Gate::new(server.clone(), Default::default()));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(Pin::new(&mut body).poll_frame(&mut cx).is_ready());
    assert!(Pin::new(&mut body).poll_frame(&mut cx).is_pending());
    assert_eq!((clock.0.sleepers(), server.children()), (1, 1));
    drop(body);
    assert_eq!((server.passed().bytes, server.children()), (2_000, 0));
}
