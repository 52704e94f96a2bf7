//! What is reported of transfers under way, at exact instants and from anywhere.

use std::sync::mpsc::{self, TryRecvError};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_lite::future::yield_now;
use http::{Request, Response};

use super::pipe::Road;
use super::{From, GET, World, content};
use crate::brigade::{Brigade, Bucket};
use crate::budget::{Held, HeldBy};
use crate::clock::Clock;
use crate::generator::Generator;
use crate::http::SharedLimits;
use crate::http::body::RequestBody;
use crate::http::content::Content;
use crate::http::route::{Answer, Handler};
use crate::http::server::{Handle, Settings, TransferReport};
use crate::limit::{Budget, Rate};
use crate::rt;

const PACE: u64 = 10_000;

fn transfers(handle: &Handle) -> Vec<TransferReport> {
    let connections = handle.connections_after(0, usize::MAX, usize::MAX);
    connections.into_iter().flat_map(|connection| connection.transfers).collect()
}

/// Status, bytes passed on, and what holds it.
type Seen = (Option<u16>, u64, Option<Held>);

fn seen(handle: &Handle) -> Vec<Seen> {
    let of =
        |report: TransferReport| (report.status.map(|status| status.as_u16()), report.bytes, report.held);
    transfers(handle).into_iter().map(of).collect()
}

#[test]
fn a_report_is_of_the_instant_at_which_it_is_asked_for() {
    let mut world = World::new(Settings::default(), 50_000, PACE);
    let client = world.connect(Road::WIDE);
    assert_eq!(seen(&world.handle), []);
    client.send(GET);
    world.settle();
    for chunk in 1..=20 {
        let due = world.clock.now() + Duration::from_millis(200);
        assert_eq!(seen(&world.handle), [(Some(200), 2_000 * chunk, Some(Held::until(HeldBy::Pace, due)))]);
        world.pass(Duration::from_millis(200));
    }
    world.pass(Duration::from_secs(1));
    assert_eq!(seen(&world.handle), []);
}

#[test]
fn of_a_shared_budget_a_report_says_what_the_limits_of_that_instant_make_of_it() {
    let server = Budget::of(Rate::or_unlimited(PACE));
    let limits = SharedLimits { server, ..SharedLimits::default() };
    let mut world = World::new(Settings { limits, ..Settings::default() }, 50_000, 0);
    let client = world.connect(Road::WIDE);
    client.send(GET);
    world.settle();
    let held = |millis| {
        let until = Some(world.clock.now() + Duration::from_millis(millis));
        Some(Held { by: HeldBy::Budget("server".into()), until })
    };
    assert_eq!(seen(&world.handle), [(Some(200), 2_000, held(200))]);
    world.handle.budgets().server().set(Budget::of(None));
    assert_eq!(seen(&world.handle), [(Some(200), 2_000, None)], "before its task is polled again");
}

/// Looks at the server's transfers each time that it is asked for content.
#[derive(Clone, Default)]
struct Looking {
    handle: Arc<OnceLock<Handle>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Generator for Looking {
    fn poll_fill(&mut self, _: &mut Context<'_>, out: &mut Brigade) -> Poll<()> {
        let mut all = self.seen.lock().unwrap();
        all.extend(seen(self.handle.get().unwrap()));
        out.push(if all.len() > 3 { Bucket::Eos } else { Bucket::Data(content(2_000)) });
        Poll::Ready(())
    }
}

impl Handler for Looking {
    fn respond<'a>(&'a self, _: Request<RequestBody>, _: &'a From) -> Answer<'a> {
        Box::pin(async move { Response::new(Content::Stream(Box::new(self.clone()))) })
    }
}

#[test]
fn content_that_looks_at_its_own_transfer_sees_it_as_others_do() {
    let looking = Looking::default();
    let mut world = World::of(Settings::default(), looking.clone(), 0);
    assert!(looking.handle.set(world.handle.clone()).is_ok());
    let client = world.connect(Road::WIDE);
    client.send(GET);
    world.settle();
    let expected = [0, 2_000, 4_000, 6_000].map(|bytes| (Some(200), bytes, None));
    assert_eq!(*looking.seen.lock().unwrap(), expected);
}

#[test]
fn from_another_thread_a_transfer_is_seen_to_grow_and_end() {
    let mut world = World::new(Settings::default(), 100_000, PACE);
    let client = world.connect(Road::WIDE);
    client.send(GET);
    world.settle();
    let handle = world.handle.clone();
    let (looked, looks) = mpsc::channel();
    rt::spawn(async move {
        while let Some(report) = transfers(&handle).pop() {
            handle.telemetry();
            let _ = looked.send(report);
            yield_now().await;
        }
    });
    let mut reports = vec![looks.recv().unwrap()];
    loop {
        world.pass(Duration::from_millis(200));
        client.read(usize::MAX);
        match looks.try_recv() {
            Ok(report) => reports.push(report),
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => break,
        }
        reports.extend(looks.try_iter().take(64));
    }
    assert!(reports.is_sorted_by_key(|report| report.bytes));
    for report in reports {
        assert!((2_000..=100_000).contains(&report.bytes), "{report:?}");
        assert!(report.bytes_per_second <= 2 * PACE, "{report:?}");
    }
    assert_eq!(world.taken(), 100_000, "content is counted once, under way and at the end");
}
