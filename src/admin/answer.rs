//! The pages of the admin listener.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use headers::{ContentLength, HeaderMapExt};
use http::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

use super::admission::{Access, Admission};
use super::api::{self, Api, Asker};
use super::class_metrics::ClassMetrics;
use super::format::Format;
use super::limit_metrics::LimitMetrics;
#[cfg(feature = "events")]
use super::live::{self, Live};
use super::process_metrics::ProcessMetrics;
use super::server_metrics::ServerMetrics;
use crate::http::answer;
use crate::http::body::RequestBody;
use crate::http::content::Content;
use crate::http::peer::PeerAddr;
#[cfg(feature = "events")]
use crate::http::route::Route;
use crate::http::server::Handle;
use crate::http::source::Visitor;
use crate::rt;
use crate::token::Token;

/// A readiness check: the reason if the process is not ready.
pub(super) type Check = dyn Fn() -> Result<(), String> + Send + Sync;

/// The pages, and what a request needs to see them.
pub(super) struct Pages {
    pub(super) server: Handle,
    pub(super) token: Option<Token>,
    /// A token that lets its holder look, and change nothing.
    pub(super) read_only: Option<Token>,
    /// Both were the same at the last request.
    has_one_token: AtomicBool,
    /// Checks beside those of the server itself.
    pub(super) checks: Vec<Box<Check>>,
    api: Api,
    #[cfg(feature = "events")]
    pub(super) live: Arc<Live>,
    registry: Registry,
}

/// Prefix of metric names.
pub(super) const OWN: &str = "sluicegate";

const INDEX: &str = "Sluicegate\n\n/metrics          counters, as plain text or in OpenMetrics\n\
                     /healthz          whether the process serves\n\
                     /readyz           whether it should be sent new requests\n\
                     /v1/live          what flows now, as server-sent events; / is a page of it in a browser\n\
                     /v1/openapi.json  the API to list and change limits and connections";

