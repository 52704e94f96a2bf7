//! Which upstream a request goes to, and when it goes on to the next. Time is the manual clock's.

use std::future::{Future, poll_fn};
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body::Frame;

use super::super::request::outgoing;
use super::super::request_body::Progress;
use super::*;
use crate::clock::ManualClock;
use crate::http::body::{Managed, RequestBody, RequestBodyError};
use crate::http::peer::PeerAddr;
use crate::rt;

struct Route {
    upstreams: Upstreams,
    source: ProxySource,
    clock: Arc<ManualClock>,
}

impl Route {
    fn new(count: usize) -> Self {
        Self::to((1..=count).map(|n| format!("http://127.0.0.{n}")))
    }

    fn to(urls: impl IntoIterator<Item = String>) -> Self {
        let mut urls = urls.into_iter().map(|url| url.parse().unwrap());
        let source = ProxySource::new(urls.next().unwrap());
        Self::of(ProxySource { others: urls.collect(), ..source })
    }

    fn of(source: ProxySource) -> Self {
        let clock = Arc::new(ManualClock::new());
        let shared: Arc<dyn Clock> = Arc::clone(&clock) as _;
        let upstreams = Upstreams::new(&source, None, Buffers::from(None), &shared);
        Self { upstreams, source, clock }
    }

    /// Sends a request with this body; its response may take three seconds, and connecting five.
    async fn send(&self, method: Method, body: RequestBody) -> Result<Answer, Failure> {
        let source = ProxySource { response_timeout: Duration::from_secs(3), ..self.source.clone() };
        let progress = Progress::new(Arc::clone(&self.clock) as _);
        let body = TrackedBody::new(body, &progress);
        let client = Client::new(PeerAddr::Unix, "http");
        let head = Request::builder().method(method).uri("/").body(()).unwrap().into_parts().0;
        let mut outgoing = outgoing(head, "", body.is_some(), &client, &source).unwrap();
        let options = HeadOptions { source: &source, interim: None, progress: &progress };
        let sent = self.upstreams.send(&mut outgoing, body, &options, &client).await;
        sent.map_err(|(failure, _)| failure)
    }

    async fn get(&self) -> Result<Answer, Failure> {
        self.send(Method::GET, RequestBody::empty()).await
    }

    /// Of each: whether it is left out, and how many connections failed.
    fn failures(&self) -> Vec<(bool, u64)> {
        let status = self.upstreams.iter().map(Upstream::status);
        status.map(|status| (status.is_out, status.failed_connects)).collect()
    }

    fn next(&self) -> usize {
        self.upstreams.next(&mut Tried::default()).unwrap()
    }

    /// All that one request would be sent to, in order.
    fn order(&self) -> Vec<usize> {
        let mut tried = Tried::default();
        std::iter::from_fn(|| self.upstreams.next(&mut tried)).collect()
    }

    fn lease(&self, index: usize) -> Lease {
        Lease::new(&self.upstreams.all[index])
    }

    fn fail(&self, index: usize) {
        self.upstreams.all[index].state.health.failed(self.clock.now());
    }
}

/// A socket whose queue is full: connecting to it takes until somebody no longer waits, as where packets are dropped.
struct Hole {
    folder: tempfile::TempDir,
    _open: (socket2::Socket, Vec<rt::Socket>),
}

impl Hole {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = Self::path(&folder);
        let listener = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
        listener.bind(&socket2::SockAddr::unix(&path).unwrap()).unwrap();
        listener.listen(0).unwrap();
        let queued = std::iter::from_fn(|| rt::block_on(rt::connect_unix(&path)).ok()).collect();
        Self { folder, _open: (listener, queued) }
    }

    fn path(folder: &tempfile::TempDir) -> PathBuf {
        folder.path().join("s")
    }

    fn url(&self) -> String {
        format!("unix:{}", Self::path(&self.folder).display())
    }
}

/// A backend that does this with one connection, after the head of a request.
fn backend(script: impl FnOnce(&mut std::net::TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
            head.push(byte[0]);
        }
        script(&mut stream);
    });
    url
}

/// A body of which nothing ever comes.
struct Silent;

impl Managed for Silent {
    fn poll_frame(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        false
    }

