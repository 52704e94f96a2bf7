//! The TLS handshake of a connection, before its first bytes.

use futures_lite::FutureExt;

use super::Stage;
use super::connection::Connection;
use crate::budget::ClientKey;
use crate::sink::Sink;
use crate::tls::{Alpn, ServerTls, TlsSocket};

/// Does the handshake. False if the connection is over: it failed, the server stopped, or another connection takes its
/// place.
///
/// While the server drains it goes on, and the client has a moment to send its request.
pub(super) async fn done(
    tls: &ServerTls,
    sink: &mut Sink<TlsSocket>,
    connection: &Connection,
    alpn: Alpn,
) -> bool {
    let server = &connection.server;
    let client = connection.ends.client.ip().map(ClientKey::network);
    let shaking = async { Some(tls.handshake(sink.get_mut(), alpn, client, &server.clock).await) };
    let ended = async {
        server.reached(Stage::Stopped).or(connection.closer.closed_or_asked()).await;
        None
    };
    match shaking.or(ended).await {
        Some(Ok(())) => {
            let _ = connection.shaken.set(connection.now());
            let _ = connection.tls_version.set(sink.get_mut().version());
            if let Some(certificate) = sink.get_mut().client_certificate() {
                let _ = connection.certificate.set(Box::new(certificate));
            }
            true
        }
        Some(Err(failure)) => {
            connection.log_handshake(tls.name(), &failure);
            false
        }
        None => false,
    }
}
