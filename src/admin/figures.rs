//! The admin listener of a program that is no server of HTTP itself, such as a quota server: metrics and probes, to read.

use std::net::SocketAddr;
use std::sync::Arc;

use futures_lite::FutureExt;
use http::header::CACHE_CONTROL;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use prometheus_client::collector::Collector;
use prometheus_client::registry::Registry;

use super::admission::Admission;
use super::answer::{Check, OWN, exposed, exposition, not_allowed, readiness};
use super::connection::{MAX_CONNECTIONS, MAX_STREAMS, settings};
use super::format::Format;
use super::process_metrics::ProcessMetrics;
use super::{AdminError, protected};
use crate::clock::Clock;
use crate::http::answer;
use crate::http::body::RequestBody;
use crate::http::content::Content;
use crate::http::peer::PeerAddr;
use crate::http::server::SoleServer;
use crate::http::source::{Answer, Source, Visitor};
use crate::rt::serve::{self, Stage, Stages, Tasks};
use crate::rt::{self, Listener, Slots};
use crate::token::Token;

const INDEX: &str = "Sluicegate\n\n/metrics  counters, as plain text or in OpenMetrics\n\
                     /healthz  whether the process serves\n\
                     /readyz   whether it should be sent new requests";

/// Metrics and probes on listeners of their own.
///
/// A token is required on an address that other machines reach; without one, requests over TCP must have a loopback
/// address or `localhost` as their Host.
pub struct Figures {
    listeners: Vec<Listener>,
    pages: Pages,
}

opaque!(Figures);

struct Pages {
    token: Option<Token>,
    checks: Vec<Box<Check>>,
    registry: Registry,
}

struct Served(Arc<Pages>);

impl Figures {
    /// Has the figures of this process on `listeners`.
    ///
    /// # Errors
    /// There is no token, and a listener's address is reachable from other machines.
    pub fn new(listeners: Vec<Listener>, token: Option<Token>) -> Result<Self, AdminError> {
        protected(&listeners, token.as_ref())?;
        let mut registry = Registry::default();
        registry.register_collector(Box::new(ProcessMetrics));
        Ok(Self { listeners, pages: Pages { token, checks: Vec::new(), registry } })
    }

    /// Makes `/readyz` fail, with the reason, whenever `check` does. It must not block; everyone who can connect sees the
    /// reason.
    #[must_use]
    pub fn ready_when(mut self, check: impl Fn() -> Result<(), String> + Send + Sync + 'static) -> Self {
        self.pages.checks.push(Box::new(check));
        self
    }

    /// Adds metrics; their names get the prefix `sluicegate_`. The collector is called for each scrape and must not block.
    #[must_use]
    pub fn with_metrics(mut self, collector: impl Collector + 'static) -> Self {
        self.pages.registry.sub_registry_with_prefix(OWN).register_collector(Box::new(collector));
        self
    }

    /// The TCP addresses listened on, with their actual ports.
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(Listener::local_addr).collect()
    }

    /// Serves until `stopped`, after `draining`: from then on another process that has the sockets takes connections.
    ///
    /// Not cancel safe: if dropped, its listeners continue.
    pub async fn run(self, draining: impl Future<Output = ()>, stopped: impl Future<Output = ()>) {
        let source = Served(Arc::new(self.pages));
        let sole = Arc::new(SoleServer::alone(settings(), MAX_STREAMS, "admin", source));
        let (stages, tasks) = (Arc::new(Stages::default()), Arc::<Tasks>::default());
        let slots = Slots::new(MAX_CONNECTIONS);
        for listener in self.listeners {
            let (sole, stages, slots, tasks) =
                (Arc::clone(&sole), Arc::clone(&stages), Arc::clone(&slots), Arc::clone(&tasks));
            let task = tasks.begin();
            rt::spawn(async move {
                let clock = rt::clock() as Arc<dyn Clock>;
                let handed_over = async {
                    stages.reached(Stage::Draining).await;
                    listener.handed_over(&clock).await;
                };
                let ended = handed_over.or(stages.reached(Stage::Stopped));
                let begin = |socket| {
                    if let Some(slot) = slots.take() {
                        let (sole, task) = (Arc::clone(&sole), tasks.begin());
                        rt::spawn_spread(async move {
                            sole.serve(socket, None, &slot).await;
                            drop(task);
                        });
                    }
                };
                serve::accept(&listener, &clock, ended, begin).await;
                drop(listener);
                drop(task);
            });
        }
        draining.await;
        stages.reach(Stage::Draining);
        sole.drain();
        stopped.await;
        stages.reach(Stage::Stopped);
        sole.stop().await;
        tasks.idle().await;
    }
}

impl Source for Served {
    fn respond<'a>(&'a self, request: Request<RequestBody>, _: &'a str, visitor: Visitor<'a>) -> Answer<'a> {
        let is_known = match &self.0.token {
            Some(token) => token.admits(request.headers()),
            None => visitor.client.peer == PeerAddr::Unix,
        };
        if let Some(slot) = visitor.slot.filter(|_| is_known) {
            slot.prove();
        }
        Box::pin(Pages::answer(&self.0, request, visitor))
    }
}

impl Pages {
    async fn answer(
        self: &Arc<Self>,
        request: Request<RequestBody>,
        visitor: Visitor<'_>,
    ) -> Response<Content> {
        let (head, _) = request.into_parts();
        if let Some(token) = &self.token {
            token.renew().await;
        }
        let over_unix = visitor.client.peer == PeerAddr::Unix;
        let admission = Admission { token: self.token.as_ref(), read_only: None, over_unix };
        let path = head.uri.path();
        let is_public = matches!(path, "/healthz" | "/readyz");
        let is_read = matches!(head.method, Method::GET | Method::HEAD);
        let mut response = match (admission.check(&head, is_public), path) {
            (Err(refusal), _) => refusal.into_response(),
            (Ok(_), "/" | "/healthz" | "/readyz" | "/metrics") if !is_read => not_allowed(),
            (Ok(_), "/") => answer::plain(StatusCode::OK, INDEX),
            (Ok(_), "/healthz") => answer::plain(StatusCode::OK, "ok"),
            (Ok(_), "/readyz") => readiness(self.checks.iter().filter_map(|check| check().err())),
            (Ok(_), "/metrics") => {
                let pages = Arc::clone(self);
                // The kernel's figures are read from files, which blocks.
                let exposition = rt::blocking(move || exposition(&pages.registry)).await;
                exposed(Format::asked_for(&head.headers), exposition)
            }
            (Ok(_), _) => answer::plain(StatusCode::NOT_FOUND, "There is nothing here by this name."),
        };
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if head.method == Method::HEAD { answer::without_content(response) } else { response }
    }
}