impl Pages {
    pub(super) fn new(server: Handle, token: Option<Token>) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(ProcessMetrics));
        let own = registry.sub_registry_with_prefix(OWN);
        own.register_collector(Box::new(ServerMetrics::new(server.clone())));
        own.register_collector(Box::new(LimitMetrics::new(server.clone())));
        own.register_collector(Box::new(ClassMetrics::new(server.clone())));
        Self {
            api: Api::new(server.clone()),
            #[cfg(feature = "events")]
            live: Arc::new(Live::new(server.clone())),
            server,
            token,
            read_only: None,
            has_one_token: AtomicBool::new(false),
            checks: Vec::new(),
            registry,
        }
    }

    pub(super) fn collect(&mut self, collector: Box<dyn Collector>) {
        self.registry.sub_registry_with_prefix(OWN).register_collector(collector);
    }

    /// Whether a request is authenticated: by the token or, without one, by the permissions of a Unix socket's path.
    pub(super) fn trusts(&self, headers: &HeaderMap, peer: &PeerAddr) -> bool {
        let admits = |token: &Token| token.admits(headers);
        self.token.as_ref().map_or(*peer == PeerAddr::Unix, admits)
            || self.read_only.as_ref().is_some_and(admits)
    }

    /// Answers a request. Only the API reads content.
    pub(super) async fn answer(
        self: &Arc<Self>,
        request: Request<RequestBody>,
        visitor: Visitor<'_>,
    ) -> Response<Content> {
        let peer = &visitor.client.peer;
        let (head, content) = request.into_parts();
        let path = head.uri.path();
        for token in [&self.token, &self.read_only].into_iter().flatten() {
            token.renew().await;
        }
        let (token, read_only) = (self.token.as_ref(), self.read_only.as_ref());
        self.warn_of_one_token();
        let admission = Admission { token, read_only, over_unix: *peer == PeerAddr::Unix };
        let file = page(path, &head.headers);
        // Probes have no token, and their answers name no client, route or figure; nor do the files of the page.
        let is_public = matches!(path, "/healthz" | "/readyz") || file.is_some();
        let is_read = matches!(head.method, Method::GET | Method::HEAD);
        let of_api = api::has(path);
        let mut response = match (admission.check(&head, is_public), path) {
            (Err(refusal), _) if of_api => api::refused(refusal),
            (Err(refusal), _) => refusal.into_response(),
            #[cfg(feature = "events")]
            (Ok(_), _) if live::has(path) => {
                let tokens = [&self.token, &self.read_only].map(Option::clone);
                self.live.answer(&Request::from_parts(head.clone(), content), visitor, tokens).await
            }
            (Ok(access), _) if of_api => {
                self.api
                    .answer(&head, content, &Asker { peer: *peer, may_change: access == Access::Changes })
                    .await
            }
            (Ok(_), "/" | "/healthz" | "/readyz" | "/metrics") if !is_read => not_allowed(),
            (Ok(_), _) if file.is_some() && !is_read => not_allowed(),
            (Ok(_), "/") if file.is_none() => answer::plain(StatusCode::OK, INDEX),
            (Ok(_), "/healthz") => answer::plain(StatusCode::OK, "ok"),
            (Ok(_), "/readyz") => self.ready(),
            (Ok(_), "/metrics") => self.metrics(Format::asked_for(&head.headers)).await,
            (Ok(_), _) => file.unwrap_or_else(|| {
                answer::plain(StatusCode::NOT_FOUND, "There is nothing here by this name.")
            }),
        };
        // Answers change from moment to moment and depend on the token.
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.server.is_draining() {
            // Whoever keeps the connection comes to the process that listens next.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if head.method == Method::HEAD { answer::without_content(response) } else { response }
    }

    /// Warns, once, if a renewal made both tokens the same: nobody may change anything then.
    fn warn_of_one_token(&self) {
        let is_same = self.read_only.is_some() && self.token == self.read_only;
        if self.has_one_token.swap(is_same, Ordering::Relaxed) != is_same && is_same {
            let text = "admin_token_file and admin_read_only_token_file hold the same token: until they differ its \
                        holders may look, and change nothing; write another into one of them";
            log::warn!("{text}");
        }
    }

    fn ready(&self) -> Response<Content> {
        // Behind an address that was handed over another process takes them.
        let draining = (self.server.is_draining() && !self.server.is_handed_over())
            .then(|| "draining: no new connections are taken".to_owned());
        let shedding = (self.server.is_shedding())
            .then(|| "shedding: all the bytes that may be held for clients are held".to_owned());
        let failed = self.checks.iter().filter_map(|check| check().err());
        readiness(draining.into_iter().chain(shedding).chain(failed).chain(self.store_faults()))
    }

    /// The stores of event streams that cannot be used, by route.
    #[cfg(feature = "events")]
    fn store_faults(&self) -> Vec<String> {
        let fault = |route: &Arc<Route>| {
            let fault = route.hub()?.store_fault()?;
            Some(format!("event streams {}: {fault}", route.name()))
        };
        self.server.routes().iter().filter_map(fault).collect()
    }

    #[cfg(not(feature = "events"))]
    fn store_faults(&self) -> Vec<String> {
        Vec::new()
    }

    async fn metrics(self: &Arc<Self>, format: Format) -> Response<Content> {
        let pages = Arc::clone(self);
        // The kernel's figures are read from files, which blocks.
        exposed(format, rt::blocking(move || exposition(&pages.registry)).await)
    }
}

/// The answer to a readiness probe: the reasons if the process is not ready.
pub(super) fn readiness(reasons: impl IntoIterator<Item = String>) -> Response<Content> {
    let reasons: Vec<String> = reasons.into_iter().collect();
    if reasons.is_empty() {
        answer::plain(StatusCode::OK, "ready")
    } else {
        answer::plain(StatusCode::SERVICE_UNAVAILABLE, &reasons.join("\n"))
    }
}

/// All metrics, in OpenMetrics.
pub(super) fn exposition(registry: &Registry) -> Result<String, fmt::Error> {
    let mut exposition = String::new();
    text::encode(&mut exposition, registry)?;
    Ok(exposition)
}

/// The answer with an exposition in `format`.
pub(super) fn exposed(format: Format, exposition: Result<String, fmt::Error>) -> Response<Content> {
    let Ok(exposition) = exposition else {
        return answer::plain(StatusCode::INTERNAL_SERVER_ERROR, "The metrics could not be written.");
    };
    let text = format.of(exposition);
    let mut response = answer::empty(StatusCode::OK);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
    headers.insert(VARY, HeaderValue::from_static("accept"));
    headers.typed_insert(ContentLength(text.len() as u64));
    *response.body_mut() = Content::text(text);
    response
}

/// The file of the page at `path`, in a build that has one: it lives on the stream of events.
fn page(path: &str, fields: &HeaderMap) -> Option<Response<Content>> {
    #[cfg(feature = "events")]
    return super::page::file(path, fields);
    #[cfg(not(feature = "events"))]
    {
        let _ = (path, fields);
        None
    }
}

pub(super) fn not_allowed() -> Response<Content> {
    let mut response = answer::plain(StatusCode::METHOD_NOT_ALLOWED, "This can be read only: GET or HEAD.");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}
