//! Clients of HTTP/1 that go while their answers wait: by a reset, which is seen at once, or by closing their
//! half, which may also be all they had to say.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};

use super::pipe::{Client, End, Road};
use super::{From, GET, Page, World, content};
use crate::brigade::{Brigade, Bucket};
use crate::generator::Generator;
use crate::http::SharedLimits;
use crate::http::body::RequestBody;
use crate::http::content::Content;
use crate::http::route::{Answer, Handler};
use crate::http::server::HalfClose;
use crate::http::server::Settings;
use crate::limit::{Budget, Rate};

const SECOND: Duration = Duration::from_secs(1);
const NANO: Duration = Duration::from_nanos(1);

/// A source that never says anything more: before its head, or behind a few bytes.
#[derive(Clone)]
struct Silent {
    has_head: bool,
    /// Answers under way.
    held: Arc<AtomicUsize>,
}

/// Counts one answer as long as it lives.
struct Held(Arc<AtomicUsize>);

impl Held {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

struct FewBytes {
    are_given: bool,
    _held: Held,
}

impl Generator for FewBytes {
    fn poll_fill(&mut self, _: &mut Context<'_>, brigade: &mut Brigade) -> Poll<()> {
        if std::mem::replace(&mut self.are_given, true) {
            return Poll::Pending;
        }
        brigade.push(Bucket::Data("few".into()));
        Poll::Ready(())
    }
}

impl Handler for Silent {
    fn respond<'a>(&'a self, request: Request<RequestBody>, _: &'a From) -> Answer<'a> {
        let held = Held::new(&self.held);
        Box::pin(async move {
            // Kept: its content is not read, and not thrown away.
            let _request = request;
            if !self.has_head {
                std::future::pending::<()>().await;
            }
            Response::new(Content::Stream(Box::new(FewBytes { are_given: false, _held: held })))
        })
    }
}

/// A world whose source is silent, a connection that has asked, and how many answers the source prepares.
fn asked(settings: Settings, has_head: bool, request: &[u8]) -> (World, Client, Arc<AtomicUsize>) {
    let silent = Silent { has_head, held: Arc::default() };
    let held = Arc::clone(&silent.held);
    let mut world = World::of(settings, silent, 0);
    let client = world.connect(Road::WIDE);
    client.send(request);
    world.settle();
    assert_eq!(held.load(Ordering::SeqCst), 1);
    (world, client, held)
}

fn with(half_close: HalfClose) -> Settings {
    Settings { half_close, ..Settings::default() }
}

#[test]
fn a_reset_lets_go_of_a_silent_source_at_once() {
    for half_close in [HalfClose::Serve, HalfClose::Abort] {
        for has_head in [false, true] {
            let (mut world, client, held) = asked(with(half_close), has_head, GET);
            client.reset();
            world.settle();
            assert_eq!(
                (world.lives(1), held.load(Ordering::SeqCst)),
                (false, 0),
                "{half_close:?} {has_head}"
            );
        }
    }
}

// The socket has more to read than is read, so it says nothing by itself.
#[test]
fn a_reset_behind_an_upload_that_nobody_takes_is_found_within_a_second() {
    let post = b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 100000\r\n\r\n";
    for has_head in [false, true] {
        let (mut world, client, held) = asked(Settings::default(), has_head, post);
        client.send(&[b'x'; 50_000]);
        world.pass(10 * SECOND);
        assert!(world.lives(1) && client.untaken() == 50_000, "it stays in the socket");
        client.reset();
        world.pass(SECOND);
        assert_eq!((world.lives(1), held.load(Ordering::SeqCst)), (false, 0), "{has_head}");
    }
}

#[test]
fn requests_ahead_of_their_time_are_read_up_to_a_bound_and_a_reset_behind_them_is_found() {
    let (mut world, client, held) = asked(Settings::default(), true, GET);
    client.send(&GET.repeat(10_000));
    world.pass(SECOND);
    let read = GET.len() * 10_000 - client.untaken();
    assert!((8 * 1024..=12 * 1024).contains(&read), "{read} bytes");
    client.reset();
    world.pass(SECOND);
    assert_eq!((world.lives(1), held.load(Ordering::SeqCst)), (false, 0));
}

#[test]
fn a_half_close_is_served_for_as_long_as_an_idle_connection_is_kept_or_aborts_at_once() {
    for has_head in [false, true] {
        let (mut world, client, held) = asked(with(HalfClose::Serve), has_head, GET);
        world.pass(10 * SECOND);
        client.half_close();
        world.settle();
        world.pass(60 * SECOND - NANO);
        assert_eq!((world.lives(1), held.load(Ordering::SeqCst)), (true, 1), "{has_head}");
        world.pass(NANO);
        assert_eq!((world.lives(1), held.load(Ordering::SeqCst)), (false, 0), "{has_head}");
        assert_eq!(client.end(), Some(End::Reset));

        let (mut world, client, held) = asked(with(HalfClose::Abort), has_head, GET);
        client.half_close();
        world.settle();
        assert_eq!((world.lives(1), held.load(Ordering::SeqCst)), (false, 0), "{has_head}");
        assert_eq!(client.end(), Some(End::Reset));
    }
}

#[test]
fn a_half_closed_client_that_resets_is_found_within_a_second() {
    for has_head in [false, true] {
        let (mut world, client, held) = asked(with(HalfClose::Serve), has_head, GET);
        client.half_close();
        world.pass(5 * SECOND);
        client.reset();
        world.pass(SECOND);
        assert_eq!((world.lives(1), held.load(Ordering::SeqCst)), (false, 0), "{has_head}");
    }
}

#[test]
fn with_abort_an_answer_that_is_over_for_its_source_still_goes_out_whole() {
    let page = Page { status: 200, bytes: content(100), sized: true };
    let mut world = World::of(with(HalfClose::Abort), page, 0);
    let client = world.connect(Road::WIDE);
    client.send(&[GET, GET].concat());
    client.half_close();
    world.settle();
    let came = client.read(usize::MAX);
    assert!(came.ends_with(&content(100)), "{}", String::from_utf8_lossy(&came));
    assert_eq!((world.lives(1), client.end()), (false, Some(End::Clean)));
}

#[test]
fn what_a_client_that_has_gone_waited_for_is_there_for_others_at_once() {
    let limits = SharedLimits { server: Budget::of(Rate::or_unlimited(10_000)), ..SharedLimits::default() };
    let mut world = World::new(Settings { limits, ..Settings::default() }, 1_000_000, 0);
    let stays = world.connect(Road::WIDE);
    stays.send(GET);
    world.pass(SECOND);
    stays.read(usize::MAX);
    // Others come and go, ten a second. What was written for them, their heads, is charged.
    let mut heads = 0;
    for _ in 0..400 {
        let ghost = world.connect(Road::WIDE);
        ghost.send(GET);
        world.settle();
        ghost.reset();
        heads += ghost.unread();
        world.pass(SECOND / 10);
    }
    let share = stays.read(usize::MAX).len();
    // All but the turn that comes next.
    assert!(share + heads >= 398_000, "{share} and {heads} of 400 000 bytes");
    (1..=401).for_each(|number| world.cut(number));
}
