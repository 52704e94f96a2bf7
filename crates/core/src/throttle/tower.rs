//! A tower layer: the bodies of responses at a pace. Feature `tower`.
//!
//! Spawns nothing and names no runtime: the program's own will do, tokio's too.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::request::Parts;
use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use super::parent::Parent;
use super::{Meter, Paced};
use crate::budget::{ClientKey, Clients, Each, Node};

/// Paces the bodies of all responses of a service.
///
/// Each response gets a node of its own, so that all have equal shares of what is above; by client, the
/// responses of one client share what is that client's. Counted are bytes of bodies, as they come out of the
/// service. Clones belong together: layered on many routes, it paces them together.
///
/// ```
/// use std::sync::Arc;
/// use sluicegate_core::budget::{ClientKey, Clients, Each, Node};
/// use sluicegate_core::clock::SystemClock;
/// use sluicegate_core::limit::{Budget, Rate};
/// use sluicegate_core::throttle::PaceLayer;
///
/// // A clock without this crate's runtime: it has a thread that wakes who is due.
/// let clock = Arc::new(SystemClock::new());
///
/// let server = Node::root("server", Budget::of(Rate::or_unlimited(10 << 20)), clock);
/// let clients = Clients::new(server, "client", Budget::of(Rate::or_unlimited(1 << 20)));
/// let each = Each::new("response", Budget::of(Rate::or_unlimited(200 << 10)).with_burst(64 << 10));
/// let layer = PaceLayer::by_client(&clients, |request| {
///     let key = request.headers.get("x-api-key").and_then(|key| ClientKey::header(key.as_bytes()));
///     key.unwrap_or(ClientKey::Local)
/// }, each);
/// // axum::Router::new().route("/", get(page)).layer(layer)
/// # drop(layer);
/// ```
#[derive(Clone)]
pub struct PaceLayer {
    parent: Parent<Parts>,
    each: Each,
    meter: Meter,
}

impl PaceLayer {
    /// Each response gets a node below `above`, with what `each` says.
    pub fn new(above: &Node, each: Each) -> Self {
        Self::at(Parent::Node(above.clone()), each)
    }

    /// Each gets a node below that of its client, which `key` tells by the request.
    pub fn by_client(
        clients: &Clients,
        key: impl Fn(&Parts) -> ClientKey + Send + Sync + 'static,
        each: Each,
    ) -> Self {
        Self::at(Parent::client(clients, key), each)
    }

    fn at(parent: Parent<Parts>, each: Each) -> Self {
        let meter = Meter::new(parent.clock());
        Self { parent, each, meter }
    }

    /// What all the responses have sent.
    pub fn meter(&self) -> &Meter {
        &self.meter
    }

    /// What each response may by itself: to be set at any time, for all of them.
    pub fn each(&self) -> &Each {
        &self.each
    }
}

impl<S> Layer<S> for PaceLayer {
    type Service = PaceService<S>;

    fn layer(&self, inner: S) -> PaceService<S> {
        PaceService { inner, layer: self.clone() }
    }
}

impl fmt::Debug for PaceLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PaceLayer")
            .field("each", &self.each)
            .field("meter", &self.meter)
            .finish_non_exhaustive()
    }
}

/// A service whose responses are [`Paced`], made by [`PaceLayer`].
#[derive(Clone, Debug)]
pub struct PaceService<S> {
    inner: S,
    layer: PaceLayer,
}

impl<S> PaceService<S> {
    /// The service that is wrapped.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service that is wrapped.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Gives the service back.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, A, B> Service<Request<A>> for PaceService<S>
where
    S: Service<Request<A>, Response = Response<B>>,
{
    type Response = Response<Paced<B>>;
    type Error = S::Error;
    type Future = PaceFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> PaceFuture<S::Future> {
        let (parts, body) = request.into_parts();
        let above = self.layer.parent.node(&parts);
        let inner = self.inner.call(Request::from_parts(parts, body));
        PaceFuture { inner, above, layer: self.layer.clone() }
    }
}

pin_project_lite::pin_project! {
    /// The future of a [`PaceService`].
    pub struct PaceFuture<F> {
        #[pin]
        inner: F,
        above: Node,
        layer: PaceLayer,
    }
}

impl<F, B, E> Future for PaceFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<Paced<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.inner.poll(cx))?;
        let node = this.layer.each.child_of(this.above);
        Poll::Ready(Ok(response.map(|body| Paced::metered(body, &node, this.layer.meter.part()))))
    }
}

impl<F> fmt::Debug for PaceFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PaceFuture").field("layer", &self.layer).finish_non_exhaustive()
    }
}
