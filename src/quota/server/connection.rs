//! Connections of the quota server: accepted, served over HTTP/2, closed when silent.

use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use futures_lite::FutureExt;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;

use super::{Shared, Stage};
use crate::clock::{Clock, Sleep};
use crate::rt::serve;
use crate::rt::{self, Executor, HyperTimer, Listener, Slot, Socket};
use crate::tls::Stream;

/// Timeout of the TLS handshake, and again of the first call.
const FIRST_CALL: Duration = Duration::from_secs(10);

/// Interval of HTTP/2 pings on a silent connection, and the time for their answer.
const PING: Duration = Duration::from_secs(20);
const PONG: Duration = Duration::from_secs(10);

/// Concurrent calls and streams of one connection.
const MAX_STREAMS: u32 = 256;

/// Bytes of a head, and of the send buffer of one stream.
const MAX_HEAD: u32 = 16 * 1024;
const MAX_HELD: usize = 64 * 1024;

/// Accepts until the server drains.
pub(super) async fn accept(listener: Listener, shared: Arc<Shared>) {
    let clock: Arc<dyn Clock> = rt::clock();
    let draining = shared.stages.reached(Stage::Draining);
    serve::accept(&listener, &clock, draining, |socket| begin(socket, &shared)).await;
}

fn begin(socket: Socket, shared: &Arc<Shared>) {
    // If all connections are being served it is closed unheard; a client comes again after a while.
    if let Some(slot) = shared.slots.take() {
        let (shared, task) = (Arc::clone(shared), shared.tasks.begin());
        rt::spawn_spread(async move {
            answer(socket, &shared, &slot).or(slot.given_up()).await;
            drop(slot);
            drop(task);
        });
    }
}

async fn answer(socket: Socket, shared: &Arc<Shared>, slot: &Arc<Slot>) {
    let Ok(peer) = socket.peer() else { return };
    let shaking = async {
        match &shared.tls {
            Some(tls) => tls.accept(socket).await,
            None => Ok(Stream::Plain(socket)),
        }
    };
    let late = async {
        Sleep::lasting(rt::clock(), FIRST_CALL).or(shared.stages.reached(Stage::Draining)).await;
        Err(io::Error::from(io::ErrorKind::TimedOut))
    };
    let ended = match shaking.or(late).await {
        Ok(stream) => drive(stream, shared, slot).await.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    if let Err(error) = ended {
        // A client that hung up or failed the handshake is not an error of the server.
        log::debug!(client:% = peer, error:%; "connection ended early");
    }
}

async fn drive(stream: Stream, shared: &Arc<Shared>, slot: &Arc<Slot>) -> hyper::Result<()> {
    if shared.trusts_connections {
        slot.prove();
    }
    let called = Arc::new(AtomicBool::new(false));
    let service = service_fn({
        let (shared, called, slot) = (Arc::clone(shared), Arc::clone(&called), Arc::clone(slot));
        move |request: Request<Incoming>| {
            called.store(true, Ordering::Relaxed);
            if shared.router.trusts(request.headers()) {
                slot.prove();
            }
            let (shared, exchange) = (Arc::clone(&shared), slot.begin());
            async move { Ok::<_, Infallible>(shared.router.answer(request, exchange).await) }
        }
    });
    let mut builder = http2::Builder::new(Executor);
    builder
        .timer(HyperTimer::new(rt::clock()))
        .keep_alive_interval(PING)
        .keep_alive_timeout(PONG)
        .max_concurrent_streams(MAX_STREAMS)
        .max_send_buf_size(MAX_HELD)
        .max_header_list_size(MAX_HEAD);
    let mut serving = pin!(builder.serve_connection(stream, service));
    let mut draining = pin!(shared.stages.reached(Stage::Draining));
    let mut stopped = pin!(shared.stages.reached(Stage::Stopped));
    let clock: Arc<dyn Clock> = rt::clock();
    let mut silent = Some(Sleep::lasting(clock, FIRST_CALL));
    let mut drains = false;
    std::future::poll_fn(|cx| {
        if let Poll::Ready(ended) = serving.as_mut().poll(cx) {
            return Poll::Ready(ended);
        }
        if stopped.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        if !drains && draining.as_mut().poll(cx).is_ready() {
            drains = true;
            serving.as_mut().graceful_shutdown();
            if let Poll::Ready(ended) = serving.as_mut().poll(cx) {
                return Poll::Ready(ended);
            }
        }
        if silent.as_mut().is_some_and(|silent| Pin::new(silent).poll(cx).is_ready()) {
            silent = None;
            if !called.load(Ordering::Relaxed) {
                return Poll::Ready(Ok(()));
            }
        }
        Poll::Pending
    })
    .await
}
