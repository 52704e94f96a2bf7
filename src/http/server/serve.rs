//! The task of one HTTP connection.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_lite::FutureExt;

use super::connection::Connection;
use super::driver::drive;
use super::h1::Http1;
use super::h2::Http2;
use super::report::Protocol;
use super::{Handle, Shared, Stage};
use crate::clock::Sleep;
use crate::sink::{Sink, Wire};

/// What an HTTP/2 client with prior knowledge sends first (RFC 9113 section 3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How long after it connected, or after its TLS handshake, the first request of a client is waited for though the
/// server drains. The kernel accepts connections before we do, and with TLS 1.2 the request is sent only when our end of
/// the handshake is there, a round trip later.
const FIRST_REQUEST: Duration = Duration::from_secs(2);

impl Shared {
    /// Whether another process listens in the place of this one.
    pub(super) fn has_successor(&self) -> bool {
        self.has_successor.load(Ordering::SeqCst)
    }
}

impl Handle {
    /// Whether another process listens in its place, by [`hand_over`](Self::hand_over).
    pub fn is_handed_over(&self) -> bool {
        self.0.has_successor()
    }

    /// Waits until the server drains or stops.
    pub fn draining(&self) -> impl Future<Output = ()> + '_ {
        self.0.reached(Stage::Draining)
    }

    /// Waits until the server ends its connections: stopped, or drained.
    pub fn stopped(&self) -> impl Future<Output = ()> + '_ {
        self.0.reached(Stage::Stopped)
    }
}

/// Serves a connection until it ends, is silent for too long, or the server stops.
///
/// HTTP/1 is assumed, and its state boxed: an asynchronous function would have a place of its own for the sink wherever it is
/// on its way.
pub(super) fn serve<W: Wire + Send + 'static>(
    sink: Sink<W>,
    connection: Arc<Connection>,
) -> impl Future<Output = ()> + Send {
    serve_either(Box::new(Http1::new(sink, Arc::clone(&connection))), connection)
}

async fn serve_either<W: Wire + Send + 'static>(mut http1: Box<Http1<W>>, connection: Arc<Connection>) {
    // Boxed: it is over soon, and its place would be taken as long as the connection lasts.
    let is_http2 = Box::pin(is_http2(http1.sink(), &connection)).await;
    let (id, client, peer) = (connection.id, connection.ends.client, connection.ends.peer);
    let ended = match is_http2 {
        Ok(false) => {
            let _ = connection.protocol.set(Protocol::Http1);
            let ended = drive(Pin::new(&mut *http1), &connection).await;
            drop(http1);
            ended
        }
        Ok(true) => {
            let _ = connection.protocol.set(Protocol::Http2);
            let Some(sink) = http1.sink().take() else { return };
            drop(http1);
            drive(Box::pin(Http2::new(sink, Arc::clone(&connection))).as_mut(), &connection).await
        }
        Err(error) => {
            log::debug!(connection = id, client:%, peer:%, error:%; "no request came");
            return;
        }
    };
    connection.conclude_unsent(!connection.is_sent());
    if let Err(error) = ended
        && connection.sink.given_up().is_none()
    {
        // At level debug: clients that hang up are no fault.
        log::debug!(
            connection = id, client:% = connection.client_addr(), peer:%, error:%;
            "connection ended early"
        );
    }
}

/// Whether the client begins with the preface of HTTP/2. An error if it does not begin in time.
async fn is_http2<W: Wire>(sink: &mut Option<Sink<W>>, connection: &Connection) -> io::Result<bool> {
    let Some(sink) = sink else { return Ok(false) };
    let clock = Arc::clone(&connection.server.clock);
    let patience = Sleep::lasting(Arc::clone(&clock), connection.settings.header_timeout);
    let drained = async {
        connection.server.reached(Stage::Draining).await;
        let began = connection.shaken.get().copied().unwrap_or(connection.began);
        let first_request = async {
            if connection.server.has_successor() {
                // Nobody waits for the end of this process.
                std::future::pending::<()>().await;
            }
            Sleep::until(clock, began + FIRST_REQUEST).await;
        };
        first_request.or(connection.server.reached(Stage::Stopped)).await;
    };
    let begins = sink.begins_with(HTTP2_PREFACE);
    begins
        .or(async {
            patience.or(drained).or(connection.closer.closed_or_asked()).await;
            Err(io::ErrorKind::TimedOut.into())
        })
        .await
}
