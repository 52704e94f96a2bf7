//! Proxied backends: a request goes to an upstream over HTTP/1.1, its response comes back as content.
//!
//! Both bodies stream, with their trailers; nothing is collected and nothing is read that is not asked
//! for. The pace is not made here: a slow reader is felt by the upstream because its socket is not read.
//!
//! - **Host.** The upstream is told its own host, the client's is in `Forwarded` and
//!   `X-Forwarded-Host`; see [`HostPolicy`].
//! - **Interim responses** (103 Early Hints, 102 Processing and the like) are passed on to clients that take
//!   them, see [`Interim`]; each begins the time for the answer anew, and all together may not be larger than a
//!   head. `100 Continue` is this server's own, sent when the upstream is there to take the body.
//! - **Early answers.** An upload goes on beside an answer that has begun, and stops where the answer ends
//!   first.
//! - **Claims.** `Forwarded`, `X-Forwarded-*` and `X-Real-IP` pass from a trusted peer only, look-alikes with
//!   `_` from nobody, and in trailers none.
//! - **Trailers** go on if the message announced them by `Trailer`, and to an HTTP/1.1 client if it
//!   asked for them by `TE`; hyper drops others.
//! - **`X-Accel-Limit-Rate` and `X-Accel-Buffering`** are nginx's fields, see [`Accel`]. Others of the
//!   family (`-Redirect`, `-Expires`, `-Charset`) mean nothing here and pass.
//! - **`Location`**, `Content-Location` and `Refresh` that name the upstream's own origin name the route's path
//!   instead; see [`ProxySource::map_location`].
//! - **Upgrades** work from HTTP/1.1 to HTTP/1.1, for every protocol but HTTP/2; see [`Tunnel`].
//!
//! Knows neither routes nor chains but for [`relay`], which paces a tunnel.

mod asking;
mod connector;
mod failure;
mod forwarded;
mod hop;
mod kept;
mod link;
mod location;
mod max_forwards;
mod pool;
mod receiving;
mod request;
mod response;
mod sending;
mod settings;
mod target;
mod tunnel;
mod upload;
mod upstream;

use std::sync::Arc;

use futures_lite::future;
use http::{Method, Request, Response, StatusCode};

use crate::clock::{Clock, SystemClock};
use crate::generator::{Pieces, UpstreamBody};
use crate::http::answer;
use crate::http::body::RequestBody;
use crate::http::content::Content;
use crate::http::interim::Interim;
use crate::http::log_bound::LogBound;
use crate::http::source::{self, Paths, Source, Visitor};
use crate::http::upgrade::Upgrade;
use crate::http1::{framing_of, keeps_connection};
use crate::limit::Rate;

pub use crate::http::source::Client;
pub use response::Accel;
pub use settings::ProxySource;
pub use tunnel::{Tunnel, TunnelEnd, relay};
pub use upstream::{HostPolicy, UpstreamUrl};

use asking::Listening;
use failure::Failure;
use pool::{Answer, Pool};
use receiving::Receiving;
use sending::{Progress, Sending};

/// One route's upstream, with its kept connections.
pub struct Proxy {
    source: ProxySource,
    /// The path of the route, which is where the upstream's own path stands at this end.
    route: String,
    /// The upstream's URL, for log lines.
    name: Arc<str>,
    pool: Pool,
    /// For the lines about requests that failed.
    failures: Arc<LogBound>,
    clock: Arc<dyn Clock>,
}

impl Proxy {
    /// A proxy to the upstream of `source`, with no connections yet. Its timeouts run on `clock`.
    ///
    /// `pace` is the route's for each response; it sizes the buffers before it and paces nothing.
    pub fn new(source: ProxySource, pace: Option<Rate>, clock: Arc<SystemClock>) -> Self {
        let clock: Arc<dyn Clock> = clock;
        let pool = Pool::new(&source, pace, Arc::clone(&clock));
        let (name, failures) = (source.upstream.to_string().into(), LogBound::new(Arc::clone(&clock)));
        Self { name, route: "/".to_owned(), pool, failures, clock, source }
    }

