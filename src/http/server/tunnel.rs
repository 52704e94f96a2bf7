//! A connection that changed protocols: relayed until it ends, and told of like an answer.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_lite::FutureExt;
use http_body::{Body, Frame};

use super::Stage;
use super::account::Account;
use super::connection::Connection;
use super::transfer::Transfer;
use crate::body::{BodyError, PacedBody};
use crate::budget::Gate;
use crate::filter::Chain;
use crate::http::proxy::{Tunnel, TunnelEnd, relay};
use crate::rt::FileReader;

/// What an exchange became, a transfer that its connection tells of. Dropped it is over, and has its line in the
/// access log.
pub(super) struct Tracked {
    connection: Arc<Connection>,
    transfer: Arc<Transfer>,
    /// Bytes that came from the client.
    up: Arc<AtomicU64>,
    /// Both sides have closed it.
    is_complete: bool,
    /// What the connection had waited for before the exchange.
    waited_before: (Duration, Duration),
}

impl Tracked {
    /// The tunnel that `exchange` became.
    pub(super) fn new(
        connection: Arc<Connection>,
        exchange: &Arc<Transfer>,
        waited_before: (Duration, Duration),
    ) -> Self {
        let transfer = Arc::new(Transfer::tunnel(exchange, connection.now()));
        connection.track(connection.number_of(exchange), &transfer);
        Self { connection, transfer, up: Arc::default(), is_complete: false, waited_before }
    }

    /// What goes down to the client, as the tunnel's driver asks for it.
    fn downstream(&self) -> Downstream {
        Downstream { connection: Arc::clone(&self.connection), transfer: Arc::clone(&self.transfer) }
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        let body = self.transfer.end();
        let (waits, turns) =
            body.map(|body| (body.waits(), body.gate().waited().cloned().collect())).unwrap_or_default();
        self.connection.forget(&self.transfer);
        let up = self.up.load(Ordering::Relaxed);
        Account::of_tunnel(Arc::clone(&self.transfer), waits, turns, self.waited_before, up).tell(
            &self.connection,
            !self.is_complete,
            self.connection.now(),
        );
    }
}

struct Downstream {
    connection: Arc<Connection>,
    transfer: Arc<Transfer>,
}

impl Body for Downstream {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.transfer.poll_frame(cx, &self.connection)
    }
}

/// Relays an upgraded connection until it ends or the server stops. It counts as the server's while
/// it lasts.
pub(super) async fn relayed(tunnel: Tunnel, chain: Chain, gate: Gate, mut tracked: Tracked) {
    let connection = Arc::clone(&tracked.connection);
    let server = Arc::clone(&connection.server);
    let downstream = tracked.downstream();
    let paced = |content, clock| {
        downstream
            .transfer
            .begin(PacedBody::with_files(content, chain, clock, FileReader::new()).with_gate(gate));
        downstream
    };
    let tunnel = tunnel.counting(Arc::clone(&tracked.up));
    let relayed = async { Some(relay(tunnel, paced, Arc::clone(&server.clock)).await) };
    let ended = async {
        server.reached(Stage::Stopped).or(connection.closer.closed()).await;
        None
    };
    match relayed.or(ended).await {
        Some(TunnelEnd::Idle(idle)) => connection.tell_idle_tunnel("tunnel_timeout", idle),
        Some(end) => {
            tracked.is_complete = matches!(end, TunnelEnd::Closed { .. });
            log::debug!(
                connection = connection.id, client:% = connection.client_addr(), peer:% = connection.ends.peer,
                end:?;
                "tunnel ended"
            );
        }
        // The stop, or who closed the connection, has been told of.
        None => {}
    }
}