    fn left(&self) -> Option<u64> {
        None
    }

    fn is_held(&self) -> bool {
        false
    }
}

fn is_pending(sending: &mut Pin<&mut impl Future>) -> bool {
    sending.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

#[test]
fn connecting_ends_with_its_own_timeout_and_then_the_next_is_asked() {
    let holes = [Hole::new(), Hole::new()];
    let ok = backend(|stream| stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap());
    let route = Route::to([holes[0].url(), holes[1].url(), ok]);
    let mut sending = pin!(route.get());
    for failures in [[(false, 0); 3], [(true, 1), (false, 0), (false, 0)]] {
        assert!(is_pending(&mut sending));
        assert_eq!(route.failures(), failures);
        // The time for a response passes, which has not begun.
        route.clock.advance(Duration::from_secs(5) - Duration::from_nanos(1));
        assert!(is_pending(&mut sending));
        assert_eq!(route.failures(), failures);
        route.clock.advance(Duration::from_nanos(1));
    }
    let Ok(answer) = rt::block_on(sending) else { panic!("{:?}", route.failures()) };
    assert_eq!(
        (answer.head.status.as_u16(), &*answer.lease.upstream().name),
        (200, &*route.source.others[1].to_string())
    );
    assert_eq!(route.failures(), [(true, 1), (true, 1), (false, 0)]);
}

#[test]
fn connecting_that_nobody_waits_for_is_a_failure_after_a_second() {
    let holes = [Hole::new(), Hole::new()];
    let route = Route::to(holes.iter().map(Hole::url));
    let abandon = |after: Duration| {
        let mut sending = pin!(route.get());
        assert!(is_pending(&mut sending));
        route.clock.advance(after);
    };
    abandon(Duration::from_secs(1) - Duration::from_nanos(1));
    assert_eq!(route.failures(), [(false, 0), (false, 0)]);
    abandon(Duration::from_secs(1));
    assert_eq!(route.failures(), [(false, 0), (true, 1)]);
    let error = route.upstreams.all[1].status().last_error.unwrap();
    assert_eq!(error, "cannot connect: the request ended before a connection was open");

    // A trial that ends at once says nothing: the next request is a trial too.
    route.clock.advance(Duration::from_secs(1));
    let due = route.upstreams.all[1].state.health.out_until();
    for _ in 0..3 {
        abandon(Duration::ZERO);
        assert_eq!(
            (route.failures(), route.upstreams.all[1].state.health.out_until()),
            (vec![(false, 0), (true, 1)], due)
        );
    }
    abandon(Duration::from_secs(1));
    assert_eq!(route.failures(), [(false, 0), (true, 2)]);
    let out_for = route.upstreams.all[1].status().out_for;
    assert_eq!(out_for, Some(Duration::from_secs(2)), "the second failure");
}

#[test]
fn a_client_that_sends_nothing_is_not_to_blame_while_the_next_is_connected_to() {
    let hole = Hole::new();
    let route = Route::to([backend(|_| {}), hole.url()]);
    let mut sending = pin!(route.send(Method::PUT, RequestBody::managed(Silent)));
    rt::block_on(poll_fn(|cx| {
        assert!(sending.as_mut().poll(cx).is_pending());
        match route.upstreams.all[1].state.active() {
            1 => Poll::Ready(()),
            _ => Poll::Pending,
        }
    }));
    route.clock.advance(Duration::from_secs(3));
    assert!(is_pending(&mut sending));
    route.clock.advance(Duration::from_secs(2));
    match rt::block_on(sending) {
        Err(Failure::Connect(error)) => assert_eq!(error.kind(), io::ErrorKind::TimedOut),
        Err(failure) => panic!("{failure:?}"),
        Ok(_) => panic!("nobody answers"),
    }
}

#[test]
fn equals_take_turns_and_the_one_with_the_fewest_requests_goes_first() {
    let route = Route::new(3);
    assert_eq!([(); 6].map(|()| route.next()), [0, 1, 2, 0, 1, 2]);
    let first = [0, 0, 1].map(|index| route.lease(index));
    assert_eq!([(); 3].map(|()| route.next()), [2; 3]);
    let more = [2, 2].map(|index| route.lease(index));
    assert_eq!([(); 3].map(|()| route.next()), [1; 3]);
    drop((first, more));
    assert_eq!(route.upstreams.all.iter().map(|one| one.state.active()).sum::<u64>(), 0);
    assert_eq!([(); 3].map(|()| route.next()), [0, 1, 2]);
}

#[test]
fn a_request_is_sent_to_each_at_most_once() {
    assert_eq!(Route::new(1).order(), [0]);
    let route = Route::new(3);
    assert_eq!([(); 4].map(|()| route.order()), [[0, 1, 2], [1, 2, 0], [2, 0, 1], [0, 1, 2]].map(Vec::from));
    let most = Route::new(ProxySource::MAX_UPSTREAMS);
    assert_eq!(most.order().len(), ProxySource::MAX_UPSTREAMS);
}

#[test]
fn one_that_failed_is_left_out_until_one_request_tries_it() {
    let route = Route::new(2);
    route.fail(0);
    assert_eq!([(); 3].map(|()| route.next()), [1; 3]);
    route.clock.advance(Duration::from_secs(1));
    assert_eq!([(); 3].map(|()| route.next()), [0, 1, 1], "one tries it, though it could be slow to fail");
    route.clock.advance(Duration::from_secs(2));
    let _busy = route.lease(0);
    assert_eq!(route.next(), 0, "also if it has more requests");
    assert!(route.upstreams.all[0].state.health.recovered());
    drop(_busy);
    assert_eq!([(); 2].map(|()| route.next()).iter().sum::<usize>(), 1);
}

#[test]
fn if_all_are_left_out_the_one_that_is_due_soonest_is_tried_first() {
    let route = Route::new(3);
    for index in [2, 0, 1] {
        route.fail(index);
        route.clock.advance(Duration::from_millis(100));
    }
    assert_eq!(route.order(), [2, 0, 1]);
    let alone = Route::new(1);
    alone.fail(0);
    assert_eq!([alone.next(), alone.next()], [0; 2], "one alone is never left out");
}

#[test]
fn after_a_reload_upstreams_that_stay_keep_their_health_and_counters() {
    let (old, mut new) = (Route::new(2), Route::new(3));
    old.fail(1);
    let _busy = old.lease(0);
    new.upstreams.adopt(&old.upstreams);
    let status: Vec<_> = new.upstreams.iter().map(|one| (one.status().is_out, one.status().active)).collect();
    assert_eq!(status, [(false, 1), (true, 0), (false, 0)]);
}

#[test]
fn a_reload_with_other_tls_settings_brings_back_those_that_speak_tls() {
    let source = |(name, send_proxy): (Option<&str>, _)| {
        let source = ProxySource::new("https://127.0.0.1".parse().unwrap());
        let mut source = ProxySource { send_proxy, ..source };
        source.others = vec!["http://127.0.0.1".parse().unwrap()];
        source.tls.name = name.map(str::to_owned);
        source
    };
    let before = (Some("a.test"), Some(ProxyVersion::V1));
    for (after, is_out) in [
        (before, [true, true]),
        ((Some("b.test"), Some(ProxyVersion::V1)), [false, true]),
        ((None, Some(ProxyVersion::V1)), [false, true]),
        ((Some("a.test"), Some(ProxyVersion::V2)), [false, true]),
        ((Some("a.test"), None), [false, true]),
    ] {
        let (old, mut new) = (Route::of(source(before)), Route::of(source(after)));
        old.fail(0);
        old.fail(1);
        let _busy = old.lease(0);
        new.upstreams.adopt(&old.upstreams);
        let status: Vec<_> = new.upstreams.iter().map(Upstream::status).collect();
        assert_eq!([0, 1].map(|at: usize| status[at].is_out), is_out, "{after:?}");
        assert_eq!([0, 1].map(|at: usize| status[at].active), [1, 0], "{after:?}");
    }
}

#[test]
fn failed_requests_do_not_use_up_the_lines_about_health() {
    let proxy = super::super::Proxy::new(Route::new(2).source, None, rt::clock());
    assert_eq!((0..100).filter(|_| proxy.failures.admits(|_| {})).count(), 20);
    assert!(proxy.upstreams.all.iter().all(|upstream| upstream.may_log()));
}
