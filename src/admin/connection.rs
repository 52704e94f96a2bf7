//! Connections of the admin listener: few, small, and closed when they hang.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_lite::FutureExt;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;

use super::answer::Pages;
use crate::body::PacedBody;
use crate::clock::Clock;
use crate::filter::Chain;
use crate::http::content::Content;
use crate::rt::serve::{self, Tasks};
use crate::rt::{self, Exchange, ForHyper, HyperTimer, Listener, PeerAddr, Slot, Slots, Socket};
use crate::sink::{Sink, SinkCounts, SinkSettings, Wire};
use crate::tls::ServerTls;

/// Concurrent connections; a scraper needs one. At the limit the next one replaces one that is silent or has not sent the
/// token.
const MAX_CONNECTIONS: usize = 64;

/// Timeout of a request's head, including the pause before it. Above the usual scrape interval of 15 s, so that a
/// scraper's connection is kept.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a client may not read its answer.
const STALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of a head and of hyper's buffers.
const MAX_BUFFER: usize = 16 * 1024;

/// State shared by the tasks of one admin listener.
pub(super) struct Shared {
    pub(super) pages: Arc<Pages>,
    sink: Arc<SinkSettings>,
    counts: Arc<SinkCounts>,
    slots: Arc<Slots>,
    tls: Option<ServerTls>,
    /// Listeners and connections.
    pub(super) tasks: Arc<Tasks>,
}

impl Shared {
    pub(super) fn new(pages: Pages, tls: Option<ServerTls>) -> Self {
        Self {
            pages: Arc::new(pages),
            sink: Arc::new(SinkSettings { stall_timeout: STALL_TIMEOUT, ..SinkSettings::default() }),
            counts: Arc::default(),
            slots: Slots::new(MAX_CONNECTIONS),
            tls,
            tasks: Arc::default(),
        }
    }
}

/// Accepts connections until the server has stopped, or while it drains until another process listens in its place.
/// Connections end when the server has stopped.
pub(super) fn listen(listener: Listener, shared: &Arc<Shared>) {
    let (shared, task) = (Arc::clone(shared), shared.tasks.begin());
    rt::spawn(async move {
        let server = &shared.pages.server;
        let clock: Arc<dyn Clock> = rt::clock();
        let handed_over = async {
            server.draining().await;
            listener.handed_over(&clock).await;
        };
        let ended = handed_over.or(server.stopped());
        serve::accept(&listener, &clock, ended, |socket| begin(socket, &shared)).await;
        drop(listener);
        drop(task);
    });
}

fn begin(socket: Socket, shared: &Arc<Shared>) {
    if let Some(slot) = shared.slots.take() {
        let (shared, task) = (Arc::clone(shared), shared.tasks.begin());
        rt::spawn_spread(async move {
            let ended = shared.pages.server.stopped().or(slot.given_up());
            answer(socket, &shared, &slot).or(ended).await;
            drop(slot);
            drop(task);
        });
    }
}

async fn answer(socket: Socket, shared: &Arc<Shared>, slot: &Arc<Slot>) {
    let Ok(peer) = socket.peer() else { return };
    match &shared.tls {
        None => answer_on(socket, peer, shared, slot).await,
        #[cfg(feature = "tls")]
        Some(tls) => {
            let (mut socket, clock) = (crate::tls::TlsSocket::new(socket), rt::clock() as Arc<dyn Clock>);
            let client = peer.ip().map(crate::budget::ClientKey::network);
            match tls.handshake(&mut socket, crate::tls::Alpn::Http1, client, &clock).await {
                Ok(()) => answer_on(socket, peer, shared, slot).await,
                Err(error) => {
                    let reason = error.reason.as_str();
                    log::debug!(client:% = peer, reason, error:%; "TLS handshake of an admin connection failed");
                }
            }
        }
        #[cfg(not(feature = "tls"))]
        Some(tls) => match *tls {},
    }
}

async fn answer_on<W: Wire + Send + 'static>(
    wire: W,
    peer: PeerAddr,
    shared: &Arc<Shared>,
    slot: &Arc<Slot>,
) {
    let clock: Arc<dyn Clock> = rt::clock();
    let sink = Sink::new(wire, Arc::clone(&shared.sink), Arc::clone(&shared.counts), Arc::clone(&clock));
    let service = service_fn(|request: Request<hyper::body::Incoming>| {
        let clock = Arc::clone(&clock);
        let exchange = slot.begin();
        async move {
            if shared.pages.trusts(request.headers(), &peer) {
                slot.prove();
            }
            let response = shared.pages.answer(request, &peer).await;
            Ok::<_, Infallible>(with_body(response, clock, exchange))
        }
    });
    let served = http1::Builder::new()
        .timer(HyperTimer::new(rt::clock()))
        .header_read_timeout(HEAD_TIMEOUT)
        .half_close(true)
        .max_header_size(MAX_BUFFER)
        .max_buf_size(MAX_BUFFER)
        .serve_connection(ForHyper(sink), service)
        .await;
    if let Err(error) = served {
        // A scraper that hung up, or was silent for long, is no fault.
        log::debug!(client:% = peer, error:%; "admin connection ended early");
    }
}

/// Turns a response into one for hyper, unpaced. The exchange lasts until all of it was sent.
fn with_body(response: Response<Content>, clock: Arc<dyn Clock>, exchange: Exchange) -> Response<Answering> {
    response
        .map(|content| Answering { body: PacedBody::new(content, Chain::new(), clock), _exchange: exchange })
}

/// A response's body, which holds the exchange until its end.
struct Answering {
    body: PacedBody<Content>,
    _exchange: Exchange,
}

impl Body for Answering {
    type Data = <PacedBody<Content> as Body>::Data;
    type Error = <PacedBody<Content> as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
