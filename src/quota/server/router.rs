//! Routes a request to its service, after checking the token, with the caller's deadline.

use std::sync::Arc;

use futures_lite::FutureExt;
use http::{HeaderMap, Request, Response, Uri};
use hyper::body::Incoming;
use tonic::body::Body;
use tonic::codegen::Service as _;
use tonic::server::NamedService;
use tonic::{Code, Status};
use tonic_health::server::HealthReporter;
use tonic_reflection::pb::v1::server_reflection_server::ServerReflectionServer;

use super::deadline::{self, UntilDeadline};
use super::preface;
use super::reflection::Reflection;
use super::service::Service;
use super::shared_book::SharedBook;
use super::status;
use crate::clock::Sleep;
use crate::quota::wire;
use crate::quota::wire::quota_server::QuotaServer;
use crate::rt::Exchange;
use crate::token::Token;

/// Bytes of the largest request: 256 resources with ids of 128 bytes, with some margin.
const MAX_BYTES: usize = 256 * 1024;

/// Path used by tools older than version 1 of the reflection service. The messages are the same.
const OLD_REFLECTION: &str = "/grpc.reflection.v1alpha.ServerReflection/";

type Health = tonic::codegen::BoxFuture<Response<Body>, std::convert::Infallible>;

/// All services of the server.
pub(super) struct Router {
    quota: QuotaServer<Service>,
    reflection: ServerReflectionServer<Reflection>,
    health: Box<dyn Fn(Request<Incoming>) -> Health + Send + Sync>,
    pub(super) reporter: HealthReporter,
    token: Option<Token>,
    book: Arc<SharedBook>,
}

impl Router {
    /// # Errors
    /// The embedded service description cannot be decoded.
    pub(super) fn new(book: Arc<SharedBook>, token: Option<Token>) -> Result<Self, prost::DecodeError> {
        let (reporter, health) = tonic_health::server::health_reporter();
        let sets = [
            wire::FILE_DESCRIPTOR_SET,
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        ];
        Ok(Self {
            quota: QuotaServer::new(Service::new(Arc::clone(&book))).max_decoding_message_size(MAX_BYTES),
            reflection: ServerReflectionServer::new(Reflection::new(&sets)?)
                .max_decoding_message_size(MAX_BYTES),
            health: Box::new(move |request| health.clone().call(request)),
            reporter,
            token,
            book,
        })
    }

    /// Sets the health status of the server and of its quota service.
    pub(super) async fn set_serving(&self, serving: bool) {
        let status = if serving {
            tonic_health::ServingStatus::Serving
        } else {
            tonic_health::ServingStatus::NotServing
        };
        self.reporter.set_service_status("", status).await;
        self.reporter.set_service_status(QuotaServer::<Service>::NAME, status).await;
    }

    /// Whether a request with these fields has the token.
    pub(super) fn trusts(&self, headers: &HeaderMap) -> bool {
        self.token.as_ref().is_some_and(|token| token.admits(headers))
    }

    /// Answers a request; errors become a gRPC status. The exchange lasts until the end of the answer.
    pub(super) async fn answer(
        &self,
        mut request: Request<Incoming>,
        exchange: Exchange,
    ) -> Response<UntilDeadline<Body>> {
        let timeout = deadline::timeout(request.headers());
        let mut deadline = timeout.map(|timeout| Sleep::lasting(Arc::clone(self.book.clock()), timeout));
        if let Some(rest) = request.uri().path().strip_prefix(OLD_REFLECTION) {
            let path = format!("/grpc.reflection.v1.ServerReflection/{rest}");
            *request.uri_mut() = path.parse::<Uri>().unwrap_or_default();
        }
        let late = async {
            match &mut deadline {
                Some(deadline) => deadline.await,
                None => std::future::pending().await,
            }
            deadline::exceeded().into_http()
        };
        let response = self.route(request).or(late).await;
        response.map(|body| UntilDeadline::new(body, deadline, exchange))
    }

    async fn route(&self, request: Request<Incoming>) -> Response<Body> {
        if let Err(no_call) = preface::check(request.method(), request.headers()) {
            return no_call.into_response();
        }
        let service = request.uri().path().split('/').nth(1).unwrap_or_default().to_owned();
        // Health probes have no token, and learn only that the server serves.
        let is_public = service == tonic_health::pb::health_server::SERVICE_NAME;
        if let Some(token) = self.token.as_ref().filter(|_| !is_public) {
            token.renew().await;
            if !token.admits(request.headers()) {
                let text = "send the server's token as metadata: authorization: Bearer TOKEN";
                return status::of_reason(Code::Unauthenticated, "NO_TOKEN", text).into_http();
            }
        }
        let response = match service.as_str() {
            wire::quota_server::SERVICE_NAME => self.quota.clone().call(request).await,
            tonic_health::pb::health_server::SERVICE_NAME => (self.health)(request).await,
            tonic_reflection::pb::v1::server_reflection_server::SERVICE_NAME => {
                self.reflection.clone().call(request).await
            }
            _ => return Status::unimplemented("there is no such service here").into_http(),
        };
        response.unwrap_or_else(|never| match never {})
    }
}
