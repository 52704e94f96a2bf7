//! The task of one HTTP connection.

use std::io;
use std::pin::pin;
use std::sync::Arc;

use futures_lite::FutureExt;

use super::Stage;
use super::connection::Connection;
use super::driver::drive;
use super::h1::Http1;
use super::h2::Http2;
use super::report::Protocol;
use crate::clock::Sleep;
use crate::sink::{Sink, Wire};

/// What an HTTP/2 client with prior knowledge sends first (RFC 9113 section 3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Serves a connection until it ends, is silent for too long, or the server stops.
pub(super) async fn serve<W: Wire + Send + 'static>(mut sink: Sink<W>, connection: Arc<Connection>) {
    let clock = Arc::clone(&connection.server.clock);
    let patience = Sleep::lasting(clock, connection.settings.header_timeout);
    let is_http2 = sink
        .begins_with(HTTP2_PREFACE)
        .or(async {
            patience
                .or(connection.server.reached(Stage::Draining))
                .or(connection.closer.closed_or_asked())
                .await;
            Err(io::ErrorKind::TimedOut.into())
        })
        .await;
    let (id, peer) = (connection.id, connection.ends.peer);
    let ended = match is_http2 {
        Ok(false) => {
            let _ = connection.protocol.set(Protocol::Http1);
            drive(pin!(Http1::new(sink, Arc::clone(&connection))), &connection).await
        }
        Ok(true) => {
            let _ = connection.protocol.set(Protocol::Http2);
            drive(Box::pin(Http2::new(sink, Arc::clone(&connection))).as_mut(), &connection).await
        }
        Err(error) => {
            log::debug!(connection = id, client:% = peer, peer:%, error:%; "no request came");
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
