//! The relay: passes bytes both ways between a client and an upstream until both have closed.

use std::sync::Arc;
use std::time::Duration;

use futures_lite::future;

use super::StreamError;
use super::record::{Direction, Record};
use super::send_body::SendBody;
use super::shared_conn::{ResetGuard, SharedConn};
use crate::body::PacedBody;
use crate::budget::Gate;
use crate::filter::Chain;
use crate::generator::ReadGenerator;
use crate::rt::Socket;
use crate::sink::{Sink, Wire};

/// Relays until both sides have closed, one fails, or nothing moves for `idle`.
///
/// `down` and `gate` pace what the client is sent, `up` and `gate_up` what the upstream is sent; a side whose bytes are not due is
/// not read, so TCP flow control slows it. When one side closes its sending half, the other direction goes on to its
/// own end. A stream cut short on one side is reset on the other: without framing nothing else shows that bytes are
/// missing.
pub(super) async fn relay<W: Wire + Send + 'static>(
    sink: Sink<W>,
    upstream: Socket,
    (down, gate): (Chain, Gate),
    (up, gate_up): (Chain, Gate),
    idle: Duration,
    record: &Arc<Record>,
) -> Result<(), StreamError> {
    let state = Arc::clone(sink.state());
    let (client, upstream) = (SharedConn::new(sink), SharedConn::new(upstream));
    let mut reset_guard = ResetGuard::new(state, &client, record);
    reset_guard.and(&upstream);
    let down = SendBody::new(
        PacedBody::new(ReadGenerator::new(upstream.clone()), down, Arc::clone(record.clock()))
            .with_gate(gate),
        client.clone(),
        Direction { record: Arc::clone(record), down: true },
    );
    let up = SendBody::new(
        PacedBody::new(ReadGenerator::new(client), up, Arc::clone(record.clock())).with_gate(gate_up),
        upstream,
        Direction { record: Arc::clone(record), down: false },
    );
    let down = async {
        down.await?;
        record.completed();
        Ok(())
    };
    let up = async {
        match up.await {
            // The upstream reads no more; the other direction may still deliver what it sends.
            Err(StreamError::Client(error)) => {
                log::debug!(error:%; "upstream stopped reading");
                Ok(())
            }
            ended => ended,
        }
    };
    let both = async { future::try_zip(down, up).await.map(|_| ()) };
    let idling = async {
        record.activity().idle(record.clock(), idle).await;
        Err(StreamError::Idle)
    };
    future::or(both, idling).await?;
    reset_guard.ended();
    Ok(())
}
