//! An HTTP/2 connection to a quota server, for the generated client.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_lite::FutureExt;
use futures_lite::io::{AsyncRead, AsyncWrite};
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use tonic::Status;
use tonic::body::Body;
use tonic_types::StatusExt;

use super::runtime::{Runtime, Spawner};
use crate::clock::{Clock, Sleep};
use crate::quota::Endpoint;
use crate::quota::wire::quota_client::QuotaClient;
use crate::quota::wire::{DOMAIN, LEADER, NOT_LEADER};
use crate::rt::{self, Connect, HyperTimer};
use crate::tls::{ClientTls, Stream};
use crate::token::Token;

/// Interval of HTTP/2 pings on a silent connection, and the time for their answer.
const PING: Duration = Duration::from_secs(10);
const PONG: Duration = Duration::from_secs(5);

/// Bytes of the largest answer: a page of a thousand clients that use many resources.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// The service's calls on one connection.
pub type Calls = QuotaClient<Channel>;

/// Whether a call failed because its server does not lead, and if so where the leader is, if it said so.
pub fn leader_of(status: &Status) -> Option<Option<Endpoint>> {
    let info = status.get_details_error_info()?;
    let is_said = info.reason == NOT_LEADER && info.domain == DOMAIN;
    is_said.then(|| info.metadata.get(LEADER).and_then(|leader| leader.parse().ok()))
}

/// How to reach a quota server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Connector {
    /// The server's URL.
    pub endpoint: Endpoint,
    /// The bearer token. Default none.
    pub token: Option<Token>,
    /// Required for `https`, unused for `http`. Default none.
    pub tls: Option<ClientTls>,
    /// Timeout of connecting. Default 5 s.
    pub timeout: Duration,
    /// Where connections live and tasks run. Default: the library's own workers, started by the first use.
    pub runtime: Option<Arc<dyn Runtime>>,
}

impl Connector {
    /// Dials `endpoint` without a token and without TLS.
    pub fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, token: None, tls: None, timeout: Duration::from_secs(5), runtime: None }
    }

    /// Connects.
    ///
    /// # Errors
    /// The connection is refused, TLS fails, or the timeout passes.
    pub async fn connect(&self) -> io::Result<Calls> {
        let channel = self.open().await?;
        let calls = QuotaClient::with_origin(channel, self.endpoint.uri().clone());
        Ok(calls.max_decoding_message_size(MAX_BYTES))
    }

    /// Connects, for calls of any service of the server.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn open(&self) -> io::Result<Channel> {
        let clock: Arc<dyn Clock> = rt::clock();
        let late = async {
            Sleep::lasting(clock, self.timeout).await;
            Err(io::Error::new(io::ErrorKind::TimedOut, "connecting to the quota server timed out"))
        };
        self.shake_hands().or(late).await
    }

    async fn shake_hands(&self) -> io::Result<Channel> {
        let (host, port) = (self.endpoint.host().to_owned(), self.endpoint.port());
        match &self.runtime {
            Some(runtime) => self.greet(runtime.connect(host, port).await?).await,
            None => self.greet(rt::connect(&Connect { host, port, receive_buffer: None }).await?).await,
        }
    }

    async fn greet<S>(&self, socket: S) -> io::Result<Channel>
    where
        S: AsyncRead + AsyncWrite + hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
    {
        let host = self.endpoint.host();
        let stream = match (self.endpoint.is_tls(), &self.tls) {
            (false, _) => Stream::Plain(socket),
            (true, Some(tls)) => tls.connect(host, socket).await?,
            (true, None) => {
                let text = "https needs the certificates of an authority to believe";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
            }
        };
        let spawner = Spawner(self.runtime.clone());
        let handshake = http2::Builder::new(spawner.clone())
            .timer(HyperTimer::new(rt::clock()))
            .keep_alive_interval(PING)
            .keep_alive_timeout(PONG)
            .keep_alive_while_idle(true)
            .handshake(stream)
            .await;
        let (sender, connection) = handshake.map_err(io::Error::other)?;
        spawner.spawn(async move {
            if let Err(error) = connection.await {
                // The calls on it fail and report it.
                log::debug!(error:%; "connection to the quota server ended");
            }
        });
        if let Some(token) = &self.token {
            token.renew().await;
        }
        Ok(Channel { sender, authorization: self.token.as_ref().map(Token::authorization) })
    }
}

/// An open connection. Clones call on the same one; it closes when the last is dropped.
#[derive(Clone, Debug)]
pub struct Channel {
    sender: http2::SendRequest<Body>,
    authorization: Option<HeaderValue>,
}

impl tower_service::Service<Request<Body>> for Channel {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = futures_lite::future::Boxed<hyper::Result<Response<Incoming>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        self.sender.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        if let Some(authorization) = &self.authorization {
            request.headers_mut().insert(AUTHORIZATION, authorization.clone());
        }
        Box::pin(self.sender.send_request(request))
    }
}
