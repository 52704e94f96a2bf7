//! A tower layer that limits the rate of response bodies. Feature `tower`.
//!
//! Spawns nothing and works on any runtime.

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

/// Limits the rate of the response bodies of a service; for uploads there is
/// [`PaceRequestLayer`](super::PaceRequestLayer).
///
/// Each response has a node of its own, so that all have equal shares of the node above; [by client](Self::by_client), the
/// responses of one client share that client's node. Counts bytes of bodies as they leave the service. Clones share limits
/// and counts: layered on many routes, the layer limits them together.
///
/// ```
/// use sluicegate_core::budget::{ClientKey, Clients, Each, Node};
/// use sluicegate_core::limit::{Budget, Rate};
/// use sluicegate_core::throttle::PaceLayer;
///
/// let server = Node::at(Rate::mib_per_second(10));
/// let clients = Clients::new(server, "client", Rate::mib_per_second(1));
/// let each = Each::new("response", Budget::of(Rate::kib_per_second(200)).with_burst(64 << 10));
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
    /// Creates a layer whose responses have nodes below `parent`, with the budget of `each`.
    pub fn new(parent: &Node, each: Each) -> Self {
        Self::below(Parent::Node(parent.clone()), each)
    }

    /// Creates a layer whose responses have nodes below that of their client, which `key` returns for a request.
    pub fn by_client(
        clients: &Clients,
        key: impl Fn(&Parts) -> ClientKey + Send + Sync + 'static,
        each: Each,
    ) -> Self {
        Self::below(Parent::client(clients, key), each)
    }

    fn below(parent: Parent<Parts>, each: Each) -> Self {
        let meter = Meter::new(parent.clock());
        Self { parent, each, meter }
    }

    /// Creates a node below the parent that `request` has.
    pub(super) fn node_of(&self, request: &Parts) -> Node {
        self.each.child_of(&self.parent.node(request))
    }

    /// Returns the meter of all responses together.
    pub fn meter(&self) -> &Meter {
        &self.meter
    }

    /// Returns the budget of each response, which may be set at any time.
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

/// A service whose response bodies are [`Paced`]; created by [`PaceLayer`].
#[derive(Clone, Debug)]
pub struct PaceService<S> {
    inner: S,
    layer: PaceLayer,
}

impl<S> PaceService<S> {
    /// Returns the inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns the inner service.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Returns the inner service.
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
        let parent = self.layer.parent.node(&parts);
        let inner = self.inner.call(Request::from_parts(parts, body));
        PaceFuture { inner, parent, layer: self.layer.clone() }
    }
}

pin_project_lite::pin_project! {
    /// The future of a [`PaceService`].
    pub struct PaceFuture<F> {
        #[pin]
        inner: F,
        parent: Node,
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
        let node = this.layer.each.child_of(this.parent);
        Poll::Ready(Ok(response.map(|body| Paced::metered(body, &node, this.layer.meter.part()))))
    }
}

impl<F> fmt::Debug for PaceFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PaceFuture").field("layer", &self.layer).finish_non_exhaustive()
    }
}
