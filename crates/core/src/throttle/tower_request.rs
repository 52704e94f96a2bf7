//! A tower layer that limits the rate of request bodies. Feature `tower`.

use std::task::{Context, Poll};

use http::Request;
use http::request::Parts;
use tower_layer::Layer;
use tower_service::Service;

use super::{Meter, PaceLayer, Paced};
use crate::budget::{ClientKey, Clients, Each, Node};

/// Limits the rate of the request bodies that reach a service: of uploads to a server, or by a client.
///
/// Each request has a node of its own, so that all have equal shares of the node above; [by client](Self::by_client), the
/// requests of one client share that client's node. With the same [`Clients`] as a [`PaceLayer`], what a client sends and
/// gets is limited together. What is not read stays in the socket, and the sender is held back. Counts bytes as the service
/// reads them.
///
/// The service gets requests whose bodies are [`Paced`]; `axum::Router::layer` takes it as it is.
///
/// ```
/// use sluicegate_core::budget::{Each, Node};
/// use sluicegate_core::limit::{Budget, Rate};
/// use sluicegate_core::throttle::{PaceLayer, PaceRequestLayer};
///
/// // 10 MiB/s in each direction, 1 MiB/s for each upload.
/// let uploads = PaceRequestLayer::new(&Node::at(Rate::mib_per_second(10)), Each::new("upload", Rate::mib_per_second(1)));
/// let downloads = PaceLayer::new(&Node::at(Rate::mib_per_second(10)), Each::new("download", Budget::default()));
/// // axum::Router::new().route("/file", put(store).get(load)).layer(uploads).layer(downloads)
/// # drop((uploads, downloads));
/// ```
#[derive(Clone, Debug)]
pub struct PaceRequestLayer(PaceLayer);

impl PaceRequestLayer {
    /// Creates a layer whose requests have nodes below `parent`, with the budget of `each`.
    pub fn new(parent: &Node, each: Each) -> Self {
        Self(PaceLayer::new(parent, each))
    }

    /// Creates a layer whose requests have nodes below that of their client, which `key` returns.
    pub fn by_client(
        clients: &Clients,
        key: impl Fn(&Parts) -> ClientKey + Send + Sync + 'static,
        each: Each,
    ) -> Self {
        Self(PaceLayer::by_client(clients, key, each))
    }

    /// Returns the meter of all requests together.
    pub fn meter(&self) -> &Meter {
        self.0.meter()
    }

    /// Returns the budget of each request, which may be set at any time.
    pub fn each(&self) -> &Each {
        self.0.each()
    }
}

impl<S> Layer<S> for PaceRequestLayer {
    type Service = PaceRequestService<S>;

    fn layer(&self, inner: S) -> PaceRequestService<S> {
        PaceRequestService { inner, layer: self.0.clone() }
    }
}

/// A service that gets requests whose bodies are [`Paced`]; created by [`PaceRequestLayer`].
#[derive(Clone, Debug)]
pub struct PaceRequestService<S> {
    inner: S,
    layer: PaceLayer,
}

impl<S> PaceRequestService<S> {
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

impl<S, B> Service<Request<B>> for PaceRequestService<S>
where
    S: Service<Request<Paced<B>>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> S::Future {
        let (parts, body) = request.into_parts();
        let node = self.layer.node_of(&parts);
        let body = Paced::metered(body, &node, self.layer.meter().part());
        self.inner.call(Request::from_parts(parts, body))
    }
}