    /// Has it stand at the route `path` instead of `/`, which is what the upstream's own addresses are mapped
    /// back to.
    pub(super) fn at(self, path: &str) -> Self {
        Self { route: path.to_owned(), ..self }
    }

    /// Passes a request on and answers with what the upstream does, as soon as its head is there.
    ///
    /// `rest` is the path behind the route's prefix, without the slash between them; it counts where the
    /// upstream's URL has a path.
    ///
    /// Never fails: what goes wrong before the head is a response too (502, 504, or 400, 408 and 501
    /// where it is the client's fault), with one log line. What goes wrong later is
    /// [`Bucket::Error`](crate::brigade::Bucket::Error) in the content, never a short end; whoever sends
    /// the content logs that.
    ///
    /// In the response's extensions may be an [`Accel`], and with status 101 a [`Tunnel`].
    ///
    /// Cancel safe: dropping the future, or the response, closes the connection to the upstream.
    pub async fn respond(
        &self,
        request: Request<RequestBody>,
        rest: &str,
        from: &Client,
    ) -> Response<Content> {
        let is_head = request.method() == Method::HEAD;
        match self.exchange(request, rest, from).await {
            Ok(response) => response,
            Err(refused) if is_head => answer::without_content(refused),
            Err(refused) => refused,
        }
    }

    async fn exchange(
        &self,
        mut request: Request<RequestBody>,
        rest: &str,
        from: &Client,
    ) -> Result<Response<Content>, Response<Content>> {
        let client = Upgrade::of(&mut request);
        let (mut head, body) = request.into_parts();
        let interim = head.extensions.remove::<Interim>();
        let progress = Progress::new(Arc::clone(&self.clock));
        let body = Sending::new(body, progress.clone());
        let uploads = !body.is_empty();
        let refused = |refusal: request::Refusal| answer::plain(refusal.status, refusal.text);
        if let Some(answer) = max_forwards::count_down(&mut head).map_err(refused)? {
            return Ok(answer);
        }
        let outgoing = request::outgoing(head, rest, uploads, from, &self.source).map_err(refused)?;

        let fail = |failure: Failure| {
            failure.log(&self.name, &self.failures);
            failure.answer()
        };
        let method = outgoing.head.method.clone();
        let answered = async {
            let listening = Listening::new(&self.source, interim, progress.clone());
            let sent = self.pool.send(&outgoing.head, body, &listening).await;
            sent.map_err(|error| Failure::of(&error))
        };
        let stalled = async { Err(Failure::stalled(progress.stalled(self.source.response_timeout).await)) };
        let Answer { head, link, upload } = future::or(answered, stalled).await.map_err(fail)?;

        let framing =
            framing_of(&head, &method).map_err(|error| fail(Failure::broken(&error.to_string())))?;
        let back = keeps_connection(&head).then(|| self.pool.kept());
        let mut returning =
            response::returning(head, outgoing.upgrade, &self.source, &self.route).map_err(fail)?;
        if returning.head.status == StatusCode::SWITCHING_PROTOCOLS {
            returning.head.extensions.insert(Tunnel::new(client, link, self.source.tunnel_timeout));
            return Ok(Response::from_parts(returning.head, Content::Empty));
        }
        let body = Receiving::new(link, framing, back, upload);
        let content = if body.is_over() {
            Content::Empty
        } else {
            let timeout = self.source.read_timeout;
            let mut body = UpstreamBody::new(body, Arc::clone(&self.name), timeout, Arc::clone(&self.clock))
                .flushing(returning.flush);
            if uploads {
                body = body.excused_by(progress.activity().clone());
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
        Box::pin(self.respond(request, rest, visitor.client))
    }

    fn paths(&self) -> Paths {
        Paths::AsGiven
    }

    fn takes_interim(&self) -> bool {
        true
    }
}
