//! The tower layer: every response a node of its own, below what all or its client share.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use sluicegate::budget::{ClientKey, Clients, Each};
use sluicegate::limit::{Budget, Rate};
use sluicegate::throttle::{PaceLayer, PaceRequestLayer, PaceRequestService, Paced};
use tower_layer::Layer;
use tower_service::Service;

use super::scene::{CleanClock, Task, content, node};

/// Answers with as many bytes as its request has in its body.
#[derive(Clone)]
struct Echo;

impl Service<Request<usize>> for Echo {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<usize>) -> Self::Future {
        let body = Full::new(Bytes::from(content(0..request.into_body())));
        ready(Ok(Response::builder().header("etag", "\"1\"").body(body).unwrap()))
    }
}

fn ask(layer: &PaceLayer, key: &str, bytes: usize) -> Paced<Full<Bytes>> {
    let mut service = layer.layer(Echo);
    assert!(Task::default().poll(|cx| service.poll_ready(cx)).is_ready());
    let request = Request::builder().header("x-api-key", key).body(bytes).unwrap();
    let response = futures_lite::future::block_on(service.call(request)).unwrap();
    assert_eq!(response.headers()["etag"], "\"1\"", "the head is left as it is");
    response.into_body()
}

/// Reads what may be read now.
fn read(body: &mut Paced<Full<Bytes>>) -> usize {
    let (task, mut all) = (Task::default(), 0);
    while let Poll::Ready(Some(frame)) = task.poll(|cx| Pin::new(&mut *body).poll_frame(cx)) {
        all += frame.unwrap().into_data().unwrap().len();
    }
    all
}

#[test]
fn each_response_has_its_own_limit_below_that_of_all() {
    let (clock, server) = node(25_000);
    let each = Each::new("response", Budget::of(Rate::or_unlimited(10_000)));
    let layer = PaceLayer::new(&server, each);
    let mut bodies = [ask(&layer, "a", 50_000), ask(&layer, "a", 50_000), ask(&layer, "a", 50_000)];
    assert_eq!(
        bodies.each_mut().map(read),
        [2_000, 2_000, 1_000],
        "turns below a limit that is short are half of 200 ms"
    );
    assert_eq!((server.children(), layer.each().len(), bodies[0].node().name()), (3, 3, "response"));
    layer.each().set(Budget::default());
    while clock.0.advance_to_next().is_some() {
        for body in &mut bodies {
            read(body);
        }
    }
    assert_eq!((layer.meter().report().bytes, clock.millis()), (150_000, 5_800), "the total of all remains");
    assert_eq!(server.passed().bytes, 150_000);
    drop(bodies);
    assert_eq!((server.children(), layer.each().len()), (0, 0));
}

#[test]
fn by_client_the_responses_of_one_share_its_budget() {
    let clock = CleanClock::default();
    let clients = Clients::new(clock.node(1 << 20), "client", Budget::of(Rate::or_unlimited(10_000)));
    let layer = PaceLayer::by_client(
        &clients,
        |request| ClientKey::header(request.headers["x-api-key"].as_bytes()).unwrap(),
        Each::new("response", Budget::default()),
    );
    let mut bodies = [ask(&layer, "a", 50_000), ask(&layer.clone(), "a", 50_000), ask(&layer, "b", 50_000)];
    assert_eq!(bodies.each_mut().map(read), [2_000, 0, 2_000]);
    assert_eq!(clients.len(), 2);
    clients.set(Budget::default());
    clients.parent().set(Budget::default());
    assert_eq!(bodies.each_mut().map(read), [48_000, 50_000, 48_000], "and off while they wait");
}

#[test]
fn the_service_can_be_reached_and_taken_out() {
    let clock = CleanClock::default();
    let layer = PaceLayer::new(&clock.node(1), Each::new("response", Budget::default()));
    let mut service = layer.layer(Echo);
    let Echo = service.get_mut();
    let Echo = service.get_ref();
    let Echo = service.into_inner();
}

/// Answers with the body of its request.
#[derive(Clone)]
struct Mirror;

impl<B> Service<Request<B>> for Mirror {
    type Response = Response<B>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready(Ok(Response::new(request.into_body())))
    }
}

fn upload(service: &mut impl Upload, key: &str, bytes: usize) -> Paced<Full<Bytes>> {
    assert!(Task::default().poll(|cx| service.poll_ready(cx)).is_ready());
    let body = Full::new(Bytes::from(content(0..bytes)));
    let request = Request::builder().header("x-api-key", key).body(body).unwrap();
    futures_lite::future::block_on(service.call(request)).unwrap().into_body()
}

/// A service that shows what reaches it of an upload.
trait Upload:
    Service<
        Request<Full<Bytes>>,
        Response = Response<Paced<Full<Bytes>>>,
        Error = Infallible,
        Future = Ready<Result<Response<Paced<Full<Bytes>>>, Infallible>>,
    >
{
}

impl Upload for PaceRequestService<Mirror> {}

#[test]
fn uploads_reach_the_service_at_their_pace_below_that_of_all() {
    let (clock, server) = node(25_000);
    let layer = PaceRequestLayer::new(&server, Each::new("upload", Budget::of(Rate::or_unlimited(10_000))));
    let mut service = layer.layer(Mirror);
    let mut bodies = ["a", "a", "b"].map(|key| upload(&mut service, key, 50_000));
    assert_eq!(bodies.each_mut().map(read), [2_000, 2_000, 1_000]);
    assert_eq!((server.children(), layer.each().len(), bodies[0].node().name()), (3, 3, "upload"));
    assert_eq!(bodies[0].size_hint().exact(), Some(48_000), "how much is left is still known");
    layer.each().set(Budget::default());
    while clock.0.advance_to_next().is_some() {
        for body in &mut bodies {
            read(body);
        }
    }
    assert_eq!((layer.meter().report().bytes, clock.millis()), (150_000, 5_800));
    drop(bodies);
    assert_eq!((server.children(), layer.each().len()), (0, 0));
    let Mirror = service.get_mut();
    let Mirror = service.get_ref();
    let Mirror = service.into_inner();
}

#[test]
fn by_client_what_one_sends_and_gets_is_limited_together() {
    let clock = CleanClock::default();
    let clients = Clients::new(clock.node(1 << 20), "client", Budget::of(Rate::or_unlimited(10_000)));
    let key =
        |request: &http::request::Parts| ClientKey::header(request.headers["x-api-key"].as_bytes()).unwrap();
    let downloads = PaceLayer::by_client(&clients, key, Each::new("response", Budget::default()));
    let uploads = PaceRequestLayer::by_client(&clients, key, Each::new("upload", Budget::default()));
    let mut service = uploads.layer(Mirror);
    let mut sent = upload(&mut service, "a", 50_000);
    let mut got = [ask(&downloads, "a", 50_000), ask(&downloads, "b", 50_000)];
    assert_eq!((read(&mut sent), got.each_mut().map(read)), (2_000, [0, 2_000]));
    clients.set(Budget::default());
    assert_eq!((read(&mut sent), got.each_mut().map(read)), (48_000, [50_000, 48_000]));
}
