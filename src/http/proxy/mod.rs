//! Proxied backends: a request goes to an upstream over HTTP/1.1, its response comes back as content.
//!
//! Both bodies stream, with their trailers; nothing is collected, and nothing is read ahead of demand. Pacing is done
//! elsewhere: it slows the upstream because its socket is then not read.
//!
//! - **Host.** The upstream is sent its own host; the client's is in `Forwarded` and `X-Forwarded-Host`; see [`HostPolicy`].
//! - **Interim responses** (103 Early Hints, 102 Processing and others) are passed on to clients that accept them, see
//!   [`Interim`]; each restarts the response timeout, and together they may not be larger than a head.
//!   `100 Continue` is sent by this server, when the upstream is ready for the body.
//! - **Early responses.** An upload continues while a response arrives, and stops if the response ends first.
//! - **Claims.** `Forwarded`, `X-Forwarded-*` and `X-Real-IP` are passed on from trusted peers only; spellings with `_`
//!   never, and none in trailers.
//! - **Trailers** are passed on if the message announced them by `Trailer`, and to an HTTP/1.1 client if it
//!   asked for them by `TE`; hyper drops others.
//! - **`X-Accel-Limit-Rate` and `X-Accel-Buffering`** are nginx's fields, see [`Accel`]. Other `X-Accel-` fields
//!   (`-Redirect`, `-Expires`, `-Charset`) are passed on unread.
//! - **`Location`**, `Content-Location` and `Refresh` with the upstream's own origin are rewritten to the route's path; see [`ProxySource::map_location`].
//! - **Upgrades** are relayed from HTTP/1.1 to HTTP/1.1, for every protocol but HTTP/2; see [`Tunnel`].
//!
//! Knows neither routes nor chains, except that [`relay`] paces a tunnel.

mod connection;
mod connector;
mod failure;
mod forwarded;
mod health;
mod hop;
mod idle_pool;
mod link;
mod location;
mod max_forwards;
mod request;
mod request_body;
mod response;
mod response_body;
mod round_trip;
mod settings;
mod target;
mod tunnel;
mod upload;
mod upstream;
mod upstreams;
mod url;

use std::any::Any;
use std::sync::{Arc, OnceLock};

use http::{Method, Request, Response, StatusCode};

use crate::clock::{Clock, SystemClock};
use crate::generator::{Pieces, UpstreamBody};
use crate::http::answer;
use crate::http::body::RequestBody;
use crate::http::content::Content;
use crate::http::error_pages::OwnAnswer;
use crate::http::interim::Interim;
use crate::http::log_bound::LogBound;
use crate::http::source::{self, Paths, Source, Visitor};
use crate::http::upgrade::Upgrade;
use crate::http1::{FramingFields, framing_of, keeps_connection};
use crate::limit::Buffers;
use crate::tls::{ClientTls, TlsError};

pub use crate::http::source::Client;
pub use response::Accel;
pub use settings::ProxySource;
pub(super) use tunnel::relay_both;
pub use tunnel::{Tunnel, TunnelEnd, relay};
pub use upstream::UpstreamStatus;
pub use url::{HostPolicy, HostPolicyError, UpstreamUrl, UpstreamUrlError};

use failure::{Failure, Refusal};
use request::Outgoing;
use request_body::{Progress, TrackedBody};
use response_body::ResponseBody;
use round_trip::HeadOptions;
use upstreams::{Answer, Upstreams};

/// A response, or the refusal that is sent in its place.
type Answered = Result<Response<Content>, Response<Content>>;

/// A request on its way to an upstream. What is passed on is taken out of it.
struct Exchange {
    outgoing: Outgoing,
    body: Option<TrackedBody>,
    client: Upgrade,
    interim: Option<Interim>,
    progress: Progress,
}

/// The upstreams of one route, with their idle connections.
pub struct Proxy {
    source: ProxySource,
    /// The path of the route, which `Location`s of the upstream are mapped to.
    route: String,
    upstreams: Upstreams,
    /// Bounds the log lines about failed requests.
    failures: Arc<LogBound>,
    clock: Arc<dyn Clock>,
}

