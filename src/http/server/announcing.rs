//! The PROXY header of a connection, before its TLS handshake and its first bytes.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use futures_lite::FutureExt;

use super::accept::{Entry, MAX_REFUSALS, begin_for};
use super::{Handle, Refusal, Shared, Stage};
use crate::budget::ClientKey;
use crate::clock::Sleep;
use crate::proxy_protocol::{HeaderCounts, HeaderFailure, HeaderReceiver};
use crate::rt::{self, PeerAddr, Socket};

/// How long a header is waited for though the server drains. Proxies send it at once.
const PATIENCE: Duration = Duration::from_secs(2);

/// A connection that is counted as one of the server's while its header is awaited.
struct Place {
    server: Arc<Shared>,
    refused: Option<Refusal>,
}

impl Place {
    fn take(server: &Arc<Shared>, refused: Option<Refusal>) -> Self {
        server.counter(refused).fetch_add(1, SeqCst);
        Self { server: Arc::clone(server), refused }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.server.connection_ended(self.refused);
    }
}

/// Begins a connection of `peer` once its header is there. A peer that is not a trusted proxy is refused before a byte of it is
/// read.
///
/// Until its client is known the connection counts for nobody, but among all.
pub(super) fn begin(
    mut socket: Socket,
    peer: PeerAddr,
    headers: &Arc<HeaderReceiver>,
    entry: &Entry,
    server: &Arc<Shared>,
) {
    let setup = server.setup();
    let local = socket.local();
    if peer.ip().is_some_and(|ip| !setup.settings.trusted.contains(ip)) {
        server.header_refused(peer, local, HeaderFailure::UNTRUSTED);
        return;
    }
    let refused = server.refusal(None, setup.settings.max_connections);
    if refused.is_some() && server.refused.load(SeqCst) >= MAX_REFUSALS {
        server.telemetry.connection_refused();
        return;
    }
    let (place, task) = (Place::take(server, refused), server.tasks.begin());
    let (headers, entry, server) = (Arc::clone(headers), entry.clone(), Arc::clone(server));
    let timeout = setup.settings.header_timeout;
    rt::spawn(async move {
        let proxy = peer.ip().map(ClientKey::network);
        let reading = async { Some(headers.receive(&mut socket, proxy, &server.clock, timeout).await) };
        let ended = async {
            server.reached(Stage::Draining).await;
            let patience = Sleep::lasting(Arc::clone(&server.clock), PATIENCE);
            patience.or(server.reached(Stage::Stopped)).await;
            None
        };
        let received = reading.or(ended).await;
        drop(place);
        match received {
            Some(Ok(announced)) => {
                server.headers.note(None);
                begin_for(socket, peer, announced, &entry, &server);
            }
            Some(Err(failure)) => server.header_refused(peer, local, failure),
            None => {}
        }
        drop(task);
    });
}

impl Handle {
    /// PROXY headers so far.
    pub fn proxy_headers(&self) -> &HeaderCounts {
        &self.0.headers
    }
}
