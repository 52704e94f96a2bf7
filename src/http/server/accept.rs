//! Accepting connections, up to the server's bound.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::FutureExt;

use super::connection::{self, Connection, Ends};
use super::{Refusal, Shared, Stage};
use crate::clock::Sleep;
use crate::rt::{self, Listener, Socket};
use crate::sink::Sink;

/// Connections above the bound that are told so at a time; further ones are closed unheard.
const MOST_REFUSALS: usize = 256;

/// How long to wait when the system has no descriptors or memory for another connection.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// Accepts until the server drains.
pub(super) async fn accept(listener: Listener, server: Arc<Shared>) {
    let mut complained = false;
    loop {
        let accepted = async { Some(listener.accept().await) };
        let draining = async {
            server.reached(Stage::Draining).await;
            None
        };
        match accepted.or(draining).await {
            None => return,
            Some(Ok(socket)) => {
                complained = false;
                begin(socket, &server);
            }
            Some(Err(error)) if is_of_one_connection(&error) => {}
            Some(Err(error)) => {
                // Once for each spell: the log must not fill the disk while descriptors are short.
                if !complained {
                    log::error!(error:%; "cannot accept connections; trying again every 100 ms");
                    complained = true;
                }
                Sleep::lasting(Arc::clone(&server.clock), EXHAUSTED_PAUSE).await;
            }
        }
    }
}

/// Whether the error says something of a connection that ended before we took it, not of us.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

fn begin(socket: Socket, server: &Arc<Shared>) {
    use std::sync::atomic::Ordering::SeqCst;
    // Without a peer it left already.
    let Ok(peer) = socket.peer() else { return };
    let refused = if server.connections.load(SeqCst) >= server.settings.max_connections {
        Some(Refusal::ServerFull)
    } else if peer.ip().is_some_and(|ip| !server.clients.admit(ip, server.settings.client_connections)) {
        Some(Refusal::ClientFull)
    } else {
        None
    };
    if refused.is_some() && server.refused.load(SeqCst) >= MOST_REFUSALS {
        server.telemetry.connection_refused();
        return;
    }
    socket.set_unsent(server.sink.unsent);
    if let Some(bytes) = server.sink.send_buffer {
        socket.set_send_buffer(bytes);
    }
    let ends = Ends { fd: socket.raw_fd(), peer, local: socket.local() };
    let clock = Arc::clone(&server.clock);
    let sink = Sink::new(socket, Arc::clone(&server.sink), Arc::clone(&server.egress), clock)
        .under(server.budgets.connection().clone());
    let connection = Connection::new(Arc::clone(server), Arc::clone(sink.state()), ends, refused);
    rt::spawn(connection::serve(sink, connection));
}