opaque!(Proxy);

impl Proxy {
    /// Creates a proxy to the upstreams of `source`. Its timeouts run on `clock`.
    ///
    /// `buffers` are those of its connections, or the route's rate of a response, from which they follow; nothing is paced here.
    ///
    /// # Panics
    /// An upstream is `https`, and its certificates cannot be used: see [`try_new`](Self::try_new).
    pub fn new(source: ProxySource, buffers: impl Into<Buffers>, clock: Arc<SystemClock>) -> Self {
        Self::try_new(source, buffers, clock).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Creates a proxy as [`new`](Self::new) does. Reads files if an upstream is `https`.
    ///
    /// # Errors
    /// A file with certificates or a key cannot be used, or the system trusts no authority.
    pub fn try_new(
        source: ProxySource,
        buffers: impl Into<Buffers>,
        clock: Arc<SystemClock>,
    ) -> Result<Self, TlsError> {
        let clock: Arc<dyn Clock> = clock;
        let tls = source.upstreams().any(UpstreamUrl::is_tls).then(|| ClientTls::from_settings(&source.tls));
        let tls = tls.transpose()?;
        let failures = LogBound::new(Arc::clone(&clock));
        let upstreams = Upstreams::new(&source, tls.as_ref(), buffers.into(), &clock);
        Ok(Self { route: "/".to_owned(), upstreams, failures, clock, source })
    }

    /// Its upstreams in the order of its settings, as they are now.
    pub fn upstreams(&self) -> impl Iterator<Item = UpstreamStatus> {
        self.upstreams.iter().map(upstream::Upstream::status)
    }

    /// Sets the route's path, to which the upstream's own `Location`s are mapped. Default `/`.
    pub(super) fn at(self, path: &str) -> Self {
        Self { route: path.to_owned(), ..self }
    }

    /// Forwards a request and returns the upstream's response once its head was read.
    ///
    /// `rest` is the path after the route's prefix, without the slash between them; it is used if the upstream's URL has
    /// a path.
    ///
    /// Never fails: an error before the head becomes a response (502 or 504, or 400, 408 and 501 for errors of the
    /// client) and one log line. A later error is a [`Bucket::Error`](crate::brigade::Bucket::Error) in the content,
    /// never a short end; the task that sends the content logs it.
    ///
    /// The response's extensions may have an [`Accel`], and with status 101 have a [`Tunnel`].
    ///
    /// Cancel safe: dropping the future, or the response, closes the connection to the upstream.
    pub async fn respond(
        &self,
        request: Request<RequestBody>,
        rest: &str,
        from: &Client,
    ) -> Response<Content> {
        self.respond_and_tell(request, rest, from, None).await
    }

    /// Does what [`respond`](Self::respond) does, and puts the name of the upstream that was asked last into `asked`.
    fn respond_and_tell<'a>(
        &'a self,
        request: Request<RequestBody>,
        rest: &str,
        from: &'a Client,
        asked: Option<&'a OnceLock<Arc<str>>>,
    ) -> impl Future<Output = Response<Content>> + Send + use<'a> {
        let is_head = request.method() == Method::HEAD;
        // Here, not in the future: what is moved from one to another has a place in each, and this is one for each request.
        let mut prepared = self.prepare(request, rest, from);
        async move {
            let answered = match &mut prepared {
                Ok(exchange) => self.exchange(exchange, from, asked).await,
                Err(answered) => std::mem::replace(&mut **answered, Ok(Response::new(Content::Empty))),
            };
            match answered {
                Ok(response) => response,
                Err(mut refused) => {
                    refused.extensions_mut().insert(OwnAnswer);
                    if is_head { answer::without_content(refused) } else { refused }
                }
            }
        }
    }

    /// Turns a request into the upstream's.
    ///
    /// # Errors
    /// It is not forwarded: the answer, or the refusal.
    fn prepare(
        &self,
        mut request: Request<RequestBody>,
        rest: &str,
        from: &Client,
    ) -> Result<Exchange, Box<Answered>> {
        let client = Upgrade::of(&mut request);
        let (mut head, body) = request.into_parts();
        let interim = head.extensions.remove::<Interim>();
        let progress = Progress::new(Arc::clone(&self.clock));
        let body = TrackedBody::new(body, &progress);
        let refused = |refusal: Refusal| Box::new(Err(answer::plain(refusal.status, refusal.text)));
        if let Some(answer) = max_forwards::count_down(&mut head).map_err(refused)? {
            return Err(Box::new(Ok(answer)));
        }
        let outgoing = request::outgoing(head, rest, body.is_some(), from, &self.source).map_err(refused)?;
        Ok(Exchange { outgoing, body, client, interim, progress })
    }

    async fn exchange(
        &self,
        exchange: &mut Exchange,
        from: &Client,
        asked: Option<&OnceLock<Arc<str>>>,
    ) -> Answered {
        let Exchange { outgoing, body, client, interim, progress } = exchange;
        let uploads = body.is_some();
        let fail = |failure: Failure, upstream: &Arc<str>| {
            failure.log(upstream, &self.failures);
            failure.answer()
        };
        let options = HeadOptions { source: &self.source, interim: interim.take(), progress };
        let answered = self.upstreams.send(outgoing, body.take(), &options, from).await;
        let (method, upgrade) = (&outgoing.head.method, outgoing.upgrade);
        let name = match &answered {
            Ok(answer) => Arc::clone(&answer.lease.upstream().name),
            Err((_, name)) => Arc::clone(name),
        };
        if let Some(asked) = asked {
            let _ = asked.set(Arc::clone(&name));
        }
        let Answer { head, connection, upload, lease } =
            answered.map_err(|(failure, _)| fail(failure, &name))?;
        let upstream = lease.upstream();
        let has = FramingFields::of(&head.headers);
        let framing = framing_of(&head, has, method).map_err(|error| fail(Failure::broken(error), &name))?;
        let keeps = keeps_connection(&head, has);
        let mut returning =
            response::returning((head, has), upgrade, &self.source, &upstream.url, &self.route)
                .map_err(|failure| fail(failure, &name))?;
        if returning.head.status == StatusCode::SWITCHING_PROTOCOLS {
            let tunnel = Tunnel::new(client.clone(), (connection, lease), self.source.tunnel_timeout);
            returning.head.extensions.insert(tunnel);
            return Ok(Response::from_parts(returning.head, Content::Empty));
        }
        let mut body = ResponseBody::new(connection, framing, Some(lease.keep(keeps)), upload);
        let content = if body.is_over() {
            Content::Empty
        } else if !uploads
            && !returning.flush
            && let Some(whole) = body.take_whole()
        {
            Content::text(whole)
        } else {
            let timeout = self.source.read_timeout;
            let mut body =
                UpstreamBody::new(body, name, timeout, Arc::clone(&self.clock)).with_flush(returning.flush);
            if uploads {
                body = body.with_activity(progress.activity().clone());
            }
            Content::Stream(Box::new(body))
        };
        Ok(Response::from_parts(returning.head, content))
    }
}

impl Source for Proxy {
    fn respond<'a>(
        &'a self,
        request: Request<RequestBody>,
        rest: &'a str,
        visitor: Visitor<'a>,
    ) -> source::Answer<'a> {
        Box::pin(self.respond_and_tell(request, rest, visitor.client, visitor.asked))
    }

    fn paths(&self) -> Paths {
        Paths::AsGiven
    }

    fn takes_interim(&self) -> bool {
        true
    }

    /// Adopts the health and counters of upstreams that stay.
    fn adopt(&mut self, old: &dyn Source) -> bool {
        let old: &dyn Any = old;
        let old = old.downcast_ref::<Self>();
        if let Some(old) = old {
            self.upstreams.adopt(&old.upstreams);
        }
        old.is_some()
    }
}
