//! A connection that changed protocols: relayed until it ends, and reported like an answer.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_lite::FutureExt;
use http_body::{Body, Frame};

use super::Stage;
use super::account::{Account, SinkWaits};
use super::answer_content::{AnswerContent, Waited};
use super::connection::Connection;
use super::pacing::Chosen;
use super::transfer::Transfer;
use super::upload::Upload;
use super::upload_record::UploadRecord;
use crate::body::BodyError;
use crate::budget::Gate;
use crate::filter::Chain;
use crate::http::proxy::{Tunnel, TunnelEnd, relay_both};
use crate::sync::Mutex;

/// The tunnel that an exchange became, a transfer of its connection. Dropped, it ends and gets its line in the access
/// log.
pub(super) struct Tracked {
    connection: Arc<Connection>,
    transfer: Arc<Transfer>,
    /// What the other direction waited for, once it ended.
    waited: Arc<Mutex<Waited>>,
    /// Both sides have closed it.
    is_complete: bool,
    /// What the connection had waited for when the exchange began.
    before: SinkWaits,
}

impl Tracked {
    /// Lists the tunnel that the exchange of `account` became, under its number.
    pub(super) fn new(connection: Arc<Connection>, account: &Account) -> Self {
        let (exchange, before) = (&account.transfer, account.before);
        let transfer = Arc::new(Transfer::tunnel(exchange, connection.now()));
        connection.exchanges.list(connection.exchanges.number_of(exchange), &transfer);
        let waited = Arc::default();
        Self { connection, transfer, waited, is_complete: false, before }
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.connection.exchanges.unlist(&self.transfer);
        let (waits, turns) = std::mem::take(&mut *self.waited.lock());
        let account = Account {
            ended: true,
            waits,
            turns,
            is_tunnel: true,
            ..Account::new(Arc::clone(&self.transfer), self.before)
        };
        self.connection.close_account(&account, !self.is_complete, self.connection.now());
    }
}

/// What goes to the client.
struct Downstream {
    content: Option<AnswerContent>,
    connection: Arc<Connection>,
    transfer: Arc<Transfer>,
    waited: Arc<Mutex<Waited>>,
}

impl Body for Downstream {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Self { content, connection, transfer, .. } = &mut *self;
        content.as_mut().map_or(Poll::Ready(None), |content| content.poll_frame(cx, transfer, connection))
    }
}

impl Drop for Downstream {
    fn drop(&mut self) {
        if let Some(content) = self.content.take() {
            *self.waited.lock() = content.end(&self.transfer);
        }
    }
}

/// Relays an upgraded connection until it ends or the server stops. It counts as the server's until then. `up` is the way
/// of what the client sends, whose pace is the `chosen` one.
pub(super) async fn relayed(
    tunnel: Tunnel,
    (chain, gate): (Chain, Gate),
    (up, chosen): ((Chain, Gate), Chosen),
    mut tracked: Tracked,
) {
    let connection = Arc::clone(&tracked.connection);
    let server = Arc::clone(&connection.server);
    let (transfer, waited) = (Arc::clone(&tracked.transfer), Arc::clone(&tracked.waited));
    let paced = |content, clock| Downstream {
        content: Some(AnswerContent::new(content, chain, gate, clock)),
        connection: Arc::clone(&connection),
        transfer,
        waited,
    };
    let record = Arc::new(UploadRecord::new(None, chosen, connection.now()));
    tracked.transfer.uploads(&record);
    let paced_up = |content, _| Upload::new(content, up, &connection, &record);
    let relayed = async { Some(relay_both(tunnel, paced, paced_up, Arc::clone(&server.clock)).await) };
    let ended = async {
        server.reached(Stage::Stopped).or(connection.closer.closed()).await;
        None
    };
    match relayed.or(ended).await {
        Some(TunnelEnd::Idle(idle)) => connection.log_idle_tunnel("tunnel_timeout", idle),
        Some(end) => {
            tracked.is_complete = matches!(end, TunnelEnd::Closed { .. });
            log::debug!(
                connection = connection.id, client:% = connection.client_addr(), peer:% = connection.ends.peer,
                end:?;
                "tunnel ended"
            );
        }
        // The stop, or who closed the connection, was logged.
        None => {}
    }
}
